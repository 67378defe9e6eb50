"""[lstm]: long short-term memory (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000)."""
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import opt
from runner.layers.base import LayerOptions, Shape, register
from runner.layers.recurrent import Gates, Recurrent, gate

GATES = "figo"      # the order of the gates inside the fused product
STORED = {"alexeyab": ("wf", "wi", "wg", "wo", "uf", "ui", "ug", "uo"),
          "pjreddie": ("wi", "wf", "wo", "wg", "ui", "uf", "uo", "ug")}


@register("lstm")
class Lstm(Recurrent):
    """Any shape, flattened -> (output,), over [net] time_steps  (src/lstm_layer.c).

        f, i, o = logistic(U x_t + W h_{t-1}),  g = tanh(U x_t + W h_{t-1})     each with its own U, W and two biases
        c_t = f c_{t-1} + i g,  h_t = o tanh(c_t),  y_t = h_t

    h and c go on from call to call, in training too; the gradient goes back to the first step of the batch.
    """

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        output: int = opt(1, "number of outputs, and size of the state", low=1)
        batch_normalize: bool = opt(False, "1: normalise each of the eight products over the streams of a step")

    def setup(self, shape: Shape) -> None:
        self.out_shape = (self.options.output,)
        for letter in GATES:
            gate(self, "u" + letter, math.prod(shape))
        for letter in GATES:
            gate(self, "w" + letter, self.options.output)
        self.stored = self.store(STORED[self.env.compat.gate_order])

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (steps * streams, ...) -> y (steps * streams, output), saved."""
        return self._walk(x, self._gates(), train)

    def prepare(self, rows: int) -> Any:
        gates = self._gates(planned=True)
        return lambda x, out: np.copyto(out, self._walk(x, gates, train=False)[0])

    def _gates(self, planned: bool = False) -> tuple[Gates, Gates]:
        """The four products of the input as one, and those of the state."""
        on_input, on_state = (Gates(self.parts(kind + letter for letter in GATES), planned) for kind in "uw")
        return on_input, on_state

    def _walk(self, x: np.ndarray, gates: tuple[Gates, Gates], train: bool) -> tuple[np.ndarray, Any]:
        """Through the steps of a batch."""
        (steps, streams), (on_input, on_state) = self.split(len(x), train), gates
        z, kept_input = on_input.over_time(x.reshape(len(x), -1), steps, train)
        z = z.reshape(steps, streams, *z.shape[1:])
        h, c = (self.carried(name, (streams, *self.out_shape)) for name in "hc")
        y, kept = np.empty((steps, *h.shape), z.dtype), []
        for t in range(steps):
            again, kept_state = on_state.forward(h, train)
            h, c, cell = ops.lstm_cell(z[t] + again, c)
            y[t] = h
            kept.append((kept_state, cell))
        self.state = {"h": h, "c": c}
        return y.reshape(len(x), -1), (kept_input, kept) if train else None

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy (steps * streams, output) -> dx: back through all steps of the batch, not into the one before."""
        self.require_grads()
        kept_input, kept = saved
        on_input, on_state = self._gates()
        dh = dy.reshape(len(kept), -1, *self.out_shape).copy()
        dz = np.empty((*dh.shape[:2], len(GATES), *self.out_shape), dy.dtype)
        dc = np.zeros_like(dh[0])
        for t in reversed(range(len(kept))):
            kept_state, cell = kept[t]
            dz[t], dc = ops.lstm_cell_backward(dh[t], dc, cell)
            before = on_state.backward(dz[t], kept_state)
            if t:
                dh[t - 1] += before
        self.show("delta", dh.reshape(dy.shape))
        dx = on_input.over_time_backward(dz.reshape(-1, *dz.shape[2:]), kept_input, self.wants_dx)
        on_input.finish()
        on_state.finish()
        return (None if dx is None else dx.reshape(len(dy), *self.in_shapes[0]),)
