"""[sam]: multiplies an earlier output by the previous one, value by value (spatial attention, as in YOLOv4)."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import opt
from runner.errors import ShapeError
from runner.layers.shared.activation_option import activation_option
from runner.layers.shared.base import Layer, LayerOptions, Shape, register, shape_text


@register("sam")
class Sam(Layer):
    """(c, h, w), from (c, h, w) -> (c, h, w): act(x * from)  (src/sam_layer.c)."""

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        from_: int = opt(doc="the other layer: an index, or negative to count back from here", key="from")
        activation: str = activation_option("linear", "activation function of the product")

    @staticmethod
    def sources(options: Any) -> tuple[int, ...]:
        return (-1, options.from_)

    def setup(self, shape: Shape, other: Shape) -> None:
        if self.image(shape) != self.image(other):
            raise ShapeError(f"expects two inputs of one shape. Got {shape_text(shape)} and {shape_text(other)}")
        self.out_shape = shape

    def forward(self, *xs: np.ndarray, train: bool = False) -> tuple[np.ndarray, Any]:
        """two (n, c, h, w) -> y (n, c, h, w), saved."""
        x, other = xs[0], xs[1].reshape(xs[0].shape)
        y, kept = ops.activate(x * other, self.options.activation, inplace=True)
        return y, (x, other, kept)

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> gradients of both."""
        x, other, kept = saved
        dz = ops.activate_backward(dy, kept, self.options.activation, self.env.compat.gradients)
        self.show("delta", dz)
        return dz * other, (dz * x).reshape(len(dy), *self.in_shapes[1])
