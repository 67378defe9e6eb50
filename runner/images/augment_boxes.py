"""Random changes of images with boxes, for training a detector: crop, zoom, flip, colours, blur, noise, mixup, mosaic.

The method and its numbers are darknet's (AlexeyAB, src/data.c:load_data_detection and
src/image_opencv.cpp:image_data_augmentation, blend_truth_mosaic).  docs/detection-data.md lists the differences.
"""
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from runner import ops
from runner.errors import UsageError
from runner.images.box_format import at_least_one_pixel, convert, crop_boxes, with_classes
from runner.images.mix import blur as gaussian

BACKGROUND_BLUR = 17        # filter size in pixels of the blur around the objects
MOSAIC_MARGIN = 0.2         # the four images of a mosaic meet at least this far from the edge, part of the side
ImageAndBoxes = tuple[np.ndarray, np.ndarray]       # (c, h, w), (k, 5)
Region = tuple[int, int, int, int]                  # of an image, pixels: left, top, right, bottom


@dataclass(frozen=True)
class BoxAugment:
    """How far images may be changed.  Names and meanings are those of the options in [net] and in the heads.

    jitter          largest shift of each edge of the image, part of its side
    resize          largest zoom in and out, a factor; below 1: out only
    flip            flip half of the images
    hue             part of the colour circle, in either direction
    saturation, exposure  factors between 1/x and x
    letterbox       keep the aspect ratio
    mosaic          combine four images, for half of the images; mosaic_bound: clip boxes where the four meet
    mixup           blend two images, for half of the images
    blur            1: blur the background of two thirds; more: the background of one third, and another third
                    completely, with a filter of that many pixels
    gaussian_noise  standard deviation of the noise that half of the images get, in levels of 255
    """
    jitter: float = 0.2
    resize: float = 1.
    flip: bool = True
    hue: float = 0.
    saturation: float = 1.
    exposure: float = 1.
    letterbox: bool = False
    mosaic: bool = False
    mosaic_bound: bool = False
    mixup: bool = False
    blur: int = 0
    gaussian_noise: float = 0.

    def __post_init__(self) -> None:
        for name in ("resize", "saturation", "exposure"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} must be greater than 0. Got {getattr(self, name)}")
        if self.jitter < 0 or self.blur < 0 or self.gaussian_noise < 0:
            raise UsageError("jitter, blur and gaussian_noise must be at least 0. Got "
                             f"{self.jitter}, {self.blur}, {self.gaussian_noise}")

    def least(self, width: int, height: int) -> tuple[int, int]:
        """Width and height at which an image is large enough for a network of that size: at least twice as large, and
        no smaller than the network at the largest zoom."""
        shown = 1 / max(self.resize, 1 / self.resize) - 2 * self.jitter     # part of the side, at the largest zoom
        times = max(2, 1 / max(shown, 0.125))
        return math.ceil(times * width), math.ceil(times * height)


class Crop(NamedTuple):
    """The crop of an image: pixels cut off each side, negative where the crop extends beyond the image."""
    left: int
    top: int
    right: int
    bottom: int


def augment_with_boxes(source: ImageAndBoxes, another: Callable[[], ImageAndBoxes], settings: BoxAugment, width: int,
                       height: int, most: int, rng: np.random.Generator) -> ImageAndBoxes:
    """A changed image (c, height, width) float32 in 0..1, and at most `most` boxes (k, 5) float32.

    source   (c, h, w) uint8, uint16 or float32, with its boxes (k, 5)
    another  returns a further one at each call, for mosaic and mixup
    """
    mixed = rng.random() < 0.5
    if settings.mosaic and mixed:
        image, boxes = _mosaic([source, another(), another(), another()], settings, width, height, rng)
    else:
        image, boxes = _changed(source, settings, width, height, rng)
        if settings.mixup and mixed:
            other, more = _changed(another(), settings, width, height, rng)
            image, boxes = (image + other) / 2, np.concatenate([boxes, more])
    if len(boxes) > most:
        boxes = boxes[np.sort(rng.permutation(len(boxes))[:most])]
    return image, boxes


