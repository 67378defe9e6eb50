"""Images as NumPy arrays: .npy files, and .npz archives of one array.

    np.save("a.npy", pixels)        (h, w, c), (h, w), or (c, h, w)

The last axis holds the channels; the first one where its length is the number that is asked for, and that of the last
is not.  White is 255 for uint8, 65535 for uint16, 1 for floats and bool.  runner.reading.arrays reads them, guarded.
"""
import math
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
from PIL import Image

from runner.errors import DataError, plural
from runner.reading import arrays as guarded
from runner.reading.numbers import shown

SUFFIXES = frozenset((".npy", ".npz"))
ZIP = b"PK\x03\x04"
MAX_CHANNELS = 4        # of the largest images
TYPES = "uint8 (white is 255), uint16 (65535), or floats in 0..1"


def is_array(head: bytes) -> bool:
    """Whether a file that begins with these bytes is an .npy file, or may be an .npz archive."""
    return head.startswith((guarded.MAGIC, ZIP))


def to_float(pixels: np.ndarray) -> np.ndarray:
    """uint8 or uint16 to float32 in 0..1; float32 is passed through."""
    if pixels.dtype == np.float32:
        return pixels
    values = pixels.astype(np.float32)
    values /= np.float32(np.iinfo(pixels.dtype).max)
    return values


def check_channels(found: int, channels: int | None, what: str) -> None:
    """DataError where an image has another number of channels than asked for; None: any.  Grey and colour, 1 and 3, can
    be converted.  what: kind of the image, for the message."""
    if channels not in (None, found) and not (channels in (1, 3) and found in (1, 3)):
        raise DataError(f"the image has {found} {plural(found, 'channel')} ({what}), and channels={channels} needs an "
                        f"image with {channels}")


def plain_pixels(values: np.ndarray) -> np.ndarray:
    """Values of an array or a TIFF as uint8, uint16 or float32 in 0..1, in the machine's byte order.  DataError for
    other types, and for floats outside."""
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype.kind != "f":
        raise DataError(f"pixels must be {TYPES}. Got {values.dtype.name}, which does not say what white is")
    check_floats(values)
    return values.astype(np.float32, copy=False)


def check_floats(values: np.ndarray) -> None:
    """DataError where floating point pixels are outside of 0..1, NaN or infinite; then with the place in the array."""
    if not (values.min() >= 0 and values.max() <= 1):
        found = guarded.non_finite(values) or f"Got {values.min():g} to {values.max():g}"
        raise DataError(f"floating point pixels must be in 0..1. {found}")


def check_size(width: int, height: int, channels: int) -> None:
    """DataError for an image that is too large to be decoded safely, by Pillow's limit of pixels."""
    limit = 2 * (Image.MAX_IMAGE_PIXELS or math.inf)
    if not width or not height or not channels:
        raise DataError("the image has no pixels")
    if width * height > limit or width * height * channels > MAX_CHANNELS * limit:
        raise DataError(f"the image is too large to be decoded safely: {width} x {height} pixels with {channels} "
                        f"channels, and the limit is {limit:.0f} pixels")


def channels_last(shape: tuple[int, ...]) -> bool:
    """Whether the last of three axes is that of the channels, where it is not known how many there are: of two equal
    axes both are in the image, else the shorter one of the first and the last is that of the channels."""
    first, middle, last = shape
    if (first == middle) != (middle == last):
        return first == middle
    return last <= first


def layout(shape: tuple[int, ...], channels: int | None) -> tuple[tuple[int, int, int], bool]:
    """(c, h, w) of an image with the array of this shape, and whether the channels are its last axis.

    channels: how many are asked for, None: any number.  DataError where it is not an image, or has another number;
    grey and colour, 1 and 3, can be converted.
    """
    if len(shape) == 2:
        sides, last = (1, *shape), False
    elif len(shape) == 3:
        fitting = [] if channels is None else [channels, 1, 3] if channels in (1, 3) else [channels]
        last = next((axis == 2 for wanted in fitting for axis in (2, 0) if shape[axis] == wanted), channels_last(shape))
        sides = (shape[2], *shape[:2]) if last else shape
    else:
        raise DataError("an image is an array (height, width, channels), (channels, height, width) or (height, width). "
                        f"Got {' x '.join(map(str, shape)) or 'one number'}")
    check_channels(sides[0], channels, f"an array of {' x '.join(map(str, shape))}")
    return (sides[0], sides[1], sides[2]), last


def shape_of(file: BinaryIO) -> tuple[int, ...]:
    """The shape of the array in an open .npy file, or of the only one in an .npz file.  DataError where it is damaged,
    or does not hold one array."""
    with _damage():
        archive = _archive(file)
        return archive.header(archive.names[0]).shape if archive else guarded.npy_header(file).shape


def read_array(file: BinaryIO, channels: int | None) -> np.ndarray:
    """The image in an open .npy or .npz file, (c, h, w), uint8, uint16 or float32; see `layout` for channels."""
    (found, height, width), last = layout(shape_of(file), channels)
    check_size(width, height, found)
    with _damage():
        archive = _archive(file)
        pixels = plain_pixels(archive.read(archive.names[0]) if archive else guarded.read_npy(file))
    if pixels.ndim == 2:
        return pixels[None]
    return pixels.transpose(2, 0, 1) if last else pixels


def _archive(file: BinaryIO) -> guarded.Archive | None:
    """The archive of one array that an open file is; None: it is not an archive."""
    file.seek(0)
    zipped = file.read(len(ZIP)) == ZIP
    file.seek(0)
    if not zipped:
        return None
    archive = guarded.Archive(file, "<stream>", DataError)
    if len(archive.names) != 1:
        found = ", ".join(map(shown, archive.names[:5]))
        raise DataError(f"an .npz file of an image holds one array. This one has {found or 'none'}")
    return archive


@contextmanager
def _damage() -> Iterator[None]:
    """Whatever a damaged file raises as a DataError."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"the array cannot be read ({error})") from None


def holds_channels(path: str | os.PathLike) -> bool:
    """Whether a file holds one array with the three axes of an image.  Never raises."""
    try:
        with open(path, "rb") as file:
            return is_array(file.read(8)) and len(shape_of(file)) == 3
    except (OSError, DataError):
        return False


def is_archive_of_one(path: str | os.PathLike) -> bool:
    """Whether an .npz file holds a single array, so that it is an image and not a dataset.  Never raises."""
    try:
        with zipfile.ZipFile(path) as archive:
            return len(archive.namelist()) == 1
    except Exception:       # a damaged archive
        return False
