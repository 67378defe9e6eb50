"""[scale_channels]: multiplies the channels of an earlier output by the previous one (squeeze and excitation)."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import opt
from runner.errors import ShapeError
from runner.layers.shared.activation_option import activation_option
from runner.layers.shared.base import Layer, LayerOptions, Shape, register, shape_text


@register("scale_channels")
class ScaleChannels(Layer):
    """gate (c, 1, 1), from (c, h, w) -> (c, h, w): act(gate * from); with scale_wh the gate is (1, h, w).

    Hu et al. 2018; src/scale_channels_layer.c.
    """

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        from_: int = opt(doc="the layer to scale: an index, or negative to count back from here", key="from")
        scale_wh: bool = opt(False, "1: one factor for each pixel instead of each channel")
        activation: str = activation_option("linear", "activation function of the product")

    @staticmethod
    def sources(options: Any) -> tuple[int, ...]:
        return (-1, options.from_)

    def setup(self, gate: Shape, other: Shape) -> None:
        have, (c, h, w) = self.image(gate), self.image(other)
        want = (1, h, w) if self.options.scale_wh else (c, 1, 1)
        if have != want:
            raise ShapeError(f"expects {shape_text(want)} from the layer before, to scale {shape_text((c, h, w))}. "
                             f"Got {shape_text(have)}")
        self.gate, self.out_shape = want, (c, h, w)

    def forward(self, *xs: np.ndarray, train: bool = False) -> tuple[np.ndarray, Any]:
        """gate (n, c, 1, 1) or (n, 1, h, w), map (n, c, h, w) -> y (n, c, h, w), saved."""
        gate, x = xs[0].reshape(-1, *self.gate), xs[1].reshape(-1, *self.out_shape)
        y, kept = ops.activate(gate * x, self.options.activation, inplace=True)
        return y, (gate, x, kept)

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> gradients of the gate and of the map."""
        gate, x, kept = saved
        dz = ops.activate_backward(dy, kept, self.options.activation, self.env.compat.gradients)
        self.show("delta", dz)
        dgate = (dz * x).sum(axis=1 if self.options.scale_wh else (2, 3), keepdims=True)
        return dgate.reshape(len(dy), *self.in_shapes[0]), (dz * gate).reshape(len(dy), *self.in_shapes[1])
