"""[connected]: a fully connected layer, every input to every output."""
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import opt
from runner.layers.shared import tail
from runner.layers.shared.activation_option import activation_option
from runner.layers.shared.base import Kept, Layer, LayerOptions, Shape, register, uniform


@register("connected", "conn")
class Connected(Layer):
    """Any shape, flattened in the order (c, h, w) -> (output,): y = act(x W^T + b)  (src/connected_layer.c)."""

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        output: int = opt(1, "number of outputs", low=1)
        activation: str = activation_option("logistic", "activation function of every output")
        batch_normalize: bool = opt(False, "1: normalize every output over the batch, then scale and shift it")

    def setup(self, shape: Shape) -> None:
        inputs, o = math.prod(shape), self.options
        self.out_shape = (o.output,)
        self.param("weights", (o.output, inputs), uniform(math.sqrt(2 / inputs)), decay=True)
        tail.declare(self, o.output, o.batch_normalize)
        self.stored = tail.names(self, "biases", "weights")

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, ...) -> y (n, output), saved."""
        flat = x.reshape(len(x), -1)
        z = ops.dense(flat, self.params["weights"], batch_independent=not train)
        y, kept = tail.forward(self, z, self.options.activation, train=train,
                               momentum=self.env.compat.connected_momentum)
        return y, (flat, kept)

    def prepare(self, rows: int) -> Any:
        weights, biases = tail.folded(self, self.params["weights"])
        return ops.plan_dense(weights, biases, self.options.activation)

    def keeps(self) -> Kept:
        return tail.keeps(self, self.bytes_of(self.out_shape), self.options.activation)

    def backward(self, dy: np.ndarray, saved: Any, later: list | None = None) -> tuple[np.ndarray | None, ...]:
        """dy (n, output) -> dx, in the shape of the input.

        later  collects the operands of the weights' gradient, so that one product in `learn` replaces many
        """
        flat, kept = saved
        dz = tail.backward(self, dy.reshape(len(dy), -1), kept, self.options.activation)
        if later is None:
            self.learn(dz, flat)
        else:
            later.append((dz, flat))
        if not self.wants_dx:
            return (None,)
        return (ops.dense_input_gradient(dz, self.params["weights"]).reshape(len(dz), *self.in_shapes[0]),)

    def learn(self, dz: np.ndarray, flat: np.ndarray) -> None:
        """Add the weights' gradient: dz (n, output) of the product, flat (n, inputs) its input."""
        self.require_grads()
        ops.dense_weight_gradient(dz, flat, self.grads["weights"])

    def flops(self) -> float:
        return 0.0      # darknet's table counts none here
