"""The loader: threads that read and prepare a few batches ahead while the network computes.

A Sampler chooses the images of a batch, a BatchSource (classification/batches.py, detection/batches.py) fills it.  What
a batch holds depends only on these two and on its number, not on the threads or on the first batch, so
`start_batch=k` continues exactly where an interrupted run stopped.  Only a few batches wait in memory, however large
the dataset is.
"""
import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol, Self

import numpy as np

from runner.datasets.pipeline.decode_cache import DecodeCache
from runner.datasets.pipeline.sampler import Sampler
from runner.errors import DataError

PREFETCH_BYTES = 256 << 20       # about what the waiting batches may take; one waits in any case


@dataclass(kw_only=True)
class PendingBatch:
    """A batch that is being filled.

    indices  images of the split, -1 where one was unreadable and not replaced
    x        (n, channels, height, width) float32
    futures  the threads' work on it; ranges: rows to fill in the calling thread where there are no threads
    bad      path and reason of the images that could not be read
    """

    indices: np.ndarray
    x: np.ndarray
    futures: list[Future] = field(default_factory=list)
    ranges: list[tuple[int, int]] = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)


class BatchSource(Protocol):
    """Fills batches; shared by the threads.  Holds no reference to its Loader, so that the Loader can be collected.

    width, height, channels: of the largest images it makes.  images: the decoded images it reads from.
    """

    width: int
    height: int
    channels: int
    images: DecodeCache

    def start(self, sampler: Sampler, k: int, indices: np.ndarray) -> Any:
        """-> a PendingBatch: batch k, still empty."""

    def load(self, batch: Any, start: int, stop: int) -> None:
        """Write the images start..stop of a batch."""

    def truth(self, batch: Any, good: np.ndarray) -> np.ndarray:
        """The ground truth of a finished batch; good (n,) bool: the images that could be read."""


class Loader:
    """An iterator of (x, truth).  Iterate, then close it (or use `with`; garbage collection closes it too).

    bad      path -> what is wrong, of the unreadable images so far
    waited   seconds the caller waited for data
    indices  the images of the split in the latest batch
    parts    how many threads share one batch; 1: each thread fills a batch of its own
    cached   bytes of decoded images in the cache
    len()    how many batches are left; TypeError for an endless loader
    """

    def __init__(self, source: BatchSource, sampler: Sampler, start_batch: int, warn: Callable[[str], None] | None,
                 workers: int | None):
        workers = min(4, os.cpu_count() or 1) if workers is None else workers
        self.bad: dict[str, str] = {}
        self.waited = 0.
        self.indices = np.zeros(0, np.intp)
        self._source, self._sampler, self._warn = source, sampler, warn
        self._next, self._pending = start_batch, deque[PendingBatch]()
        self._pool = ThreadPoolExecutor(workers, "loader") if workers else None
        size = sampler.batch * source.channels * source.width * source.height * 4
        self._prefetch = max(1, min(2 * workers, PREFETCH_BYTES // size))
        # Large images: the threads share each batch.  Small ones: a batch per thread, computed in bulk.
        self.parts = max(1, min(workers, sampler.batch)) if size > 4 << 20 else 1
        self._closed = self._any_good = False
        self._rank, self._ranks, self._step = 0, 1, 1

    def take_rows(self, rank: int, ranks: int) -> None:
        """Only the rank-th of `ranks` equal parts of each batch, with what that part of the whole batch holds."""
        self._rank, self._ranks = rank, ranks

    def take_batches(self, rank: int, ranks: int) -> None:
        """Only every `ranks`-th batch, from number `rank`."""
        self._next, self._step = self._next + rank, ranks

    def __iter__(self) -> Self:
        return self

    @property
    def cached(self) -> int:
        return self._source.images.cache.used

    def __len__(self) -> int:
        left = self._sampler.count()
        if left is None:
            raise TypeError("an endless loader has no length")
        return max(0, -(-(left - self._next) // self._step)) + len(self._pending)

    def __next__(self) -> tuple[np.ndarray, np.ndarray]:
        while True:
            self._fill()
            if not self._pending:
                self.close()
                if self.bad and not self._any_good:
                    raise DataError("none of the images can be read. The first one: "
                                    f"{next(iter(self.bad.values()))}")
                raise StopIteration
            started = time.perf_counter()
            batch = self._pending.popleft()
            try:
                result = self._finish(batch)
            except BaseException:
                self.close()
                raise
            finally:
                self.waited += time.perf_counter() - started
            self._fill()
            if result is not None:
                return result

    def _fill(self) -> None:
        """Submit batches until enough are waiting."""
        while not self._closed and len(self._pending) < self._prefetch:
            indices = self._sampler.indices(self._next)
            if not len(indices):
                return
            batch = self._source.start(self._sampler, self._next, indices)
            self._next += self._step
            own = self._rows(len(indices))
            cuts = np.linspace(own.start, own.stop, self.parts + 1).astype(int)
            for start, stop in pairwise(cuts):
                if self._pool:
                    batch.futures.append(self._pool.submit(self._source.load, batch, start, stop))
                elif start < stop:
                    batch.ranges.append((start, stop))
            self._pending.append(batch)

    def _finish(self, batch: PendingBatch) -> tuple[np.ndarray, np.ndarray] | None:
        """Wait for a batch and report its bad images; None when no image of it could be read."""
        for future in batch.futures:
            future.result()
        for start, stop in batch.ranges:
            self._source.load(batch, start, stop)
        for path, reason in sorted(batch.bad):
            if path not in self.bad:
                self.bad[path] = reason
                if self._warn:
                    self._warn(f"{reason}; the image is skipped")
        note = self._source.images.cache.note()
        if note and self._warn:
            self._warn(note)
        own, good = self._rows(len(batch.indices)), batch.indices >= 0
        complete = bool(good[own].all())
        good[:own.start] = good[own.stop:] = False
        if not good.any():
            return None
        self._any_good, self.indices = True, batch.indices[good]
        return (batch.x[own] if complete else batch.x[good]), self._source.truth(batch, good)

    def _rows(self, rows: int) -> slice:
        """The rows of a batch that this loader fills."""
        part = rows // self._ranks
        return slice(self._rank * part, (self._rank + 1) * part)

    def close(self) -> None:
        """Stop the threads and drop the waiting batches.  May be called more than once."""
        self._closed = True
        self._pending.clear()
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        pool = getattr(self, "_pool", None)
        if pool:
            pool.shutdown(wait=False, cancel_futures=True)
