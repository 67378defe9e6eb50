"""A classification dataset: class names, and for each split its images with their classes."""
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from runner.errors import DataError
from runner.images.decode import Size, read_pixels, to_channels

NO_TEST_IMAGES = "nothing to test with"     # in the warning of a dataset without test images

Label = int | tuple[int, ...]       # the class of an image; a tuple where it has several, or none


def as_label(classes: Collection[int]) -> Label:
    """A label of these classes: a number where it is one, else a tuple in ascending order."""
    return next(iter(classes)) if len(classes) == 1 else tuple(sorted(classes))


def classes_of(label: Label) -> tuple[int, ...]:
    """The classes of a label."""
    return label if isinstance(label, tuple) else (label,)


def merged(items: Sequence[tuple[str, Label]]) -> Sequence[tuple[str, Label]]:
    """The images of a list that names an image once for each of its labels, each once with all of them.

    Unchanged where no image has different labels.
    """
    labels: dict[str, set[int]] = {}
    for path, label in items:
        labels.setdefault(path, set()).update(classes_of(label))
    if all(labels[path] == set(classes_of(label)) for path, label in items):
        return items
    return [(path, as_label(classes)) for path, classes in labels.items()]


@dataclass(frozen=True)
class Split:
    """The training or the test images of a dataset.

    items    (path, label) of each image; the label is its class, from 0, or a tuple of several or no classes.  Images
             of a container have names instead of paths, `file#number`
    classes  how many there are
    pixels   (n, c, h, w) uint8, or float32 in 0..1, of images that are in memory already; None: read when needed
    """

    items: Sequence[tuple[str, Label]]
    classes: int
    pixels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[str, Label]:
        return self.items[index]

    def __iter__(self) -> Iterator[tuple[str, Label]]:
        return iter(self.items)

    def read(self, index: int, channels: int, least: Size | None = None) -> np.ndarray:
        """An image, (channels, height, width), uint8, uint16 or float32; DataError when it cannot be read.

        least: see read_pixels.
        """
        if self.pixels is None:
            return read_pixels(self.items[index][0], channels, least)
        try:
            return to_channels(self.pixels[index], channels)
        except DataError as error:
            raise DataError(f"{self.items[index][0]}: {error}") from None

    @cached_property
    def several_labels(self) -> bool:
        """Whether an image has several labels, or none."""
        return any(isinstance(label, tuple) for _, label in self.items)

    def label_pairs(self, indices: Sequence[int] | np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Every label of the images `indices`, of all without: (k,) the place of its image in `indices`, (k,) its
        class."""
        labels = [label for _, label in self.items] if indices is None else [self.items[i][1] for i in indices]
        if not self.several_labels:
            return np.arange(len(labels)), np.array(labels, np.intp)
        sets = [classes_of(label) for label in labels]
        return (np.repeat(np.arange(len(sets)), [len(each) for each in sets]),
                np.array([index for each in sets for index in each], np.intp))

    def labels(self) -> np.ndarray:
        """The class of each image (n,); of one with several labels its rarest class, of one without -1."""
        if not self.several_labels:
            return np.fromiter((label for _, label in self.items), np.intp, len(self.items))
        counts = self.counts()
        return np.array([min(classes_of(label), key=lambda index: (counts[index], index), default=-1)
                         for _, label in self.items], np.intp)

    def counts(self) -> np.ndarray:
        """How many images each class has (classes,)."""
        return np.bincount(self.label_pairs()[1], minlength=self.classes)

    def labels_per_image(self) -> np.ndarray:
        """[k]: how many images have k labels."""
        return np.bincount([len(classes_of(label)) for _, label in self.items])

    def take(self, indices: Sequence[int] | np.ndarray) -> "Split":
        """Some of the images, in that order."""
        return Split([self.items[i] for i in indices], self.classes,
                     None if self.pixels is None else self.pixels[np.asarray(indices, np.intp)])

    def sample(self, share: float, rng: np.random.Generator) -> np.ndarray:
        """Indices of a random share of the images of each class; one with several labels counts for its rarest."""
        labels, chosen = self.labels(), []
        for index in (*range(self.classes), *([-1] if self.several_labels else [])):
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

    @property
    def several_labels(self) -> bool:
        """Whether an image has several labels, or none."""
        return any(split is not None and split.several_labels for split in (self.train, self.test))

    def with_one_label(self) -> "Dataset":
        """The images with one label; a warning counts the others.  DataError where a split has no other."""
        if not self.several_labels:
            return self
        warnings: list[str] = []
        train, test = (None if split is None else self._with_one_label(split, warnings)
                       for split in (self.train, self.test))
        return replace(self, train=train, test=test, warnings=[*dict.fromkeys(warnings), *self.warnings])

    def _with_one_label(self, split: Split, warnings: list[str]) -> Split:
        kept = [i for i, (_, label) in enumerate(split) if not isinstance(label, tuple)]
        several = [one for one in split if isinstance(one[1], tuple) and one[1]]
        none = [path for path, label in split if label == ()]
        found = []
        if several:
            (path, label), count = several[0], len(several)
            words = ", ".join(self.names[index] for index in classes_of(label))
            found.append(f"images of several classes: {count} of {len(split)}, {{}}for instance {path} ({words})")
        if none:
            found.append(f"images of no class: {len(none)} of {len(split)}, {{}}for instance {none[0]}")
        if found:
            remedy = ". A network that ends in [logistic] learns all labels of an image"
            if not kept:
                raise DataError(f"{self.source}: {'; '.join(found).format('', '')}, so no image is left{remedy}")
            warnings.append("; ".join(found).format("left out, ", "left out, ") + remedy)
        return split.take(kept)
