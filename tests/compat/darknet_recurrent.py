"""What darknet's CPU code computes in training recurrent layers, its defects included.

`emulate` replaces the backward passes of such layers by these, so that the recorded gradients, updates and everything
after them can be compared: with the forward passes, the products and the activations of this project.  `defect` has
the rules for what is left.  The facts are from src/rnn_layer.c, crnn_layer.c, gru_layer.c, lstm_layer.c and
conv_lstm_layer.c; that the connected sublayers of AlexeyAB's fork are updated at all, and that the delta buffers of
[lstm] exist, is due to the program that recorded (tests/golden/README.md).
"""
from collections.abc import Iterable
from typing import Any

import numpy as np

from runner import ops
from runner.layers.shared.base import Layer
from runner.network import Network

Array = np.ndarray


def emulate(fork: str, net: Network) -> None:
    """Give the recurrent layers of `net` the fork's backward pass."""
    for layer in net.layers:
        if _emulated(layer):
            EMULATED[layer.names[0]](fork, layer)


def does_not_move(fork: str, layer: Layer) -> bool:
    """Whether the fork's update leaves the weights of a layer as they are."""
    # pjreddie's convolutions multiply their rate by learning_rate_scale, which is set for layers of the cfg only, and
    # is 0 in those that a [crnn] is made of; AlexeyAB's [gru] updates three layers that it never makes
    return (fork, layer.names[0]) in (("pjreddie", "crnn"), ("AlexeyAB", "gru"))


def _emulated(layer: Layer) -> bool:
    return layer.names[0] in EMULATED and not layer.options.batch_normalize


class Emulation:
    """The forward pass as it is, with its input and first state kept, and the backward pass of the fork."""

    def __init__(self, fork: str, layer: Any):
        self.fork, self.layer, self.inner = fork, layer, layer.forward
        self.carried: dict[str, Array] = {}     # what the C code keeps from one backward pass to the next
        layer.forward, layer.backward = self.forward, self.backward

    def forward(self, x: Array, *, train: bool = False) -> tuple[Array, Any]:
        if train:
            steps, streams = self.layer.split(len(x), train)
            self.xs = x.reshape(steps, streams, *x.shape[1:])
            self.start = {name: a.copy() for name, a in self.layer.state.items()}
        return self.inner(x, train=train)

    def backward(self, dy: Array, saved: Any) -> tuple[Array | None, ...]:
        self.layer.require_grads()
        dx = self.run(dy.reshape(len(self.xs), -1, *self.layer.out_shape))
        return (dx.reshape(len(dy), *self.layer.in_shapes[0]),)

    def run(self, dys: Array) -> Array:
        """dys (steps, streams, ...) -> dx of all time steps."""
        raise NotImplementedError

    def first(self, name: str, shape: tuple[int, ...]) -> Array:
        """The state a training pass starts from."""
        state = self.start.get(name)
        return state if state is not None and state.shape == shape else np.zeros(shape, np.float32)


class ElmanEmulation(Emulation):
    """[rnn] and [crnn]: the delta of self_layer goes to input_layer after it was multiplied by its own activation's
    slope, the weights of output_layer see a state without the shortcut, and AlexeyAB's convolutions overwrite the delta
    of what they read, with what came back in time."""

    def run(self, dys: Array) -> Array:
        layer = self.layer
        first, again, last = (layer.children[name] for name in layer.PARTS)
        overwrites = self.fork == "AlexeyAB" and layer.names[0] == "crnn"
        h = np.zeros((dys.shape[1], *again.out_shape), dys.dtype)
        kept = []
        for x in self.xs:
            (a, of_first), (b, of_again) = (part.forward(seen, train=True) for part, seen in ((first, x), (again, h)))
            h = a + b + (h if layer.options.shortcut else 0)
            kept.append((of_first, of_again, last.forward(h, train=True)[1], a + b))
        deltas, dxs = np.zeros((len(kept), *h.shape), dys.dtype), np.empty_like(self.xs)
        observe, layer.env.observe, shown = layer.env.observe, None, np.empty_like(dys)
        for t in reversed(range(len(kept))):
            of_first, of_again, of_last, rebuilt = kept[t]
            shown[t] = _sloped(last, dys[t], of_last)
            back = last.backward(dys[t], _reading(last, rebuilt, of_last))[0]
            deltas[t] = back if overwrites else deltas[t] + back
            before = again.backward(deltas[t], of_again)[0]
            if t:
                deltas[t - 1] = before if overwrites else deltas[t - 1] + before
            sloped = _sloped(again, deltas[t], of_again)
            if t and layer.options.shortcut:
                deltas[t - 1] += sloped
            dxs[t] = first.backward(sloped, of_first)[0].reshape(dxs[t].shape)
        layer.env.observe = observe
        last.show("delta", shown.reshape(-1, *dys.shape[2:]))
        return dxs


class GruEmulation(Emulation):
    """[gru] has an empty backward pass: nothing comes back, and weights only decay."""

    def run(self, dys: Array) -> Array:
        return np.zeros_like(self.xs)


