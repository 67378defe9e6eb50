"""Running a detector over images: the things it finds in each, in order."""
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike

import numpy as np

from runner.detection import detection_heads, detections
from runner.errors import DataError, UsageError
from runner.images import prepare, read_image
from runner.network import Network


@dataclass(frozen=True)
class Found:
    """One thing: its class, how sure the network is, and its box (centre x, y, width, height; parts of the image)."""
    name: str
    index: int
    confidence: float
    box: tuple[float, float, float, float]

    def corners(self, width: int, height: int) -> tuple[float, float, float, float]:
        """left, top, right, bottom in pixels of an image of that size."""
        x, y, w, h = self.box
        return (x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height


@dataclass(frozen=True)
class Scene:
    """What was found in one image.

    image   its path, or its number when it was given as an array
    pixels  (c, h, w) in 0..1, to draw on
    found   class by class, the surest first
    error   why the image could not be read; then the rest is empty
    """
    image: str
    pixels: np.ndarray | None = None
    found: tuple[Found, ...] = ()
    error: str = ""


def find(net: Network, images: Iterable[str | PathLike | np.ndarray], *, names: Sequence[str] = (),
         thresh: float = 0.25, nms: float = 0.45, letterbox: bool | None = None, classes: Sequence[int] = (),
         on_bad: str = "skip") -> Iterator[Scene]:
    """Yield a Scene for every image.

    images     paths, or arrays (c, h, w) with values in 0..1
    names      of the classes; without them a class is called by its number
    thresh     lowest confidence
    nms        largest overlap of two boxes of one class
    letterbox  keep the aspect ratio; None: as [net] letter_box says (darknet stretches unless told otherwise)
    classes    only these; empty: all
    on_bad     "skip": a Scene with `error`; "error": DataError
    """
    if not detection_heads(net.layers):
        raise UsageError("the network has no [yolo], [Gaussian_yolo], [region] or [detection]: it finds no boxes")
    keep_ratio = net.options.letter_box if letterbox is None else letterbox
    channels, height, width = net.in_shape
    plan = net.optimized()
    for number, image in enumerate(images):
        label = str(number) if isinstance(image, np.ndarray) else str(image)
        try:
            pixels = image if isinstance(image, np.ndarray) else read_image(image, channels)
        except DataError as error:
            if on_bad == "error":
                raise
            yield Scene(label, error=str(error))
            continue
        x = prepare(pixels, width, height, "letterbox" if keep_ratio else "stretch")[None]
        result = detections(net.layers, plan.head_outputs(x), (pixels.shape[2], pixels.shape[1]), thresh,
                            letterbox=keep_ratio, nms=nms)
        found = tuple(_found(row, names) for row in result.rows() if not classes or int(row[0]) in classes)
        yield Scene(label, pixels, found)


def _found(row: np.ndarray, names: Sequence[str]) -> Found:
    index = int(row[0])
    x, y, w, h = (float(value) for value in row[2:])
    return Found(names[index] if index < len(names) else str(index), index, float(row[1]), (x, y, w, h))
