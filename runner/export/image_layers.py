"""Layers without weights as ONNX nodes: pooling, resampling, norms, rearrangements, and those that do nothing."""
import numpy as np

from runner import ops
from runner.export.dense_layers import blurred, pads
from runner.export.graph import Graph
from runner.export.writers import activate, as_image, flat, shaped, writes
from runner.layers import (
    Activation,
    Avgpool,
    ChannelShuffle,
    ChannelSlice,
    Contrastive,
    Cost,
    Crop,
    Dropout,
    Empty,
    L1norm,
    L2norm,
    LocalAvgpool,
    Maxpool,
    Normalization,
    Reorg,
    Reorg3d,
    Shuffler,
    Upsample,
)
from runner.layers.shared.base import Layer

TINY = float(np.finfo(np.float32).tiny)


@writes(Contrastive, Cost, Dropout, Empty)
def unchanged(g: Graph, layer: Layer, x: str) -> str:
    return x


@writes(Activation)
def activation(g: Graph, layer: Activation, x: str) -> str:
    return activate(g, x, layer.options.activation)


# --- pooling ------------------------------------------------------------------------------------------


def _pooled(g: Graph, op: str, layer: Maxpool | LocalAvgpool, x: str, outs: tuple[int, ...]) -> str:
    """MaxPool or AveragePool with darknet's padding: half of it before, the rest after."""
    o, (_, h, w) = layer.options, layer.image(layer.in_shapes[0])
    before = o.padding // 2
    after = min(o.padding - before, o.size - 1)     # a window never lies outside the image
    return g.node(op, as_image(g, layer, x), kernel_shape=[o.size] * 2, strides=list(layer.stride),
                  pads=pads((h, w), (outs[1], outs[2]), o.size, layer.stride, before, after))


@writes(Maxpool)
def maxpool(g: Graph, layer: Maxpool, x: str) -> str:
    o = layer.options
    if o.maxpool_depth:
        return _maxpool_depth(g, layer, as_image(g, layer, x))
    y = _pooled(g, "MaxPool", layer, x, layer.sharp_shape)
    channels = layer.sharp_shape[0]
    return blurred(g, y, channels, o.antialiasing, (o.stride_y, o.stride_x)) if o.antialiasing else y


def _maxpool_depth(g: Graph, layer: Maxpool, x: str) -> str:
    """The maximum over the channels k, k + out, k + 2 out, ...; the last round may be incomplete."""
    c, out = layer.image(layer.in_shapes[0])[0], layer.out_shape[0]
    rounds = [g.slice(x, 1, begin, min(begin + out, c)) for begin in range(0, c, out)]
    if c % out == 0 or len(rounds) == 1:
        return rounds[0] if len(rounds) == 1 else g.node("Max", *rounds)
    whole = rounds[0] if len(rounds) == 2 else g.node("Max", *rounds[:-1])
    first = g.node("Max", g.slice(whole, 1, 0, c % out), rounds[-1])
    return g.concat([first, g.slice(whole, 1, c % out, out)], axis=1)


@writes(LocalAvgpool)
def local_avgpool(g: Graph, layer: LocalAvgpool, x: str) -> str:
    return _pooled(g, "AveragePool", layer, x, layer.out_shape)     # pixels outside the image are not counted


@writes(Avgpool)
def avgpool(g: Graph, layer: Avgpool, x: str) -> str:
    return g.node("GlobalAveragePool", as_image(g, layer, x))


# --- size ---------------------------------------------------------------------------------------------


@writes(Upsample)
def upsample(g: Graph, layer: Upsample, x: str) -> str:
    stride, scale, x = layer.options.stride, layer.options.scale, as_image(g, layer, x)
    if stride > 0:
        y = g.node("Resize", x, "", g.constant([1, 1, stride, stride]), mode="nearest",
                   coordinate_transformation_mode="asymmetric", nearest_mode="floor")
        return g.scaled(y, scale)
    block = -stride
    y = g.node("AveragePool", x, kernel_shape=[block] * 2, strides=[block] * 2)
    return g.scaled(y, block * block * scale)       # blocks are summed


