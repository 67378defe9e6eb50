"""The image that labels in pixels refer to: its size is written in VOC's and COCO's files, and may not be that of the
image as it is read.

Many labelling tools ignore the EXIF orientation: they show, and measure, the image as it is stored.
"""
import os
from typing import NamedTuple

from runner.datasets.detection.report import LabelReport
from runner.datasets.image_size import stored_size
from runner.errors import DataError
from runner.images.decode import Size
from runner.images.pil_bands import SIDEWAYS

MAX_SIDE = 2**31 - 1    # pixels
ASPECT_TOLERANCE = 0.02     # resized images are rounded to whole pixels

Box = tuple[float, float, float, float]     # x, y, w, h relative to an image


class AnnotatedImage(NamedTuple):
    """The image as it was annotated.

    size         (width, height) in its pixels
    orientation  EXIF orientation by which the boxes must be rotated; 1: not at all
    """
    size: Size
    orientation: int = 1

    def upright(self, box: Box) -> Box:
        """A box of the annotated image as one of the image that is read."""
        x, y, w, h = box
        if self.orientation not in SIDEWAYS:
            return box
        centre = {5: (y, x), 6: (1 - y, x), 7: (1 - y, 1 - x), 8: (y, 1 - x)}[self.orientation]
        return *centre, h, w

    def stored(self, box: Box) -> Box:
        """The inverse of `upright`."""
        x, y, w, h = box
        if self.orientation not in SIDEWAYS:
            return box
        centre = {5: (y, x), 6: (y, 1 - x), 7: (1 - y, 1 - x), 8: (1 - y, x)}[self.orientation]
        return *centre, h, w


def annotated_image(path: str | os.PathLike, written: Size | None, where: str, report: LabelReport) -> AnnotatedImage:
    """Which image labels refer to, by the size written with them; None: the image as it is read.

    Where the written size is that of the image as it is stored, not as EXIF rotates it, its boxes are to be rotated.
    Any other size, and another aspect ratio, are reported.  DataError where no size is written, and the image has none.
    """
    try:
        stored, orientation = stored_size(path)
    except DataError:
        if written is None:
            raise
        return AnnotatedImage(written)      # that it is not an image is said when it is read
    upright = stored[::-1] if orientation in SIDEWAYS else stored
    if written is None or written == upright:
        return AnnotatedImage(upright)
    as_stored = orientation in SIDEWAYS and (written == stored or not _same_aspect(written, upright)) \
        and _same_aspect(written, stored)
    if as_stored:
        report.rotated.append(str(path))
        return AnnotatedImage(written, orientation)
    if not _same_aspect(written, upright):
        report.add("sizes that are not those of the images, used as they are", where,
                   f"width and height are {written[0]} x {written[1]}, but {path} has {upright[0]} x {upright[1]} "
                   "pixels: its boxes may be wrong", lost=False)
    else:
        report.resized.append(str(path))
    return AnnotatedImage(written)


def _same_aspect(a: Size, b: Size) -> bool:
    return abs(a[0] * b[1] / (a[1] * b[0]) - 1) <= ASPECT_TOLERANCE
