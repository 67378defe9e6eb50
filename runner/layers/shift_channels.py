"""[shift_channels]: adds a value from an earlier layer to every channel (YOLOR, Wang et al. 2021)."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner.config import opt
from runner.errors import ShapeError
from runner.layers.shared.base import Layer, LayerOptions, Shape, register, shape_text


@register("shift_channels")
class ShiftChannels(Layer):
    """(c, h, w), from (c, 1, 1) -> (c, h, w): x + from.  A section of the YOLOR forks."""

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        from_: int = opt(doc="the values: an index, or negative to count back from here", key="from")

    @staticmethod
    def sources(options: Any) -> tuple[int, ...]:
        return (-1, options.from_)

    def setup(self, shape: Shape, other: Shape) -> None:
        c, h, w = self.image(shape)
        if self.image(other) != (c, 1, 1):
            raise ShapeError(f"expects {shape_text((c, 1, 1))}, a value for each channel, from the layer of from=. "
                             f"Got {shape_text(other)}")
        self.vector: Shape = (c, 1, 1)
        self.out_shape = (c, h, w)

    def forward(self, *xs: np.ndarray, train: bool = False) -> tuple[np.ndarray, Any]:
        """map (n, c, h, w), values (n, c, 1, 1) -> y (n, c, h, w), None."""
        return xs[0].reshape(-1, *self.out_shape) + xs[1].reshape(-1, *self.vector), None

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> gradients of the map and of the values."""
        return (dy.reshape(len(dy), *self.in_shapes[0]),
                dy.sum(axis=(2, 3), keepdims=True).reshape(len(dy), *self.in_shapes[1]))
