"""The one thread pool: work is split by image or by fixed block, so that results never depend on the threads.

NumPy releases the interpreter lock in its loops and in BLAS, so plain threads use all cores.  While workers run, BLAS
itself is held to one thread: two layers of threads would fight for the same cores, and a product split among
threads may sum in another order.
"""
import ctypes
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from queue import SimpleQueue

import numpy as np

GRAIN = 1 << 17         # values a piece of work should have: handing out less costs more than it saves
WAVE = 4                # partial sums held at a time

_inside = threading.local()
_jobs: "SimpleQueue[_Job | None]" = SimpleQueue()
_workers: list[threading.Thread] = []
_threads = 0


def threads() -> int:
    """How many threads work is split among; the cores this process may use unless set_threads said otherwise."""
    global _threads
    if not _threads:
        _threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return _threads


def set_threads(count: int) -> None:
    """Split work among `count` threads from now on; results do not change with it."""
    global _threads
    _dismiss()
    _threads = max(1, count)


def for_blocks(function: Callable[[slice], None], count: int, values: int) -> None:
    """function(slice) for blocks of `count` items of `values` values each, shared among the threads.

    How many items make a block depends on `values` alone, so what is computed together never depends on the threads.
    """
    each = max(1, GRAIN // max(values, 1))
    starts = range(0, count, each)
    for_each(lambda i: function(slice(starts[i], min(starts[i] + each, count))), len(starts))


def sum_blocks(function: Callable[[slice], np.ndarray], count: int, values: int) -> np.ndarray:
    """The sum of function(slice) over blocks as for_blocks makes them, added in order; a few are held at a time."""
    each = max(1, GRAIN // max(values, 1))
    starts = range(0, count, each)
    total: np.ndarray | None = None
    for first in range(0, len(starts), WAVE):
        wave = starts[first:first + WAVE]
        parts: list[np.ndarray | None] = [None] * len(wave)

        def work(i: int, wave: range = wave, parts: list = parts) -> None:
            parts[i] = function(slice(wave[i], min(wave[i] + each, count)))
        for_each(work, len(wave))
        for part in parts:
            assert part is not None
            total = part if total is None else np.add(total, part, out=total)
    assert total is not None
    return total


class _Job:
    """One call of for_each: the numbers nobody has begun, and how many have ended."""
    __slots__ = ("count", "ended", "errors", "finished", "function", "numbers")

    def __init__(self, function: Callable[[int], None], count: int):
        self.function: Callable[[int], None] | None = function
        self.count, self.numbers, self.ended = count, iter(range(count)), itertools.count(1)
        self.errors: list[tuple[int, BaseException]] = []
        self.finished = threading.Lock()
        self.finished.acquire()

    def work(self) -> None:
        """Take numbers until there are none; whoever ends the last one says so."""
        function = self.function
        if function is None:    # a worker that comes when all is done
            return
        for i in self.numbers:  # `next` of a range and of a count are one step each: no number is taken twice
            try:
                function(i)
            except BaseException as error:
                self.errors.append((i, error))
            if next(self.ended) == self.count:
                self.finished.release()


def for_each(function: Callable[[int], None], count: int) -> None:
    """function(0) ... function(count - 1), shared among the threads; the exception of the lowest number is raised.

    The caller works too, so that nothing waits for a thread to wake up (some 20 microseconds) but the rest of the
    work.  Inside a worker, or with one thread, the calls run one after another in the caller.
    """
    hold_blas()
    if count < 2 or threads() == 1 or inside_worker():
        for i in range(count):
            function(i)
        return
    job, helpers = _Job(function, count), min(threads(), count) - 1
    _hire(helpers)
    for _ in range(helpers):
        _jobs.put(job)
    _inside.worker = True
    try:
        job.work()
    finally:
        _inside.worker = False
    job.finished.acquire()
    job.function = None     # late workers hold on to the job, not to the arrays
    if job.errors:
        raise min(job.errors, key=lambda pair: pair[0])[1]


def inside_worker() -> bool:
    """Is this code a piece of work that for_each hands out?"""
    return getattr(_inside, "worker", False)


@contextmanager
def alone() -> Iterator[None]:
    """While this lasts, what the caller's thread computes is not shared: for work too small to be handed out."""
    before, _inside.worker, _inside.alone = (getattr(_inside, "worker", False), is_alone()), True, True
    try:
        yield
    finally:
        _inside.worker, _inside.alone = before


def is_alone() -> bool:
    return getattr(_inside, "alone", False)


def _hire(count: int) -> None:
    """See to it that there are at least so many workers."""
    while len(_workers) < count:
        worker = threading.Thread(target=_serve, args=(_jobs,), name=f"ops_{len(_workers)}", daemon=True)
        _workers.append(worker)
        worker.start()


def _serve(jobs: "SimpleQueue[_Job | None]") -> None:
    _inside.worker = True
    while (job := jobs.get()) is not None:
        job.work()
        del job     # what it holds would live until the next one


def _dismiss() -> None:
    """Let the workers go, those of a parent process too."""
    global _jobs
    for _ in _workers:
        _jobs.put(None)
    _workers.clear()
    _jobs = SimpleQueue()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_dismiss)


@cache
def hold_blas() -> bool:
    """Hold BLAS to one thread in this process, once; -> whether a way was found."""
    try:
        from threadpoolctl import threadpool_limits
        threadpool_limits(1, user_api="blas")
        return True
    except ImportError:
        pass
    folder = Path(np.__file__).parent
    for library in (*folder.parent.glob("numpy.libs/*openblas*"), *folder.glob(".dylibs/*openblas*")):
        for name in ("scipy_openblas_set_num_threads64_", "openblas_set_num_threads64_", "openblas_set_num_threads"):
            try:
                getattr(ctypes.CDLL(str(library)), name)(1)
                return True
            except (AttributeError, OSError):
                continue
    return False
