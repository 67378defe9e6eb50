"""The geometry of a convolution, as every kernel of this folder takes it."""
from typing import NamedTuple

import numpy as np

from runner.ops.conv import Pair

Array = np.ndarray


class ConvShape(NamedTuple):
    """Output point (y, x) reads the inputs at (stride_y y, stride_x x) + taps[t], for every tap t; a value outside the
    image is 0."""
    taps: Array         # (t, 2), int64: row and column
    stride_y: int
    stride_x: int
    out_h: int          # rows and columns of output points
    out_w: int


def conv_shape(size: tuple[int, ...], out: tuple[int, ...], stride: Pair, padding: Pair,
               dilation: int = 1) -> ConvShape:
    """Of filters of `size` (kh, kw) and an output of (oh, ow); the taps are ordered as the filter is, row by row."""
    taps = [(i * dilation - padding[0], j * dilation - padding[1]) for i in range(size[0]) for j in range(size[1])]
    return ConvShape(np.array(taps, np.int64), *stride, out[0], out[1])


def is_pointwise(size: tuple[int, ...], stride: Pair, padding: Pair) -> bool:
    """1 x 1 at stride 1: an image may be taken as one long row."""
    return size == stride == (1, 1) and padding == (0, 0)
