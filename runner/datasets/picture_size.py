"""Width and height of a picture from its header, for labels in pixels that do not say."""
import os

from PIL import Image, UnidentifiedImageError

from runner.errors import DataError


def size_of(path: str | os.PathLike) -> tuple[int, int]:
    """(width, height) in pixels, before any turn its EXIF data asks for.  DataError when it is no image."""
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: its size cannot be read ({error})") from None
