"""Layers that read several outputs as ONNX nodes: [route], [shortcut], [sam] and other products and sums."""
import numpy as np

from runner.export.graph import Graph
from runner.export.writers import activate, as_image, flat, shaped, writes
from runner.layers import AlternateChannels, ControlChannels, Route, Sam, ScaleChannels, ShiftChannels, Shortcut


@writes(Route)
def route(g: Graph, layer: Route, *xs: str) -> str:
    parts = []
    for source, x in enumerate(xs):
        x = flat(g, x) if layer.flat else as_image(g, layer, x, source)
        if layer.options.groups > 1:
            part = layer.part(layer.in_shapes[source])
            x = g.slice(x, 1, part.start, part.stop)
        parts.append(x)
    return g.concat(parts, axis=1)


@writes(Shortcut)
def shortcut(g: Graph, layer: Shortcut, *xs: str) -> str:
    images = [as_image(g, layer, x, source) for source, x in enumerate(xs)]
    if "weights" in layer.params:
        effective = layer.effective_weights()[0][..., None, None]
        total = g.node("Mul", images[0], g.constant(effective[0], "weights"))
        for source, x in enumerate(images[1:], 1):
            own, c = layer.images[0][0], min(layer.images[0][0], layer.images[source][0])
            scaled = g.node("Mul", _channels(g, x, layer.images[source][0], c), g.constant(effective[source][:c]))
            total = g.node("Add", total, g.pad(scaled, (0, 0, 0, 0), (0, own - c, 0, 0)))
    else:
        total = images[0]
        for source, x in enumerate(images[1:], 1):
            total = _added(g, layer, total, x, source)
    return activate(g, total, layer.options.activation)


def _channels(g: Graph, x: str, have: int, first: int) -> str:
    """The first channels of x."""
    return x if have == first else g.slice(x, 1, 0, first)


def _added(g: Graph, layer: Shortcut, total: str, x: str, source: int) -> str:
    """total + x where the two overlap (alpha total + beta x, with these options); total elsewhere."""
    o, (c, h, w), (c2, h2, w2) = layer.options, layer.images[0], layer.images[source]
    mine, theirs = layer.overlap(layer.images[source])
    channels = min(c, c2)
    x = g.scaled(_channels(g, x, c2, channels), o.beta)
    for axis, length in ((2, h2), (3, w2)):
        begin, end, step = theirs[axis].indices(length)
        if (begin, end, step) != (0, length, 1):
            x = g.slice(x, axis, begin, end, step)
    overlap = np.zeros((1, c, h, w), np.float32)
    overlap[mine] = 1
    if overlap[:, :channels].all():
        x = g.pad(x, (0, 0, 0, 0), (0, c - channels, 0, 0))
    else:       # every value of x belongs to one pixel of a block: repeat it there, then keep that pixel
        block = mine[2].step or 1
        x = g.node("Resize", x, "", g.constant([1, 1, block, block]), mode="nearest",
                   coordinate_transformation_mode="asymmetric", nearest_mode="floor")
        rows, columns = (overlap[0, 0].shape[axis] for axis in (0, 1))
        repeated = [len(range(*mine[axis].indices(side))) * block for axis, side in ((2, h), (3, w))]
        x = g.slice(g.slice(x, 2, 0, min(rows, repeated[0])), 3, 0, min(columns, repeated[1]))
        x = g.pad(x, (0, 0, 0, 0), (0, c - channels, max(0, h - repeated[0]), max(0, w - repeated[1])))
        x = g.node("Mul", x, g.constant(overlap, "overlap"))
    if o.alpha != 1:
        factors = np.where(overlap > 0, o.alpha, 1)
        total = g.node("Mul", total, g.constant(factors, "alpha"))
    return g.node("Add", total, x)


@writes(Sam)
def sam(g: Graph, layer: Sam, x: str, other: str) -> str:
    other = shaped(g, other, layer.in_shapes[1], layer.in_shapes[0])
    return activate(g, g.node("Mul", x, other), layer.options.activation)


@writes(ScaleChannels)
def scale_channels(g: Graph, layer: ScaleChannels, gate: str, x: str) -> str:
    gate = shaped(g, gate, layer.in_shapes[0], layer.gate)
    return activate(g, g.node("Mul", gate, as_image(g, layer, x, 1)), layer.options.activation)


@writes(ShiftChannels)
def shift_channels(g: Graph, layer: ShiftChannels, x: str, values: str) -> str:
    return g.node("Add", as_image(g, layer, x), shaped(g, values, layer.in_shapes[1], layer.vector))


@writes(ControlChannels)
def control_channels(g: Graph, layer: ControlChannels, x: str, values: str) -> str:
    return g.node("Mul", as_image(g, layer, x), shaped(g, values, layer.in_shapes[1], layer.vector))


@writes(AlternateChannels)
def alternate_channels(g: Graph, layer: AlternateChannels, x: str, values: str) -> str:
    x = as_image(g, layer, x)
    values = g.node("Expand", shaped(g, values, layer.in_shapes[1], layer.vector), g.node("Shape", x))
    return g.node("Concat", values, x, axis=1)