def _changed(source: ImageAndBoxes, settings: BoxAugment, width: int, height: int,
             rng: np.random.Generator) -> ImageAndBoxes:
    """One image cropped, resized, flipped and with its colours changed, and its boxes."""
    h, w = source[0].shape[1:]
    flipped = bool(settings.flip and rng.random() < 0.5)
    crop = _random_crop(w, h, settings, width, height, rng)
    boxes = _boxes_in(source, crop, flipped, width, height)
    image = _resized(source[0], crop, flipped, (0, 0, width, height), width, height)
    return _recoloured(image, boxes, settings, rng), boxes


def _boxes_in(source: ImageAndBoxes, crop: Crop, flipped: bool, width: int, height: int) -> np.ndarray:
    """The boxes of an image relative to its crop; only those that are visible."""
    h, w = source[0].shape[1:]
    wide, tall = w - crop.left - crop.right, h - crop.top - crop.bottom
    boxes = crop_boxes(source[1], (w / wide, h / tall), (crop.left / wide, crop.top / tall), flipped)
    return boxes[at_least_one_pixel(boxes, width, height)]


def _resized(pixels: np.ndarray, crop: Crop, flipped: bool, region: Region, width: int, height: int) -> np.ndarray:
    """A region of the crop of an image, where the whole crop is scaled to width x height."""
    h, w = pixels.shape[1:]
    x0, y0, x1, y1 = region
    if flipped:
        x0, x1 = width - x1, width - x0
    image = ops.crop(pixels, crop.left, crop.top, w - crop.left - crop.right, h - crop.top - crop.bottom,
                        width, height, (x0, y0, x1, y1))
    return np.ascontiguousarray(image[..., ::-1]) if flipped else image


def _recoloured(image: np.ndarray, boxes: np.ndarray, settings: BoxAugment, rng: np.random.Generator) -> np.ndarray:
    """Colours, blur and noise.  boxes (k, 5) relative to the image stay sharp."""
    hue = settings.hue * (2 * rng.random() - 1)
    saturation, exposure = _factor(settings.saturation, rng), _factor(settings.exposure, rng)
    if hue or saturation != 1 or exposure != 1:
        image = ops.distort(image[None], hue, saturation, exposure)[0]
    if settings.blur:
        image = _blurred(image, boxes, settings.blur, rng)
    if settings.gaussian_noise and rng.random() < 0.5:
        noise = rng.standard_normal(image.shape, np.float32) * np.float32(min(settings.gaussian_noise, 127) / 255)
        image = np.clip(image + noise, 0, 1)
    return image


