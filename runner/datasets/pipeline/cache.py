"""How much memory may be taken without anybody noticing, and the decoded images that are kept in it."""
from collections.abc import Callable
from pathlib import Path

import numpy as np

UNKNOWN = 1 << 30       # where the system does not say: a gigabyte is free nearly everywhere
SHARE = 4               # a quarter of what is free may be taken


def available() -> int:
    """Bytes that can be had without swapping: what Linux calls MemAvailable, and no more than a container's limit."""
    free = UNKNOWN
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
    limit, used = _lines("/sys/fs/cgroup/memory.max"), _lines("/sys/fs/cgroup/memory.current")
    if limit and used and limit[0].isdecimal() and used[0].isdecimal():
        free = min(free, max(0, int(limit[0]) - int(used[0])))
    return free


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


class Cache:
    """Decoded images, kept while all of them fit: a part would help little, so of a set that is too large none is.

    limit: bytes, None for a quarter of the free memory, 0 to keep nothing.  used: bytes taken.
    """

    def __init__(self, limit: int | None):
        self.limit = available() // SHARE if limit is None else limit
        self.used = 0
        self._images: dict[int, np.ndarray] | None = {} if self.limit else None
        self._full = False

    def get(self, index: int, read: Callable[[int], np.ndarray]) -> np.ndarray:
        """Image `index`, read when it is not here."""
        images = self._images       # another thread may let go of it meanwhile
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
        """What to say of it, once; mostly nothing."""
        full, self._full = self._full, False
        return (f"the decoded images take more than {self.limit / 2**20:,.0f} MB: none is kept, and they are read anew "
                "in every epoch") if full else ""
