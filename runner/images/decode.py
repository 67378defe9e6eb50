"""From a file to an array of pixels, recognised by the content of the file, not by its name.

    read_image("dog.jpg")                -> float32 (3, height, width), values 0..1
    read_image(data, channels=1)         -> float32 (1, height, width)
    read_image("rgbd.npy", channels=4)   -> float32 (4, height, width)

PNG, JPEG, BMP, GIF (first frame), WebP, TIFF, PPM and the other formats Pillow reads, and arrays (arrays.py).  8-bit
values are divided by 255, 16-bit ones by 65535.  The EXIF orientation is applied.

With one or three channels, transparency is dropped, as darknet's decoder does: the hidden colours appear.  With any
other number nothing is dropped or converted (many_channels.py).  Grey from colours is ITU-R
601 luma in the integers of that decoder, (77 r + 150 g + 29 b) >> 8, so that darknet's grey networks see the
same values.
"""
import errno
import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from runner.errors import DataError, MissingExtra
from runner.file_kinds import HEAD, document_kind, kind_of
from runner.images.arrays import check_channels, to_float
from runner.images.many_channels import ImageSource, is_other_file, read_channels
from runner.images.pil_bands import deep_grey, is_deep, is_sideways, upright
from runner.reading.image_files import open_image, require_all_rows
from runner.reading.numbers import shown
from runner.reading.text import open_reason

Size = tuple[int, int]          # width, height
IMAGES = ("a PNG image", "a JPEG image", "a NumPy .npy file", "a NumPy .npz file")     # of the kinds of file_kinds

SUFFIXES = frozenset(".png .jpg .jpeg .jpe .jfif .bmp .dib .gif .webp .tif .tiff .ppm .pgm .pbm .pnm".split())


def read_image(source: ImageSource, channels: int = 3) -> np.ndarray:
    """A path, the bytes of a file, or an open binary file, as float32 (channels, height, width) in 0..1.

    channels is 1 (grey), 3 (red, green, blue), or as many as the image has, alpha included.  Raises DataError naming
    the file and what is wrong with it; MissingExtra for a TIFF file that only tifffile reads.
    """
    return to_float(read_pixels(source, channels))


def to_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """(c, h, w) in any of the types above -> (channels, h, w): grey three times, or colours as grey.

    DataError for any other change of the number of channels.
    """
    if pixels.ndim != 3:
        raise DataError(f"an image is an array (channels, height, width). Got {pixels.shape}")
    if len(pixels) == channels:
        return pixels
    check_channels(len(pixels), channels, "an array")
    if channels == 3:
        return np.repeat(pixels, 3, axis=0)
    if pixels.dtype == np.float32:
        return np.tensordot(np.array([77, 150, 29], np.float32) / np.float32(256), pixels, 1)[None]
    red, green, blue = pixels.astype(np.uint32)
    return ((77 * red + 150 * green + 29 * blue) >> 8).astype(pixels.dtype)[None]


def read_pixels(source: ImageSource, channels: int = 3, least: Size | None = None) -> np.ndarray:
    """As read_image, in the type the file has: uint8, uint16 or float32, shape (channels, height, width).

    A cache keeps these: they take a quarter of the memory.

    least  (width, height) that is large enough: a JPEG is then decoded at a half, a quarter or an eighth of its size,
           the smallest that is not below it.  The decoder leaves out the high frequencies of each block, which equals
           averaging and saves most of its time
    """
    name = _name(source)
    try:
        if channels in (1, 3):
            return np.ascontiguousarray(_decode(source, channels, least))
        return np.ascontiguousarray(read_channels(source, channels))
    except FileNotFoundError:
        raise DataError(f"{name}: there is no such file") from None
    except IsADirectoryError:
        raise DataError(f"{name}: this is a folder, not an image") from None
    except PermissionError:
        raise DataError(f"{name}: the file may not be read (permission denied)") from None
    except UnidentifiedImageError:
        raise DataError(f"{name}: {_unidentified(source)}") from None
    except MissingExtra:
        raise
    except Image.DecompressionBombError as error:       # of Pillow, while it decodes
        raise DataError(f"{name}: the image is too large to be decoded safely ({error})") from None
    except DataError as error:
        other = _other_kind(source)
        raise DataError(f"{name}: {f'not an image: this is {other}' if other and other not in IMAGES else error}") \
            from None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise DataError(f"{name}: the image is truncated or damaged ({error})") from error
        raise DataError(f"{shown(name)}: {open_reason(error)}") from None
    except Exception as error:       # decoders raise SyntaxError, ValueError, EOFError ...
        raise DataError(f"{name}: the image is truncated or damaged ({error})") from error