def _random_crop(w: int, h: int, settings: BoxAugment, width: int, height: int, rng: np.random.Generator,
                 quadrant: int | None = None, flipped: bool = False) -> Crop:
    """Each edge moves at random; zooming moves opposite edges in opposite directions.

    quadrant  0 to 3: the image becomes the upper left, upper right, lower left or lower right of a mosaic
    """
    u = rng.random(6)
    edges = [int(int(side * settings.jitter) * (2 * u[k] - 1)) for k, side in enumerate((w, h, w, h))]
    out, into = min(settings.resize, 1 / settings.resize), max(settings.resize, 1 / settings.resize)
    for k, side in enumerate((w, h, w, h)):
        low, high = int(side * (1 - 1 / out) / 2), int(side * (1 - 1 / into) / 2)
        edges[k] += int(low + (0 if settings.resize < 1 else high) * u[4 + k // 2] - low * u[4 + k // 2])
    if settings.letterbox and quadrant is None:
        more_h, more_w = max(0., (w * height / width - h) / 2), max(0., (h * width / height - w) / 2)
        edges = [int(edge - more) for edge, more in zip(edges, (more_w, more_h, more_w, more_h), strict=True)]
    crop = Crop(*edges)
    if quadrant is not None and rng.random() < 0.5:
        crop = _into_corner(crop, quadrant, flipped)
    there = w - crop.left - crop.right > 1 and h - crop.top - crop.bottom > 1
    return crop if there else Crop(0, 0, 0, 0)


def _into_corner(crop: Crop, quadrant: int, flipped: bool) -> Crop:
    """Moved to a corner of the image, as darknet does: its quadrant of the mosaic then mostly shows the image."""
    horizontal, vertical = crop.left + crop.right, crop.top + crop.bottom
    at_left = (quadrant % 2 == 0) != flipped
    left, right = (0, horizontal) if at_left else (horizontal, 0)
    top, bottom = (0, vertical) if quadrant < 2 else (vertical, 0)
    return Crop(left, top, right, bottom)


def _factor(limit: float, rng: np.random.Generator) -> float:
    """In 1..limit, or one over that, equally likely (darknet's rand_scale)."""
    scale, up = 1 + (limit - 1) * rng.random(), rng.random() < 0.5
    return scale if up else 1 / scale


def _blurred(image: np.ndarray, boxes: np.ndarray, blur: int, rng: np.random.Generator) -> np.ndarray:
    """A third stays as it is, a third keeps only its objects sharp, a third is blurred by `blur` pixels (1: as the
    second third).

    The filter is at most an eighth of the shorter side of the smallest object, so that it does not vanish.
    """
    mode = int(rng.integers(3))
    if mode == 0:
        return image
    h, w = image.shape[1:]
    if mode == 2 and blur > 1:
        smallest = int(min((boxes[boxes[:, 2] > 0, 2:4] * (w, h)).min(initial=8 * blur), 8 * blur)) // 8
        return gaussian(image[None], smallest)[0] if smallest > 1 else image
    out = gaussian(image[None], BACKGROUND_BLUR)[0]
    for left, top, right, bottom in (convert(boxes, "cxcywh", "xyxy") * (w, h, w, h)).astype(int):
        out[:, top:bottom, left:right] = image[:, top:bottom, left:right]
    return out


def _mosaic(sources: list[ImageAndBoxes], settings: BoxAugment, width: int, height: int,
            rng: np.random.Generator) -> ImageAndBoxes:
    """Four images that meet at a point.  Each is changed on its own; its quadrant of the canvas shows the region of it
    next to that point, shifted by as much as its crop extended beyond the image there."""
    cut_x, cut_y = (max(1, int(side * (MOSAIC_MARGIN + (1 - 2 * MOSAIC_MARGIN) * rng.random())))
                    for side in (width, height))
    canvas, found = np.zeros((len(sources[0][0]), height, width), np.float32), []
    for quadrant, source in enumerate(sources):
        h, w = source[0].shape[1:]
        flipped = bool(settings.flip and rng.random() < 0.5)
        crop = _random_crop(w, h, settings, width, height, rng, quadrant, flipped)
        before, after = (crop.right, crop.left) if flipped else (crop.left, crop.right)
        left, right, x0, x1 = quadrant_ranges(quadrant % 2, cut_x, width, before, after, w)
        top, bottom, y0, y1 = quadrant_ranges(quadrant // 2, cut_y, height, crop.top, crop.bottom, h)
        boxes = _boxes_in(source, crop, flipped, width, height)
        image = _resized(source[0], crop, flipped, (left, top, right, bottom), width, height)
        inside = crop_boxes(boxes, (width / (right - left), height / (bottom - top)),
                            (left / (right - left), top / (bottom - top)), False)
        canvas[:, y0:y1, x0:x1] = _recoloured(image, inside, settings, rng)
        found.append(_quadrant_boxes(boxes, (x0 - left) / width, (y0 - top) / height,
                                     (x0 / width, y0 / height, x1 / width, y1 / height), settings.mosaic_bound, width,
                                     height))
    return canvas, np.concatenate(found)


def quadrant_ranges(second: int, cut: int, side: int, before: int, after: int, old: int) -> tuple[int, int, int, int]:
    """Along one axis: the range of the changed image that is taken, and the range of the canvas it fills.

    before, after  what the crop cuts off the image, in its pixels, negative where the crop extends beyond it
    old            side of the image
    """
    if second:
        start = min(cut, max(0, int(-before * side / old)))
        return start, start + side - cut, cut, side
    stop = side - min(side - cut, max(0, int(-after * side / old)))
    return stop - cut, stop, 0, cut


def _quadrant_boxes(boxes: np.ndarray, dx: float, dy: float, quadrant: tuple[float, float, float, float], bound: bool,
                    width: int, height: int) -> np.ndarray:
    """The boxes of one image on the canvas: shifted, and clipped to their quadrant if `bound`, else to the canvas.

    Boxes that show less than a pixel in their quadrant are dropped.
    """
    edges = convert(boxes, "cxcywh", "xyxy") + np.array([dx, dy, dx, dy])
    seen = np.concatenate([np.maximum(edges[:, :2], quadrant[:2]), np.minimum(edges[:, 2:], quadrant[2:])], axis=1)
    visible = at_least_one_pixel(with_classes(seen, boxes[:, 4]), width, height)
    out = with_classes(seen if bound else np.clip(edges, 0, 1), boxes[:, 4])
    return out[visible]
