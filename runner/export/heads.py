"""Heads as ONNX nodes: what the network itself outputs ("raw"), and boxes with scores ("decoded").

Raw outputs equal those of `Network.predict`.  Decoded ones follow the convention that consumers of exported detectors
expect: (n, 4 + classes, boxes), centre x, y, width, height in pixels of the network's input, then a score for every
class, objectness included.
"""
from typing import Any

import numpy as np

from runner.errors import UsageError
from runner.export.graph import INT64, Graph
from runner.export.writers import as_image, flat, writes
from runner.layers import Detection, GaussianYolo, Iseg, Logistic, Region, Softmax, Yolo
from runner.layers.gaussian_yolo import CORNER
from runner.layers.shared.heads import DetectionHead

# --- raw ----------------------------------------------------------------------------------------------


@writes(Logistic)
def logistic(g: Graph, layer: Logistic, x: str) -> str:
    return g.node("Sigmoid", x)


@writes(Iseg)
def iseg(g: Graph, layer: Iseg, x: str) -> str:
    classes, (c, _, _) = layer.options.classes, layer.out_shape
    return g.node("Concat", g.node("Sigmoid", g.slice(x, 1, 0, classes)), g.slice(x, 1, classes, c), axis=1)


def _softmax_groups(g: Graph, x: str, sizes: list[int], axis: int) -> str:
    """A softmax for each run of `sizes` values along an axis."""
    if len(sizes) == 1:
        return g.node("Softmax", x, axis=axis)
    parts = g.nodes_of("Split", len(sizes), x, g.integers(*sizes), axis=axis)
    return g.node("Concat", *(g.node("Softmax", part, axis=axis) for part in parts), axis=axis)


