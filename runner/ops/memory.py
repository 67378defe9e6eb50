"""A memory pool for large arrays.

A fresh large array costs as much as the arithmetic that fills it: the system maps its pages one fault at a time, and
unmaps them when the array is freed.  `empty` allocates large arrays from a few regions that are kept instead.

A block is freed when the last array in it is gone; views, transposes and slices count too, because each keeps a
reference to the block.  So nothing is released by hand, and no memory that can still be read is reused: what
`net.predict` returns belongs to the caller for as long as it is kept.  Everything is thread-safe.  Arrays below SMALL
come from NumPy.

Adjacent free blocks are merged, and an allocation takes the first gap it fits into (first fit): the memory held
follows the largest amount in use at once, whatever the shapes.  `release` returns unused regions to the system.
"""
import math
import sys
import threading
import weakref
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

SMALL = 1 << 18         # bytes: a smaller array is cheaper from NumPy than from the pool
# smallest region, bytes.  Where the system commits memory on the first write, a large one costs nothing and keeps
# the free space in one piece
REGION = 64 << 20 if sys.platform == "win32" else 1 << 30
ALIGN = 64              # bytes of a cache line, and of the widest vector

Shape = int | Iterable[int]


class _Region:
    """A large piece of memory and its free spans (start, stop), in order."""

    def __init__(self, size: int):
        owner = np.empty(size + ALIGN, np.uint8)
        first = -owner.ctypes.data % ALIGN
        # NumPy makes the owner of the memory the base of every view, unless there is a memoryview in between
        self.view = owner.data[first:first + size]
        self.size = size
        self.high_water = 0        # high-water mark, bytes from the start
        self.free = [(0, size)]

    def allocate(self, size: int) -> int:
        """The start of a block in the first span that is large enough, or -1."""
        for k, (start, stop) in enumerate(self.free):
            if stop - start >= size:
                if stop - start == size:
                    del self.free[k]
                else:
                    self.free[k] = (start + size, stop)
                self.high_water = max(self.high_water, start + size)
                return start
        return -1

    def give_back(self, start: int, stop: int) -> None:
        """Free a block, and merge it with free neighbours."""
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


class _Block(weakref.ref):
    """A block in use, known by a weak reference: it lives as long as the arrays in it."""
    __slots__ = ("region", "start", "stop")
    __hash__, __eq__ = object.__hash__, object.__eq__      # by identity: arrays cannot be hashed
    region: _Region
    start: int
    stop: int


class Pool:
    """Regions and the blocks in use.  The process has one pool, behind `empty`; tests make their own.

    before_growing  called with the bytes of a new region; it may raise
    """

    def __init__(self) -> None:
        self.before_growing: Callable[[int], None] = lambda size: None
        self._lock = threading.Lock()
        self._regions: list[_Region] = []
        self._blocks: set[_Block] = set()
        # freed blocks, appended by weakref callbacks on any thread, hence without the lock
        self._freed: deque[_Block] = deque()

    def empty(self, shape: Shape, dtype: Any = np.float32) -> np.ndarray:
        """As np.empty: the values are undefined."""
        shape, dtype = (shape,) if isinstance(shape, int) else tuple(shape), np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        if size < SMALL or dtype.hasobject:
            return np.empty(shape, dtype)
        padded = -(-size // ALIGN) * ALIGN
        with self._lock:
            self._collect()
            for region in self._regions:
                start = region.allocate(padded)
                if start >= 0:
                    break
            else:
                region = self._grow(padded)
                start = region.allocate(padded)
            memory = np.frombuffer(region.view, np.uint8, size, start)
            block = _Block(memory, self._freed.append)
            block.region, block.start, block.stop = region, start, start + padded
            self._blocks.add(block)
        return np.ndarray(shape, dtype, memory)

    def usage(self) -> tuple[int, int]:
        """Bytes held (of a region, up to its high-water mark), and how many of them are in use."""
        with self._lock:
            self._collect()
            return sum(region.high_water for region in self._regions), sum(b.stop - b.start for b in self._blocks)

    def reserved(self) -> int:
        """Bytes of all regions, what was never lent included: the system gives no pages for that."""
        with self._lock:
            return sum(region.size for region in self._regions)

    def release(self) -> None:
        """Return the unused regions to the system."""
        with self._lock:
            self._collect()
            self._regions = [region for region in self._regions if not region.unused]

    def _collect(self) -> None:
        while self._freed:
            block = self._freed.popleft()
            self._blocks.discard(block)
            block.region.give_back(block.start, block.stop)

    def _grow(self, size: int) -> _Region:
        """A new region, which replaces the unused ones that are too small."""
        self._regions = [region for region in self._regions if not region.unused]
        self.before_growing(size)
        try:
            region = _Region(max(size, REGION))
        except MemoryError:
            region = _Region(size)
        self._regions.append(region)
        return region


_pool = Pool()
empty, usage, reserved, release = _pool.empty, _pool.usage, _pool.reserved, _pool.release


def before_growing(check: Callable[[int], None]) -> None:
    """Call `check` with the bytes of each new region, before it is allocated; it raises where they are too many."""
    _pool.before_growing = check


def zeros(shape: Shape, dtype: Any = np.float32) -> np.ndarray:
    """As np.zeros."""
    array = empty(shape, dtype)
    array.fill(0)
    return array


def empty_like(other: np.ndarray) -> np.ndarray:
    """An uninitialized array of the same shape and type, C-contiguous."""
    return empty(other.shape, other.dtype)
