"""From a file to an array of pixels, recognised by the content of the file, not by its name.

    read_image("dog.jpg")                -> float32 (3, height, width), values 0..1
    read_image(data, channels=1)         -> float32 (1, height, width)

PNG, JPEG, BMP, GIF (first frame), WebP, TIFF, PPM and the other formats Pillow reads.  8-bit values are divided
by 255, 16-bit ones by 65535.  The EXIF orientation is applied.  Transparency is dropped, as darknet's decoder does
when three channels are wanted: the hidden colours appear.  Grey from colours is ITU-R
601 luma in the integers of that decoder, (77 r + 150 g + 29 b) >> 8, so that darknet's grey networks see the
same values.
"""
import io
import os
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from runner.errors import DataError

ImageSource = str | os.PathLike | bytes | BinaryIO

Size = tuple[int, int]          # width, height
SIDEWAYS = (5, 6, 7, 8)         # EXIF orientations that exchange width and height

SUFFIXES = frozenset(".png .jpg .jpeg .jpe .jfif .bmp .dib .gif .webp .tif .tiff .ppm .pgm .pbm .pnm".split())


def read_image(source: ImageSource, channels: int = 3) -> np.ndarray:
    """A path, the bytes of a file, or an open binary file, as float32 (channels, height, width) in 0..1.

    channels is 1 (grey) or 3 (red, green, blue).  Raises DataError naming the file and what is wrong with it.
    """
    return to_float(read_pixels(source, channels))


def to_float(pixels: np.ndarray) -> np.ndarray:
    """uint8 or uint16 to float32 in 0..1; float32 is passed through."""
    if pixels.dtype == np.float32:
        return pixels
    values = pixels.astype(np.float32)
    values /= np.float32(np.iinfo(pixels.dtype).max)
    return values


def to_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """(1 or 3, h, w) in any of the types above -> (channels, h, w): grey three times, or colours as grey."""
    if channels not in (1, 3) or pixels.ndim != 3 or pixels.shape[0] not in (1, 3):
        raise DataError(f"an image has 1 (grey) or 3 (colour) channels. Got {pixels.shape} to be read as {channels}")
    if len(pixels) == channels:
        return pixels
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
    if channels not in (1, 3):
        raise DataError(f"an image is read as 1 (grey) or 3 (colour) channels. Got channels={channels}")
    name = _name(source)
    try:
        return np.ascontiguousarray(_decode(source, channels, least))
    except FileNotFoundError:
        raise DataError(f"{name}: there is no such file") from None
    except IsADirectoryError:
        raise DataError(f"{name}: this is a folder, not an image") from None
    except PermissionError:
        raise DataError(f"{name}: the file may not be read (permission denied)") from None
    except UnidentifiedImageError:
        raise DataError(f"{name}: {_unidentified(source)}") from None
    except Image.DecompressionBombError as error:
        raise DataError(f"{name}: the image is too large to be decoded safely ({error})") from None
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    except Exception as error:       # decoders raise OSError, SyntaxError, ValueError, EOFError ...
        raise DataError(f"{name}: the image is truncated or damaged ({error})") from error


def _decode(source: ImageSource, channels: int, least: Size | None) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")          # about metadata and palettes: pixels are not affected
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            if least:
                image.draft(None, least[::-1] if _is_sideways(image) else least)     # does nothing to other formats
            image.load()
            if image.width == 0 or image.height == 0:
                raise DataError("the image has no pixels")
            upright = _upright(image)
            if upright.mode in ("F", "I") or upright.mode.startswith("I;16"):
                return np.repeat(_deep_grey(upright), channels, axis=0)
            return _eight_bits(upright, channels)


def _upright(image: Image.Image) -> Image.Image:
    """Rotated by the EXIF orientation; damaged EXIF data is ignored."""
    try:
        return ImageOps.exif_transpose(image) if image.getexif().get(0x0112, 1) != 1 else image
    except Exception:
        return image


def _is_sideways(image: Image.Image) -> bool:
    """Whether the EXIF orientation exchanges width and height."""
    try:
        return image.getexif().get(0x0112, 1) in SIDEWAYS
    except Exception:
        return False


def _deep_grey(image: Image.Image) -> np.ndarray:
    """(1, h, w): uint16 from the integer modes, float32 from floating point TIFF."""
    values = np.asarray(image)[None]
    if image.mode == "F":
        if not (values.min() >= 0 and values.max() <= 1):
            raise DataError(f"floating point pixels must be in 0..1. Got {values.min():g} to "
                            f"{values.max():g}")
        return values.astype(np.float32)
    if values.min() < 0 or values.max() > 65535:
        raise DataError(f"integer pixels must be in 0..65535. Got {values.min()} to {values.max()}")
    return values.astype(np.uint16)


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
    return "the file is empty" if size == 0 else "this is not an image in any known format"
