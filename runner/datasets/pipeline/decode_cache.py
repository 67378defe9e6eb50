"""Decoded images, kept while all of them fit in memory; bad ones are named once and another is read instead."""
from typing import Protocol

import numpy as np

from runner.datasets.pipeline.cache import Cache
from runner.errors import DataError
from runner.images.decode import Size


class Readable(Protocol):
    """What is needed of a split."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple: ...

    def read(self, index: int, channels: int, least: Size | None = None) -> np.ndarray: ...


class Decoded:
    """The images of a split as they are in their files, shared by threads.

    on_bad  "skip": an image that cannot be read is replaced by the next good one if `refill`, else left out;
            "error": it is a DataError
    cache_bytes  how much may be kept; None: a quarter of the free memory
    least        a size that is enough (see read_pixels); None: as they are
    """

    def __init__(self, split: Readable, channels: int, *, on_bad: str, refill: bool, cache_bytes: int | None,
                 least: Size | None = None):
        self.split, self.channels, self.on_bad, self.refill, self.least = split, channels, on_bad, refill, least
        self.cache = Cache(cache_bytes)
        self._bad: dict[int, str] = {}

    def good(self, index: int, bad: list[tuple[str, str]]) -> tuple[int, np.ndarray | None]:
        """Image `index`, or the one that takes its place -> its index and pixels; -1 and None where there is none.

        bad gets the path and the sentence of each that could not be read.
        """
        for step in range(len(self.split) if self.refill else 1):
            at = int((index + step) % len(self.split))
            if at not in self._bad:
                try:
                    return at, self.cache.get(at, self._read)
                except DataError as error:
                    if self.on_bad == "error":
                        raise
                    self._bad[at] = str(error)
            bad.append((self.split[at][0], self._bad[at]))
        if self.refill:
            raise DataError(f"none of the {len(self.split)} images can be read. The last one: {bad[-1][1]}")
        return -1, None

    def _read(self, index: int) -> np.ndarray:
        return self.split.read(index, self.channels, self.least)
