"""Memory for large arrays that is used again and again.

A fresh large array costs as much as the arithmetic that fills it: the system hands its pages out one fault at a time,
and takes them back when the array dies.  `empty` cuts large arrays out of a few regions that stay instead.

A piece goes back by itself when the last array that lies in it is gone; a view, a transpose, a slice count too, for
each holds on to the piece.  So nothing is released by hand, and nothing that somebody can still read is handed out
again: what `net.predict` returns belongs to the caller for as long as he keeps it.  All of it may be called from any
thread.  Arrays below SMALL come from NumPy as usual.

Pieces next to each other join when both are free, and a request takes the first place it fits into, from the front:
what is held follows the most that was in use at once, whatever shapes come and go.  `release` gives back regions in
which nothing lies.
"""
import math
import sys
import threading
import weakref
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np

SMALL = 1 << 18         # bytes: below, a fresh array costs less than the search for a place
# bytes a region has at least.  Where the system gives memory when it is first written to, a large one costs nothing
# and keeps all free places next to each other
REGION = 64 << 20 if sys.platform == "win32" else 1 << 30
ALIGN = 64              # bytes of a cache line, and of the widest vector

Shape = int | Iterable[int]


class _Region:
    """One block of memory and the free spans in it, (start, stop) in order."""

    def __init__(self, size: int):
        owner = np.empty(size + ALIGN, np.uint8)
        first = -owner.ctypes.data % ALIGN
        # NumPy lets the base of a view be the owner of its memory unless something else, here a memoryview, is between
        self.view = owner.data[first:first + size]
        self.size = size
        self.reached = 0        # bytes from the front that have ever been lent
        self.free = [(0, size)]

    def cut(self, size: int) -> int:
        """The start of a piece from the first span that has room, or -1."""
        for k, (start, stop) in enumerate(self.free):
            if stop - start >= size:
                if stop - start == size:
                    del self.free[k]
                else:
                    self.free[k] = (start + size, stop)
                self.reached = max(self.reached, start + size)
                return start
        return -1

    def join(self, start: int, stop: int) -> None:
        """Take a piece back."""
        k = bisect_left(self.free, (start, stop))
        if k < len(self.free) and self.free[k][0] == stop:
            stop = self.free.pop(k)[1]
        if k and self.free[k - 1][1] == start:
            start = self.free[k - 1][0]
            self.free[k - 1] = (start, stop)
        else:
            self.free.insert(k, (start, stop))

    @property
    def unused(self) -> bool:
        return self.free == [(0, self.size)]


class _Loan(weakref.ref):
    """A piece that is in use: it lives as long as the arrays in it."""
    __slots__ = ("region", "start", "stop")
    __hash__, __eq__ = object.__hash__, object.__eq__      # a piece is itself; arrays cannot be hashed
    region: _Region
    start: int
    stop: int


class Pool:
    """Regions, and who has which piece of them.  The process has one, behind `empty`; others serve tests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._regions: list[_Region] = []
        self._loans: set[_Loan] = set()
        # pieces nobody lies in any more; they arrive from whatever code dropped the last array, so without the lock
        self._returned: deque[_Loan] = deque()

    def empty(self, shape: Shape, dtype: Any = np.float32) -> np.ndarray:
        """As np.empty: what is in it is undefined."""
        shape, dtype = (shape,) if isinstance(shape, int) else tuple(shape), np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        if size < SMALL or dtype.hasobject:
            return np.empty(shape, dtype)
        room = -(-size // ALIGN) * ALIGN
        with self._lock:
            self._take_back()
            for region in self._regions:
                start = region.cut(room)
                if start >= 0:
                    break
            else:
                region = self._grow(room)
                start = region.cut(room)
            block = np.frombuffer(region.view, np.uint8, size, start)
            loan = _Loan(block, self._returned.append)
            loan.region, loan.start, loan.stop = region, start, start + room
            self._loans.add(loan)
        return np.ndarray(shape, dtype, block)

    def usage(self) -> tuple[int, int]:
        """Bytes held (of a region, what has ever been lent), and how many of them are in use."""
        with self._lock:
            self._take_back()
            return sum(region.reached for region in self._regions), sum(loan.stop - loan.start for loan in self._loans)

    def reserved(self) -> int:
        """Bytes of all regions, what was never lent included: the system gives no pages for that."""
        with self._lock:
            return sum(region.size for region in self._regions)

    def release(self) -> None:
        """Give the regions back in which nothing lies."""
        with self._lock:
            self._take_back()
            self._regions = [region for region in self._regions if not region.unused]

    def _take_back(self) -> None:
        while self._returned:
            loan = self._returned.popleft()
            self._loans.discard(loan)
            loan.region.join(loan.start, loan.stop)

    def _grow(self, room: int) -> _Region:
        """A new region; those that are free and had no room for this make way for it."""
        self._regions = [region for region in self._regions if not region.unused]
        try:
            region = _Region(max(room, REGION))
        except MemoryError:
            region = _Region(room)
        self._regions.append(region)
        return region


_pool = Pool()
empty, usage, reserved, release = _pool.empty, _pool.usage, _pool.reserved, _pool.release


def zeros(shape: Shape, dtype: Any = np.float32) -> np.ndarray:
    """As np.zeros."""
    array = empty(shape, dtype)
    array.fill(0)
    return array


def empty_like(other: np.ndarray) -> np.ndarray:
    """An array of the same shape and type, C-contiguous, whatever is in it."""
    return empty(other.shape, other.dtype)
