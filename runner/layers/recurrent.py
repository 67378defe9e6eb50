"""What the recurrent layers have in common: rows in time order, the state they carry, gates as one product.

A batch of sequences is time major, as in darknet: with [net] time_steps = S and b streams there are S b rows, and row
t b + i is step t of stream i.  A layer is composed of [connected] or [convolutional] layers, one per arrow of the
usual drawing; they hold the weights, and darknet's .weights files are made of theirs.
"""
import functools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from runner import ops
from runner.errors import ShapeError
from runner.layers.base import Layer
from runner.layers.connected import Connected


class Recurrent(Layer):
    """Base of the layers that walk through time."""
    rows_apart = False

    def split(self, rows: int, train: bool, own_steps: int = 0) -> tuple[int, int]:
        """-> steps, streams.  Outside training, rows that are no whole number of sequences are one step of each.

        own_steps  length of the layer's sequences, where it is not [net] time_steps
        """
        steps = own_steps or self.env.time_steps
        if rows % steps == 0:
            return steps, rows // steps
        if train:
            raise ShapeError(f"a training batch holds whole sequences: a multiple of time_steps={steps} rows. "
                             f"Got {rows}")
        return 1, rows

    def carried(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """The state an earlier call left, or zeros where there is none for this number of streams."""
        state = self.state.get(name)
        return state if state is not None and state.shape == shape else np.zeros(shape, self.env.dtype)

    def parts(self, names: Iterable[str]) -> list[Layer]:
        """Children by name, told what the network told this layer."""
        chosen = [self.children[name] for name in names]
        for child in chosen:
            child.frozen = self.frozen
        return chosen

    def store(self, names: Iterable[str]) -> tuple[str, ...]:
        """`stored` of a composite: the arrays of its children, one child after another."""
        return tuple(f"{name}/{key}" for name in names for key in self.children[name].stored)


def added(arrays: Iterable[np.ndarray | None]) -> np.ndarray:
    """The sum of arrays of one shape."""
    return functools.reduce(np.add, arrays)     # type: ignore[arg-type]


def normed(layer: Layer) -> bool:
    """Does the layer normalise its output over the batch?"""
    return "scales" in layer.specs


def over_time(layer: Layer, x: np.ndarray, steps: int, train: bool) -> tuple[np.ndarray, list[Any]]:
    """Apply a layer to all rows of all steps -> y, saved.

    At once, unless it takes batch statistics: those belong to the rows of one step.
    """
    if not (train and normed(layer)):
        y, saved = layer.forward(x, train=train)
        return y, [saved]
    pairs = [layer.forward(part, train=True) for part in np.split(x, steps)]
    return np.concatenate([y for y, _ in pairs]), [saved for _, saved in pairs]


def over_time_backward(layer: Layer, dy: np.ndarray, saved: list[Any]) -> np.ndarray | None:
    """-> dx of all rows, None where the layer does not want it; adds to the layer's gradients."""
    dxs = [layer.backward(part, kept)[0] for part, kept in zip(np.split(dy, len(saved)), saved, strict=True)]
    return np.concatenate(dxs) if layer.wants_dx else None      # type: ignore[arg-type]


class Gates:
    """Linear [connected] layers that read the same rows, as one product: z (n, gates, outputs).

    Made anew for every pass of training, once for a plan.  In the backward pass the weights' gradient is one product
    too, at `finish`.
    """

    def __init__(self, layers: Sequence[Layer], planned: bool = False):
        self.layers = layers
        self.outputs = layers[0].out_shape[0]
        self.fused = not any(map(normed, layers))
        self._pending: list[tuple[np.ndarray, np.ndarray]] = []
        if self.fused:
            self.weights = np.concatenate([layer.params["weights"] for layer in layers])
            self.biases = np.concatenate([layer.params["biases"] for layer in layers])
            self.product = ops.plan_dense(self.weights, self.biases, "linear") if planned else None

    def forward(self, x: np.ndarray, train: bool) -> tuple[np.ndarray, Any]:
        """x (n, inputs) of one step -> z (n, gates, outputs), saved."""
        if self.fused:
            if self.product is not None:
                z = self.product(x)
            else:
                z = ops.dense(x, self.weights)
                z += self.biases
            return z.reshape(len(x), len(self.layers), self.outputs), x
        pairs = [layer.forward(x, train=train) for layer in self.layers]
        return np.stack([z for z, _ in pairs], axis=1), [saved for _, saved in pairs]

    def over_time(self, x: np.ndarray, steps: int, train: bool) -> tuple[np.ndarray, list[Any]]:
        """x (steps * streams, inputs) -> z (steps * streams, gates, outputs), saved; at once where that is right."""
        parts = [x] if self.fused or not train else np.split(x, steps)
        pairs = [self.forward(part, train) for part in parts]
        return np.concatenate([z for z, _ in pairs]), [saved for _, saved in pairs]

    def backward(self, dz: np.ndarray, saved: Any, need_dx: bool = True) -> np.ndarray | None:
        """dz (n, gates, outputs) of what one forward saw -> dx (n, inputs)."""
        if self.fused:
            flat = dz.reshape(len(dz), -1)
            self._pending.append((flat, saved))
            return ops.dense_input_gradient(flat, self.weights) if need_dx else None
        return added(layer.backward(np.ascontiguousarray(dz[:, k]), saved[k])[0] for k, layer in enumerate(self.layers))

    def over_time_backward(self, dz: np.ndarray, saved: list[Any], need_dx: bool = True) -> np.ndarray | None:
        """dz of all rows -> dx of all rows."""
        dxs = [self.backward(part, kept, need_dx) for part, kept in
               zip(np.split(dz, len(saved)), saved, strict=True)]
        return np.concatenate(dxs) if need_dx else None     # type: ignore[arg-type]

    def finish(self) -> None:
        """Add what the backward calls have collected to the gradients of the layers."""
        if not self._pending:
            return
        dz, x = (np.concatenate(arrays) for arrays in zip(*self._pending, strict=True))
        _, dweights = ops.dense_backward(dz, x, self.weights, need_dx=False)
        dbiases = dz.sum(axis=0)
        for k, layer in enumerate(self.layers):
            rows = slice(k * self.outputs, (k + 1) * self.outputs)
            layer.add_grad("weights", dweights[rows])
            layer.add_grad("biases", dbiases[rows])
        self._pending.clear()


def gate(layer: Recurrent, name: str, inputs: int) -> None:
    """Give `layer` a linear [connected] child, with batch norm where its options say so."""
    o = layer.options
    layer.adopt(name, Connected((inputs,), env=layer.env, output=o.output, activation="linear",
                                batch_normalize=o.batch_normalize))


class Elman(Recurrent):
    """The simple recurrence of [rnn] and [crnn], over three layers of one kind (src/rnn_layer.c, src/crnn_layer.c).

        h_t = input_layer(x_t) + self_layer(h_{t-1})        (+ h_{t-1} with shortcut)
        y_t = output_layer(h_t)

    The activation is applied to each of the three before the sum.  darknet's CPU code starts every training batch at
    h = 0, pjreddie's GPU code goes on from the last one, as inference does in both: here that is the exact way.
    """
    PARTS = ("input_layer", "self_layer", "output_layer")

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (steps * streams, ...) -> y (steps * streams, *out_shape), saved."""
        steps, streams = self.split(len(x), train)
        first, again, last = self.parts(self.PARTS)
        a, kept_in = over_time(first, x, steps, train)
        a = a.reshape(steps, streams, *first.out_shape)
        h = self.carried("h", a.shape[1:])
        if train and self.env.compat.recurrent != "exact":
            h = np.zeros_like(h)
        hs, kept_self = np.empty_like(a), []
        for t in range(steps):
            s, kept = again.forward(h, train=train)
            kept_self.append(kept)
            np.add(a[t], s, out=hs[t])
            if self.options.shortcut:
                hs[t] += h
            h = hs[t]
        self.state = {"h": h.copy()}
        y, kept_out = over_time(last, hs.reshape(len(x), *first.out_shape), steps, train)
        return y, (kept_in, kept_self, kept_out)

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> dx: back through all steps of the batch, not into the one before."""
        self.require_grads()
        kept_in, kept_self, kept_out = saved
        first, again, last = self.parts(self.PARTS)
        steps, first.wants_dx = len(kept_self), self.wants_dx
        dh = over_time_backward(last, dy, kept_out)
        dh = np.ascontiguousarray(dh).reshape(steps, -1, *first.out_shape)
        for t in reversed(range(steps)):
            ds = again.backward(dh[t], kept_self[t])[0]
            if t:
                dh[t - 1] += ds
                if self.options.shortcut:
                    dh[t - 1] += dh[t]
        dx = over_time_backward(first, dh.reshape(len(dy), *first.out_shape), kept_in)
        return (None if dx is None else dx.reshape(len(dy), *self.in_shapes[0]),)
