"""Geometry: resize, letterbox, crop, rotate, flip.  All take float arrays (..., channels, height, width) and return new
ones.

The arithmetic is darknet's (src/image.c), so that published weights see the pixels they were trained on.
"""
from typing import NamedTuple

import numpy as np

from runner import ops


class Placement(NamedTuple):
    """Where letterbox put the image on its canvas, in pixels: the upper left corner and the size."""

    x: int
    y: int
    width: int
    height: int


def resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """(..., h, w) -> (..., height, width), bilinear with the corners of both grids aligned; runner/ops/image.py."""
    return ops.resize(image, width, height)


def letterboxed_size(w: int, h: int, width: int, height: int) -> tuple[int, int]:
    """Width and height of a w x h image scaled to fit into width x height with its aspect ratio kept, rounded down."""
    if width * h < height * w:
        return width, max(1, h * width // w)
    return max(1, w * height // h), height


def letterbox(image: np.ndarray, width: int, height: int, fill: float = 0.5) -> tuple[np.ndarray, Placement]:
    """Resize with the aspect ratio kept, centred on a grey canvas: (..., height, width) and the image's placement."""
    h, w = image.shape[-2:]
    new_w, new_h = letterboxed_size(w, h, width, height)
    place = Placement((width - new_w) // 2, (height - new_h) // 2, new_w, new_h)
    canvas = np.full((*image.shape[:-2], height, width), fill, image.dtype)
    canvas[..., place.y:place.y + new_h, place.x:place.x + new_w] = resize(image, new_w, new_h)
    return canvas, place


def resize_min(image: np.ndarray, size: int) -> np.ndarray:
    """The short side becomes `size`, the aspect ratio stays (integer division)."""
    h, w = image.shape[-2:]
    return resize(image, size, h * size // w) if w < h else resize(image, w * size // h, size)


def resize_max(image: np.ndarray, size: int) -> np.ndarray:
    """The long side becomes `size`, the aspect ratio stays (integer division, at least one pixel)."""
    h, w = image.shape[-2:]
    return resize(image, max(1, w * size // h), size) if w < h else resize(image, size, max(1, h * size // w))


def crop(image: np.ndarray, x: int, y: int, width: int, height: int) -> np.ndarray:
    """(..., height, width) with the upper left corner at (x, y); outside the image the border pixels are repeated."""
    h, w = image.shape[-2:]
    if 0 <= x and x + width <= w and 0 <= y and y + height <= h:
        return image[..., y:y + height, x:x + width].copy()
    rows = np.clip(np.arange(y, y + height), 0, h - 1)
    columns = np.clip(np.arange(x, x + width), 0, w - 1)
    return image[..., rows[:, None], columns]


def centre_crop(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """The middle of an image, without scaling: (..., height, width)."""
    h, w = image.shape[-2:]
    return crop(image, (w - width) // 2, (h - height) // 2, width, height)


def centre_square(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """The largest square in the middle, resized (pjreddie's center_crop_image)."""
    side = min(image.shape[-2:])
    return resize(centre_crop(image, side, side), width, height)


def cover(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Scale until the target is just covered, then crop the middle.

    For a square target this is darknet's resize_min and centre crop, as in AlexeyAB's `classifier valid`.
    """
    h, w = image.shape[-2:]
    if w * height < h * width:
        image = resize(image, width, h * width // w)
    else:
        image = resize(image, w * height // h, height)
    return centre_crop(image, width, height)


PREPARATIONS = ("crop", "stretch", "letterbox")


def prepare(image: np.ndarray, width: int, height: int, how: str = "crop") -> np.ndarray:
    """A decoded image as the network's input (channels, height, width); validation, test and predict all use this.

    how: "crop" (classifiers: see cover), "stretch" (detectors: resize), "letterbox" (detectors with letter_box=1).
    ValueError for anything else.
    """
    if how == "crop":
        return cover(image, width, height)
    if how == "stretch":
        return resize(image, width, height)
    if how == "letterbox":
        return letterbox(image, width, height)[0]
    raise ValueError(f"how must be one of {', '.join(PREPARATIONS)}. Got {how!r}")


def flip(image: np.ndarray) -> np.ndarray:
    """Left and right exchanged."""
    return np.ascontiguousarray(image[..., ::-1])


def rotate_crop(images: np.ndarray, width: int, height: int, *, angle: np.ndarray | float = 0.,
                scale: np.ndarray | float = 1., dx: np.ndarray | float = 0., dy: np.ndarray | float = 0.,
                aspect: np.ndarray | float = 1.) -> np.ndarray:
    """A rotated, scaled, shifted crop of each image: (n, c, h, w) -> (n, c, height, width); runner/ops/image.py."""
    return ops.rotate_crop(images, width, height, angle=angle, scale=scale, dx=dx, dy=dy, aspect=aspect)
