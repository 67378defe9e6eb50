"""Batches of images, decoded and augmented in background threads while the network computes.

    with batches(data.train, batch=64, width=32, height=32, augment=Augment(32, 32), endless=True) as loader:
        for x, truth in loader: ...

What a batch holds depends on split, seed and its number alone, not on threads or on where one started: batch
k takes the images k * batch, k * batch + 1, ... of the sequence of shuffled epochs, and its random numbers
come from (seed, k).  So `start_batch=k` goes on exactly where an interrupted run stopped.  (darknet draws
every image anew with replacement; here each image is seen once per epoch.)

At most a few batches wait in memory, whatever the number of images.  Decoded images are kept while they all
fit in `cache_bytes`; then an epoch over small files costs no decoding.
"""
import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from runner.datasets.base import Split
from runner.errors import DataError, UsageError
from runner.images.augment import DRAWS, Augment, augment_batch
from runner.images.decode import read_pixels, to_float
from runner.images.resize import PREPARATIONS, prepare

AHEAD_BYTES = 256 << 20          # batches waiting may take about this much; one waits in any case
TOGETHER = 1 << 18               # images of one size are augmented together up to this many values
SHUFFLE, DRAW = 0, 1             # separate streams of random numbers


def batches(split: Split, *, batch: int, width: int, height: int, channels: int = 3,
            augment: Augment | None = None, shuffle: bool = False, seed: int = 0, endless: bool = False,
            epochs: int = 1, start_batch: int = 0, how: str = "crop", on_bad: str = "skip",
            warn: Callable[[str], None] | None = None, label_smoothing: float = 0.,
            workers: int | None = None, cache_bytes: int = 256 << 20) -> "Loader":
    """An iterator of (x, truth): float32 (n, channels, height, width) in 0..1 and one-hot (n, classes).

    augment: random changes; without it images are prepared by `how` (see runner.images.prepare).  shuffle: a
    new order each epoch.  endless: never stops, every batch is full.  Otherwise `epochs` passes, the last
    batch may be smaller.  on_bad "skip": an image that cannot be read is named once through `warn` and in
    `.bad`; when endless another image takes its place, otherwise the batch is smaller.  "error": it is a
    DataError.  label_smoothing e: 1 - e and e / (classes - 1).  workers: threads, 0 to do everything in the
    calling one; default one per core, at most 4.
    """
    if not len(split):
        raise DataError("there are no images to load")
    if batch < 1 or width < 1 or height < 1 or start_batch < 0:
        raise UsageError(f"batch, width and height must be at least 1. Got {batch}, {width}, {height}")
    if on_bad not in ("skip", "error") or how not in PREPARATIONS:
        raise UsageError(f"on_bad is 'skip' or 'error', how one of {', '.join(PREPARATIONS)}. "
                         f"Got {on_bad!r}, {how!r}")
    if augment and (augment.width, augment.height) != (width, height):
        raise UsageError(f"augment makes {augment.width}x{augment.height} images, the loader "
                         f"{width}x{height}")
    total = None if endless else len(split) * epochs
    source = _Source(split, width, height, channels, augment, how, on_bad, cache_bytes, endless, label_smoothing)
    order = Order(len(split), batch, seed, shuffle, total)
    return Loader(source, order, start_batch, warn, workers)


