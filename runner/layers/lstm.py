"""[lstm]: long short-term memory (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000)."""
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import opt
from runner.layers.shared.base import Kept, LayerOptions, Shape, register
from runner.layers.shared.gates import Gates, gate
from runner.layers.shared.recurrent import Recurrent

GATES = "figo"      # order of the gates in the fused product
STORED = {"alexeyab": ("wf", "wi", "wg", "wo", "uf", "ui", "ug", "uo"),
          "pjreddie": ("wi", "wf", "wo", "wg", "ui", "uf", "uo", "ug")}


@register("lstm")
class Lstm(Recurrent):
    """Any shape, flattened -> (output,), over [net] time_steps  (src/lstm_layer.c).

        f, i, o = logistic(U x_t + W h_{t-1}),  g = tanh(U x_t + W h_{t-1})     each with its own U, W and two biases
        c_t = f c_{t-1} + i g,  h_t = o tanh(c_t),  y_t = h_t

    h and c are carried from call to call, in training too; the gradient goes back to the first time step of the batch.
    """

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        output: int = opt(1, "number of outputs, and size of the state", low=1)
        batch_normalize: bool = opt(False, "1: normalize each of the eight products over the streams of a time step")

    def setup(self, shape: Shape) -> None:
        self.out_shape = (self.options.output,)
        for letter in GATES:
            gate(self, "u" + letter, math.prod(shape))
        for letter in GATES:
            gate(self, "w" + letter, self.options.output)
        self.pack(["u" + letter for letter in GATES], ["w" + letter for letter in GATES])
        self.stored = self.store(STORED[self.env.compat.gate_order])

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (steps * streams, ...) -> y (steps * streams, output), saved."""
        (steps, streams), (on_input, on_state) = self.split(len(x), train), self._gates()
        flat = x.reshape(len(x), -1)
        u, kept_input = on_input.over_time(flat, steps, train)
        u = u.reshape(steps, streams, *u.shape[1:])
        h, c = (self.carried(name, (streams, *self.out_shape)) for name in "hc")
        hs, kept, biases = np.empty((steps + 1, *h.shape), u.dtype), [], on_input.biases + on_state.biases
        hs[0] = h
        for t in range(steps):
            z, kept_state = on_state.forward(hs[t], train)
            c, cell = ops.lstm_cell(u[t], z, biases, c, hs[t + 1])
            kept.append((kept_state, cell))
        self.state = {"h": hs[-1].copy(), "c": c}
        y = hs[1:].reshape(len(x), -1)
        return y, (flat, hs, kept_input, kept) if train else None

    def _gates(self) -> tuple[Gates, Gates]:
        """The four products with the input as one, and those with the state as one."""
        on_input, on_state = (Gates(self.parts(kind + letter for letter in GATES)) for kind in "uw")
        return on_input, on_state

    def keeps(self) -> Kept:
        more = 7 * self.bytes_of(self.out_shape)      # the four gates, c, tanh(c) and h
        return Kept(more=more + (self.kept_by_children() if self.options.batch_normalize else 0))

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy (steps * streams, output) -> dx: back through all time steps of the batch, not into the batch before."""
        self.require_grads()
        flat, hs, kept_input, kept = saved
        on_input, on_state = self._gates()
        dh = dy.reshape(len(kept), -1, *self.out_shape).copy()
        dz = np.empty((*dh.shape[:2], len(GATES), *self.out_shape), dy.dtype)
        dc = np.zeros_like(dh[0])
        for t in reversed(range(len(kept))):
            kept_state, cell = kept[t]
            dc = ops.lstm_cell_backward(dh[t], dc, cell, dz[t])
            if t or not on_state.fused:
                before = on_state.backward(dz[t], kept_state)
            if t:
                dh[t - 1] += before
        self.show("delta", dh.reshape(dy.shape))
        dz = dz.reshape(len(dy), *dz.shape[2:])
        dx = on_input.over_time_backward(dz, kept_input, self.wants_dx)
        on_input.learn(dz, flat)
        on_state.learn(dz, hs[:-1].reshape(len(dy), -1))
        return (None if dx is None else dx.reshape(len(dy), *self.in_shapes[0]),)
