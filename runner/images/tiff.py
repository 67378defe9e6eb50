"""TIFF files with any number of channels: in one page, or in several, whose channels follow each other.

Pillow reads a page of one channel, and of 8-bit colours with or without alpha.  It drops further channels, and what
colours have beyond 8 bits: pages with these are read by tifffile, the optional requirements-tiff.txt.
"""
import math
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import TiffImagePlugin

from runner.errors import DataError, MissingExtra
from runner.images.arrays import check_channels, check_size, plain_pixels, to_float
from runner.images.pil_bands import SIDEWAYS, bands, upright
from runner.reading.image_files import open_image

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MAX_PAGES = 65536
SMALLER, MASK = 1, 4            # bits of NewSubfileType: a page that does not hold channels of the image
MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, INKS = 0, 1, 2, 3, 5       # PhotometricInterpretation
FLOAT = 3                       # SampleFormat
EXTRA = "tiff"


class Page(NamedTuple):
    """What the file says about a page.

    number    in the file, from 0
    size      (width, height) as stored
    channels  a palette counts as three
    kind      PhotometricInterpretation
    simple    whether Pillow reads all of it
    """
    number: int
    size: tuple[int, int]
    channels: int
    orientation: int
    kind: int
    simple: bool

    @property
    def upright_size(self) -> tuple[int, int]:
        return self.size[::-1] if self.orientation in SIDEWAYS else self.size


def is_tiff(head: bytes) -> bool:
    return head.startswith(MAGIC)


def pages_of(file: BinaryIO) -> list[Page]:
    """The pages of an open file, without thumbnails and masks.  DataError where it is damaged."""
    file.seek(0)
    head = file.read(8)
    if b"+" in head[2:4]:      # BigTIFF
        head += file.read(8)
    pages, seen = [], set[int]()
    try:
        directory = TiffImagePlugin.ImageFileDirectory_v2(head)
        while directory.next and directory.next not in seen and len(seen) < MAX_PAGES:
            seen.add(directory.next)
            file.seek(directory.next)
            directory.load(file)
            if not directory.get(254, 0) & (SMALLER | MASK):
                pages.append(_page(len(seen) - 1, directory))
    except Exception as error:      # SyntaxError, TypeError, struct.error ...
        raise DataError(f"the TIFF file is truncated or damaged ({error})") from None
    if not pages:
        raise DataError("there is no image in this TIFF file")
    return pages


def _page(number: int, tags: TiffImagePlugin.ImageFileDirectory_v2) -> Page:
    samples, depth, kind = int(tags.get(277, 1)), int(tags.get(32997, 1)), tags.get(262, MIN_IS_BLACK)
    bits, extra, formats = tags.get(258, (1,)), tags.get(338, ()), set(tags.get(339, (1,)))
    eight = set(bits) == {8} and formats == {1}
    if samples == 1:
        simple = set(bits) <= {1, 2, 4, 8, 16} or (set(bits) == {32} and formats == {FLOAT})
    elif samples == 2:
        simple = eight and kind == MIN_IS_BLACK and extra == (2,) and tags.get(284, 1) == 1
    else:
        simple = eight and (samples == 3 or (samples == 4 and kind == RGB and extra in ((), (1,), (2,))))
    return Page(number, (int(tags[256]), int(tags[257])), 3 if kind == PALETTE else samples * depth,
                int(tags.get(274, 1)), int(kind), simple and depth == 1)


def channels_of(pages: list[Page]) -> int:
    return sum(page.channels for page in pages)


def read_tiff(file: BinaryIO, channels: int | None) -> np.ndarray:
    """All channels of an open file, (c, h, w), uint8, uint16 or float32.

    channels: how many there must be, None: any number.  DataError for another number, and for pages of different sizes;
    MissingExtra where tifffile is needed and not installed.
    """
    pages = pages_of(file)
    found = channels_of(pages)
    check_channels(found, channels, f"TIFF, {len(pages)} pages" if len(pages) > 1 else "TIFF")
    sizes = sorted({page.upright_size for page in pages})
    if len(sizes) > 1:
        raise DataError("the pages of a file are channels of one image and have the same size. Got "
                        + " and ".join(f"{width} x {height}" for width, height in sizes))
    check_size(*sizes[0], found)
    if any(page.kind == INKS for page in pages):
        raise DataError("the channels of the image are inks (CMYK): save it as RGB or RGBA, or as an array")
    parts = (_by_pillow if all(page.simple for page in pages) else _by_tifffile)(file, pages)
    if len({part.dtype for part in parts}) > 1:
        parts = [to_float(part) for part in parts]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _by_pillow(file: BinaryIO, pages: list[Page]) -> list[np.ndarray]:
    file.seek(0)
    found = []
    with open_image(file) as image:
        for page in pages:
            image.seek(page.number)
            image.load()
            found.append(bands(upright(image)))
    return found


def _by_tifffile(file: BinaryIO, pages: list[Page]) -> list[np.ndarray]:
    try:
        import tifffile
    except ImportError:
        raise MissingExtra("tifffile", "reading TIFF files with more channels than Pillow reads, or with colours of "
                           "more than 8 bits", EXTRA) from None
    file.seek(0)
    found = []
    with tifffile.TiffFile(file) as tiff:
        for page in pages:
            stored = tiff.pages[page.number]
            if math.prod(stored.shape) != page.channels * math.prod(page.size):
                raise DataError(f"page {page.number + 1} of the file has {' x '.join(map(str, stored.shape))} values: "
                                "it is not an image of grey, of colours, or of more channels")
            try:
                values = stored.asarray()
            except ValueError as error:
                if "imagecodecs" in str(error):
                    raise MissingExtra("imagecodecs", f"reading this TIFF file ({error})", EXTRA) from None
                raise
            order = [axis for axis, name in enumerate(stored.axes) if name not in "YX"]
            order += [stored.axes.index("Y"), stored.axes.index("X")]
            planes = values.transpose(order).reshape(-1, *page.size[::-1])
            pixels = plain_pixels(planes)
            if page.kind == MIN_IS_WHITE and pixels.dtype.kind == "u":
                pixels = ~pixels
            found.append(rotated(pixels, page.orientation))
    return found


def rotated(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """(c, h, w) upright, of an image that was stored with this orientation (EXIF's numbers)."""
    if orientation in SIDEWAYS:
        pixels = pixels.swapaxes(1, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[..., ::-1]
    return pixels[:, ::-1] if orientation in (3, 4, 7, 8) else pixels
