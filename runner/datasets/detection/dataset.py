"""A detection dataset: class names, and for each split its images with the boxes of the objects in them.

A box is (x, y, w, h, class): centre and size relative to the image, 0 to 1, whatever the format of the labels is.  All
labels are read and checked when the dataset is opened, so that mistakes are known before hours of training; images are
read when they are needed.
"""
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from runner.images.decode import Size, read_pixels

if TYPE_CHECKING:
    from runner.datasets.detection.annotated_size import AnnotatedImage


class LabelledImage(NamedTuple):
    """An image of a dataset.

    boxes   (k, 5) float32 rows x, y, w, h, class; none: there are no objects in it
    crowd   (m, 5) likewise: neither learned nor counted (COCO's iscrowd, VOC's difficult)
    labels  the file the boxes come from; "" where there is none
    id, annotated  of COCO: its id there, and the image that boxes in pixels refer to there
    """
    path: str
    boxes: np.ndarray
    crowd: np.ndarray
    labels: str = ""
    id: int | float | str | None = None
    annotated: "AnnotatedImage | None" = None


@dataclass(frozen=True)
class DetectionSplit:
    """The training or the test images of a dataset.

    category_ids  of COCO: the id of each class in its file, None for a class that is not there; else empty
    """
    items: list[LabelledImage]
    classes: int
    category_ids: tuple[int | float | str | None, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> LabelledImage:
        return self.items[index]

    def __iter__(self) -> Iterator[LabelledImage]:
        return iter(self.items)

    def read(self, index: int, channels: int, least: Size | None = None) -> np.ndarray:
        """An image, (channels, height, width), uint8, uint16 or float32; DataError when it cannot be read.

        least: see read_pixels.
        """
        return read_pixels(self.items[index].path, channels, least)

    def boxes(self) -> np.ndarray:
        """The boxes of all images, (k, 5)."""
        return np.concatenate([image.boxes for image in self.items] or [no_boxes()])

    def counts(self) -> np.ndarray:
        """How many boxes each class has (classes,)."""
        return np.bincount(self.boxes()[:, 4].astype(np.intp), minlength=self.classes)

    def take(self, indices: Sequence[int] | np.ndarray) -> "DetectionSplit":
        """Some of the images, in that order."""
        return DetectionSplit([self.items[i] for i in indices], self.classes, self.category_ids)

    def sample(self, share: float, rng: np.random.Generator) -> np.ndarray:
        """Indices of a random share of the images."""
        return rng.permutation(len(self))[:round(len(self) * share)]


@dataclass(frozen=True)
class Problem:
    """A mistake in the labels.

    kind   what is wrong, as a heading: the same for all problems of a kind
    where  file, or file:line
    text   the rule and the value
    lost   the label (or the image) is left out because of it; else it is used, corrected
    """
    kind: str
    where: str
    text: str
    lost: bool = True


@dataclass(frozen=True)
class DetectionDataset:
    """Class names, images to train on and to test with (either may be missing), and warnings for the user.

    problems  every mistake found in the labels; warnings has them in short
    """
    names: list[str]
    train: DetectionSplit | None
    test: DetectionSplit | None
    source: str = ""
    warnings: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def no_boxes() -> np.ndarray:
    """The boxes of an image without objects, (0, 5)."""
    return np.zeros((0, 5), np.float32)
