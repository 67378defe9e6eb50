"""The loader: threads and restarts change nothing, only a few batches wait, and nothing is left running."""
import gc
import itertools
import threading
import time
from typing import Any

import numpy as np
import pytest

from runner.datasets import Split, batches
from runner.images import Augment
from runner.images.decode import Size
from tests.datasets.loading import SIZE, TRAINING, assert_same, make_unreadable


def test_length_counts_what_is_left(split: Split) -> None:
    with batches(split, batch=4, epochs=2, **SIZE) as loader:
        assert len(loader) == 6
        next(loader)
        assert len(loader) == 5
        assert len(list(loader)) == 5
    with batches(split, batch=4, endless=True, **SIZE) as loader, pytest.raises(TypeError):
        len(loader)


@pytest.mark.parametrize("options", [{"workers": 0}, {"workers": 1}, {"workers": 3}, {"cache_bytes": 0},
                                     {"cache_bytes": 1000}])
def test_neither_threads_nor_cache_change_anything(split: Split, options: dict[str, Any]) -> None:
    make_unreadable(split, 2)
    with batches(split, **TRAINING) as one, batches(split, **TRAINING, **options) as other:
        assert_same(list(itertools.islice(one, 9)), list(itertools.islice(other, 9)))
        assert one.bad == other.bad


def test_large_images_are_shared_between_threads_with_the_same_result(split: Split) -> None:
    big: dict[str, Any] = {"batch": 5, "width": 320, "height": 320, "augment": Augment(320, 320, angle=10)}
    with batches(split, workers=3, **big) as many, batches(split, workers=0, **big) as one:
        assert many.parts == 3
        assert_same(list(many), list(one))


def test_start_batch_continues_where_another_run_stopped(split: Split) -> None:
    with batches(split, **TRAINING) as whole, batches(split, start_batch=4, **TRAINING) as rest:
        assert_same(list(itertools.islice(whole, 9))[4:], list(itertools.islice(rest, 5)))


def loader_threads() -> int:
    return sum(thread.name.startswith("loader") for thread in threading.enumerate())


def no_threads_within(seconds: float) -> bool:
    end = time.monotonic() + seconds
    while loader_threads() and time.monotonic() < end:
        time.sleep(.01)
    return not loader_threads()


def test_threads_end_with_the_loader(split: Split) -> None:
    assert no_threads_within(5)
    with batches(split, workers=2, **TRAINING) as loader:
        next(loader)
        assert loader_threads()
    assert not loader_threads() and list(loader) == []
    list(batches(split, batch=4, workers=2, **SIZE))
    assert not loader_threads()
    loader = batches(split, workers=2, **TRAINING)
    next(loader)
    del loader
    gc.collect()
    assert no_threads_within(5)


def test_no_more_than_a_few_batches_wait(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def read_pixels(path: str, channels: int, least: Size | None) -> np.ndarray:
        read.append(path)
        return np.zeros((3, 6, 8), np.uint8)
    monkeypatch.setattr("runner.datasets.classification.dataset.read_pixels", read_pixels)
    with batches(split, batch=1, endless=True, workers=2, cache_bytes=0, **SIZE) as loader:
        next(loader)
        time.sleep(.1)
        assert 1 <= len(read) <= 1 + 2 * 2


def test_waiting_is_measured(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = threading.Event()
    monkeypatch.setattr("runner.datasets.classification.dataset.read_pixels",
                        lambda path, channels, least: ready.wait() and
                        np.zeros((3, 6, 8), np.uint8))
    with batches(split, batch=1, workers=1, **SIZE) as loader:
        assert loader.waited == 0
        threading.Timer(.05, ready.set).start()
        next(loader)
        assert loader.waited > 0
