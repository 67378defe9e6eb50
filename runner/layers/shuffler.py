"""[shuffler]: moves channels to blocks of pixels (pixel shuffle, Shi et al. 2016) in NumPyNet's channel order."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import opt
from runner.errors import ShapeError
from runner.layers.shared.base import Kept, Layer, LayerOptions, Shape, register


@register("shuffler")
class Shuffler(Layer):
    """(c, h, w) -> (c / scale^2, h scale, w scale); input channel (dy scale + dx) c' + k goes to output channel k.

    A layer of NumPyNet; no darknet has it.
    """

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        scale: int = opt(2, "side of the block of pixels that scale^2 channels become", low=1)

    def setup(self, shape: Shape) -> None:
        (c, h, w), s = self.image(shape), self.options.scale
        if c % (s * s):
            raise ShapeError(f"scale={s} needs a multiple of {s * s} channels. Got {c}")
        self.out_shape = (c // (s * s), h * s, w * s)

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, c, h, w) -> y, None."""
        return ops.depth_to_space(x.reshape(len(x), *self.image(self.in_shapes[0])), self.options.scale), None

    def keeps(self) -> Kept:
        return Kept(inputs=False, output=False)

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> dx: every value goes back to its origin."""
        return (ops.space_to_depth(dy, self.options.scale).reshape(len(dy), *self.in_shapes[0]),)
