"""The nodes of an ONNX model, prepared for reading: constants computed, attributes complete."""
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from runner.errors import UsageError

MOST_VALUES = 1 << 26       # of a constant that a node makes from its shape
FOLDABLE = {"Abs", "Add", "And", "Cast", "CastLike", "Ceil", "Concat", "Constant", "ConstantOfShape", "Div", "Equal",
            "Exp", "Expand", "Floor", "Gather", "Greater", "Identity", "Less", "Log", "Max", "Min", "Mod", "Mul", "Neg",
            "Not", "Or", "Pow", "Reciprocal", "ReduceProd", "ReduceSum", "Reshape", "Shape", "Size", "Slice", "Split",
            "Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze", "Where", "DequantizeLinear"}
MADE_FROM_SHAPES = {"ConstantOfShape": 0, "Expand": 1}      # operator -> the input that is a shape
# attributes that later opsets take as inputs: operator -> (attribute, index of the input)
AS_INPUTS = {"Clip": (("min", 1), ("max", 2)), "Pad": (("pads", 1), ("value", 2)), "Dropout": (("ratio", 1),),
             "Squeeze": (("axes", 1),), "Unsqueeze": (("axes", 1),), "Split": (("split", 1),),
             "ReduceMean": (("axes", 1),), "ReduceSum": (("axes", 1),), "Upsample": (("scales", 1),),
             "Slice": (("starts", 1), ("ends", 2), ("axes", 3)), "Reshape": (("shape", 1),)}


@dataclass(eq=False)
class Node:
    """One operator.  names: of the nodes of the model it stands for, as comments show them."""
    op: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    proto: Any = None

    @property
    def name(self) -> str:
        return self.names[-1] if self.names else self.outputs[0]


class OnnxGraph:
    """nodes in order; constants by name; consumers: how many nodes and outputs read a tensor."""

    def __init__(self, model: Any):
        from onnx import inliner, numpy_helper
        if model.functions:
            model = inliner.inline_local_functions(model)
        self.model = model
        self.opset = max((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), default=1)
        self.constants: dict[str, np.ndarray] = {tensor.name: numpy_helper.to_array(tensor)
                                                 for tensor in model.graph.initializer}
        self.outputs = [output.name for output in model.graph.output]
        self.inputs = [given for given in model.graph.input if given.name not in self.constants]
        self._defaults: dict[str, dict[str, Any]] = {}
        self.nodes = self._folded([self._node(proto) for proto in model.graph.node])
        self.count()

    def count(self) -> None:
        """Count the consumers of every tensor."""
        self.consumers = Counter(name for node in self.nodes for name in node.inputs)
        self.consumers.update(self.outputs)

    def _node(self, proto: Any) -> Node:
        from onnx import helper
        attributes = self._default_attributes(proto) | {
            each.name: helper.get_attribute_value(each) for each in proto.attribute}
        node = Node(proto.op_type if proto.domain in ("", "ai.onnx") else f"{proto.domain}::{proto.op_type}",
                    list(proto.input), list(proto.output), attributes, [proto.name or proto.output[0]], proto)
        for key, index in AS_INPUTS.get(node.op, ()):
            if attributes.get(key) is not None and (len(node.inputs) <= index or not node.inputs[index]):
                node.inputs += [""] * (index + 1 - len(node.inputs))
                node.inputs[index] = name = f"{node.outputs[0]}//{key}"
                self.constants[name] = np.asarray(attributes[key])
        return node

    def _default_attributes(self, proto: Any) -> dict[str, Any]:
        from onnx import defs, helper
        key = f"{proto.domain}::{proto.op_type}"
        if key not in self._defaults:
            try:
                schema = defs.get_schema(proto.op_type, self.opset, proto.domain)
            except Exception:       # an operator that this version of onnx does not know
                return {}
            self._defaults[key] = {name: helper.get_attribute_value(one.default_value)
                                   for name, one in schema.attributes.items() if one.default_value.name}
        return self._defaults[key]

    def _folded(self, nodes: Iterable[Node]) -> list[Node]:
        """Without the nodes that depend on constants only."""
        return [node for node in nodes if not self.fold(node)]

    def fold(self, node: Node) -> bool:
        """Compute a node whose inputs are constants; False where one is not, or it cannot be computed."""
        if node.op not in FOLDABLE or any(name and name not in self.constants for name in node.inputs):
            return False
        shape_input = MADE_FROM_SHAPES.get(node.op)
        if shape_input is not None:
            sides = self.constants[node.inputs[shape_input]].astype(object)
            if np.prod(np.abs(sides)) > MOST_VALUES:
                return False
        try:
            results = evaluate(node.proto, self.constants, self.opset)
        except Exception:           # the reference evaluator raises anything
            return False
        self.constants.update(zip(node.outputs, results, strict=False))
        return True


def evaluate(proto: Any, constants: Mapping[str, np.ndarray], opset: int) -> list[np.ndarray]:
    """The outputs of one node on constants, by onnx's reference implementation."""
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator
    names = list(dict.fromkeys(name for name in proto.input if name))
    graph = helper.make_graph([proto], "one", [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None)
                                               for name in names],
                              [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None)
                               for name in proto.output if name])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return [np.asarray(result) for result in
            ReferenceEvaluator(model).run(None, {name: constants[name] for name in names})]


def input_shape(graph: OnnxGraph, path: Any, size: tuple[int, int] | None) -> tuple[str, int, tuple[int, ...], bool]:
    """-> name, batch, shape without the batch, float16?, of the only input.

    size  (width, height) for a model that leaves them open.  UsageError where there is not one such input.
    """
    from onnx import TensorProto
    if len(graph.inputs) != 1:
        names = ", ".join(given.name for given in graph.inputs) or "none"
        raise UsageError(f"{path}: a cfg has one input, the model has {len(graph.inputs)}: {names}")
    given = graph.inputs[0]
    tensor = given.type.tensor_type
    if tensor.elem_type not in (TensorProto.FLOAT, TensorProto.FLOAT16):
        kind = TensorProto.DataType.Name(tensor.elem_type) if given.type.HasField("tensor_type") else "not a tensor"
        raise UsageError(f"{path}: the input {given.name} must have values of type float. Got {kind.lower()}")
    sides = [side.dim_value if side.HasField("dim_value") and side.dim_value > 0 else None for side in tensor.shape.dim]
    if len(sides) not in (2, 4):
        raise UsageError(f"{path}: the input {given.name} must have the shape (batch, channels, height, width) or "
                         f"(batch, values). Got {len(sides)} axes")
    if len(sides) == 4 and size:
        for axis, side in ((3, size[0]), (2, size[1])):
            if sides[axis] not in (None, side):
                raise UsageError(f"{path}: the model takes images of {sides[3]} x {sides[2]} pixels, and leaves no "
                                 f"other size open. Got --size {size[0]}x{size[1]}")
            sides[axis] = side
    if len(sides) == 4 and sides[1] and None in sides[2:]:
        raise UsageError(f"{path}: the model leaves the size of its images open: give one with --size WxH")
    if None in sides[1:]:
        open_ = "channels" if len(sides) == 4 else "values"
        raise UsageError(f"{path}: the input {given.name} leaves the number of its {open_} open")
    return given.name, sides[0] or 1, tuple(side for side in sides[1:] if side), tensor.elem_type == TensorProto.FLOAT16
