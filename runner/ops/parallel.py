"""The one thread pool: work is split by image or by fixed block, so that results never depend on the threads.

NumPy releases the interpreter lock in its loops and in BLAS, so plain threads use all cores.  While workers run, BLAS
itself is held to one thread: two layers of threads would fight for the same cores, and a product split among
threads may sum in another order.
"""
import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from threading import local

import numpy as np

GRAIN = 1 << 17         # values a piece of work should have: handing out less costs more than it saves
WAVE = 4                # partial sums held at a time

_inside = local()
_pool: ThreadPoolExecutor | None = None
_threads = 0


def threads() -> int:
    """How many threads work is split among; the cores this process may use unless set_threads said otherwise."""
    global _threads
    if not _threads:
        _threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return _threads


def set_threads(count: int) -> None:
    """Split work among `count` threads from now on; results do not change with it."""
    global _pool, _threads
    if _pool is not None:
        _pool.shutdown()
    _pool, _threads = None, max(1, count)


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


def for_each(function: Callable[[int], None], count: int) -> None:
    """function(0) ... function(count - 1), shared among the threads; the first exception is raised again.

    Inside a worker, or with one thread, the calls run one after another in the caller.
    """
    global _pool
    hold_blas()
    if count < 2 or threads() == 1 or getattr(_inside, "worker", False):
        for i in range(count):
            function(i)
        return
    if _pool is None:
        _pool = ThreadPoolExecutor(threads(), "ops", initializer=_mark)
    # the first calls of the pool take the lowest numbers, but each number's work is its own
    for done in [_pool.submit(function, i) for i in range(count)]:
        done.result()


def _mark() -> None:
    _inside.worker = True


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
