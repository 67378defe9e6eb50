"""What the recurrent layers share: rows in time order, the state they carry, and Elman, the base of [rnn] and [crnn].

A batch of sequences is time major, as in darknet: with [net] time_steps = S and b streams there are S b rows, and row
t b + i is time step t of stream i.  A layer is composed of [connected] or [convolutional] layers, one for each arrow
of the usual diagram; they hold the weights, and darknet's .weights files are made of theirs.
"""
import functools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from runner.errors import ShapeError
from runner.layers.connected import Connected
from runner.layers.shared.base import Kept, Layer


class Recurrent(Layer):
    """Base of the layers whose state is carried through time."""
    batch_independent = False

    def split(self, rows: int, train: bool, own_steps: int = 0) -> tuple[int, int]:
        """-> time steps, streams.  At inference, rows that are not whole sequences are one time step of each.

        own_steps  length of the layer's sequences, where it is not [net] time_steps
        """
        steps = own_steps or self.env.time_steps
        if rows % steps == 0:
            return steps, rows // steps
        if train:
            raise ShapeError(f"a training batch must hold whole sequences: a multiple of time_steps={steps} rows. "
                             f"Got {rows}")
        return 1, rows

    def carried(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """The state that the previous call left, or zeros if that was for another number of streams."""
        state = self.state.get(name)
        return state if state is not None and state.shape == shape else np.zeros(shape, self.env.dtype)

    def parts(self, names: Iterable[str]) -> list[Layer]:
        """Children by name, passed the flags of this layer."""
        chosen = [self.children[name] for name in names]
        for child in chosen:
            child.frozen = self.frozen
        return chosen

    def pack(self, *groups: Sequence[str]) -> None:
        """Move the arrays of each group of children into one contiguous block, so that one product serves the group."""
        for names in groups if self.env.allocate else ():
            for key in ("weights", "biases"):
                block, at = np.concatenate([self.children[name].params[key] for name in names]), 0
                for name in names:
                    child = self.children[name]
                    own = block[at:at + len(child.params[key])]
                    child.params[key] = self.params[f"{name}/{key}"] = own
                    at += len(own)

    def kept_by_children(self) -> int:
        """Bytes a row that the layers it is composed of keep for their backward passes, without their inputs."""
        kept = [(child.keeps(), child.bytes_of(child.out_shape)) for child in self.children.values()]
        return sum(each.more + each.output * output for each, output in kept)

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
    """Apply a layer to all rows of all time steps -> y, saved.

    In one call, unless it computes batch statistics, which are those of one time step.
    """
    if not (train and normed(layer)):
        y, saved = layer.forward(x, train=train)
        return y, [saved]
    pairs = [layer.forward(part, train=True) for part in np.split(x, steps)]
    return np.concatenate([y for y, _ in pairs]), [saved for _, saved in pairs]


def over_time_backward(layer: Layer, dy: np.ndarray, saved: list[Any]) -> np.ndarray | None:
    """-> dx of all rows, None where it is not wanted; adds to the layer's gradients."""
    dxs = [layer.backward(part, kept)[0] for part, kept in zip(np.split(dy, len(saved)), saved, strict=True)]
    return np.concatenate(dxs) if layer.wants_dx else None      # type: ignore[arg-type]


class Elman(Recurrent):
    """The simple recurrence of [rnn] and [crnn], over three layers of one type (src/rnn_layer.c, src/crnn_layer.c).

        h_t = input_layer(x_t) + self_layer(h_{t-1})        (+ h_{t-1} with shortcut)
        y_t = output_layer(h_t)

    The activation is applied to each of the three before the sum.  darknet's CPU code starts every training batch at
    h = 0; pjreddie's GPU code continues from the previous batch, as inference does in both, and so does exact mode.
    """
    PARTS = ("input_layer", "self_layer", "output_layer")

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (steps * streams, ...) -> y (steps * streams, *out_shape), saved."""
        steps, streams = self.split(len(x), train)
        first, again, last = self.parts(self.PARTS)
        a, kept_in = over_time(first, x, steps, train)
        a = a.reshape(steps, streams, *first.out_shape)
        h = self.carried("h", a.shape[1:])
        if train and self.env.compat.resets_state:
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

    def keeps(self) -> Kept:
        hidden = self.bytes_of(self.children["input_layer"].out_shape)
        return Kept(more=self.kept_by_children() + 2 * hidden)      # the products of the inputs, and the states

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> dx: back through all time steps of the batch, not into the batch before."""
        self.require_grads()
        kept_in, kept_self, kept_out = saved
        first, again, last = self.parts(self.PARTS)
        steps, first.wants_dx = len(kept_self), self.wants_dx
        dh = over_time_backward(last, dy, kept_out)
        dh = np.ascontiguousarray(dh).reshape(steps, -1, *first.out_shape)
        later: list[tuple[np.ndarray, np.ndarray]] = []     # one product for all time steps
        for t in reversed(range(steps)):
            if isinstance(again, Connected):
                ds = again.backward(dh[t], kept_self[t], later)[0]
            else:
                ds = again.backward(dh[t], kept_self[t])[0]
            if t:
                dh[t - 1] += ds
                if self.options.shortcut:
                    dh[t - 1] += dh[t]
        if isinstance(again, Connected):
            again.learn(*(np.concatenate(arrays) for arrays in zip(*later, strict=True)))
        dx = over_time_backward(first, dh.reshape(len(dy), *first.out_shape), kept_in)
        return (None if dx is None else dx.reshape(len(dy), *self.in_shapes[0]),)
