"""Geometry: resize, letterbox, crop, rotate, flip.  All take float arrays (..., channels, height, width),
return new ones.

The arithmetic is darknet's (src/image.c), so that published weights see the pixels they were trained on.
"""
from typing import NamedTuple

import numpy as np


class Placement(NamedTuple):
    """Where letterbox put the picture on its canvas, in pixels: the upper left corner and the size."""

    x: int
    y: int
    width: int
    height: int


def resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """(..., h, w) -> (..., height, width), bilinear with the corners of both grids aligned.

    Target column x reads source column x * (w - 1) / (width - 1); the last one is copied.  There is no
    smoothing when shrinking.  A target of one row or column takes the last one, by the same rule.
    """
    if image.shape[-2:] == (height, width):
        return image.copy()
    if height < image.shape[-2]:                   # the pass that leaves less to do comes first
        return _resize_columns(_resize_rows(image, height), width)
    return _resize_rows(_resize_columns(image, width), height)


def _taps(old: int, new: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Left neighbour, right neighbour, weight of the right one (float32) for each of `new` positions."""
    position = np.arange(new, dtype=np.float32) * np.float32((old - 1) / max(new - 1, 1))
    left = position.astype(np.intp)
    weight = position - left
    left[-1], weight[-1] = old - 1, 0              # exactly, whatever the rounding above
    np.minimum(left, old - 1, out=left)
    return left, np.minimum(left + 1, old - 1), weight


def _resize_columns(image: np.ndarray, width: int) -> np.ndarray:
    if image.shape[-1] == width:
        return image
    left, right, weight = _taps(image.shape[-1], width)
    weight = weight.astype(image.dtype)
    return image.take(left, axis=-1) * (1 - weight) + image.take(right, axis=-1) * weight


def _resize_rows(image: np.ndarray, height: int) -> np.ndarray:
    if image.shape[-2] == height:
        return image
    up, down, weight = _taps(image.shape[-2], height)
    weight = weight.astype(image.dtype)[:, None]
    out = image.take(up, axis=-2) * (1 - weight) + image.take(down, axis=-2) * weight
    # darknet dims its last row by the rounding error of its position: a few millionths, seen in recordings.
    # (Where the error falls the other way it loses the row altogether.  We do not.)
    last = np.float32(height - 1) * np.float32((image.shape[-2] - 1) / max(height - 1, 1))
    out[..., -1, :] *= 1 - max(float(last) - (image.shape[-2] - 1), 0.)
    return out


def letterbox(image: np.ndarray, width: int, height: int, fill: float = 0.5) -> tuple[np.ndarray, Placement]:
    """Shrink or blow up with the aspect ratio kept, centred on a grey canvas: (..., height, width) and its
    placement."""
    h, w = image.shape[-2:]
    if width * h < height * w:
        new_w, new_h = width, max(1, h * width // w)
    else:
        new_w, new_h = max(1, w * height // h), height
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
    """The window whose upper left corner is (x, y); where it leaves the image, the border pixels are
    repeated."""
    h, w = image.shape[-2:]
    if 0 <= x and x + width <= w and 0 <= y and y + height <= h:
        return image[..., y:y + height, x:x + width].copy()
    rows = np.clip(np.arange(y, y + height), 0, h - 1)
    columns = np.clip(np.arange(x, x + width), 0, w - 1)
    return image[..., rows[:, None], columns]


def centre_crop(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """The window in the middle, without scaling."""
    h, w = image.shape[-2:]
    return crop(image, (w - width) // 2, (h - height) // 2, width, height)


def centre_square(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """The largest square in the middle, resized (pjreddie's center_crop_image)."""
    side = min(image.shape[-2:])
    return resize(centre_crop(image, side, side), width, height)


def cover(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Scale until the target is just covered, then cut out its middle.

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
    """A decoded image as the network's input (channels, height, width): the one way for validation, test and
    predict.

    how: "crop" (classifiers: see cover), "stretch" (detectors: resize), "letterbox" (detectors with
    letter_box=1).
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
    """A turned, scaled, shifted window of each image: (n, c, h, w) -> (n, c, height, width), outside is 0.

    angle in radians, scale > 1 magnifies, dx and dy shift the window in magnified pixels, aspect > 1 squeezes
    x. Each may be one number or n numbers.  Bilinear; darknet's rotate_crop_image.
    """
    n, channels, h, w = images.shape
    dtype = images.dtype
    angle, scale, dx, dy, aspect = (np.broadcast_to(np.asarray(v, dtype).reshape(-1, 1, 1), (n, 1, 1))
                                    for v in (angle, scale, dx, dy, aspect))
    u = ((np.arange(width, dtype=dtype) - dtype.type(width / 2)) * aspect + dx * aspect) / scale   # (n, 1, w)
    v = ((np.arange(height, dtype=dtype)[:, None] - dtype.type(height / 2)) + dy) / scale          # (n, h, 1)
    cos, sin = np.cos(angle), np.sin(angle)
    x = np.clip(cos * u - sin * v + dtype.type(w / 2), -1, w)      # further out is black all the same
    y = np.clip(sin * u + cos * v + dtype.type(h / 2), -1, h)
    column, row = np.floor(x), np.floor(y)
    x -= column
    y -= row

    # A frame of zeros, one pixel before and two after: no tap has to ask whether it is inside.
    framed = np.zeros((n, h + 3, w + 3, channels), dtype)
    framed[:, 1:-2, 1:-2] = images.transpose(0, 2, 3, 1)
    flat = framed.reshape(-1, channels)
    first = np.arange(n)[:, None, None] * ((h + 3) * (w + 3))
    at = first + (row.astype(np.intp) + 1) * (w + 3) + (column.astype(np.intp) + 1)
    x, y = x[..., None], y[..., None]
    upper, lower = flat.take(at, axis=0), flat.take(at + (w + 3), axis=0)
    upper += x * (flat.take(at + 1, axis=0) - upper)
    lower += x * (flat.take(at + (w + 4), axis=0) - lower)
    upper += y * (lower - upper)
    return np.ascontiguousarray(upper.transpose(0, 3, 1, 2))
