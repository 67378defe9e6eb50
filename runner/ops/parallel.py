"""The thread pool: work is split by image or by blocks of fixed size, so that results do not depend on the threads.

NumPy releases the interpreter lock in its loops and in BLAS, so plain threads use all cores.  BLAS itself is limited
to one thread: two levels of threads would compete for the same cores, and a product split among threads may sum in
another order.
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

GRAIN = 1 << 17         # values per block: with fewer, the overhead of sharing them costs more than it saves
WAVE = 4                # partial sums held at a time

_inside = threading.local()
_queue: "SimpleQueue[_Call | None]" = SimpleQueue()
_workers: list[threading.Thread] = []
_threads = 0


def threads() -> int:
    """How many threads work is split among; by default, the cores this process may use."""
    global _threads
    if not _threads:
        _threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return _threads


def set_threads(count: int) -> None:
    """Split work among `count` threads; results do not depend on it."""
    global _threads
    _stop_workers()
    _threads = max(1, count)


def for_blocks(function: Callable[[slice], None], count: int, values: int) -> None:
    """function(slice) for blocks of `count` items of `values` values each, shared among the threads.

    The size of a block depends only on `values`, so what is computed together does not depend on the threads.
    """
    each = max(1, GRAIN // max(values, 1))
    starts = range(0, count, each)
    for_each(lambda i: function(slice(starts[i], min(starts[i] + each, count))), len(starts))


def sum_blocks(function: Callable[[slice], np.ndarray], count: int, values: int) -> np.ndarray:
    """The sum of function(slice) over the blocks of for_blocks, added in order; WAVE of them are held at a time."""
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


class _Call:
    """One call of for_each: the numbers that are left, and how many are done."""
    __slots__ = ("count", "ended", "errors", "finished", "function", "numbers")

    def __init__(self, function: Callable[[int], None], count: int):
        self.function: Callable[[int], None] | None = function
        self.count, self.numbers, self.ended = count, iter(range(count)), itertools.count(1)
        self.errors: list[tuple[int, BaseException]] = []
        self.finished = threading.Lock()
        self.finished.acquire()

    def work(self) -> None:
        """Take numbers until none are left; the thread that completes the last one signals it."""
        function = self.function
        if function is None:    # a worker that comes too late
            return
        for i in self.numbers:  # `next` of a range iterator and of a count are atomic: no number is taken twice
            try:
                function(i)
            except BaseException as error:
                self.errors.append((i, error))
            if next(self.ended) == self.count:
                self.finished.release()


def for_each(function: Callable[[int], None], count: int) -> None:
    """function(0) ... function(count - 1), shared among the threads; the exception of the lowest number is raised.

    The caller works too, so that it does not wait for threads to wake up (some 20 microseconds).  Inside a worker, or
    with one thread, the calls run one after another in the caller.
    """
    limit_blas()
    if count < 2 or threads() == 1 or inside_worker():
        for i in range(count):
            function(i)
        return
    call, helpers = _Call(function, count), min(threads(), count) - 1
    _start_workers(helpers)
    for _ in range(helpers):
        _queue.put(call)
    _inside.worker = True
    try:
        call.work()
    finally:
        _inside.worker = False
    call.finished.acquire()
    call.function = None    # late workers keep the call alive, not the arrays
    if call.errors:
        raise min(call.errors, key=lambda pair: pair[0])[1]


def inside_worker() -> bool:
    """Is the caller inside a for_each?"""
    return getattr(_inside, "worker", False)


@contextmanager
def serial() -> Iterator[None]:
    """A context in which the calling thread does all the work itself: for work too small to be shared."""
    before, _inside.worker, _inside.serial = (getattr(_inside, "worker", False), is_serial()), True, True
    try:
        yield
    finally:
        _inside.worker, _inside.serial = before


def is_serial() -> bool:
    """Is the caller inside `serial`?"""
    return getattr(_inside, "serial", False)


def _start_workers(count: int) -> None:
    """Make sure there are `count` workers."""
    while len(_workers) < count:
        worker = threading.Thread(target=_run_worker, args=(_queue,), name=f"ops_{len(_workers)}", daemon=True)
        _workers.append(worker)
        worker.start()


def _run_worker(queue: "SimpleQueue[_Call | None]") -> None:
    _inside.worker = True
    while (call := queue.get()) is not None:
        call.work()
        del call    # else it would live until the next one


def _stop_workers() -> None:
    """Stop all workers; after a fork, forget those of the parent."""
    global _queue
    for _ in _workers:
        _queue.put(None)
    _workers.clear()
    _queue = SimpleQueue()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_stop_workers)


@cache
def limit_blas() -> bool:
    """Limit BLAS to one thread in this process; -> whether that was possible."""
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
