"""What a classification data set is: class names, and for each part its images with their classes."""
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from runner.errors import DataError
from runner.images.decode import Size, read_pixels, to_channels


@dataclass(frozen=True)
class Split:
    """One part of a data set.

    items   (path, class number) of each image.  Images that lie in one file have names instead, `file#number`
    pixels  of the images that are in memory already: (n, c, h, w) uint8, or float32 in 0..1; else they are read
            when needed
    """

    items: list[tuple[str, int]]
    classes: int
    pixels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[str, int]:
        return self.items[index]

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(self.items)

    def read(self, index: int, channels: int, least: Size | None = None) -> np.ndarray:
        """The image as it is, (channels, height, width), uint8, uint16 or float32; DataError when it cannot be read.

        least: see read_pixels.
        """
        if self.pixels is None:
            return read_pixels(self.items[index][0], channels, least)
        return to_channels(self.pixels[index], channels)

    def labels(self) -> np.ndarray:
        """The class of each image (n,)."""
        return np.fromiter((label for _, label in self.items), np.intp, len(self.items))

    def counts(self) -> np.ndarray:
        """How many images each class has (classes,)."""
        return np.bincount(self.labels(), minlength=self.classes)

    def take(self, indices: Sequence[int] | np.ndarray) -> "Split":
        """Some of the images, in that order."""
        return Split([self.items[i] for i in indices], self.classes,
                     None if self.pixels is None else self.pixels[np.asarray(indices, np.intp)])


@dataclass(frozen=True)
class Dataset:
    """Class names, images to train on and to test with (either may be missing), and what is worth saying."""

    names: list[str]
    train: Split | None
    test: Split | None
    source: str = ""
    warnings: list[str] = field(default_factory=list)


def hold_out(data: Dataset, share: float) -> Dataset:
    """A share of the training images, of each class alike, becomes the test images.

    Which ones depends on the data alone, not on a run's seed: runs with different seeds are measured by the same
    images, and `test` finds them again.  DataError where there are test images already, or too few to share.
    """
    if data.test is not None or data.train is None:
        raise DataError(f"{data.source}: split_share={share:g} takes test images from those for training, and here are "
                        + ("test images already" if data.train else "none for training"))
    rng, labels = np.random.default_rng(0), data.train.labels()
    chosen = []
    for index in range(len(data.names)):
        there = np.flatnonzero(labels == index)
        chosen.append(rng.permutation(there)[:round(len(there) * share)])
    test = np.sort(np.concatenate(chosen))
    train = np.setdiff1d(np.arange(len(labels)), test)
    if not len(test) or not len(train):
        raise DataError(f"{data.source}: split_share={share:g} of {len(labels)} images, class by class, leaves "
                        + ("none to test with" if not len(test) else "none to train on"))
    return Dataset(data.names, data.train.take(train), data.train.take(test), data.source,
                   [warning for warning in data.warnings if "nothing to test with" not in warning])


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sorting key that puts 10 after 9 and keeps everything else alphabetical."""
    parts = [part for part in re.split(r"(\d+)", name) if part]
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.casefold()) for part in parts], name
