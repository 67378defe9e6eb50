"""Batches for classifiers: images and labels, shuffling, mixing, and what is done about unreadable images."""
import itertools
from typing import Any

import numpy as np
import pytest

from runner.datasets import Split, batches
from runner.errors import DataError, RunnerError
from runner.images import Augment, prepare, read_image
from tests.datasets.loading import CHANGES, SIZE, TRAINING, assert_same, make_unreadable


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_shows_each_image_once_in_order(split: Split, workers: int) -> None:
    loader = batches(split, batch=4, workers=workers, **SIZE)
    assert len(loader) == 3
    got = list(loader)
    assert [x.shape for x, _ in got] == [(4, 3, 6, 8), (4, 3, 6, 8), (3, 3, 6, 8)]
    assert got[0][0].dtype == got[0][1].dtype == np.float32
    for k, (path, label) in enumerate(split):
        np.testing.assert_array_equal(got[k // 4][0][k % 4], prepare(read_image(path), 8, 6))
        np.testing.assert_array_equal(got[k // 4][1][k % 4], np.eye(3)[label])


def test_every_epoch_is_shuffled_anew_and_complete(split: Split) -> None:
    with batches(split, batch=4, shuffle=True, endless=True, seed=1, **SIZE) as loader:
        order = np.concatenate([(next(loader), loader.indices)[1] for _ in range(11)])
    epochs = order.reshape(4, 11)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.arange(11)[None].repeat(4, 0))
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_a_batch_larger_than_the_data_wraps_around(split: Split) -> None:
    with batches(split, batch=25, endless=True, shuffle=True, **SIZE) as loader:
        x, _ = next(loader)
    assert x.shape[0] == 25 and np.bincount(loader.indices, minlength=11).min() == 2


def test_seeds_differ(split: Split) -> None:
    with batches(split, **TRAINING) as one, batches(split, **{**TRAINING, "seed": 6}) as other:
        assert not np.array_equal(next(one)[0], next(other)[0])


def test_augmentation_differs_between_epochs(split: Split) -> None:
    with batches(split, batch=11, augment=CHANGES, endless=True, **SIZE) as loader:
        assert not np.array_equal(next(loader)[0], next(loader)[0])


def test_label_smoothing_and_channels(split: Split) -> None:
    x, truth = next(batches(split, batch=2, channels=1, label_smoothing=.1, **SIZE))
    assert x.shape == (2, 1, 6, 8)
    np.testing.assert_allclose(truth, [[.9, .05, .05], [.05, .9, .05]], rtol=1e-6)


def test_bad_images_are_named_once_and_left_out_of_evaluation(split: Split) -> None:
    make_unreadable(split, 3, 8, 9, 10)
    said: list[str] = []
    loader = batches(split, batch=4, epochs=2, warn=said.append, **SIZE)
    assert sum(len(x) for x, _ in loader) == 14
    assert sorted(loader.bad) == sorted(split[k][0] for k in (3, 8, 9, 10))
    assert len(said) == 4 and split[3][0] in said[0] and "not an image" in said[0] and "skipped" in said[0]


def test_bad_images_are_replaced_in_training(split: Split) -> None:
    make_unreadable(split, 3)
    with batches(split, batch=11, endless=True, **SIZE) as loader:
        x, _ = next(loader)
    assert loader.indices.tolist() == [0, 1, 2, 4, 4, 5, 6, 7, 8, 9, 10]
    np.testing.assert_array_equal(x[3], x[4])


@pytest.mark.parametrize("endless", [True, False])
def test_only_unreadable_images_is_an_error(split: Split, endless: bool) -> None:
    make_unreadable(split, *range(11))
    with pytest.raises(DataError, match="none of the"):
        list(itertools.islice(batches(split, batch=4, endless=endless, **SIZE), 5))


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_images_are_fatal_by_choice_in_their_turn(split: Split, workers: int) -> None:
    make_unreadable(split, 5)
    loader = batches(split, batch=4, on_bad="error", workers=workers, **SIZE)
    assert len(next(loader)[0]) == 4
    with pytest.raises(DataError, match=r"5\.png: this is not an image"):
        next(loader)
    assert list(loader) == []


@pytest.mark.parametrize("change, message", [({"batch": 0}, "at least 1"), ({"on_bad": "ignore"}, "on_bad"),
                                             ({"how": "fit"}, "how"), ({"augment": Augment(9, 9)}, "9x9")])
def test_wrong_settings_are_refused(split: Split, change: Any, message: str) -> None:
    with pytest.raises(RunnerError, match=message):
        batches(split, **{"batch": 2, **SIZE, **change})
    with pytest.raises(DataError, match="no images"):
        batches(Split([], 3), batch=2, **SIZE)


def colours() -> Split:
    """Images of one value each, k / 10, of class k."""
    values = (np.arange(11) / 10).astype(np.float32)
    return Split([(str(k), k) for k in range(11)], 11, np.broadcast_to(values[:, None, None, None], (11, 1, 6, 8)))


@pytest.mark.parametrize("mode", [1, 2, 3, 4])
def test_half_of_the_batches_are_mixed_and_the_labels_with_them(mode: int) -> None:
    settings = Augment(8, 6, 8, 8, flip=False, mix=mode)
    mixed = parts = 0
    with batches(colours(), batch=8, channels=1, shuffle=True, endless=True, augment=settings, **SIZE) as loader:
        for x, truth in itertools.islice(loader, 60):
            np.testing.assert_allclose(truth.sum(axis=1), 1, rtol=1e-6)
            # without the border, which a crop may leave dark by half a pixel
            inner = x[:, 0, 1:-1, 1:-1]
            if mode == 1:
                np.testing.assert_allclose(inner.mean(axis=(1, 2)), truth @ (np.arange(11) / 10), atol=1e-5)
            else:
                values = np.unique(np.round(inner * 10))
                assert set(values.astype(int)) <= set(np.flatnonzero(truth.any(axis=0)).tolist()) | {0}
            kinds = (truth > 0).sum(axis=1)
            mixed += bool((kinds > 1).any())
            parts = max(parts, int(kinds.max()))
    assert 18 <= mixed <= 42 and parts == {1: 2, 2: 2, 3: 4, 4: 4}[mode]


@pytest.mark.parametrize("options", [{"workers": 0}, {"workers": 3}, {"cache_bytes": 0}])
def test_mixed_batches_depend_only_on_the_seed_and_can_be_resumed(split: Split, options: dict[str, Any]) -> None:
    make_unreadable(split, 2)
    settings = {**TRAINING, "augment": Augment(8, 6, 6, 12, angle=10, mix=4, blur=5)}
    with batches(split, **settings) as one, batches(split, start_batch=3, **settings, **options) as other:
        assert_same(list(itertools.islice(one, 12))[3:], list(itertools.islice(other, 9)))


def test_large_mixed_batches_are_shared_between_threads(split: Split) -> None:
    big: dict[str, Any] = {"batch": 5, "width": 320, "height": 320, "augment": Augment(320, 320, mix=4, blur=3),
                           "endless": True}
    with batches(split, workers=3, **big) as many, batches(split, workers=0, **big) as one:
        assert many.parts == 3
        assert_same(list(itertools.islice(many, 4)), list(itertools.islice(one, 4)))


def test_a_bad_partner_is_left_out_where_nothing_replaces_it(split: Split) -> None:
    make_unreadable(split, 1, 4, 7)
    with batches(split, batch=11, epochs=8, augment=Augment(8, 6, mix=3), seed=2, **SIZE) as loader:
        for x, truth in loader:
            assert len(x) == 8
            np.testing.assert_allclose(truth.sum(axis=1), 1, rtol=1e-6)


def test_smoothed_labels_are_mixed_too() -> None:
    settings = Augment(8, 6, 8, 8, flip=False, mix=1)
    with batches(colours(), batch=4, channels=1, endless=True, shuffle=True, augment=settings, label_smoothing=.1,
                 **SIZE) as loader:
        rows = np.concatenate([truth for _, truth in itertools.islice(loader, 20)])
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-5)
    assert set(np.unique(np.round(rows, 4))) == {np.float32(.01), np.float32(.455), np.float32(.9)}
