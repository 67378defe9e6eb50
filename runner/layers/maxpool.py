"""[maxpool]: the largest value of each window."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import ignored, opt
from runner.errors import ShapeError
from runner.layers.base import Layer, LayerOptions, Shape, register


def _stride(o: Any) -> int:
    "stride"
    return o.stride


def _size_less_one(o: Any) -> int:
    "size - 1"
    return o.size - 1


@register("maxpool", "max")
class Maxpool(Layer):
    """(c, h, w) -> (c, oh, ow), oh = (h + padding - size) // stride_y + 1; padding // 2 of it stands before.

    Of equal values the first in the window wins, row by row (src/maxpool_layer.c).
    """

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        stride: int = opt(1, "pixels from one window to the next", low=1)
        stride_x: int = opt(_stride, "stride across, where it differs", low=1)
        stride_y: int = opt(_stride, "stride down, where it differs", low=1)
        size: int = opt(_stride, "side of the window, pixels", low=1)
        padding: int = opt(_size_less_one, "rows and columns added in all, both sides together", low=0)
        pad: bool = ignored(False, "a flag of old cfgs", "darknet does not read it; padding= is the option")
        strideW: int = ignored(0, "stride across in one private fork", "darknet does not read it; stride_x= is it")
        strideH: int = ignored(0, "stride down in one private fork", "darknet does not read it; stride_y= is it")

    def setup(self, shape: Shape) -> None:
        c, h, w = self.image(shape)
        o = self.options
        self.stride = o.stride_y, o.stride_x
        sides = [(side + o.padding - o.size) // stride + 1 for side, stride in zip((h, w), self.stride, strict=True)]
        for side, stride, out in zip((h, w), self.stride, sides, strict=True):
            before = o.padding // 2
            if out < 1 or before >= o.size or (out - 1) * stride - before >= side:
                raise ShapeError(f"size={o.size} stride={stride} padding={o.padding} leaves a window with no pixel "
                                 f"of a {w} x {h} image in it")
        self.out_shape = (c, *sides)

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, c, h, w) -> y (n, c, oh, ow), saved."""
        x = x.reshape(len(x), *self.image(self.in_shapes[0]))
        y, index = ops.maxpool2d(x, self.options.size, self.stride, self.options.padding, need_index=train)
        return y, (index, x.shape)

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> dx: each value of dy goes to the pixel that won."""
        index, shape = saved
        dx = ops.maxpool2d_backward(dy, index, shape, self.options.size, self.stride, self.options.padding)
        return (dx.reshape(len(dx), *self.in_shapes[0]),)

    def flops(self) -> float:
        c, oh, ow = self.out_shape
        return float(self.options.size ** 2 * c * oh * ow)
