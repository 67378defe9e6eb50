"""[channel_shuffle]: exchanges channels between groups (ShuffleNet, Zhang et al. 2018)."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import opt
from runner.errors import ShapeError, counted
from runner.layers.shared.base import Kept, Layer, LayerOptions, Shape, register


@register("channel_shuffle")
class ChannelShuffle(Layer):
    """(c, h, w) -> the same shape: channel k of group g becomes channel k groups + g.  A section of a fork."""

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        groups: int = opt(1, "groups of consecutive channels in the input", low=1)

    def setup(self, shape: Shape) -> None:
        c, h, w = self.image(shape)
        if c % self.options.groups:
            raise ShapeError(f"groups={self.options.groups} must divide the {counted(c, 'channel')} of the input")
        self.out_shape = (c, h, w)

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, c, h, w) -> y, None."""
        return ops.channel_shuffle(x.reshape(len(x), *self.out_shape), self.options.groups), None

    def keeps(self) -> Kept:
        return Kept(inputs=False, output=False)

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> dx: the exchange undone."""
        dx = ops.channel_shuffle(dy.reshape(len(dy), *self.out_shape), self.out_shape[0] // self.options.groups)
        return (dx.reshape(len(dy), *self.in_shapes[0]),)