@writes(Softmax)
def softmax(g: Graph, layer: Softmax, x: str) -> str:
    o = layer.options
    x = g.scaled(x, 1 / o.temperature)
    if o.spatial:
        return g.node("Softmax", as_image(g, layer, x), axis=1)
    x = flat(g, x)
    if layer.tree:
        return _softmax_groups(g, x, [int(size) for size in layer.tree.sizes], axis=1)
    if o.groups == 1:
        return g.node("Softmax", x, axis=1)
    values = layer.out_shape[0]
    blocks = g.node("Softmax", g.reshape(x, o.groups, values // o.groups), axis=2)
    return g.reshape(blocks, values)


@writes(Yolo)
def yolo(g: Graph, layer: Yolo, x: str) -> str:
    """Logistic on some channels, a factor and an offset on others; the width and height of the grid appear nowhere."""
    sigmoid, factors, offsets = (each[None, :, None, None] for each in layer.channel_functions())
    x = as_image(g, layer, x)
    if sigmoid.all():
        x = g.node("Sigmoid", x)
    elif sigmoid.any():
        x = g.node("Where", g.constant(sigmoid, "logistic_channels", bool), g.node("Sigmoid", x), x)
    if (factors != 1).any():
        x = g.node("Mul", x, g.constant(factors, "factors"))
    return g.node("Add", x, g.constant(offsets, "offsets")) if offsets.any() else x


@writes(Region)
def region(g: Graph, layer: Region, x: str) -> str:
    y, raw = _region(g, layer, x)
    if layer.fork != "alexeyab":
        return g.node("Reshape", y, g.node("Shape", as_image(g, layer, x)))
    (c, h, w), entries = layer.out_shape, layer.out_shape[0] // layer.options.num
    y = g.node("Concat", g.slice(raw, 2, 0, 2), g.slice(y, 2, 2, entries), axis=2)      # that fork's x, y stay raw
    return g.reshape(g.node("Transpose", y, perm=[0, 3, 1, 2]), c, h, w)


def _region(g: Graph, layer: Region, x: str) -> tuple[str, str]:
    """-> (n, anchors, entries, cells) with every function applied, and before."""
    o, entries = layer.options, layer.out_shape[0] // layer.options.num
    v = g.reshape(as_image(g, layer, x), o.num, entries, -1)
    first = o.coords + (0 if o.background else 1)
    box = [g.node("Sigmoid", g.slice(v, 2, 0, 2)), g.slice(v, 2, 2, 4)]
    if first > 4:
        box.append(g.node("Sigmoid", g.slice(v, 2, 4, first)))
    scores = g.slice(v, 2, first, entries)
    if layer.tree:
        sizes = [int(size) for size in layer.tree.sizes]
        scores = _softmax_groups(g, scores, [1, *sizes] if o.background else sizes, axis=2)
    elif o.softmax:
        scores = g.node("Softmax", scores, axis=2)
    elif layer.fork != "alexeyab":
        unchanged = o.coords + 1 - first        # with background=1, objectness
        parts = [g.slice(scores, 2, 0, unchanged)] if unchanged else []
        scores = g.concat([*parts, g.node("Sigmoid", g.slice(v, 2, o.coords + 1, entries))], axis=2)
    return g.node("Concat", *box, scores, axis=2), v


@writes(Detection)
def detection(g: Graph, layer: Detection, x: str) -> str:
    o, x = layer.options, flat(g, x)
    if not (o.softmax and o.classes):
        return x
    cells, values = o.side ** 2, layer.out_shape[0]
    end = cells * o.classes
    classes = g.node("Softmax", g.reshape(g.slice(x, 1, 0, end), cells, o.classes), axis=2)
    return g.node("Concat", g.reshape(classes, end), g.slice(x, 1, end, values), axis=1)


# --- decoded ------------------------------------------------------------------------------------------


def decoded(g: Graph, layer: DetectionHead, output: str, any_size: bool) -> str:
    """Boxes and scores (n, 4 + classes, boxes) from the raw output of a head.  UsageError where it cannot be said."""
    if isinstance(layer, Yolo):
        return _decoded_yolo(g, layer, output, any_size)
    if isinstance(layer, Region):
        return _decoded_region(g, layer, output, any_size)
    if isinstance(layer, Detection):
        return _decoded_detection(g, layer, output)
    raise UsageError(f"[{layer.names[0]}] has no decoded form")


def _grid(g: Graph, layer: Any, output: str, any_size: bool) -> tuple[str, str]:
    """Column and row of every cell, (cells,) each, row by row; computed in the graph where the size may change."""
    h, w = layer.grid
    if not any_size:
        rows, columns = np.divmod(np.arange(h * w), w)
        return g.constant(columns, "columns"), g.constant(rows, "rows")
    shape = g.node("Shape", output)
    height, width = (g.node("Gather", shape, g.constant(axis, "axis", np.int64)) for axis in (2, 3))
    zero, one = (g.constant(value, "number", np.int64) for value in (0, 1))
    index = g.node("Range", zero, g.node("Mul", height, width), one)
    row = g.node("Div", index, width)
    column = g.node("Sub", index, g.node("Mul", row, width))
    return g.node("Cast", column, to=1), g.node("Cast", row, to=1)


def _pixels(g: Graph, layer: Any, xy: tuple[str, str], wh: tuple[str, str], any_size: bool, output: str) -> list[str]:
    """x, y in the cell and w, h in pixels -> all four in pixels, each (n, anchors, 1, cells)."""
    (h, w), (net_w, net_h) = layer.grid, layer.network_size
    cells = _grid(g, layer, output, any_size)
    centre = [g.scaled(g.node("Add", value, cell), step) for value, cell, step in
              zip(xy, cells, (net_w / w, net_h / h), strict=True)]
    return [*centre, *wh]


def _joined(g: Graph, box: list[str], scores: str, classes: int) -> str:
    """Parts (n, anchors, entries, cells) -> (n, 4 + classes, anchors * cells)."""
    whole = g.node("Concat", *box, scores, axis=2)
    return g.reshape(g.node("Transpose", whole, perm=[0, 2, 1, 3]), 4 + classes, -1)


def _decoded_yolo(g: Graph, layer: Yolo, output: str, any_size: bool) -> str:
    o, count = layer.options, len(layer.options.mask)
    entries = layer.ENTRIES + o.classes
    v = g.node("Reshape", output, g.integers(0, count, entries, -1))

    def at(begin: int, end: int | None = None) -> str:
        return g.slice(v, 2, begin, begin + 1 if end is None else end)
    anchors = layer.anchors[list(o.mask)]
    x, y, tw, th = (at(part) for part in layer.BOX)
    sizes = []
    for value, side in zip((tw, th), anchors.T, strict=True):
        if layer.new_coords:
            factor = g.scaled(g.node("Mul", value, value), 4)
        else:
            factor = g.node("Exp", value)
        sizes.append(g.node("Mul", factor, g.constant(side[None, :, None, None], "anchors")))
    box = _pixels(g, layer, (x, y), (sizes[0], sizes[1]), any_size, output)
    scores = g.node("Mul", at(layer.OBJECTNESS), at(layer.ENTRIES, entries))
    if isinstance(layer, GaussianYolo):
        side = CORNER[o.yolo_point]
        if side:
            box[:2] = [g.node("Sub", place, g.scaled(size, side / 2)) for place, size in
                       zip(box[:2], sizes, strict=True)]
        spread = g.node("Concat", *(at(part) for part in range(1, 8, 2)), axis=2)
        scores = g.node("Mul", scores, g.scaled(g.reduce("ReduceMean", spread, 2), -1, 1))
    return _joined(g, box, scores, o.classes)


def _decoded_region(g: Graph, layer: Region, output: str, any_size: bool) -> str:
    o, (h, w), entries = layer.options, layer.grid, layer.out_shape[0] // layer.options.num
    if layer.tree is not None or o.map or o.classfix == -1:
        raise UsageError("[region] with tree=, map= or classfix=-1 chooses classes by rules that have no form in ONNX: "
                         "use --raw")
    if layer.fork == "alexeyab":
        v = g.node("Transpose", g.reshape(output, h, w, o.num, entries), perm=[0, 3, 4, 1, 2])
        v = g.reshape(v, o.num, entries, h * w)
        xy = g.node("Sigmoid", g.slice(v, 2, 0, 2))
    else:
        v = g.node("Reshape", output, g.integers(0, o.num, entries, -1))
        xy = g.slice(v, 2, 0, 2)
    steps = (layer.network_size[0] / w, layer.network_size[1] / h)      # anchors are in cells
    sizes = [g.node("Mul", g.node("Exp", g.slice(v, 2, 2 + axis, 3 + axis)),
                    g.constant((layer.anchors[:, axis] * steps[axis])[None, :, None, None], "anchors"))
             for axis in (0, 1)]
    box = _pixels(g, layer, (g.slice(xy, 2, 0, 1), g.slice(xy, 2, 1, 2)), (sizes[0], sizes[1]), any_size, output)
    scores = g.slice(v, 2, o.coords + 1, entries)
    if not o.background:
        scores = g.node("Mul", g.slice(v, 2, o.coords, o.coords + 1), scores)
    return _joined(g, box, scores, o.classes)


def _decoded_detection(g: Graph, layer: Detection, output: str) -> str:
    o, cells, (net_w, net_h) = layer.options, layer.options.side ** 2, layer.network_size
    if o.coords != 4 or not o.classes:
        raise UsageError(f"[detection] predicts boxes with coords=4 and at least one class. Got coords={o.coords} "
                         f"classes={o.classes}: use --raw")
    first, second = cells * o.classes, cells * (o.classes + o.num)
    classes = g.reshape(g.slice(output, 1, 0, first), cells, 1, o.classes)
    objectness = g.reshape(g.slice(output, 1, first, second), cells, o.num, 1)
    boxes = g.reshape(g.slice(output, 1, second, layer.out_shape[0]), cells, o.num, 4)
    rows, columns = np.divmod(np.arange(cells), o.side)
    corner = np.stack([columns, rows], axis=1)[None, :, None, :]
    size = np.array([net_w, net_h], np.float64)
    centre = g.node("Mul", g.node("Add", g.slice(boxes, 3, 0, 2), g.constant(corner, "cells")),
                    g.constant(size / o.side, "stride"))
    extent = g.slice(boxes, 3, 2, 4)
    if o.sqrt:
        extent = g.node("Mul", extent, extent)
    extent = g.node("Mul", extent, g.constant(size, "size"))
    whole = g.node("Concat", centre, extent, g.node("Mul", objectness, classes), axis=3)
    return g.node("Transpose", g.reshape(whole, cells * o.num, 4 + o.classes), perm=[0, 2, 1])


# --- suppressed ---------------------------------------------------------------------------------------


def suppressed(g: Graph, boxes: str, classes: int, thresh: float, nms: float, most: int,
               agnostic: bool = False) -> tuple[str, str, str, str]:
    """Non-maximum suppression of decoded boxes (n, 4 + classes, boxes): class by class, or, agnostic, of the best class
    of each box.

    -> of the boxes that are left, best class first: corners (k, 4) left, top, right, bottom in pixels; scores (k,);
    classes (k,); image_index (k,), the row of the batch
    """
    centre = g.node("Transpose", g.slice(boxes, 1, 0, 4), perm=[0, 2, 1])
    scores = g.slice(boxes, 1, 4, 4 + classes)
    labels = ""
    if agnostic:
        scores, labels = g.nodes_of("TopK", 2, scores, g.integers(1), axis=1)       # (n, 1, boxes) each
    half = g.scaled(g.slice(centre, 2, 2, 4), 0.5)
    middle = g.slice(centre, 2, 0, 2)
    corners = g.node("Concat", g.node("Sub", middle, half), g.node("Add", middle, half), axis=2)
    picked = g.node("NonMaxSuppression", centre, scores, g.integers(most), g.constant([nms]), g.constant([thresh]),
                    center_point_box=1)         # (k, 3): image, class, box
    image, label, index = (g.slice(picked, 1, part, part + 1) for part in range(3))
    chosen = g.node("GatherND", corners, g.node("Concat", image, index, axis=1))
    score = g.node("GatherND", scores, picked)
    label = g.node("GatherND", labels, picked) if agnostic else label
    label, image = (g.node("Reshape", part, g.integers(-1)) for part in (label, image))
    return chosen, score, label, image


NMS_OUTPUTS = (("boxes", 1, ("found", 4)), ("scores", 1, ("found",)), ("classes", INT64, ("found",)),
               ("image_index", INT64, ("found",)))
