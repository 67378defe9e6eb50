"""Datasets in containers: one file, or a folder of files for training and for testing."""
import re
from functools import partial
from pathlib import Path

import numpy as np

from runner.datasets.classification.dataset import NO_TEST_IMAGES, Dataset, Label, Split, as_label
from runner.datasets.containers import CONTAINERS, Container
from runner.datasets.containers.stored_images import ImageArrays, number_names, read_container, with_names
from runner.datasets.folders import natural_key
from runner.datasets.format import Format
from runner.datasets.names_file import read_names
from runner.errors import DataError, counted

NAME_FILES = ("names.txt", "labels.txt", "classes.txt")
TEST_FILE = re.compile("test|t10k|val")


def container_format(kind: Container) -> Format:
    """The entry of a container in the table of formats."""
    return Format(kind.name, "classification", kind.example, partial(_matches, kind), partial(_open, kind),
                  kind.suffixes)


def split_of_arrays(arrays: list[ImageArrays], classes: int) -> Split:
    """The images of one or more files as one split.  DataError for a class without a name, or different sizes."""
    shapes = sorted({(one.pixels.shape[1:], one.pixels.dtype.str) for one in arrays})
    if len(shapes) > 1:
        raise DataError(f"{arrays[0].items[0]}: the files of one split must have images of the same shape. Got "
                        + " and ".join(str(shape) for shape, _ in shapes))
    for one in arrays:
        if one.labels.ndim == 2 and one.labels.shape[1] != classes:
            raise DataError(f"{one.items[0]}: there {_classes(classes)}, and labels for {one.labels.shape[1]}")
        if one.labels.ndim == 1 and len(one.labels) and one.labels.max() >= classes:
            at = int(one.labels.argmax())
            from_1 = one.labels.min() == 1 and one.labels[at] == classes
            raise DataError(f"{one.items[at]} has class {one.labels[at]}, and there {_classes(classes)}, 0 to "
                            f"{classes - 1}{': class numbers start at 0' if from_1 else ''}")
    items = [item for one in arrays for item in zip(one.items, _labels(one.labels), strict=True)]
    return Split(items, classes, arrays[0].pixels if len(arrays) == 1 else np.concatenate([p.pixels for p in arrays]))


def _classes(count: int) -> str:
    return f"{'is' if count == 1 else 'are'} {counted(count, 'class')}"


def _labels(labels: np.ndarray) -> list[Label]:
    return labels.tolist() if labels.ndim == 1 else [as_label(np.flatnonzero(row).tolist()) for row in labels]


def _matches(kind: Container, path: Path) -> bool:
    return bool(_files(kind, path)) if path.is_dir() else path.is_file() and kind.matches(path)


def _files(kind: Container, folder: Path) -> list[Path]:
    """The files of a kind in a folder, in natural order; without packed ones that are there unpacked too."""
    if not kind.in_folders:
        return []
    found = sorted((entry for entry in folder.iterdir() if entry.is_file() and kind.matches(entry)),
                   key=lambda entry: natural_key(entry.name))
    return [file for file in found if not (file.suffix == ".gz" and file.with_suffix("") in found)]


def _open(kind: Container, path: Path) -> Dataset:
    return _open_folder(kind, path) if path.is_dir() else _open_file(kind, path)


def _open_file(kind: Container, path: Path) -> Dataset:
    """One file: its training and test images, or all for training."""
    train, test, names = kind.read(path)
    both = train is not None and test is not None       # then a number does not identify an image
    train_arrays, test_arrays = ([with_names(images, f"{path}:{split}" if both else path, names)] if images else []
                                 for split, images in (("train", train), ("test", test)))
    warnings = [] if test else [f"{path}: all images of this file are training images, {NO_TEST_IMAGES}"]
    return _dataset(path, train_arrays, test_arrays, names, warnings)


def _open_folder(kind: Container, folder: Path) -> Dataset:
    """The files of a folder: test images are those of a file called test, t10k or val."""
    files = _files(kind, folder)
    for other in CONTAINERS:
        if other is not kind and (mixed := _files(other, folder)):
            raise DataError(f"{folder}: {kind.name} and {other.name} files in one folder ({files[0].name}, "
                            f"{mixed[0].name}): keep only one of them")
    train = [read_container(file) for file in files if not TEST_FILE.search(file.name)]
    test = [read_container(file) for file in files if TEST_FILE.search(file.name)]
    warnings = [] if test else [f"{folder}: there are no test images (a file called test or t10k): {NO_TEST_IMAGES}"]
    return _dataset(folder, train, test, _class_names(kind, folder, warnings), warnings)


def _class_names(kind: Container, folder: Path, warnings: list[str]) -> list[str]:
    """From a text file with one name per line, or from a file of the container's own; [] where there is none."""
    for name in NAME_FILES:
        if (folder / name).is_file():
            return read_names(folder / name, warnings)
    return kind.class_names(folder)


def _dataset(path: Path, train: list[ImageArrays], test: list[ImageArrays], names: list[str],
             warnings: list[str]) -> Dataset:
    names = names or number_names(max(one.class_count() for one in (*train, *test)))
    return Dataset(names, split_of_arrays(train, len(names)) if train else None,
                   split_of_arrays(test, len(names)) if test else None, str(path), warnings)
