"""Small ONNX graphs in the style of torchvision's exports, with random weights."""
from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper


class Build:
    """Adds nodes as an exporter does: weights are initializers, names are paths of modules."""

    def __init__(self, shape: Sequence[int | str] = ("batch", 3, 32, 32), opset: int = 17, seed: int = 0):
        self.rng, self.opset, self.shape = np.random.default_rng(seed), opset, shape
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def array(self, values: Any, dtype: Any = np.float32) -> str:
        name = f"onnx::w_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def integers(self, *numbers: int) -> str:
        return self.array(numbers, np.int64)

    def node(self, op: str, *inputs: str, count: int = 1, name: str = "", **attributes: Any) -> Any:
        """-> the name of the output, or their names."""
        path = name or f"/layer{len(self.nodes)}/{op}"
        outputs = [f"{path}_output_{k}" for k in range(count)]
        self.nodes.append(helper.make_node(op, list(inputs), outputs, name=path, **attributes))
        return outputs[0] if count == 1 else outputs

    def conv(self, x: str, inputs: int, filters: int, size: int = 3, *, bias: bool = False, stride: int = 1,
             pad: int | Sequence[int] | None = None, group: int = 1, **attributes: Any) -> str:
        side = size // 2 if pad is None else pad
        pads = [side] * 4 if isinstance(side, int) else list(side)
        fan_in = inputs // group * size * size
        weights = self.array(self.rng.normal(size=(filters, inputs // group, size, size)) / fan_in ** .5)
        biases = [self.array(self.rng.normal(size=filters) * .1)] if bias else []
        return str(self.node("Conv", x, weights, *biases, kernel_shape=[size, size], strides=[stride] * 2, pads=pads,
                             group=group, **attributes))

    def norm(self, x: str, channels: int, epsilon: float = 1e-5) -> str:
        arrays = [self.rng.uniform(.5, 1.5, channels), self.rng.normal(size=channels) * .2,
                  self.rng.normal(size=channels) * .2, self.rng.uniform(.3, 2, channels)]
        return str(self.node("BatchNormalization", x, *map(self.array, arrays), epsilon=epsilon))

    def linear(self, x: str, inputs: int, outputs: int) -> str:
        weights = self.array(self.rng.normal(size=(outputs, inputs)) / inputs ** .5)
        biases = self.array(self.rng.normal(size=outputs))
        return str(self.node("Gemm", x, weights, biases, alpha=1., beta=1., transB=1))

    def relu6(self, x: str) -> str:
        return str(self.node("Clip", x, self.array(0.), self.array(6.)))

    def model(self, *outputs: str, rank: int = 2, kind: int = TensorProto.FLOAT) -> Any:
        infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * rank) for name in outputs]
        given = helper.make_tensor_value_info("x", kind, list(self.shape))
        graph = helper.make_graph(self.nodes, "main_graph", [given], infos, self.weights)
        ids = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=ids, ir_version=helper.find_min_ir_version_for(ids))


def residual() -> Any:
    """The start of a resnet: stem, a plain block, a block with a downsample branch, pooling, classifier."""
    b = Build()
    x = b.node("Relu", b.norm(b.conv("x", 3, 8, 7, stride=2), 8))
    x = b.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=0)
    y = b.node("Relu", b.norm(b.conv(x, 8, 8), 8))
    x = b.node("Relu", b.node("Add", b.norm(b.conv(y, 8, 8), 8), x))
    y = b.node("Relu", b.norm(b.conv(x, 8, 16, stride=2), 16))
    y = b.norm(b.conv(y, 16, 16), 16)
    x = b.node("Relu", b.node("Add", y, b.norm(b.conv(x, 8, 16, 1, stride=2), 16)))
    x = b.node("Flatten", b.node("GlobalAveragePool", x), axis=1)
    return b.model(b.linear(x, 16, 5))


def inverted_residual() -> Any:
    """Of mobilenet_v2: expansion, depthwise, projection, sum; relu6; dropout before the classifier."""
    b = Build()
    x = b.relu6(b.norm(b.conv("x", 3, 8, stride=2), 8))
    y = b.relu6(b.norm(b.conv(x, 8, 24, 1), 24))
    y = b.relu6(b.norm(b.conv(y, 24, 24, 3, group=24), 24))
    x = b.node("Add", x, b.norm(b.conv(y, 24, 8, 1), 8, 1e-3))
    x = b.node("ReduceMean", b.relu6(b.norm(b.conv(x, 8, 16, 1), 16)), axes=[2, 3], keepdims=0)
    return b.model(b.linear(b.node("Dropout", x, b.array(.2)), 16, 4))


def fire() -> Any:
    """Of squeezenet: squeeze, two expansions side by side, max pooling with ceil_mode, a convolution as classifier."""
    b = Build((1, 3, 33, 33))
    x = b.node("Relu", b.conv("x", 3, 8, bias=True, stride=2, pad=0))
    x = b.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    squeezed = b.node("Relu", b.conv(x, 8, 4, 1, bias=True))
    one = b.node("Relu", b.conv(squeezed, 4, 6, 1, bias=True))
    three = b.node("Relu", b.conv(squeezed, 4, 6, bias=True))
    x = b.node("Concat", one, three, axis=1)
    x = b.node("Relu", b.conv(x, 12, 5, 1, bias=True))
    return b.model(b.node("Flatten", b.node("GlobalAveragePool", x)))


def vgg() -> Any:
    """Convolutions with biases, max pooling, an adaptive pooling that changes nothing, a classifier of three layers."""
    b = Build(("batch", 3, 16, 16), opset=13)
    x = b.node("Relu", b.conv("x", 3, 6, bias=True))
    x = b.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 0, 0])
    x = b.node("Relu", b.norm(b.conv(x, 6, 8, bias=True), 8))
    x = b.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 0, 0])
    x = b.node("AveragePool", x, kernel_shape=[1, 1], strides=[1, 1])
    x = b.node("Relu", b.linear(b.node("Flatten", x), 8 * 16, 12))
    x = b.node("MatMul", x, b.array(b.rng.normal(size=(12, 7)) / 3))
    x = b.node("Relu", b.node("Add", x, b.array(b.rng.normal(size=7))))
    return b.model(b.node("Softmax", b.linear(x, 7, 3), axis=1))


NETWORKS = {"residual": residual, "inverted_residual": inverted_residual, "fire": fire, "vgg": vgg}
