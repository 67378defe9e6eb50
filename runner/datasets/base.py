"""What a classification data set is: class names, and for each part image paths with their classes."""
import re
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Split:
    """One part of a data set.  Only paths and class numbers are held; images are read when needed."""

    items: list[tuple[str, int]]
    classes: int

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[str, int]:
        return self.items[index]

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(self.items)


@dataclass(frozen=True)
class Dataset:
    """Class names, images to train on and to test with (either may be missing), and what is worth saying."""

    names: list[str]
    train: Split | None
    test: Split | None
    source: str = ""
    warnings: list[str] = field(default_factory=list)


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sorting key that puts 10 after 9 and keeps everything else alphabetical."""
    parts = [part for part in re.split(r"(\d+)", name) if part]
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.casefold()) for part in parts], name
