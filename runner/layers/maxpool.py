"""[maxpool]: the largest value of each window."""
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import ignored, opt
from runner.errors import ShapeError
from runner.layers.shared import blur, fits
from runner.layers.shared.base import Kept, Layer, LayerOptions, Shape, register


def _stride(o: Any) -> int:
    "stride"
    return o.stride


def _size_less_one(o: Any) -> int:
    "size - 1"
    return o.size - 1


@register("maxpool", "max")
class Maxpool(Layer):
    """(c, h, w) -> (c, oh, ow), oh = (h + padding - size) // stride_y + 1; padding // 2 is added before.

    Of equal values the first in the window wins, row by row (src/maxpool_layer.c).  maxpool_depth takes maxima over
    channels instead: (c, h, w) -> (out_channels, h, w), channel g over g, g + out_channels, ...
    """

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        stride: int = opt(1, "stride, pixels", low=1)
        stride_x: int = opt(_stride, "horizontal stride, where it differs", low=1)
        stride_y: int = opt(_stride, "vertical stride, where it differs", low=1)
        size: int = opt(_stride, "side of the window, pixels", low=1)
        padding: int = opt(_size_less_one, "rows and columns added, on both sides together", low=0)
        maxpool_depth: bool = opt(False, "1: the maximum over channels instead of pixels; out_channels are left")
        out_channels: int = opt(1, "with maxpool_depth: channels of the output", low=1)
        antialiasing: int = opt(0, "1: pool at stride 1, then blur 3 x 3 at the given stride; 2: blur 2 x 2",
                                low=0, high=2)
        maxpool_zero_nonmax: bool = ignored(False, "gradient kept only where a pixel is its own maximum",
                                            "an experiment of one fork's GPU code")
        pad: bool = ignored(False, "a flag of old cfgs", "darknet does not read it; use padding=")
        strideW: int = ignored(0, "horizontal stride in one private fork", "darknet does not read it; use stride_x=")
        strideH: int = ignored(0, "vertical stride in one private fork", "darknet does not read it; use stride_y=")

    def setup(self, shape: Shape) -> None:
        c, h, w = self.image(shape)
        o = self.options
        if o.maxpool_depth:
            if o.out_channels > c:
                raise ShapeError(f"out_channels={o.out_channels} is more than the {c} input channels")
            self.out_shape = (o.out_channels, h, w)
            return
        self.stride = (1, 1) if o.antialiasing else (o.stride_y, o.stride_x)
        sides = fits.pool_windows((h, w), o.size, self.stride, o.padding)
        self.remark = fits.remark((h, w), o.size, self.stride, o.padding, "no pixel")
        self.sharp_shape = self.out_shape = (c, *sides)
        if o.antialiasing:
            self.out_shape = blur.blurred_shape(self.sharp_shape, o.antialiasing, (o.stride_y, o.stride_x))

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, c, h, w) -> y (n, c, oh, ow), saved."""
        x = x.reshape(len(x), *self.image(self.in_shapes[0]))
        o = self.options
        if o.maxpool_depth:
            y, winner = ops.maxpool_depth(x, o.out_channels)
            return y, (winner, x.shape, None)
        sharp, index = ops.maxpool2d(x, o.size, self.stride, o.padding, need_index=train)
        if o.antialiasing:
            return blur.blur(sharp, o.antialiasing, (o.stride_y, o.stride_x)), (index, x.shape, sharp)
        return sharp, (index, x.shape, None)

    def prepare(self, rows: int) -> Any:
        o = self.options
        if o.maxpool_depth or o.antialiasing or len(self.in_shapes[0]) != 3:
            return super().prepare(rows)
        return ops.plan_maxpool2d(o.size, self.stride, o.padding)

    def keeps(self) -> Kept:
        o = self.options
        if o.maxpool_depth:
            return Kept(False, False, 8 * math.prod(self.out_shape))
        index = math.prod(self.sharp_shape) * (1 if o.size < 16 else 2)
        return Kept(False, False, index + (self.bytes_of(self.sharp_shape) if o.antialiasing else 0))

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> dx: each value of dy goes to the pixel that was the maximum."""
        (index, shape, sharp), o = saved, self.options
        if o.maxpool_depth:
            dx = ops.maxpool_depth_backward(dy, index, shape)
        else:
            if o.antialiasing:
                dy = blur.blur_backward(dy, sharp, o.antialiasing, (o.stride_y, o.stride_x))
            dx = ops.maxpool2d_backward(dy, index, shape, o.size, self.stride, o.padding)
        return (dx.reshape(len(dx), *self.in_shapes[0]),)

    def flops(self) -> float:
        c, oh, ow = self.out_shape if self.options.maxpool_depth else self.sharp_shape
        return float(self.options.size ** 2 * c * oh * ow)
