"""The table from ONNX operators to the functions that read them as sections.

A function takes the state of reading and a node, and returns its outputs: a Value, or a list of them for several.
It raises NoSection where no section computes what the node does.

    @reads("Flatten")
    def flatten(r, node): ...
"""
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from runner.importing.drafts import Drafts, NoSection, Value
from runner.importing.graph import Node, OnnxGraph

NodeReader = Callable[["Reading", Node], Value | list[Value]]
READERS: dict[str, NodeReader] = {}


def reads(*ops: str) -> Callable[[NodeReader], NodeReader]:
    """Register the reader of operators."""
    def add(reader: NodeReader) -> NodeReader:
        for op in ops:
            READERS[op] = reader
        return reader
    return add


class Reading:
    """The graph, the drafts so far, and the tensors that are known.

    batch     rows of the input, as shapes in the graph have them
    problems  (operator, reason) -> names of the nodes
    """

    def __init__(self, graph: OnnxGraph, name: str, batch: int, in_shape: tuple[int, ...]):
        self.graph, self.batch = graph, batch
        self.drafts = Drafts(in_shape)
        self.values: dict[str, Value] = {name: self._shared(name, Value(self.drafts.input, in_shape))}
        self.problems: dict[tuple[str, str], list[str]] = {}
        self._inferred: dict[str, tuple[int, ...]] | None = None

    def run(self) -> None:
        """Read every node."""
        for node in self.graph.nodes:
            self._read(node)

    def _read(self, node: Node) -> None:
        reader, count = READERS.get(node.op), len(self.drafts.all)
        if node.op == "Shape" and node.inputs[0] in self.values:
            value = self.values[node.inputs[0]].whole()
            shape = np.array([self.batch, *value.shape], np.int64)
            self.graph.constants[node.outputs[0]] = shape[node.attributes.get("start") or 0:node.attributes.get("end")]
            return
        if self.graph.fold(node):
            return
        try:
            if reader is None:
                raise NoSection("no section computes it")
            if any(name and name not in self.values and name not in self.graph.constants for name in node.inputs):
                return self._give_up(node)      # it reads what could not be read
            results = reader(self, node)
        except NoSection as problem:
            del self.drafts.all[count:]
            self.problems.setdefault((node.op, str(problem)), []).append(node.name)
            return self._give_up(node)
        found = results if isinstance(results, list) else [results]
        for name, value in zip(node.outputs, found, strict=False):
            self.values[name] = self._shared(name, value)
        for draft in {id(value.draft): value.draft for value in found}.values():
            if draft.section != "input":
                draft.nodes += [each for each in node.names if each not in draft.nodes]

    def _shared(self, name: str, value: Value) -> Value:
        return replace(value, shared=value.shared or self.graph.consumers[name] > 1)

    def _give_up(self, node: Node) -> None:
        """Let the outputs have the shapes that onnx infers, so that the nodes after this one are checked too."""
        for name in node.outputs:
            shape = self._shape(name)
            if shape:
                self.values[name] = self.drafts.unknown(shape)

    def _shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor, without the batch; () where it is not known."""
        if self._inferred is None:
            from onnx import shape_inference
            try:
                graph = shape_inference.infer_shapes(self.graph.model, data_prop=True).graph
            except Exception:       # a model it cannot work on
                return ()
            self._inferred = {each.name: tuple(side.dim_value for side in each.type.tensor_type.shape.dim)[1:]
                              for each in (*graph.value_info, *graph.output)}
        shape = self._inferred.get(name, ())
        return shape if shape and min(shape) > 0 else ()

    # --- inputs of a node ----------------------------------------------------------------------------------

    def value(self, node: Node, index: int = 0) -> Value:
        """An input that is computed."""
        name = node.inputs[index] if index < len(node.inputs) else ""
        if name not in self.values:
            raise NoSection("it reads constants where a section reads an output")
        return self.values[name]

    def given(self, node: Node, index: int) -> bool:
        return index < len(node.inputs) and bool(node.inputs[index])

    def constant(self, node: Node, index: int, what: str) -> np.ndarray:
        """An input that must be constant.  NoSection where it is computed."""
        if not self.given(node, index):
            raise NoSection(f"it has no {what}")
        if node.inputs[index] not in self.graph.constants:
            raise NoSection(f"its {what} are computed by other nodes, and must be constants")
        array = self.graph.constants[node.inputs[index]]
        return array if array.dtype in (np.int64, np.int32, np.bool_) else array.astype(np.float32)

    def integers(self, node: Node, index: int, what: str) -> list[int]:
        return [int(number) for number in self.constant(node, index, what).reshape(-1)]


def axis_of(node: Node, value: Value, axis: int) -> int:
    """An axis, counted from the front; the batch is 0."""
    return axis + len(value.shape) + 1 if axis < 0 else axis


def square(sides: Any, what: str) -> int:
    """The side of a square.  NoSection where it is not one."""
    sides = [int(side) for side in sides]
    if len(sides) != 2 or sides[0] != sides[1]:
        raise NoSection(f"{what} must be square. Got {' x '.join(map(str, sides[::-1]))}")
    return sides[0]
