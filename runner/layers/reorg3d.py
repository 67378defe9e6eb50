"""[reorg3d]: moves blocks of pixels to channels (space to depth)."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import opt
from runner.errors import ShapeError
from runner.layers.shared.base import Kept, Layer, LayerOptions, NotAMultiple, Shape, register


@register("reorg3d")
class Reorg3d(Layer):
    """(c, h, w) -> (stride stride c, h / stride, w / stride), out channel (dy stride + dx) c + k.

    AlexeyAB's fork (src/reorg_layer.c).  reverse=1 is *not* its inverse but that of the scrambled [reorg].
    """

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        stride: int = opt(1, "side of the block, pixels", low=1)
        reverse: bool = opt(False, "1: (c, h, w) -> (c / stride^2, h stride, w stride), undoing [reorg]")

    def setup(self, shape: Shape) -> None:
        (c, h, w), s = self.image(shape), self.options.stride
        if self.options.reverse:
            if c % s ** 4:
                raise ShapeError(f"reverse=1 with stride={s} needs a multiple of {s ** 4} channels. Got {c}")
            self.out_shape = (c // (s * s), h * s, w * s)
            return
        if h % s or w % s:
            raise NotAMultiple(f"stride={s} must divide width and height. Got {w} x {h}", s)
        self.out_shape = (c * s * s, h // s, w // s)

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, c, h, w) -> y, None."""
        x, s = x.reshape(len(x), *self.image(self.in_shapes[0])), self.options.stride
        return (ops.reorg_inverse(x, s) if self.options.reverse else ops.space_to_depth(x, s)), None

    def keeps(self) -> Kept:
        return Kept(inputs=False, output=False)

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> dx: every value goes back to its origin."""
        s = self.options.stride
        dx = ops.reorg(dy, s) if self.options.reverse else ops.depth_to_space(dy, s)
        return (dx.reshape(len(dy), *self.in_shapes[0]),)
