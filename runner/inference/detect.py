"""A trained detector on images: ImageDetections for each, in order."""
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from runner.arguments import checked
from runner.detection import NmsOptions, detection_heads, predict_boxes
from runner.detection.predicted_boxes import NO_HEADS
from runner.errors import DataError, UsageError
from runner.images import pixel_corners, prepare
from runner.images.draw import draw_boxes
from runner.images.obscure import crop, obscure
from runner.images.to_pil import to_pil
from runner.inference.plan import Plan
from runner.inference.sources import Source, Sources, each, label, of_image
from runner.inference.sources import pixels as pixels_of
from runner.inference.tiling import Tiles, Tiling, detect_tiled, require_single_images, tiling
from runner.network import Network
from runner.reading.numbers import is_share, shown

THRESHOLD = 0.25        # lowest confidence of a box where nothing else is known, as in darknet


@dataclass(frozen=True)
class Detection:
    """One object: its class, the confidence, and its box (centre x, y, width, height, relative to the image).

    track  the number of the object in a sequence of images (`runner.track`); None without one
    """
    name: str
    index: int
    confidence: float
    box: tuple[float, float, float, float]
    track: int | None = None

    @property
    def label(self) -> str:
        """The name, with the number of the track: dog #3."""
        return self.name if self.track is None else f"{self.name} #{self.track}"

    def corners(self, width: int, height: int) -> tuple[float, float, float, float]:
        """left, top, right, bottom in pixels of an image of that size."""
        left, top, right, bottom = pixel_corners(np.array(self.box), width, height).tolist()
        return left, top, right, bottom

    def to_dict(self) -> dict[str, Any]:
        """As an object of darknet's result.json: class_id, name, relative_coordinates, confidence; and track_id, where
        it has one."""
        known = {} if self.track is None else {"track_id": self.track}
        return {"class_id": self.index, "name": self.name,
                "relative_coordinates": dict(zip(("center_x", "center_y", "width", "height"), self.box, strict=True)),
                "confidence": self.confidence} | known


