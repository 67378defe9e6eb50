"""Images are opened here: the pixels that a header announces are compared with a limit before any is decoded.

RUNNER_MAX_PIXELS raises (or lowers) the limit; else it is that of Pillow.
"""
import os
import warnings
from typing import Any

from PIL import Image

from runner.errors import DataError, UsageError
from runner.reading.numbers import whole

LIMIT = "RUNNER_MAX_PIXELS"


def _apply_limit() -> str:
    """Pillow refuses images of more than twice MAX_IMAGE_PIXELS -> what is wrong with the variable, or ""."""
    text = os.environ.get(LIMIT, "")
    if text:
        try:
            Image.MAX_IMAGE_PIXELS = max(whole(text, 1) // 2, 1)
        except ValueError as problem:
            return f"the environment variable {LIMIT} {problem}"
    return ""


def open_image(source: Any) -> Image.Image:
    """A Pillow image: its header is read, its pixels are not.  DataError where it has more pixels than the limit, else
    the errors of Pillow.  UsageError where RUNNER_MAX_PIXELS is not a number."""
    if WRONG_LIMIT:
        raise UsageError(WRONG_LIMIT)
    try:
        return Image.open(source)
    except Image.DecompressionBombError as error:
        raise DataError(too_large(str(error))) from None


def too_large(what: str) -> str:
    """The sentence about an image that has more pixels than the limit."""
    return (f"the image is too large to be decoded safely ({what}). If it is meant to be so large, set the environment "
            f"variable {LIMIT} to a higher number of pixels")


WRONG_LIMIT = _apply_limit()
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)      # said at half of the limit
