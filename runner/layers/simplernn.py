"""[simplernn]: NumPyNet's plain recurrent layer, the one of many textbooks."""
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import opt
from runner.layers.shared.activation_option import activation_option
from runner.layers.shared.base import Kept, LayerOptions, Shape, constant, register, uniform
from runner.layers.shared.recurrent import Recurrent


@register("simplernn")
class SimpleRnn(Recurrent):
    """Any shape, flattened -> (outputs,):  h_t = act(W x_t + R h_{t-1} + b),  y_t = h_t.

    Unlike in [rnn] the activation comes after the sum, and every call starts at h = 0: it takes whole sequences.  Rows
    are time major.  The .weights file, for which darknet has no order, holds biases, W, R.
    """

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        outputs: int = opt(1, "number of outputs, and size of the state", low=1)
        steps: int = opt(0, "length of the sequences; 0: time_steps of [net]", low=0)
        activation: str = activation_option("tanh", "activation function of the sum")
        return_sequence: bool = opt(True, "0: output only the last time step of every sequence, one row each; "
                                          "the truth then has one row each too (NumPyNet's default)")

    def setup(self, shape: Shape) -> None:
        inputs, outputs = math.prod(shape), self.options.outputs
        self.keeps_rows = self.options.return_sequence
        self.out_shape = (outputs,)
        self.param("biases", (outputs,), constant(0))
        self.param("weights", (outputs, inputs), uniform(math.sqrt(2 / inputs)), decay=True)
        self.param("recurrent_weights", (outputs, outputs), uniform(math.sqrt(1 / outputs)), decay=True)
        self.stored = ("biases", "weights", "recurrent_weights")

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (steps * streams, ...) -> y (steps * streams, outputs), or (streams, outputs) of the last one; saved."""
        steps, streams = self.split(len(x), train, self.options.steps)
        flat = x.reshape(len(x), -1)
        a = ops.add_bias(ops.dense(flat, self.params["weights"]), self.params["biases"])
        a = a.reshape(steps, streams, -1)
        h, kept, hs = np.zeros_like(a[0]), [], np.empty((steps + 1, *a.shape[1:]), a.dtype)
        hs[0] = 0
        for t in range(steps):
            h, saved = ops.activate(a[t] + ops.dense(h, self.params["recurrent_weights"]), self.options.activation)
            hs[t + 1] = h
            kept.append(saved)
        y = hs[1:].reshape(len(x), -1) if self.options.return_sequence else hs[-1]
        return y.copy(), (flat, hs, kept) if train else None

    def keeps(self) -> Kept:
        # the states, and what the activation keeps
        return Kept(True, False, (3 if ops.ACTIVATIONS[self.options.activation].saves_input else 2)
                    * self.bytes_of(self.out_shape))

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy, shaped as y -> dx, back through all time steps."""
        flat, hs, kept = saved
        steps, o = len(kept), self.options
        dh = np.zeros_like(hs[1:])
        if o.return_sequence:
            dh[...] = dy.reshape(dh.shape)
        else:
            dh[-1] = dy
        dz, again = np.empty_like(dh), self.params["recurrent_weights"]
        for t in reversed(range(steps)):
            dz[t] = ops.activate_backward(dh[t], kept[t], o.activation, self.env.compat.gradients)
            if t:
                dh[t - 1] += ops.dense_input_gradient(dz[t], again)
        rows = dz.reshape(len(flat), -1)
        self.require_grads()
        ops.dense_weight_gradient(rows, flat, self.grads["weights"])
        ops.dense_weight_gradient(rows, hs[:-1].reshape(len(flat), -1), self.grads["recurrent_weights"])
        self.add_grad("biases", ops.bias_gradient(rows))
        if not self.wants_dx:
            return (None,)
        return (ops.dense_input_gradient(rows, self.params["weights"]).reshape(len(flat), *self.in_shapes[0]),)
