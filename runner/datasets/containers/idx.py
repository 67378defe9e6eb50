"""MNIST's idx files, plain or gzipped: images in one file, their labels in another.

A file is: two zero bytes, the type (8 for unsigned bytes), the number of dimensions, each dimension as a big-endian
32-bit number, then the values, row by row.  Source: http://yann.lecun.com/exdb/mnist/.
"""
import gzip
import os
import re
import zlib
from pathlib import Path

import numpy as np

from runner.datasets.containers.container import Container, Contents, PixelsAndLabels
from runner.errors import DataError

IMAGES = re.compile(r"images?[-._]idx3[-._]ubyte(\.gz)?$", re.IGNORECASE)


def read_idx(path: str | os.PathLike, dimensions: int) -> np.ndarray:
    """The values of an idx file of unsigned bytes, uint8.  DataError for anything else, or a truncated file."""
    try:
        with open(path, "rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if zipped else open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: the gzip file is truncated or damaged ({error})") from None
    if len(content) < 4 or content[:2] != b"\0\0":
        raise DataError(f"{path}: not an idx file: it does not begin with two zero bytes")
    value_type, count = content[2], content[3]
    if value_type != 8:
        raise DataError(f"{path}: an idx file of images or labels holds unsigned bytes (type 8). Got type {value_type}")
    if count != dimensions:
        wanted = "images have 3 dimensions (number, height, width)" if dimensions == 3 else "labels have 1 dimension"
        raise DataError(f"{path}: {wanted}. This file has {count}")
    start = 4 + 4 * count
    shape = tuple(int(size) for size in np.frombuffer(content[4:start], ">u4")) if len(content) >= start else ()
    if len(content) < start or len(content) != start + int(np.prod(shape, dtype=np.int64)):
        raise DataError(f"{path}: the header says {' x '.join(map(str, shape))} values, and there are "
                        f"{max(0, len(content) - start)}: the file is truncated or damaged")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


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
        raise DataError(f"{images} has {len(pixels)} images, and {labels} has {len(numbers)} labels")
    return pixels[:, None], numbers.astype(np.intp)


CONTAINER = Container(
    "MNIST IDX",
    "a folder with `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, and `t10k-...` for the test images; plain "
    "or `.gz`",
    matches=lambda path: bool(IMAGES.search(path.name)),
    read=lambda path: Contents(read_pair(path)),
    read_pixels=lambda path: read_idx(path, 3)[:, None])
