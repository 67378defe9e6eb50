"""Which images a batch has when classes are balanced."""
from typing import Any

import numpy as np
import pytest

from runner.datasets import Split, batches
from runner.datasets.pipeline import Sampler
from runner.errors import RunnerError
from tests.datasets.loading import SIZE, uneven


def shown(split: Split, count: int, **options: Any) -> np.ndarray:
    """The images of the first batches."""
    with batches(split, batch=10, shuffle=True, endless=True, workers=0, **SIZE, **options) as loader:
        return np.concatenate([(next(loader), loader.indices)[1] for _ in range(count)])


@pytest.mark.parametrize("balance, wanted", [(0, [60, 30, 10]), (1, [34, 33, 33]), (.5, [47, 33, 20])])
def test_balance_decides_how_often_a_class_comes(balance: float, wanted: list[int]) -> None:
    split = uneven()
    indices = shown(split, 10, balance=balance)
    counts = np.bincount(split.labels()[indices], minlength=3)
    assert counts.tolist() == wanted or np.abs(counts - wanted).max() <= 1
    assert not np.array_equal(np.sort(indices), indices)


def test_balance_uses_every_image_and_can_be_resumed() -> None:
    split = uneven()
    indices = shown(split, 60, balance=1)
    seen = np.bincount(indices, minlength=100)
    assert (seen > 0).all() and np.ptp(seen[60:90]) <= 1 and np.ptp(seen[:60]) <= 1
    np.testing.assert_array_equal(indices[250:], shown(split, 35, balance=1, start_batch=25))
    with pytest.raises(RunnerError, match="needs shuffle=True"):
        batches(split, batch=2, balance=1, **SIZE)


def test_partners_of_mixed_images_come_as_often_as_classes_do() -> None:
    labels = uneven().labels()
    rng = np.random.default_rng(4)
    for balance, wanted in ((0, [.6, .3, .1]), (1, [.34, .33, .33])):
        order = Sampler(100, 10, 0, True, None, labels if balance else None, balance)
        chosen = order.any_images(rng, (3, 2000))
        assert chosen.shape == (3, 2000)
        np.testing.assert_allclose(np.bincount(labels[chosen.ravel()]) / 6000, wanted, atol=.03)
        assert len(np.unique(chosen)) == 100
