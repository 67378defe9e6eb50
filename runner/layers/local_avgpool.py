"""[local_avgpool]: the mean of each window."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import opt
from runner.layers.shared import fits
from runner.layers.shared.base import Kept, Layer, LayerOptions, Shape, register


def _stride(o: Any) -> int:
    "stride"
    return o.stride


def _size_less_one(o: Any) -> int:
    "size - 1"
    return o.size - 1


@register("local_avgpool", "local_avg")
class LocalAvgpool(Layer):
    """(c, h, w) -> (c, oh, ow), with the windows of [maxpool]; pixels outside the image are not counted.

    AlexeyAB's fork (src/maxpool_layer.c).  Its backward divides by size^2 everywhere, and so does compat mode.
    """

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        stride: int = opt(1, "stride, pixels", low=1)
        stride_x: int = opt(_stride, "horizontal stride, where it differs", low=1)
        stride_y: int = opt(_stride, "vertical stride, where it differs", low=1)
        size: int = opt(_stride, "side of the window, pixels", low=1)
        padding: int = opt(_size_less_one, "rows and columns added, on both sides together", low=0)

    def setup(self, shape: Shape) -> None:
        (c, h, w), o = self.image(shape), self.options
        self.stride = o.stride_y, o.stride_x
        sides = fits.pool_windows((h, w), o.size, self.stride, o.padding)
        self.remark = fits.remark((h, w), o.size, self.stride, o.padding, "no pixel")
        self.out_shape = (c, *sides)

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, c, h, w) -> y (n, c, oh, ow), saved."""
        x, o = x.reshape(len(x), *self.image(self.in_shapes[0])), self.options
        return ops.local_avgpool2d(x, o.size, self.stride, o.padding), x.shape

    def keeps(self) -> Kept:
        return Kept(inputs=False, output=False)

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> dx: shared equally among the pixels of each window."""
        o, exact = self.options, self.env.compat.gradients == "exact"
        dx = ops.local_avgpool2d_backward(dy, saved, o.size, self.stride, o.padding, divide_by_valid=exact)
        return (dx.reshape(len(dy), *self.in_shapes[0]),)

    def flops(self) -> float:
        c, oh, ow = self.out_shape
        return float(self.options.size ** 2 * c * oh * ow)
