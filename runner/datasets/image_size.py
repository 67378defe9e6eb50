"""Width and height of an image from its header, for labels in pixels that do not include them."""
import os

from PIL import Image, UnidentifiedImageError

from runner.errors import DataError
from runner.images.decode import SIDEWAYS


def size_of(path: str | os.PathLike) -> tuple[int, int]:
    """(width, height) in pixels, after the EXIF rotation, as it is read.  DataError where it is not an image."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            return (height, width) if image.getexif().get(0x0112, 1) in SIDEWAYS else (width, height)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: its size cannot be read ({error})") from None
