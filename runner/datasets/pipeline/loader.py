"""What runs behind batches of images: threads that read and prepare a few batches ahead while the network computes.

A Source says what is in a batch (runner.datasets.classification.batches for classifiers), an Order which images.
What a batch holds depends only on them and its number, not on threads or on where one started, so `start_batch=k`
continues exactly where an interrupted run stopped.  Only a few batches wait in memory, however many images there are.
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

from runner.datasets.pipeline.decode_cache import Decoded
from runner.datasets.pipeline.sampler import Order
from runner.errors import DataError

AHEAD_BYTES = 256 << 20          # batches waiting may take about this much; one waits in any case


@dataclass(kw_only=True)
class Job:
    """A batch under way.

    indices  images of the split, -1 where one was bad and nothing replaced it
    bad      path and reason of the images that could not be read
    """

    indices: np.ndarray
    x: np.ndarray
    futures: list[Future] = field(default_factory=list)
    ranges: list[tuple[int, int]] = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)


class Source(Protocol):
    """Fills batches; shared by the threads.  Knows no Loader, so that one can be collected.

    width, height, channels: of the largest images it makes.  images: where it reads from.
    """

    width: int
    height: int
    channels: int
    images: Decoded

    def start(self, order: Order, k: int, indices: np.ndarray) -> Any:
        """-> a Job: batch k, still empty."""

    def load(self, job: Any, start: int, stop: int) -> None:
        """Write the images start..stop of a job."""

    def truth(self, job: Any, good: np.ndarray) -> np.ndarray:
        """What is true of the images of a finished job; good (n,) bool: which could be read."""


class Loader:
    """An iterator of (x, truth).  Iterate, then close (or use `with`; being collected closes it too).

    bad: path -> what is wrong, of the images met so far.  waited: seconds the caller waited for data.
    indices: which images of the split the latest batch shows.  cached: bytes of decoded images that are kept.
    Calling len gives the number of batches left.
    """

    def __init__(self, source: Source, order: Order, start_batch: int, warn: Callable[[str], None] | None,
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

    @property
    def cached(self) -> int:
        return self._source.images.cache.used

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

    def _finish(self, job: Job) -> tuple[np.ndarray, np.ndarray] | None:
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
        note = self._source.images.cache.note()
        if note and self._warn:
            self._warn(note)
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