def _decode(source: ImageSource, channels: int, least: Size | None) -> np.ndarray:
    """Grey or colours.  A file that Pillow does not know may be an array, or a TIFF file of another kind."""
    try:
        return _by_pillow(source, channels, least)
    except UnidentifiedImageError:
        if not is_other_file(source):
            raise
        return to_channels(read_channels(source, channels), channels)


def _by_pillow(source: ImageSource, channels: int, least: Size | None) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")          # about metadata and palettes: pixels are not affected
        with open_image(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            if least:
                image.draft(None, least[::-1] if is_sideways(image) else least)     # does nothing to other formats
            image.load()
            require_all_rows(image, source)
            return from_pillow(image, channels)


def from_pillow(image: Image.Image, channels: int) -> np.ndarray:
    """An open Pillow image as (channels, h, w), uint8, uint16 or float32; channels is 1 or 3.  May change the image."""
    if image.width == 0 or image.height == 0:
        raise DataError("the image has no pixels")
    image_upright = upright(image)
    if is_deep(image_upright):
        return np.repeat(deep_grey(image_upright), channels, axis=0)
    return _eight_bits(image_upright, channels)


def _eight_bits(image: Image.Image, channels: int) -> np.ndarray:
    """(channels, h, w) uint8 from any other mode: 1, L, LA, P, RGB, RGBA, CMYK, YCbCr ..."""
    if image.mode == "LA":
        image = image.getchannel("L")
    elif image.mode == "1":
        image = image.convert("L")
    if image.mode == "L":
        grey = np.asarray(image)[None]
        return grey if channels == 1 else np.repeat(grey, 3, axis=0)
    if image.mode != "RGB":
        image.info.pop("transparency", None)      # else a transparent palette colour would be blended in
        if image.mode in ("RGBa", "PA", "La"):
            image = image.convert("LA" if image.mode == "La" else "RGBA")
        image = image.convert("RGB")
    if channels == 1:
        return to_channels(np.asarray(image).transpose(2, 0, 1), 1)
    planes = np.empty((3, image.height, image.width), np.uint8)
    for k in range(3):                            # Pillow separates the colours in a third of NumPy's time
        planes[k] = np.asarray(image.getchannel(k))
    return planes


def _name(source: Any) -> str:
    if isinstance(source, bytes):
        return f"<{len(source)} bytes>"
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    return str(getattr(source, "name", "<stream>"))


def _unidentified(source: ImageSource) -> str:
    size = len(source) if isinstance(source, bytes) else None
    if isinstance(source, str | os.PathLike):
        size = Path(source).stat().st_size
    if size == 0:
        return "the file is empty"
    other = _other_kind(source)
    if other is None:
        return "this is not an image in any known format"
    return "the image is truncated or damaged" if other in IMAGES else f"not an image: this is {other}"


def _other_kind(source: ImageSource) -> str | None:
    """What a file is, by its first bytes: a git-lfs pointer, a web page, an archive; None if that is unknown."""
    if isinstance(source, bytes):
        head = source[:HEAD]
    elif isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:
            head = file.read(HEAD)
    else:
        return None
    try:
        return kind_of(head) or document_kind(head.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return None
