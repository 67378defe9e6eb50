"""The images in containers, and their names: `file#number`, or `file:train#number` where a file holds two splits."""
import functools
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from runner.datasets.containers import CONTAINERS, Container, PixelsAndLabels, idx, npz
from runner.errors import DataError, counted
from runner.images.arrays import is_archive_of_one
from runner.images.decode import read_pixels, to_channels
from runner.reading.numbers import is_whole, whole


class ImageArrays(NamedTuple):
    """Images in memory: pixels (n, c, h, w), the name of each image, the names of the classes if known.

    labels: (n,) the class of each, or (n, classes) bool where an image has any number of them.
    """

    pixels: np.ndarray
    labels: np.ndarray
    items: list[str]
    names: list[str]

    def class_names(self) -> list[str]:
        """The names of the classes; without them, the numbers up to the highest label."""
        return self.names or number_names(self.class_count())

    def class_count(self) -> int:
        """How many classes the labels show."""
        return self.labels.shape[1] if self.labels.ndim == 2 else int(self.labels.max(initial=0)) + 1


def number_names(classes: int) -> list[str]:
    """Names for classes without names: their numbers."""
    return [str(index) for index in range(classes)]


def container_of(path: str | os.PathLike) -> Container | None:
    """The kind of container a file is, by its name; None: none.  An .npz file of one array is an image, not one."""
    path = Path(path)
    kind = next((kind for kind in CONTAINERS if kind.matches(path)), None) if path.is_file() else None
    return None if kind is npz.CONTAINER and is_archive_of_one(path) else kind


def is_container(path: str | os.PathLike) -> bool:
    return container_of(path) is not None


def with_names(images: PixelsAndLabels, source: str | os.PathLike, names: list[str]) -> ImageArrays:
    return ImageArrays(*images, [f"{source}#{i}" for i in range(len(images[0]))], names)


def read_container(path: str | os.PathLike, labels: str | os.PathLike | None = None) -> ImageArrays:
    """The images of one file, its training images where it holds two splits.

    labels: the file of the labels, of an idx file whose labels have another name.
    """
    kind = container_of(path)
    if labels:
        return with_names(idx.read_pair(path, labels), path, [])
    if kind is None:
        known = ", ".join(one.name for one in CONTAINERS)
        raise DataError(f"{path}: not a file of many images in one of the formats {known}")
    train, test, names = kind.read(Path(path))
    images = train or test
    assert images
    return with_names(images, path, names)


def _pixels_of(path: str) -> np.ndarray:
    """The images of a file, with or without labels; `a.npz:test` is the test split of a.npz."""
    file, split = _file_and_split(path)
    stat = os.stat(file)
    return _pixels_in(file, split, (os.path.abspath(file), stat.st_mtime_ns, stat.st_size))


@functools.lru_cache(maxsize=2)
def _pixels_in(file: str, split: str, version: tuple[str, int, int]) -> np.ndarray:
    """version: differs where the content does, so that a file is not taken for a former one of its name."""
    kind = container_of(file)
    assert kind
    if split:
        train, test, _ = kind.read(Path(file))
        images = {"train": train, "test": test}[split]
        if images is None:
            raise DataError(f"{file}: there are no {split} images in it")
        return images[0]
    return kind.read_pixels(Path(file)) if kind.read_pixels else read_container(file).pixels


def _file_and_split(path: str) -> tuple[str, str]:
    """`a.npz:test` -> a.npz, test; the path and "" where no split is named."""
    file, _, split = path.rpartition(":")
    return (file, split) if split in ("train", "test") and is_container(file) else (path, "")


def names_in(path: str) -> list[str]:
    """The names of all images of a file: `file#number`."""
    return [f"{path}#{i}" for i in range(len(_pixels_of(path)))]


def is_stored(name: str) -> bool:
    """Whether a name is that of an image in a container."""
    path, hash_sign, index = name.rpartition("#")
    return bool(hash_sign) and is_whole(index) and not os.path.exists(name) and is_container(_file_and_split(path)[0])


def read_named(name: str | os.PathLike, channels: int) -> np.ndarray:
    """An image by its path, or by its name in a container: (channels, h, w), uint8, uint16 or float32."""
    if not is_stored(os.fspath(name)):
        return read_pixels(name, channels)
    path, _, index = os.fspath(name).rpartition("#")
    pixels = _pixels_of(path)
    at = whole(index)
    if at >= len(pixels):
        raise DataError(f"{name}: {path} has {counted(len(pixels), 'image')}, 0 to {len(pixels) - 1}")
    try:
        return to_channels(pixels[at], channels)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
