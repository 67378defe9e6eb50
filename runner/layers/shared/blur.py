"""antialiasing= of [convolutional] and [maxpool]: compute at stride 1, then blur at the given stride.

Zhang, "Making convolutional networks shift-invariant again", 2019; filters as in src/convolutional_layer.c.
"""
import numpy as np

from runner import ops
from runner.errors import ShapeError

FILTERS = {1: np.outer([1, 2, 1], [1, 2, 1]) / 16, 2: np.full((2, 2), 1 / 4)}
PADDING = {1: 1, 2: 0}


def blurred_shape(shape: tuple[int, int, int], mode: int, stride: tuple[int, int]) -> tuple[int, int, int]:
    """(c, h, w) of the sharp map -> (c, oh, ow).  ShapeError where nothing is left of it."""
    c, h, w = shape
    size, pad = len(FILTERS[mode]), PADDING[mode]
    if min(h, w) + 2 * pad < size:
        raise ShapeError(f"antialiasing={mode} blurs {size} x {size} pixels, which do not fit into {w} x {h}")
    return c, (h + 2 * pad - size) // stride[0] + 1, (w + 2 * pad - size) // stride[1] + 1


def blur(x: np.ndarray, mode: int, stride: tuple[int, int]) -> np.ndarray:
    """x (n, c, h, w) -> y (n, c, oh, ow)."""
    return ops.conv2d(x, _filters(x, mode), stride=stride, padding=(PADDING[mode],) * 2, groups=x.shape[1])


def blur_backward(dy: np.ndarray, x: np.ndarray, mode: int, stride: tuple[int, int]) -> np.ndarray:
    """dy (n, c, oh, ow) -> dx of the shape of x."""
    dx, _ = ops.conv2d_backward(dy, x, _filters(x, mode), stride=stride, padding=(PADDING[mode],) * 2,
                                groups=x.shape[1])
    assert dx is not None
    return dx


def _filters(x: np.ndarray, mode: int) -> np.ndarray:
    one = FILTERS[mode].astype(x.dtype)
    return np.broadcast_to(one, (x.shape[1], 1, *one.shape)).copy()
