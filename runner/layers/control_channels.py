"""[control_channels]: multiplies every pixel by a value a channel, from an earlier layer (YOLOR, Wang et al. 2021)."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner.config import opt
from runner.layers.base import Layer, LayerOptions, Shape, register
from runner.layers.shift_channels import vector_for


@register("control_channels")
class ControlChannels(Layer):
    """(c, h, w), from (c, 1, 1) -> (c, h, w): x * from.  A section of the YOLOR forks.

    [scale_channels] is the same with the two inputs exchanged.
    """

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        from_: int = opt(doc="the values: an index, or negative to count back from here", key="from")

    @staticmethod
    def sources(options: Any) -> tuple[int, ...]:
        return (-1, options.from_)

    def setup(self, shape: Shape, other: Shape) -> None:
        self.vector, self.out_shape = vector_for(self, shape, other), self.image(shape)

    def forward(self, *xs: np.ndarray, train: bool = False) -> tuple[np.ndarray, Any]:
        """map (n, c, h, w), values (n, c, 1, 1) -> y (n, c, h, w), saved."""
        x, values = xs[0].reshape(-1, *self.out_shape), xs[1].reshape(-1, *self.vector)
        return x * values, (x, values)

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> gradients of the map and of the values."""
        x, values = saved
        return ((dy * values).reshape(len(dy), *self.in_shapes[0]),
                (dy * x).sum(axis=(2, 3)).reshape(len(dy), *self.in_shapes[1]))