class LstmEmulation(Emulation):
    """[lstm] and [conv_lstm]: time step 0 takes its own cell and output for those before it, the delta of the cell is
    not cleared between batches, and the next batch continues from time step 0.  [conv_lstm] takes slopes at the clipped
    cell, and passes nothing back through W and V."""

    def run(self, dys: Array) -> Array:
        layer, conv = self.layer, self.layer.names[0] == "conv_lstm"
        peeping = conv and layer.options.peephole
        shape = dys.shape[1:]
        h, c = self.first("h", shape), self.first("c", shape)
        steps = []
        for x in self.xs:
            f, i, g, o = (self.gate(letter, x, h, c if peeping and letter in "fi" else None) for letter in "figo")
            new = f * c + i * g
            if peeping:
                o = self.gate("o", x, h, new)
            h = o * np.tanh(new)
            c = np.clip(new, -layer.limit, layer.limit) if conv and layer.limit else new
            steps.append((f, i, g, o, c, h))
        dxs, deltas = np.zeros_like(self.xs), dys.copy()
        dc = self.carried.get("dc", np.zeros(shape, dys.dtype))
        h_before, c_before = (self.carried.get(name, np.zeros(shape, dys.dtype)) for name in ("h", "c"))
        for t in reversed(range(len(steps))):
            f, i, g, o, c, h = steps[t]
            if t:
                c_before, h_before = steps[t - 1][4:]
            top, a = deltas[t].copy(), np.tanh(c)
            dcell = top * o * (1 - a * a) + dc
            for letter, dz in (("o", top * a * o * (1 - o)), ("g", dcell * i * (1 - g * g)),
                               ("i", dcell * g * i * (1 - i)), ("f", dcell * c_before * f * (1 - f))):
                if peeping and letter != "g":
                    self.back("v" + letter, dz, c if letter == "o" else c_before)
                before = self.back("w" + letter, dz, h_before)
                dxs[t] += self.back("u" + letter, dz, self.xs[t]).reshape(dxs[t].shape)
                if t and not conv:
                    deltas[t - 1] += before
            dc = dcell * f
        self.carried = {"dc": dc, "h": h_before, "c": c_before}
        layer.state = {"h": steps[0][5].copy(), "c": steps[0][4].copy()}
        if not conv:
            layer.show("delta", deltas.reshape(-1, *shape[1:]))
        return dxs

    def gate(self, letter: str, x: Array, h: Array, peeped: Array | None) -> Array:
        children = self.layer.children
        z = children["u" + letter].forward(x, train=True)[0] + children["w" + letter].forward(h, train=True)[0]
        if peeped is not None:
            z = z + children["v" + letter].forward(peeped, train=True)[0]
        return np.tanh(z) if letter == "g" else ops.logistic(z)

    def back(self, name: str, dz: Array, x: Array) -> Array:
        """The gradients of one product, and its dx."""
        child = self.layer.children[name]
        return child.backward(dz, child.forward(x, train=True)[1])[0]


def _reading(layer: Layer, x: Array, saved: Any) -> Any:
    """What a [connected] or [convolutional] layer saved, with another input."""
    return (x.reshape(saved[0].shape), *saved[1:])


def _sloped(layer: Layer, dy: Array, saved: Any) -> Array:
    """dy times the slope of the layer's activation."""
    name = layer.options.activation
    return dy if name == "linear" else ops.bias_activate_backward(dy, saved[1][0], name, "darknet")[0]


EMULATED: dict[str, type[Emulation]] = {"rnn": ElmanEmulation, "crnn": ElmanEmulation, "gru": GruEmulation,
                                        "lstm": LstmEmulation, "conv_lstm": LstmEmulation}


def defect(fork: str, net: Network, part: list[str], index: int | None) -> str | None:
    """Why an array is not compared, or None.  part: its key, split at the slashes."""
    head = part[0].removeprefix("sane_")
    if head in ("infer", "infer2", "train", "layer_cost"):
        return None
    normed = _last(net, (i for i, layer in enumerate(net.layers)
                         if layer.names[0] in EMULATED and layer.options.batch_normalize))
    later = head == "cost" or head.startswith(("last_", "step"))
    if normed >= 0 and (later or (head in ("grad", "input_delta", "delta", "delta_in") and (index or 0) <= normed)):
        return f"{fork}, [{net.layers[normed].names[0]}]: batch norm within recurrent layers is not emulated"
    misplaced = _last(net, (i for i, layer in enumerate(net.layers) if layer.names[0] == "conv_lstm"))
    if (misplaced >= 0 and head == "input_delta") or \
            (misplaced > 0 and (later or (index is not None and index < misplaced))):
        return (f"{fork}, [conv_lstm]: src/conv_lstm_layer.c hands its convolutions the delta of another time step, so "
                "that layers before it get a part of the gradient")
    return None


def _last(net: Network, indices: Iterable[int]) -> int:
    return max(indices, default=-1)
