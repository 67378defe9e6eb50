"""[upsample]: repeats every pixel in a block; with a negative stride, sums blocks into pixels."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import opt
from runner.errors import ShapeError
from runner.layers.shared.base import Kept, Layer, LayerOptions, Shape, register


@register("upsample")
class Upsample(Layer):
    """(c, h, w) -> (c, h stride, w stride), or (c, h // -stride, w // -stride)  (src/upsample_layer.c)."""

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        stride: int = opt(2, "side of the block, pixels; negative: blocks of the input are summed")
        scale: float = opt(1.0, "factor on the values")

    def setup(self, shape: Shape) -> None:
        c, h, w = self.image(shape)
        stride = self.options.stride
        if stride == 0:
            raise ShapeError("stride must not be 0")
        self.out_shape = (c, h * stride, w * stride) if stride > 0 else (c, h // -stride, w // -stride)
        if min(self.out_shape) < 1:
            raise ShapeError(f"stride={stride} leaves nothing of an image of {w} x {h} pixels")

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, c, h, w) -> y (n, c, oh, ow), saved."""
        x = x.reshape(len(x), *self.image(self.in_shapes[0]))
        stride, scale = self.options.stride, self.options.scale
        return (ops.upsample(x, stride, scale) if stride > 0 else ops.downsample(x, -stride, scale)), x.shape

    def prepare(self, rows: int) -> Any:
        stride = self.options.stride
        if stride < 0 or len(self.in_shapes[0]) != 3:
            return super().prepare(rows)
        return ops.plan_upsample(stride, self.options.scale)

    def keeps(self) -> Kept:
        return Kept(inputs=False, output=False)

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> dx: summed over each block, or repeated in it."""
        stride, scale = self.options.stride, self.options.scale
        dx = (ops.upsample_backward(dy, stride, scale) if stride > 0
              else ops.downsample_backward(dy, -stride, scale, saved))
        return (dx.reshape(len(dx), *self.in_shapes[0]),)
