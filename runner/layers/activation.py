"""[activation]: an activation function, applied to every value."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.layers.shared.activation_option import activation_option
from runner.layers.shared.base import Kept, Layer, LayerOptions, register


@register("activation", "activate")
class Activation(Layer):
    """Any shape -> the same shape  (src/activation_layer.c, src/activations.c)."""
    any_shape = True

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        activation: str = activation_option("linear", "the function")

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, ...) -> y of the same shape, saved."""
        return ops.activate(x, self.options.activation)

    def keeps(self) -> Kept:
        name = self.options.activation
        return Kept(ops.ACTIVATIONS[name].saves_input, name != "linear")

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> dx = dy f'(x)."""
        dx = ops.activate_backward(dy, saved, self.options.activation, self.env.compat.gradients)
        self.show("delta", dx)
        return (dx,)
