"""NumPy's .npz archives: x and y, or a pair for each split, and optionally the names of the classes.

    np.savez("birds.npz", x_train=x, y_train=y, x_test=x2, y_test=y2, names=["crow", "owl"])

x is (n, h, w), (n, h, w, c) or (n, c, h, w), uint8 or floats in 0..1; y is the class of each image as a number, (n,) or
(n, 1), or a row with a 0 or 1 for each class; several ones are several labels.  With other than 1 or 3 channels, two
equal axes are height and width; else the channels are the shorter one of the first and the last axis of an image.
"""
import os

import numpy as np

from runner.datasets.containers.container import Container, Contents, PixelsAndLabels, class_numbers
from runner.errors import DataError, counted
from runner.images.arrays import channels_last
from runner.reading.arrays import Archive, non_finite, open_npz
from runner.reading.text import bad_character

# the names in use for x and y of each split
TRAIN = (("x_train", "y_train"), ("train_images", "train_labels"), ("x", "y"), ("images", "labels"), ("data", "labels"))
TEST = (("x_test", "y_test"), ("test_images", "test_labels"), ("x_val", "y_val"), ("val_images", "val_labels"))
NAMES = ("names", "class_names", "classes")


def read_npz(path: str | os.PathLike) -> Contents:
    """The training and test images of an archive, and the names of the classes."""
    with open_npz(path) as archive:
        found = {key.lower(): key for key in archive.names}
        train, test = (_split(path, archive, found, choices) for choices in (TRAIN, TEST))
        key = next((found[name] for name in NAMES if name in found), None)
        names = [] if key is None else _names(archive.read(key), f"{path}: {key}")
    if not train and not test:
        shown_keys = ", ".join(list(found.values())[:20]) or "nothing"
        raise DataError(f"{path}: an archive of images has x and y, or x_train, y_train, x_test, y_test. This one has "
                        f"{shown_keys}")
    return Contents(train, test, names)


def _split(path: str | os.PathLike, archive: Archive, found: dict[str, str],
           choices: tuple[tuple[str, str], ...]) -> PixelsAndLabels | None:
    for x, y in choices:
        if x in found and y in found:
            pixels = pixels_of(archive.read(found[x]), f"{path}: {found[x]}")
            labels = labels_of(archive.read(found[y]), f"{path}: {found[y]}")
            if len(pixels) != len(labels):
                raise DataError(f"{path}: {found[x]} has {counted(len(pixels), 'image')}, and {found[y]} has "
                                f"{counted(len(labels), 'label')}")
            return pixels, labels
    return None


def _names(names: np.ndarray, where: str) -> list[str]:
    """The names of the classes in an array of texts or numbers."""
    try:
        found = [name.decode() if isinstance(name, bytes) else str(name) for name in names.ravel().tolist()]
    except ValueError:
        found = ["\0"]
    wrong = next((index for index, name in enumerate(found) if bad_character(name)), None)
    if wrong is not None:
        raise DataError(f"{where}: the name of class {wrong} is not a text")
    return found


def pixels_of(x: np.ndarray, where: str) -> np.ndarray:
    """Images in any of the forms above -> (n, c, h, w), uint8 or float32 in 0..1."""
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[1] not in (1, 3) and (x.shape[3] in (1, 3) or channels_last(x.shape[1:])):
        x = x.transpose(0, 3, 1, 2)
    if x.ndim != 4 or 0 in x.shape:
        raise DataError(f"{where} must be images: (n, h, w), (n, h, w, c) or (n, c, h, w). Got an array of shape "
                        f"{x.shape}")
    if x.dtype == np.uint8:
        return np.ascontiguousarray(x)
    if not np.issubdtype(x.dtype, np.floating) and x.dtype != np.bool_:
        raise DataError(f"{where} must be uint8, or floats in 0..1. Got {x.dtype}")
    x = np.ascontiguousarray(x, np.float32)
    bad = non_finite(x)
    if bad:
        raise DataError(f"{where}: floating-point pixels must be in 0..1. {bad}, as images, channels, rows, columns")
    if not (x.min() >= 0 and x.max() <= 1):
        raise DataError(f"{where}: floating-point pixels must be in 0..1. Got {x.min():g} to {x.max():g}")
    return x


def labels_of(y: np.ndarray, where: str) -> np.ndarray:
    """Labels in any of the forms above -> (n,) whole numbers from 0, or (n, classes) bool where images have several."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 2 and ((y == 0) | (y == 1)).all():
        if (y.sum(axis=1) != 1).any():
            return y != 0
        y = y.argmax(axis=1)
    if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer) or (y < 0).any():
        low = f", down to {y.min()}" if y.size and y.dtype.kind in "if" else ""
        raise DataError(f"{where} must be class numbers from 0, (n,), or rows of 0 and 1, (n, classes). Got an array "
                        f"of shape {y.shape}, {y.dtype}{low}")
    return class_numbers(y, where)


CONTAINER = Container(
    "NumPy", "an `.npz` file with `x_train`, `y_train`, `x_test`, `y_test` (or `x`, `y`), and optionally `names`",
    matches=lambda path: path.suffix.lower() == ".npz", read=read_npz, in_folders=False, suffixes=(".npz",))
