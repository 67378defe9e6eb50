"""The same network as an ONNX graph with our weights, run by ONNX Runtime.

Batch norm stays a separate node; the graph optimizer of ONNX Runtime folds it.
"""
from typing import Any

import numpy as np

from bench.networks import Case, build, images
from bench.peer import NotInstalled, Prepared, Unsupported
from runner.layers import Avgpool, Connected, Convolutional, Dropout, Lstm, Maxpool, Route, Shortcut, Softmax, Upsample
from runner.layers.yolo import Yolo
from runner.network import Network

try:
    import onnxruntime
    from onnx import helper, numpy_helper
except ImportError:
    raise NotInstalled("ONNX Runtime is not installed: pip install -r requirements-bench.txt") from None

OPSET = 18


def prepare(case: Case, task: str, count: int, threads: int, settings: tuple[str, ...] = ()) -> Prepared:
    if task == "train":
        raise Unsupported("does not train")
    net = build(case, count, settings)
    x = images(net, count)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(Graph(net, len(x)).model().SerializeToString(), options,
                                           providers=["CPUExecutionProvider"])
    return Prepared(lambda: session.run(None, {"x": x}), lambda: session.run(None, {"x": x}))


class Graph:
    """Builds an ONNX graph from a network, layer by layer."""

    def __init__(self, net: Network, rows: int):
        self.net, self.rows = net, rows
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def model(self) -> Any:
        """-> ModelProto with one output per head; all dimensions are fixed, including the batch."""
        names = {-1: "x"}
        for index, (layer, links) in enumerate(zip(self.net.layers, self.net.links, strict=True)):
            names[index] = self.layer(index, layer, [names[link] for link in links])
        ins = [helper.make_tensor_value_info("x", 1, [self.rows, *self.net.in_shape])]
        outs = [helper.make_tensor_value_info(names[i], 1, [self.rows, *self.net.layers[i].out_shape])
                for i in self.net.heads]
        graph = helper.make_graph(self.nodes, "network", ins, outs, self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)

    def node(self, op: str, inputs: list[str], **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def constant(self, array: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def layer(self, index: int, layer: Any, x: list[str]) -> str:
        o = layer.options
        if isinstance(layer, Convolutional):
            return self.convolution(layer, x[0])
        if isinstance(layer, Connected) and not o.batch_normalize:
            flat = self.node("Flatten", x)
            y = self.node("Gemm", [flat, self.constant(layer.params["weights"]),
                                   self.constant(layer.params["biases"])], transB=1)
            return self.activation(y, o.activation)
        if isinstance(layer, Lstm):
            return self.lstm(layer, x[0])
        if isinstance(layer, Maxpool):
            before = o.padding // 2
            after = [max(0, (out - 1) * stride + o.size - side - before) for out, side, stride in
                     zip(layer.out_shape[1:], layer.in_shapes[0][1:], layer.stride, strict=True)]
            return self.node("MaxPool", x, kernel_shape=[o.size] * 2, strides=list(layer.stride),
                             pads=[before, before, *after])
        if isinstance(layer, Avgpool):
            return self.node("GlobalAveragePool", x)
        if isinstance(layer, Dropout):
            return x[0]
        if isinstance(layer, Upsample):
            return self.node("Resize", [x[0], "", self.constant(np.array([1, 1, o.stride, o.stride], np.float32))],
                             mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
        if isinstance(layer, Route):
            return self.route(layer, x)
        if isinstance(layer, Shortcut):
            return self.shortcut(layer, *x)
        if isinstance(layer, Softmax):
            return self.node("Softmax", [self.node("Flatten", x)], axis=1)
        if isinstance(layer, Yolo):
            return self.yolo(layer, x[0])
        raise Unsupported(f"[{layer.names[0]}] is not supported by bench/in_onnx.py")

    def convolution(self, layer: Convolutional, x: str) -> str:
        o, p = layer.options, layer.params
        inputs = [x, self.constant(p["weights"])]
        if not o.batch_normalize:
            inputs.append(self.constant(p["biases"]))
        y = self.node("Conv", inputs, kernel_shape=[o.size] * 2, strides=list(layer.stride),
                      pads=list(layer.padding) * 2, dilations=[layer.dilation] * 2, group=layer.groups)
        if o.batch_normalize:
            y = self.node("BatchNormalization", [y, *(self.constant(a) for a in (
                p["scales"], p["biases"], layer.buffers["rolling_mean"], layer.buffers["rolling_variance"]))],
                epsilon=layer.env.compat.batchnorm_epsilon)
        return self.activation(y, o.activation)

    def activation(self, x: str, name: str) -> str:
        operators = {"leaky": ("LeakyRelu", {"alpha": 0.1}), "relu": ("Relu", {}), "logistic": ("Sigmoid", {}),
                 "tanh": ("Tanh", {}), "mish": ("Mish", {})}
        if name == "linear":
            return x
        if name not in operators:
            raise Unsupported(f"activation={name} is not supported by bench/in_onnx.py")
        op, attributes = operators[name]
        return self.node(op, [x], **attributes)

    def route(self, layer: Route, x: list[str]) -> str:
        o = layer.options
        if o.groups > 1:
            sizes = [shape[0] // o.groups for shape in layer.in_shapes]
            x = [self.node("Slice", [name, self.integers(o.group_id * size), self.integers((o.group_id + 1) * size),
                                     self.integers(1)]) for name, size in zip(x, sizes, strict=True)]
        return x[0] if len(x) == 1 else self.node("Concat", x, axis=1)

    def shortcut(self, layer: Shortcut, x: str, other: str) -> str:
        """Adds; `other` may be larger (it is then subsampled) and have fewer channels (it is then zero-padded)."""
        (c, h, _), (c2, h2, w2) = layer.images
        if len(layer.images) > 2 or c2 > c or h2 < h or "weights" in layer.specs:
            raise Unsupported("this form of [shortcut] is not supported by bench/in_onnx.py")
        if h2 > h:
            other = self.node("Slice", [other, self.integers(0, 0), self.integers(h2, w2), self.integers(2, 3),
                                        self.integers(h2 // h, h2 // h)])
        if c2 < c:
            other = self.node("Pad", [other, self.integers(0, 0, 0, 0, 0, c - c2, 0, 0)])
        return self.activation(self.node("Add", [x, other]), layer.options.activation)

    def yolo(self, layer: Yolo, x: str) -> str:
        o, (h, w) = layer.options, layer.grid
        v = self.node("Reshape", [x, self.integers(self.rows, len(o.mask), -1, h, w)])

        def part(begin: int, end: int) -> str:
            return self.node("Slice", [v, self.integers(begin), self.integers(end), self.integers(2)])
        xy = self.node("Sigmoid", [part(0, 2)])
        if o.scale_x_y != 1:
            xy = self.node("Mul", [xy, self.constant(np.array(o.scale_x_y, np.float32))])
            xy = self.node("Sub", [xy, self.constant(np.array(0.5 * (o.scale_x_y - 1), np.float32))])
        joined = self.node("Concat", [xy, part(2, 4), self.node("Sigmoid", [part(4, 5 + o.classes)])], axis=2)
        return self.node("Reshape", [joined, self.integers(self.rows, *layer.out_shape)])

    def lstm(self, layer: Lstm, x: str) -> str:
        """ONNX stacks the gates as i, o, f, g, and the biases of the input before those of the state."""
        size, time_steps = layer.options.output, self.net.env.time_steps

        def stack(source: str, array: str) -> np.ndarray:
            return np.concatenate([layer.params[f"{source}{gate}/{array}"] for gate in "iofg"])[None]
        sequence = self.node("Reshape", [x, self.integers(time_steps, self.rows // time_steps, -1)])
        y = self.node("LSTM", [sequence, self.constant(stack("u", "weights")), self.constant(stack("w", "weights")),
                               self.constant(np.concatenate([stack("u", "biases"), stack("w", "biases")], axis=1))],
                      hidden_size=size)
        return self.node("Reshape", [y, self.integers(self.rows, size)])
