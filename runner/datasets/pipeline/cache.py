"""A cache in free memory that holds all images of a split, or none."""
from collections.abc import Callable

import numpy as np

from runner.machine import available_memory, bytes_text

FREE = 1 << 30      # bytes taken for free where the system does not say: a gigabyte is free nearly everywhere
SHARE = 4           # a quarter of what is free may be used


class Cache:
    """Decoded images by index, kept only while all of them fit: epochs go round, so a part of them would help little.

    limit: bytes, None for a quarter of the free memory, 0 to keep nothing.  used: bytes in the cache.
    """

    def __init__(self, limit: int | None):
        if limit is None:
            free = available_memory()
            limit = (FREE if free is None else free) // SHARE
        self.limit = limit
        self.used = 0
        self._images: dict[int, np.ndarray] | None = {} if self.limit else None
        self._full = False

    def get(self, index: int, read: Callable[[int], np.ndarray]) -> np.ndarray:
        """Image `index`, read where it is not in the cache."""
        images = self._images       # another thread may drop it meanwhile
        if images is None:
            return read(index)
        if index not in images:
            pixels = read(index)
            if self.used + pixels.nbytes + 200 > self.limit:
                self._images, self.used, self._full = None, 0, True
                return pixels
            self.used += pixels.nbytes + 200
            images[index] = pixels
        return images[index]

    def note(self) -> str:
        """A message when the images turned out not to fit, once; else ""."""
        full, self._full = self._full, False
        return (f"the decoded images take more than {bytes_text(self.limit)}: they are not cached, but read again "
                "in every epoch") if full else ""
