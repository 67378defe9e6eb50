"""Images as NumPy arrays: .npy files, and .npz archives of one array.

    np.save("a.npy", pixels)        (h, w, c), (h, w), or (c, h, w)

The last axis holds the channels; the first one where its length is the number that is asked for, and that of the last
is not.  White is 255 for uint8, 65535 for uint16, 1 for floats and bool.  The header is compared with the size of the
file before memory is allocated, and pickled objects are not loaded.
"""
import math
import os
import warnings
import zipfile
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from runner.errors import DataError, plural

SUFFIXES = frozenset((".npy", ".npz"))
MAGIC = b"\x93NUMPY"
ZIP = b"PK\x03\x04"
BLOCK = 1 << 24         # bytes that are read at a time
MAX_CHANNELS = 4        # of the largest images
TYPES = "uint8 (white is 255), uint16 (65535), or floats in 0..1"


class Header(NamedTuple):
    """What an array file says about its array.

    start   position of the values in the file
    member  of an .npz: the file in it that holds the array, else ""
    """
    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    start: int
    member: str = ""


def is_array(head: bytes) -> bool:
    """Whether a file that begins with these bytes is an .npy file, or may be an .npz archive."""
    return head.startswith((MAGIC, ZIP))


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
    if not (values.min() >= 0 and values.max() <= 1):
        raise DataError(f"floating point pixels must be in 0..1. Got {values.min():g} to {values.max():g}")
    return values.astype(np.float32, copy=False)


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


def read_header(file: BinaryIO) -> Header:
    """The header of the array in an open .npy or .npz file.  DataError where it is not one plain array, or where its
    shape does not fit the size of the file."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if not file.read(len(ZIP)).startswith(ZIP):
        file.seek(0)
        return _checked(file, size)
    try:
        with zipfile.ZipFile(file) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            if len(members) != 1 or len(archive.infolist()) != 1:
                found = ", ".join(info.filename.removesuffix(".npy") for info in archive.infolist()[:5])
                raise DataError(f"an .npz file of an image holds one array. This one has {found or 'nothing'}")
            with archive.open(members[0]) as member:
                return _checked(member, members[0].file_size)._replace(member=members[0].filename)
    except DataError:
        raise
    except Exception as error:      # BadZipFile, RuntimeError (encrypted), NotImplementedError, ValueError ...
        raise DataError(f"not an .npz archive ({error})") from None


def _checked(file: Any, size: int) -> Header:
    """The header at the position of a file of `size` bytes."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            version = np.lib.format.read_magic(file)
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
            shape, fortran, dtype = read(file)
    except Exception as error:      # the header is a Python expression, so anything may be wrong with it
        raise DataError(f"the header of the array is damaged ({error})") from None
    if dtype.hasobject or dtype.names or dtype.subdtype or dtype.kind not in "biuf":
        raise DataError(f"pixels must be {TYPES}. Got {dtype}")
    start = file.tell()
    wanted = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or wanted > size - start:
        raise DataError(f"the header says {' x '.join(map(str, shape))} values of {dtype.itemsize} bytes, and "
                        f"{max(0, size - start):,} bytes follow: the file is truncated or damaged")
    return Header(shape, dtype, fortran, start)


def read_array(file: BinaryIO, channels: int | None) -> np.ndarray:
    """The image in an open .npy or .npz file, (c, h, w), uint8, uint16 or float32; see `layout` for channels."""
    header = read_header(file)
    (found, height, width), last = layout(header.shape, channels)
    check_size(width, height, found)
    if header.member:
        try:
            with zipfile.ZipFile(file) as archive, archive.open(header.member) as member:
                values = _values(member, header)
        except DataError:
            raise
        except Exception as error:      # BadZipFile, zlib.error, EOFError ...
            raise DataError(f"the archive is truncated or damaged ({error})") from None
    else:
        values = _values(file, header)
    pixels = plain_pixels(values)
    if pixels.ndim == 2:
        return pixels[None]
    return pixels.transpose(2, 0, 1) if last else pixels


def _values(file: Any, header: Header) -> np.ndarray:
    """The array of a file, read to where it ends: a packed one may be shorter than it says."""
    values = np.empty(math.prod(header.shape), header.dtype)
    file.seek(header.start)
    content, done = memoryview(values.view(np.uint8).data), 0
    while done < len(content) and (count := file.readinto(content[done:done + BLOCK])):
        done += count
    if done < len(content):
        raise DataError(f"the array ends after {done:,} of {len(content):,} bytes: the file is truncated or damaged")
    return values.reshape(header.shape, order="F" if header.fortran else "C")


def holds_channels(path: str | os.PathLike) -> bool:
    """Whether a file holds one array with the three axes of an image.  Never raises."""
    try:
        with open(path, "rb") as file:
            return is_array(file.read(8)) and len(read_header(file).shape) == 3
    except (OSError, DataError):
        return False


def is_archive_of_one(path: str | os.PathLike) -> bool:
    """Whether an .npz file holds a single array, so that it is an image and not a dataset.  Never raises."""
    try:
        with zipfile.ZipFile(path) as archive:
            return len(archive.namelist()) == 1
    except (OSError, zipfile.BadZipFile):
        return False
