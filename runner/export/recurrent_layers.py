"""Recurrent layers as ONNX nodes: the standard RNN operators where they mean the same, else a Scan over the time steps.

Rows are time major, as in the network: row t * streams + i is time step t of stream i.  The state a layer carries from
call to call is an input and an output of the graph, with the streams first: zeros start a sequence.
"""
from collections.abc import Callable, Sequence

import numpy as np

from runner.export.graph import FLOAT, Graph
from runner.export.writers import activate, flat, shaped, write, writes
from runner.layers import ConvLstm, Crnn, Gru, History, Lstm, Rnn, SimpleRnn
from runner.layers.conv_lstm import GATES
from runner.layers.shared import tail
from runner.layers.shared.base import Layer
from runner.layers.shared.recurrent import Elman

Step = Callable[[list[str], list[str]], tuple[list[str], list[str]]]
RNN_OPERATORS = {"tanh": "Tanh", "logistic": "Sigmoid", "relu": "Relu"}      # functions of ONNX's RNN operators


def state_input(g: Graph, name: str, shape: Sequence[int]) -> str:
    """Add a state of the layer (streams, *shape) to the inputs of the graph -> its name."""
    full = f"{g.scope}_{name}_in"
    g.inputs.append((full, FLOAT, ["streams", *shape]))
    return full


def state_output(g: Graph, name: str, tensor: str, shape: Sequence[int]) -> None:
    """Add the state after this call to the outputs of the graph."""
    full = f"{g.scope}_{name}_out"
    g.output(full, tensor, FLOAT, ["streams", *shape])


def by_step(g: Graph, x: str, steps: int, shape: Sequence[int]) -> str:
    """(steps * streams, *shape) -> (steps, streams, *shape)."""
    return g.node("Reshape", x, g.integers(steps, -1, *shape))


def as_rows(g: Graph, x: str, shape: Sequence[int]) -> str:
    """(steps, streams, *shape) -> (steps * streams, *shape)."""
    return g.node("Reshape", x, g.integers(-1, *shape))


def over_time(g: Graph, steps: int, states: Sequence[str], state_shapes: Sequence[Sequence[int]],
              sequences: Sequence[str], sequence_shapes: Sequence[Sequence[int]], step: Step,
              out_shapes: Sequence[Sequence[int]]) -> tuple[list[str], list[str]]:
    """Apply `step` to the parts of every time step -> the last states, the outputs (steps, streams, ...).

    One time step is written without a loop.
    """
    if steps > 1:
        return g.scan(states, state_shapes, sequences, sequence_shapes, step, out_shapes)
    parts = [g.node("Squeeze", sequence, g.integers(0)) for sequence in sequences]
    news, outs = step(list(states), parts)
    return news, [g.node("Unsqueeze", out, g.integers(0)) for out in outs]


# --- gates of [connected] layers --------------------------------------------------------------------------


def _stacked(layer: Layer, kind: str, gates: str) -> tuple[np.ndarray, np.ndarray]:
    """The products `kind` of the gates one above the other: weights (1, gates * outputs, inputs), biases (1, ...)."""
    pairs = [tail.folded(layer.children[kind + gate], layer.children[kind + gate].params["weights"]) for gate in gates]
    weights, biases = (np.concatenate(arrays)[None] for arrays in zip(*pairs, strict=True))
    return weights, biases


def _operator(g: Graph, op: str, layer: Layer, x: str, gates: str, states: Sequence[str], **attributes: object) -> str:
    """LSTM or GRU with the states h (and c) carried; both have one direction -> (steps * streams, outputs)."""
    size, steps = layer.out_shape[0], layer.env.time_steps
    (on_input, bias_input), (on_state, bias_state) = (_stacked(layer, kind, gates) for kind in "uw")
    sequence = by_step(g, flat(g, x), steps, [on_input.shape[2]])
    initial = [g.node("Unsqueeze", state_input(g, name, (size,)), g.integers(0)) for name in states]
    y, *last = g.nodes_of(op, 1 + len(states), sequence, g.constant(on_input, "input_weights"),
                          g.constant(on_state, "state_weights"),
                          g.constant(np.concatenate([bias_input, bias_state], axis=1), "biases"), "", *initial,
                          hidden_size=size, **attributes)
    for name, tensor in zip(states, last, strict=True):
        state_output(g, name, g.node("Squeeze", tensor, g.integers(0)), (size,))
    return as_rows(g, y, (size,))


@writes(Lstm)
def lstm(g: Graph, layer: Lstm, x: str) -> str:
    return _operator(g, "LSTM", layer, x, "iofg", "hc")


@writes(Gru)
def gru(g: Graph, layer: Gru, x: str) -> str:
    candidate = "Tanh" if layer.options.tanh else "Sigmoid"
    return _operator(g, "GRU", layer, x, "zrh", "h", activations=["Sigmoid", candidate], linear_before_reset=0)


