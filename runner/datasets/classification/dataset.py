"""A classification dataset: class names, and for each split its images with their classes."""
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from runner.images.decode import Size, read_pixels, to_channels

NO_TEST_IMAGES = "nothing to test with"     # in the warning of a dataset without test images


@dataclass(frozen=True)
class Split:
    """The training or the test images of a dataset.

    items    (path, class number) of each image.  Images of a container have names instead of paths, `file#number`
    classes  how many there are
    pixels   (n, c, h, w) uint8, or float32 in 0..1, of images that are in memory already; None: read when needed
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
        """An image, (channels, height, width), uint8, uint16 or float32; DataError when it cannot be read.

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

    def sample(self, share: float, rng: np.random.Generator) -> np.ndarray:
        """Indices of a random share of the images of each class."""
        labels, chosen = self.labels(), []
        for index in range(self.classes):
            members = np.flatnonzero(labels == index)
            chosen.append(rng.permutation(members)[:round(len(members) * share)])
        return np.concatenate(chosen)


@dataclass(frozen=True)
class Dataset:
    """Class names, images to train on and to test with (either may be missing), and warnings for the user."""

    names: list[str]
    train: Split | None
    test: Split | None
    source: str = ""
    warnings: list[str] = field(default_factory=list)
