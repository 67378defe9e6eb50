"""Images with any number of channels: arrays, TIFF files, and whatever else Pillow reads with its transparency.

Nothing is converted: an image with another number of channels than asked for is an error.  (Grey and three colours, and
the conversions between them, are in decode.py.)
"""
import io
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple

import numpy as np

from runner.errors import DataError
from runner.images import arrays, tiff
from runner.images.pil_bands import bands, channels_of, upright
from runner.reading.image_files import open_image, require_all_rows

ImageSource = str | os.PathLike | bytes | BinaryIO

# Pillow prints what it cannot decode in a TIFF file; here it becomes an error
logging.getLogger("PIL.TiffImagePlugin").addHandler(logging.NullHandler())


class Stored(NamedTuple):
    """What a file says about its image: its channels, (width, height) in pixels as stored, EXIF orientation, and what
    it is, in a word: array, TIFF, or Pillow's mode."""
    channels: int
    size: tuple[int, int]
    orientation: int
    what: str


def read_channels(source: ImageSource, channels: int | None) -> np.ndarray:
    """(channels, h, w), uint8, uint16 or float32; None: all the image has.  Raises as Pillow does, and DataError."""
    with _opened(source) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")          # about metadata and palettes: pixels are not affected
        head = file.read(8)
        file.seek(0)
        if arrays.is_array(head):
            return arrays.read_array(file, channels)
        if tiff.is_tiff(head):
            return tiff.read_tiff(file, channels)
        with open_image(file) as image:
            arrays.check_channels(channels_of(image), channels, image.mode)
            image.load()
            require_all_rows(image, file)
            return bands(upright(image))


def stored_image(source: ImageSource, channels: int | None = None) -> Stored:
    """What the header of a file says.  channels: how many are wanted, for arrays that could be read in two ways.

    OSError as `open` and Pillow raise it, else DataError.
    """
    with _opened(source) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _stored(file, channels)
        except (DataError, OSError):
            raise
        except Exception as error:      # decoders raise SyntaxError, ValueError, DecompressionBombError ...
            raise DataError(f"the image is truncated or damaged ({error})") from None


def _stored(file: BinaryIO, channels: int | None) -> Stored:
    head = file.read(8)
    file.seek(0)
    if arrays.is_array(head):
        (found, height, width), _ = arrays.layout(arrays.shape_of(file), channels)
        return Stored(found, (width, height), 1, "array")
    if tiff.is_tiff(head):
        pages = tiff.pages_of(file)
        return Stored(tiff.channels_of(pages), pages[0].size, pages[0].orientation, "TIFF")
    with open_image(file) as image:
        return Stored(channels_of(image), image.size, image.getexif().get(0x0112, 1), image.mode)


def is_other_file(source: ImageSource) -> bool:
    """Whether it is an array or a TIFF file, of which Pillow may not know what it is."""
    with _opened(source) as file:
        head = file.read(8)
    return arrays.is_array(head) or tiff.is_tiff(head)


@contextmanager
def _opened(source: ImageSource) -> Iterator[BinaryIO]:
    """The file at its beginning; one that the caller opened stays open."""
    if isinstance(source, bytes):
        yield io.BytesIO(source)
    elif isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:
            yield file
    else:
        source.seek(0)
        yield source
