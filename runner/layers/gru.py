"""[gru]: gated recurrent unit (Cho et al. 2014), in darknet's form."""
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import opt
from runner.layers.shared.base import Kept, LayerOptions, Shape, register
from runner.layers.shared.gates import Gates, gate
from runner.layers.shared.recurrent import Recurrent

STORED = {"alexeyab": ("uz", "ur", "uh", "wz", "wr", "wh"), "pjreddie": ("wz", "wr", "wh", "uz", "ur", "uh")}


@register("gru")
class Gru(Recurrent):
    """Any shape, flattened -> (output,), over [net] time_steps  (src/gru_layer.c).

        z, r = logistic(U x_t + W h_{t-1}),  n = logistic(U x_t + W (r h_{t-1}))     tanh instead with tanh=1
        h_t = z h_{t-1} + (1 - z) n,  y_t = h_t                each product has its own biases

    The candidate n is logistic by default, in both forks: a peculiarity that trained weights rely on.  h is carried
    from call to call, in training too; the gradient goes back to the first time step of the batch.
    """

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        output: int = opt(1, "number of outputs, and size of the state", low=1)
        batch_normalize: bool = opt(False, "1: normalize each of the six products over the streams of a time step")
        tanh: bool = opt(False, "1: the candidate is a tanh, as in the paper (not an option of AlexeyAB's darknet)")

    def setup(self, shape: Shape) -> None:
        self.out_shape = (self.options.output,)
        for letter in "zrh":
            gate(self, "u" + letter, math.prod(shape))
        for letter in "zrh":
            gate(self, "w" + letter, self.options.output)
        self.pack(("uz", "ur", "uh"), ("wz", "wr"))
        self.stored = self.store(STORED[self.env.compat.gate_order])

    def _products(self) -> tuple[Gates, Gates, Gates]:
        on_input, on_state, on_reset = (Gates(self.parts(names)) for names in
                                        (("uz", "ur", "uh"), ("wz", "wr"), ("wh",)))
        return on_input, on_state, on_reset

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (steps * streams, ...) -> y (steps * streams, output), saved."""
        (steps, streams), (on_input, on_state, on_reset) = self.split(len(x), train), self._products()
        flat = x.reshape(len(x), -1)
        u, kept_input = on_input.over_time(flat, steps, train)
        u += on_input.biases
        u[:, :2] += on_state.biases
        u[:, 2:] += on_reset.biases
        u = u.reshape(steps, streams, *u.shape[1:])
        h = self.carried("h", (streams, *self.out_shape))
        hs, reset, kept = np.empty((steps + 1, *h.shape), u.dtype), np.empty((steps, *h.shape), u.dtype), []
        hs[0] = h
        for t in range(steps):
            h = hs[t]
            again, kept_state = on_state.forward(h, train)
            again += u[t, :, :2]
            zr = ops.logistic(again)
            z, r = zr[:, 0], zr[:, 1]
            np.multiply(r, h, out=reset[t])
            raw, kept_reset = on_reset.forward(reset[t], train)
            raw = u[t, :, 2] + raw[:, 0]
            n = np.tanh(raw) if self.options.tanh else ops.logistic(raw)
            kept.append((kept_state, kept_reset, zr, n))
            np.add(n, z * (h - n), out=hs[t + 1])
        self.state = {"h": hs[-1].copy()}
        y = hs[1:].reshape(len(x), -1)
        return y, (flat, hs, reset, kept_input, kept) if train else None

    def keeps(self) -> Kept:
        more = 5 * self.bytes_of(self.out_shape)      # z, r, n, r h and the states
        return Kept(more=more + (self.kept_by_children() if self.options.batch_normalize else 0))

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy (steps * streams, output) -> dx: back through all time steps of the batch, not into the batch before."""
        self.require_grads()
        flat, hs, reset, kept_input, kept = saved
        on_input, on_state, on_reset = self._products()
        dys = dy.reshape(len(kept), -1, *self.out_shape)
        du = np.empty((*dys.shape[:2], 3, *self.out_shape), dy.dtype)
        dh = np.zeros_like(dys[0])
        for t in reversed(range(len(kept))):
            kept_state, kept_reset, zr, n = kept[t]
            h, z, r = hs[t], zr[:, 0], zr[:, 1]
            dh = dh + dys[t]
            du[t, :, 2] = dh * (1 - z) * (1 - n * n if self.options.tanh else n * (1 - n))
            dreset = on_reset.backward(np.ascontiguousarray(du[t, :, 2:]), kept_reset)
            du[t, :, 0] = dh * (h - n) * z * (1 - z)
            du[t, :, 1] = dreset * h * r * (1 - r)
            dh = dh * z + dreset * r + on_state.backward(np.ascontiguousarray(du[t, :, :2]), kept_state)
        du, rows = du.reshape(len(dy), *du.shape[2:]), len(dy)
        dx = on_input.over_time_backward(du, kept_input, self.wants_dx)
        on_input.learn(du, flat)
        on_state.learn(du[:, :2], hs[:-1].reshape(rows, -1))
        on_reset.learn(du[:, 2:], reset.reshape(rows, -1))
        return (None if dx is None else dx.reshape(rows, *self.in_shapes[0]),)
