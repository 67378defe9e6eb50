"""From an open Pillow image to the channels it has, in the type it has."""
import numpy as np
from PIL import Image, ImageOps

from runner.errors import DataError
from runner.images.arrays import check_floats

SIDEWAYS = (5, 6, 7, 8)         # EXIF orientations that exchange width and height
ALPHA = {"1": "LA", "L": "LA", "P": "RGBA", "RGB": "RGBA"}      # where one grey or colour is transparent
# the mode with the same channels, 8 bits each
PLAIN = {"1": "L", "La": "LA", "PA": "RGBA", "RGBa": "RGBA", "P": "RGB", "RGBX": "RGB", "YCbCr": "RGB", "LAB": "RGB",
         "HSV": "RGB"}


def upright(image: Image.Image) -> Image.Image:
    """Rotated by the EXIF orientation; damaged EXIF data is ignored."""
    try:
        return ImageOps.exif_transpose(image) if image.getexif().get(0x0112, 1) != 1 else image
    except Exception:
        return image


def is_sideways(image: Image.Image) -> bool:
    """Whether the EXIF orientation exchanges width and height."""
    try:
        return image.getexif().get(0x0112, 1) in SIDEWAYS
    except Exception:
        return False


def is_deep(image: Image.Image) -> bool:
    """Whether it is grey with more than 8 bits."""
    return image.mode in ("F", "I") or image.mode.startswith("I;16")


def deep_grey(image: Image.Image) -> np.ndarray:
    """(1, h, w): uint16 from the integer modes, float32 from floating point TIFF."""
    values = np.asarray(image)[None]
    if image.mode == "F":
        check_floats(values)
        return values.astype(np.float32)
    if values.min() < 0 or values.max() > 65535:
        raise DataError(f"integer pixels must be in 0..65535. Got {values.min()} to {values.max()}")
    return values.astype(np.uint16)


def plain_mode(image: Image.Image) -> str:
    """The mode whose bands are the channels of an image: grey L, with transparency LA, colours RGB or RGBA."""
    if "transparency" in image.info and image.mode in ALPHA:
        return ALPHA[image.mode]
    return PLAIN.get(image.mode, image.mode)


def channels_of(image: Image.Image) -> int:
    """How many channels `bands` gives."""
    return 1 if is_deep(image) else Image.getmodebands(plain_mode(image))


def bands(image: Image.Image) -> np.ndarray:
    """(c, h, w): grey, grey and alpha, colours, or colours and alpha, whatever the image has.  DataError for CMYK."""
    if is_deep(image):
        return deep_grey(image)
    mode = plain_mode(image)
    if mode == "CMYK":
        raise DataError("the four channels of the image are inks (CMYK): save it as RGB or RGBA, or as an array")
    plain = image if image.mode == mode else image.convert(mode)
    out = np.empty((len(plain.getbands()), plain.height, plain.width), np.uint8)
    for k in range(len(out)):                     # Pillow separates the channels in a third of NumPy's time
        out[k] = np.asarray(plain.getchannel(k))
    return out
