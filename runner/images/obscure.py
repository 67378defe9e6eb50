"""Parts of an image made unrecognisable: pixelated or blurred, inside boxes."""
import math
from collections.abc import Sequence

import numpy as np

from runner.images.mix import blur
from runner.images.resize import resize

CELLS = 8           # squares along the longer side of what is pixelated
LEAST_CELL = 4      # pixels
DETAIL = 64         # pixels of the longer side that a blur is computed with


def inside(corners: Sequence[float], width: int, height: int) -> tuple[int, int, int, int]:
    """A box (left, top, right, bottom) as whole pixels of an image, rounded outwards and cut at its edges; at least
    one pixel."""
    left, right = _range(corners[0], corners[2], width)
    top, bottom = _range(corners[1], corners[3], height)
    return left, top, right, bottom


def _range(low: float, high: float, length: int) -> tuple[int, int]:
    first = min(max(math.floor(low), 0), length - 1)
    return first, min(max(math.ceil(high), first + 1), length)


def crop(image: np.ndarray, corners: Sequence[float]) -> np.ndarray:
    """The part (c, h', w') of an image (c, h, w) in a box, as `inside` rounds it."""
    left, top, right, bottom = inside(corners, image.shape[2], image.shape[1])
    return image[:, top:bottom, left:right]


def pixelated(part: np.ndarray) -> np.ndarray:
    """(c, h, w) floats -> the same in squares of one colour, 8 along the longer side, or of 4 pixels in small parts."""
    cell = max(LEAST_CELL, math.ceil(max(part.shape[1:]) / CELLS))
    means = _means(part, cell)
    return means.repeat(cell, axis=1).repeat(cell, axis=2)[:, :part.shape[1], :part.shape[2]]


def blurred(part: np.ndarray) -> np.ndarray:
    """(c, h, w) floats -> the same blurred by a Gaussian whose standard deviation is an eighth of the longer side, at
    least 2 pixels."""
    height, width = part.shape[1:]
    small = _means(part, math.ceil(max(height, width) / DETAIL))
    sigma = max(max(small.shape[1:]) / 8, 2)
    small = blur(small[None], 2 * round((sigma - 0.8) / 0.3 + 1) + 1)[0]
    return small if small.shape == part.shape else resize(small, width, height)


METHODS = {"blur": blurred, "pixelate": pixelated}


def obscure(image: np.ndarray, boxes: Sequence[tuple[str, Sequence[float]]]) -> np.ndarray:
    """image (c, h, w), floats, and boxes: "blur" or "pixelate", and (left, top, right, bottom) in pixels -> a copy in
    which they are unrecognisable."""
    image = image.copy()
    for method, corners in boxes:
        part = crop(image, corners)
        part[...] = METHODS[method](part)
    return image


def _means(part: np.ndarray, cell: int) -> np.ndarray:
    """The mean of each square of `cell` pixels; those at the right and the lower edge may be smaller."""
    if cell == 1:
        return part
    for axis in (1, 2):
        starts = np.arange(0, part.shape[axis], cell)
        counts = np.diff(np.append(starts, part.shape[axis]))
        part = np.add.reduceat(part, starts, axis=axis) / counts.reshape([-1 if k == axis else 1 for k in range(3)])
    return part.astype(np.float32)
