"""A trained detector on images: ImageDetections for each, in order."""
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike

import numpy as np

from runner.detection import predict_boxes, require_detection_heads
from runner.errors import DataError
from runner.images import pixel_corners, prepare, read_image
from runner.inference.plan import Plan
from runner.network import Network


@dataclass(frozen=True)
class Detection:
    """One object: its class, the confidence, and its box (centre x, y, width, height, relative to the image)."""
    name: str
    index: int
    confidence: float
    box: tuple[float, float, float, float]

    def corners(self, width: int, height: int) -> tuple[float, float, float, float]:
        """left, top, right, bottom in pixels of an image of that size."""
        left, top, right, bottom = pixel_corners(np.array(self.box), width, height).tolist()
        return left, top, right, bottom


@dataclass(frozen=True)
class ImageDetections:
    """What was detected in one image.

    image       its path, or its number when it was given as an array
    pixels      (c, h, w) in 0..1, to draw on
    detections  class by class, highest confidence first
    error       why the image could not be read; then the rest is empty
    """
    image: str
    pixels: np.ndarray | None = None
    detections: tuple[Detection, ...] = ()
    error: str = ""


def detect(net: Network, images: Iterable[str | PathLike | np.ndarray], *, names: Sequence[str] = (),
           thresh: float = 0.25, nms: float = 0.45, letterbox: bool | None = None, classes: Sequence[int] = (),
           on_bad: str = "skip") -> Iterator[ImageDetections]:
    """Yield ImageDetections for every image.  UsageError where the network has no detection head.

    images     paths, or arrays (c, h, w) with values in 0..1
    names      of the classes; without them a class is called by its number
    thresh     lowest confidence
    nms        largest overlap (IoU) of two boxes of one class
    letterbox  keep the aspect ratio; None: as [net] letter_box says (darknet's default is to stretch)
    classes    only these; empty: all
    on_bad     "skip": ImageDetections with `error`; "error": DataError
    """
    require_detection_heads(net.layers)
    keep_ratio = net.options.letter_box if letterbox is None else letterbox
    channels, height, width = net.in_shape
    plan = Plan(net)
    for number, image in enumerate(images):
        label = str(number) if isinstance(image, np.ndarray) else str(image)
        try:
            pixels = image if isinstance(image, np.ndarray) else read_image(image, channels)
            if pixels.ndim != 3 or len(pixels) != channels:
                raise DataError(f"an image must be an array ({channels}, height, width). Got {pixels.shape}")
        except DataError as error:
            if on_bad == "error":
                raise
            yield ImageDetections(label, error=str(error))
            continue
        x = prepare(pixels, width, height, "letterbox" if keep_ratio else "stretch")[None]
        boxes = predict_boxes(net.layers, plan.head_outputs(x), (pixels.shape[2], pixels.shape[1]), thresh,
                              letterbox=keep_ratio, nms=nms)
        yield ImageDetections(label, pixels, tuple(_detection(row, names) for row in boxes.rows()
                                                   if not classes or int(row[0]) in classes))


def _detection(row: np.ndarray, names: Sequence[str]) -> Detection:
    index = int(row[0])
    x, y, w, h = (float(value) for value in row[2:])
    return Detection(names[index] if index < len(names) else str(index), index, float(row[1]), (x, y, w, h))