@dataclass(frozen=True)
class ImageDetections:
    """What was detected in one image.

    image       its path, or its number when it was given as an array
    pixels      (c, h, w) in 0..1, to draw on
    detections  class by class, highest confidence first
    error       why the image could not be read; then the rest is empty
    """
    image: str
    pixels: np.ndarray | None = field(default=None, repr=False)
    detections: tuple[Detection, ...] = ()
    error: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the image, pixels; (0, 0) where it could not be read."""
        return (0, 0) if self.pixels is None else (self.pixels.shape[2], self.pixels.shape[1])

    @property
    def boxes(self) -> np.ndarray:
        """(k, 4) float32: left, top, right, bottom of each detection, in pixels of the image."""
        return np.array([one.corners(*self.size) for one in self.detections], np.float32).reshape(-1, 4)

    @property
    def confidences(self) -> np.ndarray:
        """(k,) float32: the confidence of each detection."""
        return np.array([one.confidence for one in self.detections], np.float32)

    @property
    def classes(self) -> np.ndarray:
        """(k,) int64: the class number of each detection."""
        return np.array([one.index for one in self.detections], np.int64)

    @property
    def names(self) -> list[str]:
        """The class name of each detection."""
        return [one.name for one in self.detections]

    @checked
    def draw(self, min_side: int = 1) -> Image.Image:
        """The image with its boxes, enlarged by an integer until its short side has at least `min_side` pixels.
        DataError where the image could not be read."""
        if self.pixels is None:
            raise DataError(self.error or f"{self.image}: there are no pixels to draw on")
        factor = -(-min_side // min(self.pixels.shape[1:]))
        pixels = self.pixels.repeat(factor, axis=1).repeat(factor, axis=2)
        _, height, width = pixels.shape
        return draw_boxes(pixels, [(one.label, one.index if one.track is None else one.track, one.confidence,
                                    one.corners(width, height)) for one in self.detections])

    def crops(self) -> list[Image.Image]:
        """Each detection as an image of its own, of whole pixels, at least one.  DataError where the image could not
        be read."""
        if self.pixels is None:
            raise DataError(self.error or f"{self.image}: there are no pixels to cut out")
        return [to_pil(crop(self.pixels, one.corners(*self.size))) for one in self.detections]

    def obscured(self, how: Mapping[int, str]) -> "ImageDetections":
        """The same with an image in which the objects of some classes are unrecognisable: class number -> "blur" or
        "pixelate".  DataError where the image could not be read."""
        if self.pixels is None:
            raise DataError(self.error or f"{self.image}: there are no pixels to change")
        return replace(self, pixels=obscure(self.pixels, [(how[one.index], one.corners(*self.size))
                                                          for one in self.detections if one.index in how]))

    def to_dict(self) -> dict[str, Any]:
        """{"image", "width", "height", "objects"}, an object as in darknet's result.json, with its "box" in pixels;
        or {"image", "error"}."""
        if self.error:
            return {"image": self.image, "error": self.error}
        return {"image": self.image, "width": self.size[0], "height": self.size[1],
                "objects": [one.to_dict() | {"box": list(one.corners(*self.size))} for one in self.detections]}

    def __len__(self) -> int:
        return len(self.detections)

    def __iter__(self) -> Iterator[Detection]:
        return iter(self.detections)

    def __bool__(self) -> bool:
        return True     # an image in which nothing was found is a result too

    def __str__(self) -> str:
        shown = ", ".join(f"{one.name} {one.confidence:.2f}" for one in self.detections)
        return f"{self.image}: {self.error or shown or 'nothing found'}"


@checked
def detect(net: Network, images: Sources, *, names: Sequence[str] = (),
           thresh: float = THRESHOLD, nms: float = 0.45, letterbox: bool | None = None,
           classes: Sequence[int] | None = (), on_bad: str = "skip", nms_kind: str | None = None,
           agnostic_nms: bool = False, max_det: int | None = None, tiles: Tiles = None, overlap: float = 0.2,
           merge: str = "nmm", whole: bool = True, plan: Plan | None = None) -> Iterator[ImageDetections]:
    """Yield ImageDetections for every image.  UsageError where the network has no detection head, or an argument is
    wrong.

    images     paths, arrays and Pillow images (runner/images/in_memory.py), or one of them
    names      of the classes; without them a class is called by its number
    thresh     lowest confidence
    nms        largest overlap (IoU) of two boxes of one class
    letterbox  keep the aspect ratio; None: as [net] letter_box says (darknet's default is to stretch)
    classes    only these; empty: all
    on_bad     "skip": ImageDetections with `error`; "error": DataError
    nms_kind, agnostic_nms, max_det   as in runner.detection.NmsOptions
    tiles      detect in parts of each image, too: "auto", or their size in pixels (docs/detection.md); None: do not
    overlap, merge  of tiles: the share of a side that neighbours have in common; "nmm", "nms" or "wbf"
    whole      with tiles: detect in the whole image, too
    plan       of the network, if there is one already
    """
    if not detection_heads(net.layers):
        raise UsageError(f"{NO_HEADS}. A classifier: runner.infer(net, images), or net.predict(images)")
    if on_bad not in ("skip", "error"):
        raise UsageError(f"on_bad is 'skip' or 'error'. Got {on_bad!r}")
    if any(isinstance(one, str) for one in classes or ()):
        raise UsageError(f"classes must be a list of class numbers here. Got {classes!r}; net.detect takes names too")
    if not is_share(thresh):
        raise UsageError(f"thresh must be a number from 0 to 1. Got {shown(thresh)}")
    keep_ratio = net.options.letter_box if letterbox is None else letterbox
    kept = NmsOptions(nms, nms_kind, agnostic_nms, max_det, tuple(classes) if classes else None)
    cut = tiling(tiles, overlap, merge, whole)
    if cut:
        require_single_images(net)
    return _detect(plan or Plan(net), each(images), names, thresh, kept, keep_ratio, on_bad, cut)


def _detect(plan: Plan, images: Iterator[Source], names: Sequence[str], thresh: float, kept: NmsOptions,
            letterbox: bool, on_bad: str, cut: Tiling | None) -> Iterator[ImageDetections]:
    channels, height, width = plan.net.in_shape
    for number, image in enumerate(images):
        name = label(number, image)
        try:
            pixels = pixels_of(image, channels)
            rows = _rows_of_tiles(plan, pixels, cut, thresh, kept, letterbox, name) if cut else None
        except DataError as error:
            if on_bad == "error":
                raise of_image(error, name) from None
            yield ImageDetections(name, error=str(error))
            continue
        if rows is None:
            x = prepare(pixels, width, height, "letterbox" if letterbox else "stretch")[None]
            rows = predict_boxes(plan.layers, plan.head_outputs(x), (pixels.shape[2], pixels.shape[1]), thresh,
                                 letterbox=letterbox, **vars(kept)).rows()
        yield ImageDetections(name, pixels, tuple(_detection(row, names) for row in rows))


def _rows_of_tiles(plan: Plan, pixels: np.ndarray, cut: Tiling, thresh: float, kept: NmsOptions, letterbox: bool,
                   name: str) -> np.ndarray:
    """detect_tiled, with the name of the image in the DataError."""
    try:
        return detect_tiled(plan, pixels, cut, thresh, kept, letterbox)
    except DataError as error:
        raise error if name.isdecimal() else DataError(f"{name}: {error}") from None


def _detection(row: np.ndarray, names: Sequence[str]) -> Detection:
    index = int(row[0])
    x, y, w, h = (float(value) for value in row[2:])
    return Detection(names[index] if index < len(names) else str(index), index, float(row[1]), (x, y, w, h))
