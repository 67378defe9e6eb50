"""The decoded images of a split: cached while all of them fit; unreadable ones are skipped or replaced."""
from typing import Protocol

import numpy as np

from runner.datasets.pipeline.cache import Cache
from runner.errors import DataError
from runner.images.decode import Size


class Readable(Protocol):
    """What the cache needs of a split."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple: ...

    def read(self, index: int, channels: int, least: Size | None = None) -> np.ndarray: ...


class DecodeCache:
    """The images of a split as they are in their files; shared by threads.

    on_bad       "skip": an unreadable image is replaced by the next readable one if `refill`, else left out;
                 "error": it is a DataError
    cache_bytes  size of the cache; None: a quarter of the free memory
    least        (width, height) that is large enough (see read_pixels); None: full size
    """

    def __init__(self, split: Readable, channels: int, *, on_bad: str, refill: bool, cache_bytes: int | None,
                 least: Size | None = None):
        self.split, self.channels, self.on_bad, self.refill, self.least = split, channels, on_bad, refill, least
        self.cache = Cache(cache_bytes)
        self._bad: dict[int, str] = {}

    def read(self, index: int, bad: list[tuple[str, str]]) -> tuple[int, np.ndarray | None]:
        """Image `index`, or its replacement -> the index and pixels of what was read; -1 and None without replacement.

        Appends to `bad` the path and the reason of each image that could not be read.
        """
        for offset in range(len(self.split) if self.refill else 1):
            at = int((index + offset) % len(self.split))
            if at not in self._bad:
                try:
                    return at, self.cache.get(at, self._decode)
                except DataError as error:
                    if self.on_bad == "error":
                        raise
                    self._bad[at] = str(error)
            bad.append((self.split[at][0], self._bad[at]))
        if self.refill:
            raise DataError(f"none of the images ({len(self.split)}) can be read. The last one: {bad[-1][1]}")
        return -1, None

    def _decode(self, index: int) -> np.ndarray:
        return self.split.read(index, self.channels, self.least)
