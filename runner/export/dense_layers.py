"""Layers with weights as ONNX nodes: convolutions, [connected], [local], [batchnorm], [implicit]."""
import numpy as np

from runner.export.graph import Graph
from runner.export.writers import activate, as_image, flat, writes
from runner.layers import Batchnorm, Connected, Convolutional, Deconvolutional, Implicit, Local
from runner.layers.shared import blur, tail
from runner.layers.shared.base import Layer

Pair = tuple[int, int]


def pads(sides: Pair, outs: Pair, window: int, stride: Pair, before: int, after: int) -> list[int]:
    """ONNX's pads (top, left, bottom, right) for windows of `window` pixels.

    before, after  what the layer adds on each side of an image of any size
    outs           the size of its output; the end is padded by what it needs where `after` gives another size
    """
    ends = [after if (side + before + after - window) // step + 1 == out
            else max(0, (out - 1) * step + window - side - before)
            for side, out, step in zip(sides, outs, stride, strict=True)]
    return [before, before, *ends]


def folded(g: Graph, layer: Layer, weights: np.ndarray) -> tuple[str, list[str]]:
    """Weights and biases with batch norm folded in -> their names; no biases where batch norm follows as a node."""
    if g.keep_batchnorm and "scales" in layer.params:
        return g.constant(weights, "weights"), []
    weights, biases = tail.folded(layer, weights)
    return g.constant(weights, "weights"), [g.constant(biases, "biases")]


def batchnorm(g: Graph, layer: Layer, x: str) -> str:
    """Batch norm with the rolling statistics, as a node of its own."""
    compat, variance = layer.env.compat, layer.buffers["rolling_variance"]
    epsilon = compat.batchnorm_epsilon
    if compat.batchnorm_epsilon_outside:        # ONNX adds it to the variance, that fork to the deviation
        variance, epsilon = (np.sqrt(variance) + epsilon) ** 2, 0.0
    return g.node("BatchNormalization", x, g.constant(layer.params["scales"], "scales"),
                  g.constant(layer.params["biases"], "biases"), g.constant(layer.buffers["rolling_mean"], "mean"),
                  g.constant(variance, "variance"), epsilon=epsilon)


def finished(g: Graph, layer: Layer, y: str) -> str:
    """What follows the product: batch norm where it is kept, then the activation."""
    if g.keep_batchnorm and "scales" in layer.params:
        y = batchnorm(g, layer, y)
    return activate(g, y, layer.options.activation)


def blurred(g: Graph, x: str, channels: int, mode: int, stride: Pair) -> str:
    """antialiasing= of [convolutional] and [maxpool]."""
    filters, pad = blur.FILTERS[mode], blur.PADDING[mode]
    weights = np.broadcast_to(filters, (channels, 1, *filters.shape))
    return g.node("Conv", x, g.constant(weights, "blur"), kernel_shape=list(filters.shape), strides=list(stride),
                  pads=[pad] * 4, group=channels)


@writes(Convolutional)
def convolutional(g: Graph, layer: Convolutional, x: str) -> str:
    o, before, window = layer.options, layer.padding[0], layer.dilation * (layer.options.size - 1) + 1
    x = as_image(g, layer, x)
    if o.xnor:
        x = g.node("Where", g.node("Greater", x, g.constant(0)), g.constant(1), g.constant(-1))
    weights, biases = folded(g, layer, layer.effective_weights())
    _, *sides = layer.image(layer.in_shapes[0])
    filters, oh, ow = layer.sharp_shape
    ends = pads((sides[0], sides[1]), (oh, ow), window, layer.stride, before, before)
    y = g.node("Conv", x, weights, *biases, kernel_shape=[o.size] * 2, strides=list(layer.stride), pads=ends,
               dilations=[layer.dilation] * 2, group=layer.groups)
    for axis, out in enumerate((oh, ow)):       # darknet counts the windows of a dilated filter without the dilation
        if (sides[axis] + before + ends[2 + axis] - window) // layer.stride[axis] + 1 > out:
            y = g.slice(y, 2 + axis, 0, out)
    y = finished(g, layer, y)
    return blurred(g, y, filters, o.antialiasing, (o.stride_y, o.stride_x)) if o.antialiasing else y


@writes(Deconvolutional)
def deconvolutional(g: Graph, layer: Deconvolutional, x: str) -> str:
    o = layer.options
    turned = layer.params["weights"].swapaxes(0, 1)         # batch norm is folded along the first axis
    if g.keep_batchnorm and "scales" in layer.params:
        weights, biases = layer.params["weights"], []
    else:
        turned, bias = tail.folded(layer, turned)
        weights, biases = turned.swapaxes(0, 1), [g.constant(bias, "biases")]
    y = g.node("ConvTranspose", as_image(g, layer, x), g.constant(weights, "weights"), *biases,
               kernel_shape=[o.size] * 2, strides=[o.stride] * 2, pads=[layer.padding[0]] * 4)
    return finished(g, layer, y)


@writes(Connected)
def connected(g: Graph, layer: Connected, x: str) -> str:
    weights, biases = folded(g, layer, layer.params["weights"])
    return finished(g, layer, g.node("Gemm", flat(g, x), weights, *biases, transB=1))


@writes(Batchnorm)
def batchnorm_layer(g: Graph, layer: Batchnorm, x: str) -> str:
    return batchnorm(g, layer, x)


@writes(Local)
def local(g: Graph, layer: Local, x: str) -> str:
    """The windows become columns by a convolution with unit filters; each position has a product of its own."""
    o, (c, h, w), (filters, oh, ow) = layer.options, layer.image(layer.in_shapes[0]), layer.out_shape
    taps = o.size * o.size
    units = np.tile(np.eye(taps).reshape(taps, 1, o.size, o.size), (c, 1, 1, 1))
    before = int(o.pad)
    columns = g.node("Conv", as_image(g, layer, x), g.constant(units, "units"), kernel_shape=[o.size] * 2,
                     strides=[o.stride] * 2, pads=pads((h, w), (oh, ow), o.size, (o.stride,) * 2, before, before),
                     group=c)
    by_position = g.node("Transpose", g.reshape(columns, c * taps, oh * ow), perm=[2, 0, 1])
    weights = layer.params["weights"].reshape(oh * ow, filters, -1).swapaxes(1, 2)
    y = g.node("Transpose", g.node("MatMul", by_position, g.constant(weights, "weights")), perm=[1, 2, 0])
    y = g.node("Add", g.reshape(y, filters, oh, ow), g.constant(layer.params["biases"], "biases"))
    return activate(g, y, o.activation)


@writes(Implicit)
def implicit(g: Graph, layer: Implicit, x: str) -> str:
    shape = g.node("Concat", g.rows(x), g.integers(*layer.out_shape), axis=0)
    return g.node("Expand", g.constant(layer.params["weights"][None], "weights"), shape)
