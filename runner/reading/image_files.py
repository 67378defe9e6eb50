"""Images are opened here: the pixels that a header announces are compared with a limit before any is decoded.

RUNNER_MAX_PIXELS raises (or lowers) the limit; else it is that of Pillow.
"""
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from runner.errors import DataError, UsageError
from runner.reading.numbers import whole

LIMIT = "RUNNER_MAX_PIXELS"
PART = 1 << 20      # bytes that are unpacked at once
PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}        # of a pixel, by colour type
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


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


def require_all_rows(image: Image.Image, source: Any) -> None:
    """DataError where the data of a loaded PNG image, from the path, bytes or file `source`, end before its last row:
    Pillow leaves the rest black, without a word.  Only a black last row is looked at, by counting what the data unpack
    to."""
    if image.format != "PNG" or np.asarray(image.crop((0, image.height - 1, image.width, image.height))).any():
        return
    if isinstance(source, str | os.PathLike):
        data = Path(source).read_bytes()
    elif isinstance(source, bytes):
        data = source
    else:
        source.seek(0)
        data = source.read()
    chunks = list(_png_chunks(data))
    width, height, depth, colours, _, _, interlaced = struct.unpack(">IIBBBBB", dict(chunks)[b"IHDR"])
    bits, want, have = depth * PNG_SAMPLES.get(colours, 1), 0, 0
    for left, top, across, down in ADAM7 if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        want += rows * (1 + -(-columns * bits // 8)) if columns > 0 and rows > 0 else 0
    unpacked = zlib.decompressobj()
    for kind, part in chunks:
        while kind == b"IDAT" and part and have < want:
            have += len(unpacked.decompress(part, PART))
            part = unpacked.unconsumed_tail
    if have < want:
        raise DataError(f"the image is truncated or damaged (its data are {have:,} bytes, unpacked; {width} x {height} "
                        f"pixels are {want:,})")


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The kind and the content of every chunk."""
    at = 8
    while at + 8 <= len(data):
        size, = struct.unpack_from(">I", data, at)
        yield data[at + 4:at + 8], data[at + 8:at + 8 + size]
        at += 12 + size


WRONG_LIMIT = _apply_limit()
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)      # said at half of the limit
