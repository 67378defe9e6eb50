"""Collects the nodes and weights of an ONNX graph while a network is walked layer by layer.

Tensors are named after their layer (`3_convolutional/weights`), so that a viewer of the file shows the cfg again.  The
batch is the first axis throughout, and its size is in no node: one graph serves any batch size.
"""
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

FLOAT, INT64 = 1, 7        # onnx.TensorProto's numbers of the element types
LARGEST_SHARED = 16                 # values of a constant up to which equal constants are stored once

Infos = list[tuple[str, int, Sequence[int | str]]]


class Graph:
    """Nodes in order, weights, and the graph's inputs and outputs.

    opset            version of ONNX's operators the nodes are written in
    keep_batchnorm   batch norms stay nodes of their own instead of being folded into the weights
    inputs, outputs  (name, element type, shape) of the graph; a string in a shape is a symbolic dimension
    scope            the layer being written: prefix of new names
    """

    def __init__(self, opset: int, keep_batchnorm: bool = False):
        from onnx import helper, numpy_helper
        self._helper, self._numpy_helper = helper, numpy_helper
        self.opset, self.keep_batchnorm = opset, keep_batchnorm
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.inputs: Infos = []
        self.outputs: Infos = []
        self.scope = ""
        self._count: dict[str, int] = {}
        self._constants: dict[tuple[Any, ...], str] = {}

    def name(self, what: str) -> str:
        """A new name in the scope of the layer being written."""
        full = f"{self.scope}/{what}" if self.scope else what
        number = self._count.get(full, 0)
        self._count[full] = number + 1
        return f"{full}_{number}" if number else full

    # --- nodes ---------------------------------------------------------------------------------------

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output -> the name of the output."""
        return self.nodes_of(op, 1, *inputs, **attributes)[0]

    def nodes_of(self, op: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """Add a node with `count` outputs -> their names."""
        outputs = [self.name(op) for _ in range(count)]
        self.nodes.append(self._helper.make_node(op, list(inputs), outputs, name=f"{outputs[0]}:{op}", **attributes))
        return outputs

    def output(self, name: str, x: str, kind: int, shape: Sequence[int | str]) -> None:
        """Make the tensor x an output of the graph, called `name`."""
        self.nodes.append(self._helper.make_node("Identity", [x], [name], name=f"{name}:Identity"))
        self.outputs.append((name, kind, shape))

    def constant(self, values: Any, what: str = "constant", dtype: Any = np.float32) -> str:
        """Add an initializer -> its name.  Small ones are shared."""
        array = np.ascontiguousarray(np.asarray(values, dtype)).reshape(np.shape(values))
        key = (array.dtype.str, array.shape, array.tobytes()) if array.size <= LARGEST_SHARED else None
        if key is not None and key in self._constants:
            return self._constants[key]
        name = self.name(what)
        self.weights.append(self._numpy_helper.from_array(array, name))
        if key is not None:
            self._constants[key] = name
        return name

    def integers(self, *values: int) -> str:
        """A one-dimensional int64 initializer: shapes, axes, indices."""
        return self.constant(np.array(values, np.int64), "shape", np.int64)

    # --- operators whose form depends on the opset, or that are written often ----------------------------

    def reshape(self, x: str, *shape: int) -> str:
        """x (n, ...) -> (n, *shape); one of shape may be -1."""
        return self.node("Reshape", x, self.integers(0, *shape))

    def slice(self, x: str, axis: int, begin: int, end: int, step: int = 1) -> str:
        return self.node("Slice", x, self.integers(begin), self.integers(end), self.integers(axis),
                         self.integers(step))

    def concat(self, parts: Sequence[str], axis: int) -> str:
        """The parts one after another; a single one as it is."""
        return parts[0] if len(parts) == 1 else self.node("Concat", *parts, axis=axis)

    def reduce(self, op: str, x: str, *axes: int) -> str:
        """ReduceSum, ReduceMean or ReduceMax over axes, which stay with length 1."""
        if op == "ReduceSum" or self.opset >= 18:       # from then on the axes are an input
            return self.node(op, x, self.integers(*axes), keepdims=1)
        return self.node(op, x, axes=list(axes), keepdims=1)

    def scaled(self, x: str, factor: float, offset: float = 0.0) -> str:
        """factor x + offset, without the nodes that would change nothing."""
        if factor != 1:
            x = self.node("Mul", x, self.constant(factor))
        return self.node("Add", x, self.constant(offset)) if offset else x

    def clip(self, x: str, low: float, high: float) -> str:
        return self.node("Clip", x, self.constant(low), self.constant(high))

    def pad(self, x: str, before: Sequence[int], after: Sequence[int]) -> str:
        """Zeros around x; one number for each axis, the batch included."""
        if not any(before) and not any(after):
            return x
        return self.node("Pad", x, self.integers(*before, *after), mode="constant")

    def rows(self, x: str) -> str:
        """The length of the first axis of x, as a tensor (1,)."""
        return self.slice(self.node("Shape", x), 0, 0, 1)

    # --- subgraphs -----------------------------------------------------------------------------------

    @contextmanager
    def _body(self, nodes: list[Any]) -> Iterator[None]:
        """Nodes added inside go to `nodes`, the body of a Scan.  Weights stay with the graph: it sees them too."""
        outer, self.nodes = self.nodes, nodes
        try:
            yield
        finally:
            self.nodes = outer

    def scan(self, states: Sequence[str], state_shapes: Sequence[Sequence[int]], sequences: Sequence[str],
             sequence_shapes: Sequence[Sequence[int]],
             step: Callable[[list[str], list[str]], tuple[list[str], list[str]]],
             out_shapes: Sequence[Sequence[int]]) -> tuple[list[str], list[str]]:
        """Walk along the first axis of `sequences` (steps, streams, ...) -> the last states, and what each step gave.

        step(states, parts) adds the nodes of one step -> new states, outputs.  Shapes are without steps and streams.
        """
        nodes: list[Any] = []
        info = self._helper.make_tensor_value_info
        ins = [self.name("state") for _ in states] + [self.name("part") for _ in sequences]
        with self._body(nodes):
            news, outs = step(ins[:len(states)], ins[len(states):])
            # a body may not hand on an input or an outer tensor as it is, nor one tensor twice
            news, outs = ([self.node("Identity", name) for name in names] for names in (news, outs))
        shapes = [*state_shapes, *sequence_shapes]
        graph = self._helper.make_graph(
            nodes, self.name("step"),
            [info(name, FLOAT, ["streams", *shape]) for name, shape in zip(ins, shapes, strict=True)],
            [info(name, FLOAT, ["streams", *shape])
             for name, shape in zip([*news, *outs], [*state_shapes, *out_shapes], strict=True)])
        results = self.nodes_of("Scan", len(news) + len(outs), *states, *sequences, body=graph,
                                num_scan_inputs=len(sequences))
        return results[:len(news)], results[len(news):]

    def first_difference(self, other: "Graph") -> str | None:
        """The scope of the first node with another operator, attribute or constant; None: the graphs are equal."""
        mine, theirs = ({weight.name: weight for weight in graph.weights} for graph in (self, other))
        for one, two in zip(self.nodes, other.nodes, strict=False):
            constants = [[weights[name].raw_data for name in node.input if name in weights]
                         for node, weights in ((one, mine), (two, theirs))]
            if one.op_type != two.op_type or list(one.attribute) != list(two.attribute) or constants[0] != constants[1]:
                return str(one.name).partition("/")[0]
        return None if len(self.nodes) == len(other.nodes) else str(self.nodes[-1].name).partition("/")[0]

    # --- the whole -----------------------------------------------------------------------------------

    def model(self, name: str, metadata: dict[str, str], producer: str, version: str) -> Any:
        """-> onnx.ModelProto."""
        helper = self._helper

        def infos(tensors: Infos) -> list[Any]:
            return [helper.make_tensor_value_info(name, kind, list(shape)) for name, kind, shape in tensors]
        graph = helper.make_graph(self.nodes, name, infos(self.inputs), infos(self.outputs), self.weights)
        opsets = [helper.make_opsetid("", self.opset)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name=producer, producer_version=version,
                                  ir_version=helper.find_min_ir_version_for(opsets))
        helper.set_model_props(model, metadata)
        return model
