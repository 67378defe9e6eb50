"""Width and height of a picture from its header, for labels in pixels that do not say."""
import os

from PIL import Image, UnidentifiedImageError

from runner.errors import DataError
from runner.images.decode import SIDEWAYS


def size_of(path: str | os.PathLike) -> tuple[int, int]:
    """(width, height) in pixels, turned as its EXIF data asks, as it is read.  DataError when it is no image."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            return (height, width) if image.getexif().get(0x0112, 1) in SIDEWAYS else (width, height)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: its size cannot be read ({error})") from None
