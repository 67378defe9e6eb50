"""MNIST's idx files, plain or gzipped: images in one file, their labels in another.

A file is: two zero bytes, the type (8 for unsigned bytes), the number of dimensions, each dimension as a big-endian
32-bit number, then the values, row by row.  Source: http://yann.lecun.com/exdb/mnist/.
"""
import math
import os
import re
import struct
from pathlib import Path
from typing import IO

import numpy as np

from runner.datasets.containers.container import Container, Contents, PixelsAndLabels
from runner.errors import DataError, counted
from runner.reading.arrays import EXPANSION, file_size, opened, unzipped
from runner.reading.text import check_memory

IMAGES = re.compile(r"images?[-._]idx3[-._]ubyte(\.gz)?$", re.IGNORECASE)


def read_idx(path: str | os.PathLike, dimensions: int) -> np.ndarray:
    """The values of an idx file of unsigned bytes, uint8.  DataError for anything else, or a truncated file."""
    with opened(path) as file, unzipped(file) as stream:
        shape = _shape(path, stream, dimensions)
        count = math.prod(shape)
        size = file_size(path)
        if count > EXPANSION * size:
            raise DataError(f"{path}: the header says {' x '.join(map(str, shape))} values, which do not fit into a "
                            f"file of {size:,} bytes: the file is truncated or damaged")
        check_memory(count, f"{path}: the values", DataError)
        content = stream.read(count + 1)
        if len(content) != count:
            there = f"more than {count:,}" if len(content) > count else f"{len(content):,}"
            raise DataError(f"{path}: the header says {' x '.join(map(str, shape))} values, and there are {there}: the "
                            "file is truncated or damaged")
        return np.frombuffer(content, np.uint8).reshape(shape)


def _shape(path: str | os.PathLike, stream: IO[bytes], dimensions: int) -> tuple[int, ...]:
    """The sizes in the header; the stream is then at the first value."""
    start = stream.read(4)
    if len(start) < 4 or start[:2] != b"\0\0":
        raise DataError(f"{path}: not an idx file: it does not begin with two zero bytes")
    value_type, count = start[2], start[3]
    if value_type != 8:
        raise DataError(f"{path}: an idx file of images or labels holds unsigned bytes (type 8). Got type {value_type}")
    if count != dimensions:
        wanted = "images have 3 dimensions (number, height, width)" if dimensions == 3 else "labels have 1 dimension"
        raise DataError(f"{path}: {wanted}. This file has {count}")
    sizes = stream.read(4 * count)
    if len(sizes) < 4 * count:
        raise DataError(f"{path}: the file ends in its header: it is truncated or damaged")
    return struct.unpack(f">{count}I", sizes)


def labels_of(images: str | os.PathLike) -> Path:
    """The file of the labels of a file of images: the same name with labels and idx1, with or without .gz."""
    path = Path(images)
    name = re.sub("idx3", "idx1", re.sub("images", "labels", re.sub("image(?!s)", "label", path.name)))
    plain = name.removesuffix(".gz")
    for labels in (path.with_name(name), path.with_name(plain), path.with_name(plain + ".gz")):
        if labels.exists() and labels != path:
            return labels
    raise DataError(f"{images}: the labels are missing: there is no {name} in its folder")


def read_pair(images: str | os.PathLike, labels: str | os.PathLike | None = None) -> PixelsAndLabels:
    """-> pixels (n, 1, h, w) uint8 and labels (n,) of a file of images and the file of its labels."""
    labels = labels or labels_of(images)
    pixels, numbers = read_idx(images, 3), read_idx(labels, 1)
    if len(pixels) != len(numbers):
        raise DataError(f"{images} has {counted(len(pixels), 'image')}, and {labels} has "
                        f"{counted(len(numbers), 'label')}")
    return pixels[:, None], numbers.astype(np.intp)


CONTAINER = Container(
    "MNIST IDX",
    "a folder with `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, and `t10k-...` for the test images; plain "
    "or `.gz`",
    matches=lambda path: bool(IMAGES.search(path.name)),
    read=lambda path: Contents(read_pair(path)),
    read_pixels=lambda path: read_idx(path, 3)[:, None])
