"""Width and height of an image from its header, for labels in pixels."""
import os

from PIL import UnidentifiedImageError

from runner.errors import DataError
from runner.images.decode import Size
from runner.images.many_channels import stored_image
from runner.images.pil_bands import SIDEWAYS
from runner.reading.image_files import open_image


def size_of(path: str | os.PathLike) -> Size:
    """(width, height) in pixels, after the EXIF rotation, as it is read.  DataError where it is not an image."""
    size, orientation = stored_size(path)
    return size[::-1] if orientation in SIDEWAYS else size


def stored_size(path: str | os.PathLike) -> tuple[Size, int]:
    """(width, height) in pixels as stored, and the EXIF orientation, 1 where there is none.  DataError as above."""
    try:
        with open_image(path) as image:
            return image.size, image.getexif().get(0x0112, 1)
    except UnidentifiedImageError:
        return _size_of_other(path)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except Exception as error:      # decoders raise OSError, SyntaxError, ValueError, NotImplementedError ...
        raise DataError(f"{path}: its size cannot be read ({error})") from None


def _size_of_other(path: str | os.PathLike) -> tuple[Size, int]:
    """The same of an array, or of a TIFF file that Pillow does not know."""
    try:
        stored = stored_image(path)
    except (OSError, DataError) as error:
        raise DataError(f"{path}: its size cannot be read ({error})") from None
    return stored.size, stored.orientation
