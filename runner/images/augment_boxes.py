"""Random changes of pictures with boxes, for training a detector: crop, zoom, mirror, colours, blur, noise, and
pictures made of two or four.

The recipe and its numbers are darknet's (AlexeyAB, src/data.c:load_data_detection and
src/image_opencv.cpp:image_data_augmentation, blend_truth_mosaic).  Where we differ, docs/detection-data.md says so.
"""
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from runner import ops
from runner.errors import UsageError
from runner.images.box_format import corners_of, from_corners, large_enough, moved
from runner.images.colour import distort
from runner.images.mix import blur as gaussian

BACKGROUND = 17             # pixels over which the surroundings of the things are blurred
CUT = 0.2                   # the four pictures of a mosaic meet at least so far from the edge, part of the side
Pair = tuple[np.ndarray, np.ndarray]        # a picture and its boxes
Part = tuple[int, int, int, int]            # of a picture, pixels: left, top, right, bottom


@dataclass(frozen=True)
class BoxAugment:
    """How far pictures may be changed.  The names and meanings are those of the options in [net] and in the heads.

    jitter          largest shift of each edge of the picture, part of its side
    resize          largest zoom in and out, a factor; below 1: out only
    flip            mirror half of them
    hue             turns either way.  saturation, exposure: factors between 1/x and x
    letterbox       keep the aspect ratio
    mosaic          half of them are put together from four; bound: their boxes are cut where the pictures meet
    mixup           half of them are two pictures, blended
    blur            1: two thirds have their background blurred; more: a third, and another third all over, by so many
                    pixels
    gaussian_noise  standard deviation of noise that half of them get, of 255 levels
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
        """Width and height of pictures that are enough for a network of that size: twice as large as it, and at the
        largest zoom still no smaller."""
        shown = 1 / max(self.resize, 1 / self.resize) - 2 * self.jitter     # of a picture, at the largest zoom
        times = max(2, 1 / max(shown, 0.125))
        return math.ceil(times * width), math.ceil(times * height)


class Window(NamedTuple):
    """The part of a picture that is shown, pixels: what is cut off each side, negative where it reaches beyond."""
    left: int
    top: int
    right: int
    bottom: int


def augmented(picture: Pair, another: Callable[[], Pair], settings: BoxAugment, width: int, height: int, most: int,
              rng: np.random.Generator) -> Pair:
    """A changed picture (c, height, width) float32 in 0..1, and at most `most` boxes (k, 5) float32.

    picture  (c, h, w) uint8, uint16 or float32, with its boxes (k, 5)
    another  gives a further one whenever it is called, for what is made of several
    """
    mixed = rng.random() < 0.5
    if settings.mosaic and mixed:
        image, boxes = _mosaic([picture, another(), another(), another()], settings, width, height, rng)
    else:
        image, boxes = _changed(picture, settings, width, height, rng)
        if settings.mixup and mixed:
            other, more = _changed(another(), settings, width, height, rng)
            image, boxes = (image + other) / 2, np.concatenate([boxes, more])
    if len(boxes) > most:
        boxes = boxes[np.sort(rng.permutation(len(boxes))[:most])]
    return image, boxes


def _changed(picture: Pair, settings: BoxAugment, width: int, height: int, rng: np.random.Generator) -> Pair:
    """One picture cut, fitted, mirrored and coloured, with its boxes."""
    h, w = picture[0].shape[1:]
    mirrored = bool(settings.flip and rng.random() < 0.5)
    window = _window(w, h, settings, width, height, rng)
    boxes = _boxes_in(picture, window, mirrored, width, height)
    image = _painted(picture[0], window, mirrored, (0, 0, width, height), width, height)
    return _coloured(image, boxes, settings, rng), boxes


def _boxes_in(picture: Pair, window: Window, mirrored: bool, width: int, height: int) -> np.ndarray:
    """The boxes of a picture as parts of its window; only those that can be seen."""
    h, w = picture[0].shape[1:]
    wide, tall = w - window.left - window.right, h - window.top - window.bottom
    boxes = moved(picture[1], (w / wide, h / tall), (window.left / wide, window.top / tall), mirrored)
    return boxes[large_enough(boxes, width, height)]


def _painted(pixels: np.ndarray, window: Window, mirrored: bool, part: Part, width: int, height: int) -> np.ndarray:
    """A part of the window of a picture, the whole of it scaled to width x height."""
    h, w = pixels.shape[1:]
    x0, y0, x1, y1 = part
    if mirrored:
        x0, x1 = width - x1, width - x0
    image = ops.cut_out(pixels, window.left, window.top, w - window.left - window.right, h - window.top - window.bottom,
                     width, height, (x0, y0, x1, y1))
    return np.ascontiguousarray(image[..., ::-1]) if mirrored else image


def _coloured(image: np.ndarray, boxes: np.ndarray, settings: BoxAugment, rng: np.random.Generator) -> np.ndarray:
    """Colours, blur and noise.  boxes (k, 5) as parts of the image: what is to stay sharp."""
    hue = settings.hue * (2 * rng.random() - 1)
    saturation, exposure = _factor(settings.saturation, rng), _factor(settings.exposure, rng)
    if hue or saturation != 1 or exposure != 1:
        image = distort(image[None], hue, saturation, exposure)[0]
    if settings.blur:
        image = _blurred(image, boxes, settings.blur, rng)
    if settings.gaussian_noise and rng.random() < 0.5:
        noise = rng.standard_normal(image.shape, np.float32) * np.float32(min(settings.gaussian_noise, 127) / 255)
        image = np.clip(image + noise, 0, 1)
    return image


def _window(w: int, h: int, settings: BoxAugment, width: int, height: int, rng: np.random.Generator,
            tile: int | None = None, mirrored: bool = False) -> Window:
    """Each edge moves by chance; zooming moves opposite edges against each other.

    tile  0 to 3: the picture becomes the upper left, upper right, lower left or lower right part of a mosaic
    """
    u = rng.random(6)
    edges = [int(int(side * settings.jitter) * (2 * u[k] - 1)) for k, side in enumerate((w, h, w, h))]
    out, into = min(settings.resize, 1 / settings.resize), max(settings.resize, 1 / settings.resize)
    for k, side in enumerate((w, h, w, h)):
        low, high = int(side * (1 - 1 / out) / 2), int(side * (1 - 1 / into) / 2)
        edges[k] += int(low + (0 if settings.resize < 1 else high) * u[4 + k // 2] - low * u[4 + k // 2])
    if settings.letterbox and tile is None:
        more_h, more_w = max(0., (w * height / width - h) / 2), max(0., (h * width / height - w) / 2)
        edges = [int(edge - more) for edge, more in zip(edges, (more_w, more_h, more_w, more_h), strict=True)]
    window = Window(*edges)
    if tile is not None and rng.random() < 0.5:
        window = _into_corner(window, tile, mirrored)
    there = w - window.left - window.right > 1 and h - window.top - window.bottom > 1
    return window if there else Window(0, 0, 0, 0)


def _into_corner(window: Window, tile: int, mirrored: bool) -> Window:
    """Moved to a corner of the picture, as darknet does: what its part of the mosaic shows is then mostly picture."""
    across, down = window.left + window.right, window.top + window.bottom
    at_left = (tile % 2 == 0) != mirrored
    left, right = (0, across) if at_left else (across, 0)
    top, bottom = (0, down) if tile < 2 else (down, 0)
    return Window(left, top, right, bottom)


def _factor(limit: float, rng: np.random.Generator) -> float:
    """In 1..limit, or one over that, equally likely (darknet's rand_scale)."""
    scale, up = 1 + (limit - 1) * rng.random(), rng.random() < 0.5
    return scale if up else 1 / scale


def _blurred(image: np.ndarray, boxes: np.ndarray, blur: int, rng: np.random.Generator) -> np.ndarray:
    """A third stays as it is, a third keeps only its things sharp, a third is blurred by `blur` pixels (1: as before).

    Not so much that the smallest thing would vanish: an eighth of its shorter side at most.
    """
    mode = int(rng.integers(3))
    if mode == 0:
        return image
    h, w = image.shape[1:]
    if mode == 2 and blur > 1:
        smallest = int(min((boxes[boxes[:, 2] > 0, 2:4] * (w, h)).min(initial=8 * blur), 8 * blur)) // 8
        return gaussian(image[None], smallest)[0] if smallest > 1 else image
    out = gaussian(image[None], BACKGROUND)[0]
    for left, top, right, bottom in (corners_of(boxes) * (w, h, w, h)).astype(int):
        out[:, top:bottom, left:right] = image[:, top:bottom, left:right]
    return out


def _mosaic(pictures: list[Pair], settings: BoxAugment, width: int, height: int, rng: np.random.Generator) -> Pair:
    """Four pictures that meet at a point.  Each is changed as if alone; its part of the canvas shows the part of it
    next to that point, moved by as much as its window reached beyond the picture there."""
    cut_x, cut_y = (max(1, int(side * (CUT + (1 - 2 * CUT) * rng.random()))) for side in (width, height))
    canvas, found = np.zeros((len(pictures[0][0]), height, width), np.float32), []
    for tile, picture in enumerate(pictures):
        h, w = picture[0].shape[1:]
        mirrored = bool(settings.flip and rng.random() < 0.5)
        window = _window(w, h, settings, width, height, rng, tile, mirrored)
        before, after = (window.right, window.left) if mirrored else (window.left, window.right)
        left, right, x0, x1 = _tile(tile % 2, cut_x, width, before, after, w)
        top, bottom, y0, y1 = _tile(tile // 2, cut_y, height, window.top, window.bottom, h)
        boxes = _boxes_in(picture, window, mirrored, width, height)
        image = _painted(picture[0], window, mirrored, (left, top, right, bottom), width, height)
        inside = moved(boxes, (width / (right - left), height / (bottom - top)),
                       (left / (right - left), top / (bottom - top)), False)
        canvas[:, y0:y1, x0:x1] = _coloured(image, inside, settings, rng)
        found.append(_tiled(boxes, (x0 - left) / width, (y0 - top) / height,
                            (x0 / width, y0 / height, x1 / width, y1 / height), settings.mosaic_bound, width, height))
    return canvas, np.concatenate(found)


def _tile(second: int, cut: int, side: int, before: int, after: int, old: int) -> tuple[int, int, int, int]:
    """Along one axis: the part of the changed picture that is taken, from and to, and the part of the canvas it fills.

    before, after  what the window cuts off the picture, pixels of it, negative where it reaches beyond
    old            side of the picture
    """
    if second:
        start = min(cut, max(0, int(-before * side / old)))
        return start, start + side - cut, cut, side
    stop = side - min(side - cut, max(0, int(-after * side / old)))
    return stop - cut, stop, 0, cut


def _tiled(boxes: np.ndarray, dx: float, dy: float, tile: tuple[float, float, float, float], bound: bool, width: int,
           height: int) -> np.ndarray:
    """The boxes of one picture on the canvas: shifted, cut at the edge of their part if `bound`, else at the canvas's.

    Those of which nothing is to be seen in their part are dropped, and those under a pixel.
    """
    edges = corners_of(boxes) + np.array([dx, dy, dx, dy])
    seen = np.concatenate([np.maximum(edges[:, :2], tile[:2]), np.minimum(edges[:, 2:], tile[2:])], axis=1)
    visible = large_enough(from_corners(seen, boxes[:, 4]), width, height)
    out = from_corners(seen if bound else np.clip(edges, 0, 1), boxes[:, 4])
    return out[visible]
