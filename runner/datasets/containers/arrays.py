"""Data sets whose images lie many in one file: idx (MNIST), CIFAR batches, npz.  They are read whole, as bytes."""
import functools
import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from runner.datasets.classification.dataset import Dataset, Split, natural_key
from runner.datasets.containers import cifar, idx, npz
from runner.datasets.lists import read_lines
from runner.errors import DataError
from runner.images.decode import read_pixels, to_channels

BATCH = re.compile(r"(data_batch_\d+|test_batch|train|test)(\.bin)?$")
NAME_FILES = ("names.txt", "labels.txt", "classes.txt", "batches.meta.txt", "fine_label_names.txt")
META_FILES = ("batches.meta", "meta")
FORMATS = ("MNIST's idx files (train-images-idx3-ubyte, plain or .gz), CIFAR batches (data_batch_1, with or "
           "without .bin) or .npz")


class Part(NamedTuple):
    """Images that were read: pixels (n, c, h, w), labels (n,), the file of each, its number there, names if known."""

    pixels: np.ndarray
    labels: np.ndarray
    items: list[str]
    names: list[str]


def is_array_file(path: str | os.PathLike) -> bool:
    """Whether a file holds many images, by its name."""
    path = Path(path)
    return path.is_file() and (path.suffix.lower() == ".npz" or bool(idx.IMAGES.search(path.name))
                               or _is_batch(path))


def _is_batch(path: Path) -> bool:
    return bool(BATCH.match(path.name)) and path.is_file() and path.stat().st_size > cifar.VALUES


def read_part(path: str | os.PathLike, labels: str | os.PathLike | None = None) -> Part:
    """The images of one file; `labels` names the file of the labels where they are not beside it."""
    path = Path(path)
    names: list[str] = []
    if path.suffix.lower() == ".npz":
        train, test, names = npz.read_npz(path)
        pair = train or test
        assert pair
    elif idx.IMAGES.search(path.name) or labels:
        pair = idx.read_pair(path, labels)
    elif _is_batch(path):
        pair = cifar.read_binary(path) if path.suffix == ".bin" else cifar.read_python(path)
    else:
        raise DataError(f"{path}: images in one file are {FORMATS}")
    return Part(*pair, [f"{path}#{i}" for i in range(len(pair[0]))], names)


def split_of(parts: list[Part], classes: int) -> Split:
    """Parts, one after another, as one Split.  DataError for a class without a name, or images of two sizes."""
    shapes = sorted({(part.pixels.shape[1:], part.pixels.dtype.str) for part in parts})
    if len(shapes) > 1:
        raise DataError(f"{parts[0].items[0]}: the files of one part have images of one kind. Got "
                        + " and ".join(str(shape) for shape, _ in shapes))
    for part in parts:
        if len(part.labels) and part.labels.max() >= classes:
            at = int(part.labels.argmax())
            raise DataError(f"{part.items[at]} is of class {part.labels[at]}, and there are {classes} classes, 0 to "
                            f"{classes - 1}")
    items = [item for part in parts for item in zip(part.items, part.labels.tolist(), strict=True)]
    return Split(items, classes, parts[0].pixels if len(parts) == 1 else np.concatenate([p.pixels for p in parts]))


def open_arrays(path: str | os.PathLike) -> Dataset | None:
    """The data set of a .npz file, or of a folder with idx files or CIFAR batches; None where there is none.

    Training images are those of a file called train or data_batch, test images those of test or t10k.
    """
    path = Path(path)
    if path.is_file() and path.suffix.lower() == ".npz":
        train, test, names = npz.read_npz(path)
        pairs = {"train": train, "test": test}
        if train and test:      # numbers alone would not tell which of the two
            part_names = {part: f"{path}:{part}" for part in pairs}
        else:
            part_names = dict.fromkeys(pairs, str(path))
        parts = {part: [Part(*pair, [f"{part_names[part]}#{i}" for i in range(len(pair[0]))], names)] if pair else []
                 for part, pair in pairs.items()}
    elif path.is_dir():
        files = sorted((entry for entry in path.iterdir() if is_array_file(entry) and entry.suffix.lower() != ".npz"),
                       key=lambda entry: natural_key(entry.name))
        files = [file for file in files if not (file.suffix == ".gz" and file.with_suffix("") in files)]
        if not files:
            return None
        mixed = {bool(idx.IMAGES.search(file.name)) for file in files}
        if len(mixed) > 1:
            raise DataError(f"{path}: there are idx files and CIFAR batches in one folder: which are meant? "
                            f"({files[0].name}, {files[-1].name})")
        parts = {"train": [], "test": []}
        for file in files:
            parts["test" if re.search("test|t10k|val", file.name) else "train"].append(read_part(file))
        names = _names(path)
    else:
        return None
    both = [*parts["train"], *parts["test"]]
    names = names or [str(i) for i in range(max(int(part.labels.max(initial=0)) for part in both) + 1)]
    train_split, test_split = (split_of(parts[part], len(names)) if parts[part] else None for part in parts)
    warnings = [] if test_split else [f"{path}: there are no test images (a file called test or t10k): nothing to test "
                                      "with"]
    return Dataset(names, train_split, test_split, str(path), warnings)


def _names(folder: Path) -> list[str]:
    """The class names a folder tells: a text file with one a line, or the meta file of CIFAR's Python form."""
    for name in NAME_FILES:
        if (folder / name).is_file():
            return [line for _, line in read_lines(folder / name)]
    for name in META_FILES:
        if (folder / name).is_file():
            return cifar.names_in(cifar.unpickle(folder / name))
    return []


@functools.lru_cache(maxsize=2)
def _pixels_in(path: str) -> np.ndarray:
    """The images of a file, with or without labels; `a.npz:test` is the test part of a.npz."""
    file, _, part = path.partition(".npz:")
    if part:
        train, test, _ = npz.read_npz(file + ".npz")
        pair = {"train": train, "test": test}.get(part)
        if pair is None:
            raise DataError(f"{file}.npz: it has no part {part!r}")
        return pair[0]
    return idx.read_idx(path, 3)[:, None] if idx.IMAGES.search(path) else read_part(path).pixels


def names_in(path: str) -> list[str]:
    """What the images of a file are called: `file#number`."""
    return [f"{path}#{i}" for i in range(len(_pixels_in(path)))]


def is_stored(name: str) -> bool:
    """Whether a name is that of an image in a file of many."""
    path, number, index = name.rpartition("#")
    file = path.rpartition(":")[0] if path.endswith((".npz:train", ".npz:test")) else path
    return bool(number) and index.isdecimal() and not os.path.exists(name) and is_array_file(file)


def read_named(name: str | os.PathLike, channels: int) -> np.ndarray:
    """An image by its path, or by its name in a file of many: (channels, h, w), uint8, uint16 or float32."""
    if not is_stored(os.fspath(name)):
        return read_pixels(name, channels)
    path, _, index = os.fspath(name).rpartition("#")
    pixels = _pixels_in(path)
    if int(index) >= len(pixels):
        raise DataError(f"{name}: {path} has {len(pixels)} images, 0 to {len(pixels) - 1}")
    return to_channels(pixels[int(index)], channels)