@writes(SimpleRnn)
def simple_rnn(g: Graph, layer: SimpleRnn, x: str) -> str:
    """Starts every call at a state of zeros, so nothing is carried."""
    o, size = layer.options, layer.out_shape[0]
    steps = o.steps or layer.env.time_steps
    p, inputs = layer.params, layer.params["weights"].shape[1]
    sequence = by_step(g, flat(g, x), steps, [inputs])
    if o.activation in RNN_OPERATORS:
        biases = np.concatenate([p["biases"], np.zeros(size, p["biases"].dtype)])
        y, last = g.nodes_of("RNN", 2, sequence, g.constant(p["weights"][None], "input_weights"),
                             g.constant(p["recurrent_weights"][None], "state_weights"),
                             g.constant(biases[None], "biases"), hidden_size=size,
                             activations=[RNN_OPERATORS[o.activation]])
        return as_rows(g, y if o.return_sequence else last, (size,))
    on_input = g.node("MatMul", sequence, g.constant(p["weights"].T, "input_weights"))
    on_input = g.node("Add", on_input, g.constant(p["biases"], "biases"))
    again = g.constant(p["recurrent_weights"].T, "state_weights")
    streams = g.slice(g.node("Shape", sequence), 0, 1, 2)
    zeros = g.node("Expand", g.constant(np.zeros((1, size))), g.node("Concat", streams, g.integers(size), axis=0))

    def step(states: list[str], parts: list[str]) -> tuple[list[str], list[str]]:
        h = activate(g, g.node("Add", parts[0], g.node("MatMul", states[0], again)), o.activation)
        return [h], [h]
    (last,), (y,) = over_time(g, steps, [zeros], [(size,)], [on_input], [(size,)], step, [(size,)])
    return as_rows(g, y, (size,)) if o.return_sequence else last


# --- recurrences of whole layers --------------------------------------------------------------------------


@writes(Rnn, Crnn)
def elman(g: Graph, layer: Elman, x: str) -> str:
    """h' = input_layer(x) + self_layer(h) (+ h), y = output_layer(h')."""
    steps = layer.env.time_steps
    first, again, last = (layer.children[name] for name in layer.PARTS)
    shape = first.out_shape
    on_input = by_step(g, write(g, first, shaped(g, x, layer.in_shapes[0], first.in_shapes[0])), steps, shape)

    def step(states: list[str], parts: list[str]) -> tuple[list[str], list[str]]:
        h = g.node("Add", parts[0], write(g, again, states[0]))
        if layer.options.shortcut:
            h = g.node("Add", h, states[0])
        return [h], [h]
    (after,), (hs,) = over_time(g, steps, [state_input(g, "h", shape)], [shape], [on_input], [shape], step, [shape])
    state_output(g, "h", after, shape)
    return write(g, last, as_rows(g, hs, shape))


@writes(ConvLstm)
def conv_lstm(g: Graph, layer: ConvLstm, x: str) -> str:
    steps, shape, o = layer.env.time_steps, layer.out_shape, layer.options
    c_in, h_in, w_in = layer.image(layer.in_shapes[0])
    half, k = o.output // 2, o.output

    def apply(kind: str, gate: str, value: str) -> str:
        return write(g, layer.children[kind + gate], value)

    if o.bottleneck:
        sequences, shapes = [by_step(g, x, steps, (c_in, h_in, w_in))], [layer.in_shapes[0]]
    else:
        image = shaped(g, x, layer.in_shapes[0], (c_in, h_in, w_in))
        sequences = [by_step(g, apply("u", gate, image), steps, shape) for gate in GATES]
        shapes = [shape] * len(GATES)

    def step(states: list[str], parts: list[str]) -> tuple[list[str], list[str]]:
        h, c = states
        if o.bottleneck:
            mixed = activate(g, apply("w", "f", g.node("Concat", h, parts[0], axis=1)), layer.activation)
            z = {gate: apply("u", gate, mixed) for gate in GATES}
        else:
            z = {gate: g.node("Add", part, apply("w", gate, h)) for gate, part in zip(GATES, parts, strict=True)}
        for gate in "fi" if layer.peeping else "":
            z[gate] = g.node("Add", z[gate], apply("v", gate, c))
        f, i = g.node("Sigmoid", z["f"]), g.node("Sigmoid", z["i"])
        new = g.node("Add", g.node("Mul", f, c), g.node("Mul", i, activate(g, z["g"], layer.activation)))
        if layer.peeping:
            z["o"] = g.node("Add", z["o"], apply("v", "o", new))
        h = g.node("Mul", g.node("Sigmoid", z["o"]), activate(g, new, layer.activation))
        y = h
        if o.bottleneck and o.shortcut:
            residue = g.pad(g.slice(mixed, 1, 0, half), (0, 0, 0, 0), (0, k - half, 0, 0))
            y = g.node("Add", h, residue)
        return [h, g.clip(new, -layer.limit, layer.limit) if layer.limit else new], [y]
    states = [state_input(g, name, shape) for name in "hc"]
    last, (y,) = over_time(g, steps, states, [shape, shape], sequences, shapes, step, [shape])
    for name, tensor in zip("hc", last, strict=True):
        state_output(g, name, tensor, shape)
    return as_rows(g, y, shape)


@writes(History)
def history(g: Graph, layer: History, x: str) -> str:
    """The frames before the first are the state (streams, history_size - 1, c, h, w), oldest first."""
    size, steps = layer.options.history_size, layer.env.time_steps
    shape = layer.image(layer.in_shapes[0])
    if size == 1:
        return shaped(g, x, layer.in_shapes[0], layer.out_shape)
    if steps == 1 and layer.env.compat.history_truncated:       # darknet keeps no frames then
        image = shaped(g, x, layer.in_shapes[0], shape)
        return g.pad(image, (0, 0, 0, 0), (0, shape[0] * (size - 1), 0, 0))
    frames = by_step(g, x, steps, shape)
    before = g.node("Transpose", state_input(g, "frames", (size - 1, *shape)), perm=[1, 0, 2, 3, 4])
    film = g.node("Concat", before, frames, axis=0)
    y = g.node("Concat", *(g.slice(film, 0, size - 1 - age, size - 1 - age + steps) for age in range(size)), axis=2)
    after = g.node("Transpose", g.slice(film, 0, steps, steps + size - 1), perm=[1, 0, 2, 3, 4])
    state_output(g, "frames", after, (size - 1, *shape))
    return as_rows(g, y, layer.out_shape)