@writes(Crop)
def crop(g: Graph, layer: Crop, x: str) -> str:
    (_, h, w), (_, height, width) = layer.image(layer.in_shapes[0]), layer.out_shape
    top, left = (h - height) // 2, (w - width) // 2
    y = g.slice(g.slice(as_image(g, layer, x), 2, top, top + height), 3, left, left + width)
    return y if layer.options.noadjust else g.scaled(y, 2, -1)


# --- norms --------------------------------------------------------------------------------------------


@writes(L1norm)
def l1norm(g: Graph, layer: L1norm, x: str) -> str:
    total = g.reduce("ReduceSum", g.node("Abs", x), 1)
    return g.node("Div", x, g.node("Max", total, g.constant(TINY)))


@writes(L2norm)
def l2norm(g: Graph, layer: L2norm, x: str) -> str:
    length = g.node("Sqrt", g.reduce("ReduceSum", g.node("Mul", x, x), 1))
    return g.node("Div", x, g.node("Max", length, g.constant(TINY)))


@writes(Normalization)
def normalization(g: Graph, layer: Normalization, x: str) -> str:
    """LRN is not ONNX's, because of darknet's off-by-one: the sum over channels is a 1 x 1 convolution."""
    o, shape = layer.options, layer.image(layer.in_shapes[0])
    image = as_image(g, layer, x)
    window = ops.lrn_window(shape[0], o.size)[:, :, None, None]
    squares = g.node("Conv", g.node("Mul", image, image), g.constant(window, "window"), kernel_shape=[1, 1])
    norms = g.scaled(squares, o.alpha, o.kappa)
    y = g.node("Mul", image, g.node("Pow", norms, g.constant(-o.beta)))
    return shaped(g, y, shape, layer.out_shape)


# --- channels and pixels --------------------------------------------------------------------------------


def _space_to_depth(g: Graph, x: str, stride: int) -> str:
    return g.node("SpaceToDepth", x, blocksize=stride)


def _depth_to_space(g: Graph, x: str, stride: int) -> str:
    return g.node("DepthToSpace", x, blocksize=stride, mode="DCR")


@writes(Reorg)
def reorg(g: Graph, layer: Reorg, x: str) -> str:
    o, s, (c, h, w) = layer.options, layer.stride, layer.image(layer.in_shapes[0])
    if o.extra:
        return g.pad(flat(g, x), (0, 0), (0, o.extra))
    x = as_image(g, layer, x)
    if o.flatten:
        x = g.reshape(x, h * w, c) if o.reverse else g.reshape(x, c, h * w)
        return g.reshape(g.node("Transpose", x, perm=[0, 2, 1]), *layer.out_shape)
    if o.reverse:
        return _depth_to_space(g, x, s)
    if layer.yolor:
        columns_first = g.node("Transpose", x, perm=[0, 1, 3, 2])
        return g.node("Transpose", _space_to_depth(g, columns_first, s), perm=[0, 1, 3, 2])
    scrambled = g.reshape(x, c // (s * s), h * s, w * s)
    return g.reshape(_space_to_depth(g, scrambled, s), *layer.out_shape)


@writes(Reorg3d)
def reorg3d(g: Graph, layer: Reorg3d, x: str) -> str:
    s, x, (c, h, w) = layer.options.stride, as_image(g, layer, x), layer.image(layer.in_shapes[0])
    if not layer.options.reverse:
        return _space_to_depth(g, x, s)
    virtual = g.reshape(x, c // (s * s), h * s, w * s)
    return g.reshape(_depth_to_space(g, virtual, s), *layer.out_shape)


@writes(ChannelSlice)
def channel_slice(g: Graph, layer: ChannelSlice, x: str) -> str:
    return g.slice(as_image(g, layer, x), 1, layer.options.start, layer.options.end)


@writes(ChannelShuffle)
def channel_shuffle(g: Graph, layer: ChannelShuffle, x: str) -> str:
    groups, (c, h, w) = layer.options.groups, layer.out_shape
    parts = g.reshape(as_image(g, layer, x), groups, c // groups, h, w)
    return g.reshape(g.node("Transpose", parts, perm=[0, 2, 1, 3, 4]), c, h, w)


@writes(Shuffler)
def shuffler(g: Graph, layer: Shuffler, x: str) -> str:
    return _depth_to_space(g, as_image(g, layer, x), layer.options.scale)
