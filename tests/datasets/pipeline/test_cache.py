"""The cache of decoded images: what is kept, how much, and at which size images are decoded."""
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.datasets import Split, batches
from runner.datasets.pipeline import cache
from runner.images import Augment
from runner.images.decode import Size
from tests.datasets.loading import SIZE


def test_a_small_dataset_is_decoded_once(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def read_pixels(path: str, channels: int, least: Size | None) -> np.ndarray:
        read.append(path)
        return np.zeros((3, 6, 8), np.uint8)
    monkeypatch.setattr("runner.datasets.classification.dataset.read_pixels", read_pixels)
    list(batches(split, batch=4, epochs=3, workers=0, **SIZE))
    assert len(read) == 11
    list(batches(split, batch=4, epochs=3, workers=0, cache_bytes=100, **SIZE))
    assert len(read) == 11 + 33


def test_training_decodes_no_more_of_a_jpeg_than_it_needs(tmp_path: Path) -> None:
    smooth = np.linspace(0, 250, 128 * 96 * 3).reshape(96, 128, 3).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    split = Split([(str(tmp_path / "a.jpg"), 0)], 2)
    for draft, augment, side in [(False, Augment(8, 6), 1), (True, None, 1), (True, Augment(8, 6), 4),
                                 (True, Augment(8, 6, max_crop=12), 4), (True, Augment(8, 6, max_crop=13), 2),
                                 (True, Augment(8, 6, max_crop=12, aspect=.75), 2)]:
        with batches(split, batch=1, epochs=2, augment=augment, draft=draft, workers=0, **SIZE) as loader:
            next(loader)
            assert loader.cached == smooth.size // side ** 2 + 200, (draft, augment)


def test_the_cache_is_a_quarter_of_the_free_memory_and_warns_when_it_is_too_small(
        split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "available_memory", lambda: 1 << 30)
    said: list[str] = []
    with batches(split, batch=11, endless=True, workers=0, warn=said.append, **SIZE) as loader:
        next(loader)
        assert loader.cached == sum(split.read(i, 3).nbytes + 200 for i in range(11)) and not said
    monkeypatch.setattr(cache, "available_memory", lambda: 4000)
    with batches(split, batch=11, endless=True, workers=0, warn=said.append, **SIZE) as loader:
        next(loader), next(loader)
        assert loader.cached == 0
    assert len(said) == 1 and "the decoded images take more than 1.0 KB" in said[0]


def test_a_single_pass_keeps_nothing(split: Split) -> None:
    loader = batches(split, batch=4, **SIZE)
    list(loader)
    assert loader.cached == 0
