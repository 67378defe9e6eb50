"""CIFAR-10 and CIFAR-100 as published: binary batches, and pickled ones for Python.

Binary: records of the label (CIFAR-100: coarse, then fine) and 3 x 32 x 32 bytes, red, green, blue.
Python: a pickled dictionary with `data` (n, 3072), and `labels` or `fine_labels`.  Loading a pickle can run arbitrary
code; these are not loaded, but read as values (runner/reading/pickles.py): numbers, texts, lists, dictionaries and
plain arrays.
Source: https://www.cs.toronto.edu/~kriz/cifar.html.
"""
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from runner.datasets.containers.container import Container, Contents, PixelsAndLabels, class_numbers
from runner.datasets.lists import read_lines
from runner.errors import DataError
from runner.reading.numbers import shown
from runner.reading.pickles import Array, read_pickle
from runner.reading.text import read_bytes

SIDE, VALUES = 32, 3 * 32 * 32
BATCH = re.compile(r"(data_batch_\d+|test_batch|train|test)(\.bin)?$")
NAME_FILES = ("batches.meta.txt", "fine_label_names.txt")
META_FILES = ("batches.meta", "meta")


def read_binary(path: str | os.PathLike) -> PixelsAndLabels:
    """-> pixels (n, 3, 32, 32) uint8 and labels (n,), the fine ones where there are two.

    The size of the file determines whether a record begins with one label or two.
    """
    content = np.frombuffer(read_bytes(path), np.uint8)
    before = [count for count in (1, 2) if len(content) and len(content) % (VALUES + count) == 0]
    if not before:
        raise DataError(f"{path}: a CIFAR batch has records of 3,073 bytes (CIFAR-100: 3,074). {len(content):,} bytes "
                        "are not a multiple of either: the file is truncated or not a CIFAR batch")
    if len(before) == 2:
        before = [2] if Path(path).stem in ("train", "test") else [1]
    records = content.reshape(-1, VALUES + before[0])
    return records[:, before[0]:].reshape(-1, 3, SIDE, SIDE), records[:, before[0] - 1].astype(np.intp)


def read_python(path: str | os.PathLike) -> PixelsAndLabels:
    """-> pixels (n, 3, 32, 32) uint8 and labels (n,) of a pickled batch."""
    content = unpickle(path)
    data, labels = content.get("data"), content.get("fine_labels", content.get("labels"))
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != VALUES or data.dtype != np.uint8:
        raise DataError(f"{path}: a CIFAR batch has data, an array of n x 3072 bytes. Got "
                        + (f"{data.shape}, {data.dtype}" if isinstance(data, np.ndarray) else type(data).__name__))
    if isinstance(labels, np.ndarray):
        labels = labels.ravel().tolist()
    if not isinstance(labels, list) or len(labels) != len(data) or not all(type(n) is int for n in labels):
        raise DataError(f"{path}: a CIFAR batch has labels (or fine_labels), a number for each of its {len(data)} "
                        "images")
    return data.reshape(-1, 3, SIDE, SIDE), class_numbers(labels, f"{path}: the labels")


def unpickle(path: str | os.PathLike) -> dict[str, Any]:
    """The dictionary of a pickled batch or of batches.meta, with str keys.  Nothing in the file is executed."""
    content = read_pickle(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: a pickled CIFAR batch is a dictionary. Got {type(content).__name__}")
    try:
        return {_text(key): value.values() if isinstance(value, Array) else value for key, value in content.items()}
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def class_names(folder: Path) -> list[str]:
    """The names of the classes from the text file or the pickle published with the batches; [] where there is none."""
    for name in NAME_FILES:
        if (folder / name).is_file():
            return [line for _, line in read_lines(folder / name)]
    for name in META_FILES:
        if (folder / name).is_file():
            content = unpickle(folder / name)
            names = content.get("fine_label_names") or content.get("label_names") or []
            if not isinstance(names, list) or not all(isinstance(one, str | bytes) for one in names):
                raise DataError(f"{folder / name}: the names of the classes must be a list of texts. Got "
                                f"{shown(names)}")
            return [_text(one) for one in names]
    return []


CONTAINER = Container(
    "CIFAR",
    "a folder with `data_batch_1.bin` ... `test_batch.bin` (CIFAR-10), or `train.bin`, `test.bin` (CIFAR-100); or the "
    "same without `.bin` (the Python version)",
    matches=lambda path: bool(BATCH.match(path.name)) and path.stat().st_size > VALUES,
    read=lambda path: Contents(read_binary(path) if path.suffix == ".bin" else read_python(path)),
    class_names=class_names)