class Loader:
    """What `batches` and `box_batches` return.  Iterate, then close (or use `with`; being collected closes it too).

    bad: path -> what is wrong, of the images met so far.  waited: seconds the caller waited for data.
    indices: which images of the split the latest batch shows.  Calling len gives the number of batches left.
    """

    def __init__(self, source: "Source", order: "Order", start_batch: int, warn: Callable[[str], None] | None,
                 workers: int | None):
        workers = min(4, os.cpu_count() or 1) if workers is None else workers
        self.bad: dict[str, str] = {}
        self.waited = 0.
        self.indices = np.zeros(0, np.intp)
        self._source, self._order, self._warn = source, order, warn
        self._next, self._jobs = start_batch, deque[Job]()
        self._pool = ThreadPoolExecutor(workers, "loader") if workers else None
        size = order.batch * source.channels * source.width * source.height * 4
        self._ahead = max(1, min(2 * workers, AHEAD_BYTES // size))
        # Large images: the threads share each batch.  Small ones: a batch each, for arithmetic in bulk.
        self._parts = max(1, min(workers, order.batch)) if size > 4 << 20 else 1
        self._closed = self._any_good = False

    def __iter__(self) -> "Loader":
        return self

    def __len__(self) -> int:
        left = self._order.count()
        if left is None:
            raise TypeError("an endless loader has no length")
        return max(0, left - self._next + len(self._jobs))

    def __next__(self) -> tuple[np.ndarray, np.ndarray]:
        while True:
            self._fill()
            if not self._jobs:
                self.close()
                if self.bad and not self._any_good:
                    raise DataError("none of the images can be read. The first one: "
                                    f"{next(iter(self.bad.values()))}")
                raise StopIteration
            started = time.perf_counter()
            job = self._jobs.popleft()
            try:
                result = self._finish(job)
            except BaseException:
                self.close()
                raise
            finally:
                self.waited += time.perf_counter() - started
            self._fill()
            if result is not None:
                return result

    def _fill(self) -> None:
        """Hand out work until enough batches are under way."""
        while not self._closed and len(self._jobs) < self._ahead:
            indices = self._order.indices(self._next)
            if not len(indices):
                return
            job = self._source.start(self._order, self._next, indices)
            self._next += 1
            cuts = np.linspace(0, len(indices), self._parts + 1).astype(int)
            for start, stop in pairwise(cuts):
                if self._pool:
                    job.futures.append(self._pool.submit(self._source.load, job, start, stop))
                elif start < stop:
                    job.ranges.append((start, stop))
            self._jobs.append(job)

    def _finish(self, job: "Job") -> tuple[np.ndarray, np.ndarray] | None:
        """Wait for a batch; report its bad images; None when none is left of it."""
        for future in job.futures:
            future.result()
        for start, stop in job.ranges:
            self._source.load(job, start, stop)
        for path, reason in sorted(job.bad):
            if path not in self.bad:
                self.bad[path] = reason
                if self._warn:
                    self._warn(f"{reason}; the image is skipped")
        good = job.indices >= 0
        if not good.any():
            return None
        self._any_good, self.indices = True, job.indices[good]
        return (job.x if good.all() else job.x[good]), self._source.truth(job, good)

    def close(self) -> None:
        """Stop the threads and let the waiting batches go.  May be called more than once."""
        self._closed = True
        self._jobs.clear()
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        pool = getattr(self, "_pool", None)
        if pool:
            pool.shutdown(wait=False, cancel_futures=True)


@dataclass(kw_only=True)
class Job:
    """A batch under way.  indices: images of the split, -1 where one was bad and nothing replaced it."""

    indices: np.ndarray
    x: np.ndarray
    futures: list[Future] = field(default_factory=list)
    ranges: list[tuple[int, int]] = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)


@dataclass(kw_only=True)
class _Job(Job):
    """A classifier's.  draws: random numbers of each image."""

    draws: np.ndarray


class Source(Protocol):
    """Fills batches; shared by the threads.  Knows no Loader, so that one can be collected.

    width, height, channels: of the largest images it makes.
    """

    width: int
    height: int
    channels: int

    def start(self, order: "Order", k: int, indices: np.ndarray) -> Any:
        """-> a Job: batch k, still empty."""

    def load(self, job: Any, start: int, stop: int) -> None:
        """Write the images start..stop of a job."""

    def truth(self, job: Any, good: np.ndarray) -> np.ndarray:
        """What is true of the images of a finished job; good (n,) bool: which could be read."""


class Order:
    """Which images and which random numbers belong to batch k."""

    def __init__(self, images: int, batch: int, seed: int, shuffle: bool, total: int | None):
        self.images, self.batch, self.seed, self.shuffle, self.total = images, batch, seed, shuffle, total
        self._epochs: dict[int, np.ndarray] = {}

    def count(self) -> int | None:
        return None if self.total is None else -(-self.total // self.batch)

    def indices(self, k: int) -> np.ndarray:
        """The images of batch k; fewer at the end, none after it."""
        stop = (k + 1) * self.batch if self.total is None else min((k + 1) * self.batch, self.total)
        place = np.arange(k * self.batch, stop)
        if not self.shuffle or not len(place):
            return place % self.images
        epoch = place // self.images
        return np.concatenate([self._permutation(e)[place[epoch == e] % self.images]
                               for e in range(epoch[0], epoch[-1] + 1)])

    def _permutation(self, epoch: int) -> np.ndarray:
        if epoch not in self._epochs:
            self._epochs = {e: order for e, order in self._epochs.items() if e == epoch - 1}
            self._epochs[epoch] = np.random.default_rng((self.seed, SHUFFLE, epoch)).permutation(self.images)
        return self._epochs[epoch]

    def draws(self, k: int) -> np.ndarray:
        return np.random.default_rng((self.seed, DRAW, k)).random((self.batch, DRAWS))


class _Source:
    """Fills batches with images for a classifier (see Source)."""

    def __init__(self, split: Split, width: int, height: int, channels: int, augment: Augment | None,
                 how: str, on_bad: str, cache_bytes: int, refill: bool, smoothing: float):
        self.split, self.width, self.height, self.channels = split, width, height, channels
        self.augment, self.how, self.on_bad, self.refill = augment, how, on_bad, refill
        self.smoothing = smoothing
        self._cache: dict[int, np.ndarray] | None = {}
        self._room = cache_bytes
        self._bad: dict[int, str] = {}

    def start(self, order: Order, k: int, indices: np.ndarray) -> _Job:
        x = np.empty((len(indices), self.channels, self.height, self.width), np.float32)
        return _Job(indices=indices, x=x, draws=order.draws(k))

    def truth(self, job: _Job, good: np.ndarray) -> np.ndarray:
        indices, classes, e = job.indices[good], self.split.classes, self.smoothing
        truth = np.full((len(indices), classes), e / max(classes - 1, 1), np.float32)
        truth[np.arange(len(indices)), [self.split[index][1] for index in indices]] = 1 - e
        return truth

    def load(self, job: _Job, start: int, stop: int) -> None:
        """Write the images start..stop of a job."""
        augment = self.augment
        same_shape: dict[tuple[int, ...], list[tuple[int, np.ndarray]]] = {}
        for row in range(start, stop):
            pixels = self._good(job, row)
            if pixels is None:
                job.indices[row] = -1
            elif augment is None:
                job.x[row] = pixels
            else:
                same_shape.setdefault(pixels.shape, []).append((row, pixels))
        if augment is None:
            return
        for shape, found in same_shape.items():
            together = max(1, TOGETHER // int(np.prod(shape)))
            for first in range(0, len(found), together):
                rows, images = zip(*found[first:first + together], strict=True)
                at = list(rows)
                job.x[at] = augment_batch(to_float(np.stack(images)), augment, job.draws[at])

    def _good(self, job: _Job, row: int) -> np.ndarray | None:
        """The image of a row, or when it is bad the next good one, or None."""
        for step in range(len(self.split) if self.refill else 1):
            index = int((job.indices[row] + step) % len(self.split))
            if index not in self._bad:
                try:
                    pixels = self._pixels(index)
                    job.indices[row] = index
                    return pixels
                except DataError as error:
                    if self.on_bad == "error":
                        raise
                    self._bad[index] = str(error)
            job.bad.append((self.split[index][0], self._bad[index]))
        if self.refill:
            raise DataError(f"none of the {len(self.split)} images can be read. The last one: "
                            f"{job.bad[-1][1]}")
        return None

    def _pixels(self, index: int) -> np.ndarray:
        """Decoded, and as far as no chance is involved prepared; from the cache if it is there."""
        cache = self._cache
        if cache is not None and index in cache:
            return cache[index]
        pixels = read_pixels(self.split[index][0], self.channels)
        if self.augment is None:
            pixels = prepare(to_float(pixels), self.width, self.height, self.how)
        if cache is not None:
            self._room -= pixels.nbytes + 200
            if self._room < 0:               # they do not all fit: a part would help little, so none is kept
                self._cache = None
            else:
                cache[index] = pixels
        return pixels
