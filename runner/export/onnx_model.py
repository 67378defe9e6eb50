"""A network as an ONNX model, in memory."""
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import runner.export.dense_layers
import runner.export.heads
import runner.export.image_layers
import runner.export.joining_layers
import runner.export.recurrent_layers  # noqa: F401  (each of the five registers its writers)
from runner.config import write as write_cfg
from runner.detection import detection_heads
from runner.errors import MissingExtra, ShapeError, UsageError
from runner.export.graph import FLOAT, Graph
from runner.export.heads import NMS_OUTPUTS, decoded, suppressed
from runner.export.writers import write, writer_of
from runner.layers.shared.base import Layer
from runner.layers.shared.heads import DetectionHead
from runner.layers.shared.recurrent import Recurrent
from runner.network import Network

Form = Literal["raw", "decoded", "nms"]
FORMS: tuple[Form, ...] = ("raw", "decoded", "nms")
CFG_KEY = "cfgrunner"   # of the metadata: the cfg and the class names as JSON, for runner/export/onnx_network.py
BOXES = "boxes"         # in the names of the nodes that decode a head
OLDEST_OPSET = 13
DEFAULT_OPSET = 17


@dataclass(frozen=True)
class OnnxOptions:
    """How a network is written.

    form            what a detector outputs.  raw: its heads' own values; decoded: boxes in pixels with a score for each
                    class; nms: the boxes that non-maximum suppression leaves
    batch           images (streams of a recurrent network) in a batch; None: any number
    any_size        width and height of the images are chosen when the model is run
    opset           version of ONNX's operators
    keep_batchnorm  batch norms stay nodes instead of being folded into the weights
    thresh, nms, max_boxes   of form nms: lowest score, largest IoU of two boxes, boxes of one class in an image
    agnostic_nms    of form nms: boxes of all classes suppress each other; max_boxes are then those of an image
    """
    form: Form = "raw"
    batch: int | None = 1
    any_size: bool = False
    opset: int = DEFAULT_OPSET
    keep_batchnorm: bool = False
    thresh: float = 0.25
    nms: float = 0.45
    max_boxes: int = 300
    agnostic_nms: bool = False


def newest_opset() -> int:
    """The newest opset that both the installed onnx and the installed ONNX Runtime know.  MissingExtra without them."""
    onnx = require_onnx()
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtra("onnxruntime", "export to ONNX", "onnx") from None
    newest = int(onnx.defs.onnx_opset_version())
    while newest > OLDEST_OPSET and not _runs(onnxruntime, newest):
        newest -= 1
    return newest


def _runs(onnxruntime: Any, opset: int) -> bool:
    from onnx import helper
    value = helper.make_tensor_value_info("x", FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "try", [value],
                              [helper.make_tensor_value_info("y", FLOAT, [1])])
    ids = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=ids, ir_version=helper.find_min_ir_version_for(ids))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception:       # its exceptions have no common base but this
        return False
    return True


def require_onnx() -> Any:
    """The module onnx.  MissingExtra where it is not installed."""
    try:
        import onnx
    except ImportError:
        raise MissingExtra("onnx", "export to ONNX", "onnx") from None
    return onnx


def onnx_model(net: Network, options: OnnxOptions | None = None, *, names: Sequence[str] = (),
               metadata: dict[str, str] | None = None, threshold: float | None = None) -> Any:
    """-> onnx.ModelProto.  Images are RGB with values in 0..1, (n, c, h, w), as `runner.images.prepare` gives them.

    Its first input is `images` (`input`, where the network does not take images), its outputs are `output0` and so on:
    the heads of a detector, else the last layer that is not a [cost].  Form nms has `boxes`, `scores`, `classes`,
    `image_index`.  The state of every recurrent layer is a further input and output.
    threshold is that of a detector's run, which `detect` uses with the model.
    UsageError names the layers that cannot be written; nothing is written for the others.
    """
    from runner import __version__
    options = options or OnnxOptions()
    require_onnx()
    _check(net, options)
    graph = _graph(net, options)
    if options.any_size:
        _require_any_size(net, options, graph)
    facts = model_facts(net, options, names, threshold) | (metadata or {})
    return graph.model("network", facts, "cfgrunner", __version__)


def _check(net: Network, options: OnnxOptions) -> None:
    """UsageError with everything that stands against writing this network."""
    problems = []
    for index, layer in enumerate(net.layers):
        try:
            writer_of(layer)
        except UsageError as error:
            problems.append(f"{where(net, index)}: {error}")
    newest = newest_opset()
    if not OLDEST_OPSET <= options.opset <= newest:
        problems.append(f"the opset must be from {OLDEST_OPSET} to {newest}, the newest that the installed onnx and "
                        f"onnxruntime share. Got {options.opset}")
    if options.form not in FORMS:
        problems.append(f"form is one of {', '.join(FORMS)}. Got {options.form!r}")
    elif options.form != "raw" and not detection_heads(net.layers):
        problems.append(f"the network has no [yolo], [Gaussian_yolo], [region] or [detection]: there are no boxes to "
                        f"write in form {options.form!r}")
    if options.any_size and len(net.in_shape) != 3:
        problems.append("the network takes values, not images: its input has no width and height to leave open")
    if problems:
        raise UsageError("\n".join(problems))


def where(net: Network, index: int) -> str:
    """A layer as messages name it: file and line where the network has them, its number and section."""
    layer = net.layers[index]
    section = net.sections[index + 1] if index + 1 < len(net.sections) else None
    return f"{section.where()} layer {index}" if section is not None else f"layer {index} [{layer.names[0]}]"


def is_recurrent(net: Network) -> bool:
    """Is a row of the batch a time step of a sequence?"""
    return any(isinstance(layer, Recurrent) for layer in net.layers)


def written_heads(net: Network) -> list[int]:
    """The layers whose outputs the model has: the heads of a detector, else the last layer that is not a [cost]."""
    return detection_heads(net.layers) or [net.last]


def _graph(net: Network, options: OnnxOptions) -> Graph:
    g = Graph(options.opset, options.keep_batchnorm)
    rows: int | str = "batch" if options.batch is None else options.batch
    if is_recurrent(net):
        rows = "rows" if options.batch is None else options.batch * net.env.time_steps
    image = len(net.in_shape) == 3
    shape: list[int | str] = list(net.in_shape)
    if options.any_size:
        shape[1:] = ["height", "width"]
    source = "images" if image else "input"
    g.inputs.append((source, FLOAT, [rows, *shape]))
    tensors = {-1: source}
    for index, (layer, links) in enumerate(zip(net.layers, net.links, strict=True)):
        g.scope = f"{index}_{layer.names[0]}"
        try:
            tensors[index] = write(g, layer, *(tensors[link] for link in links))
        except (UsageError, ShapeError) as error:
            raise UsageError(f"{where(net, index)}: {error}") from None
    g.scope = ""
    heads = written_heads(net)
    if options.form == "raw":
        for number, index in enumerate(heads):
            out: list[int | str] = list(net.layers[index].out_shape)
            if options.any_size and len(out) == 3 and not _same_at_any_size(net.layers[index]):
                out[1:] = [f"height{number}", f"width{number}"]
            last = _last_rows(net, index, rows)
            g.output(f"output{number}", tensors[index], FLOAT, [last, *out])
    else:
        _boxes(g, net, options, heads, tensors, rows)
    if options.batch is not None:
        fixed = {"streams": options.batch}
        for infos in (g.inputs, g.outputs):
            infos[:] = [(name, kind, [fixed.get(str(side), side) for side in sides]) for name, kind, sides in infos]
    return g


def _last_rows(net: Network, index: int, rows: int | str) -> int | str:
    """Rows of an output; fewer than of the input where a layer gives only the last time step of every sequence."""
    if isinstance(rows, str) or getattr(net.layers[index].options, "return_sequence", True):
        return rows
    return rows // (net.layers[index].options.steps or net.env.time_steps)


def _same_at_any_size(layer: Layer) -> bool:
    return layer.out_shape[1:] == (1, 1)


def _boxes(g: Graph, net: Network, options: OnnxOptions, heads: list[int], tensors: dict[int, str],
           rows: int | str) -> None:
    """The outputs of the forms decoded and nms."""
    classes = {net.layers[index].options.classes for index in heads}
    if len(classes) > 1:
        raise UsageError(f"the heads differ in their number of classes: {sorted(classes)}")
    parts, total = [], 0
    for index in heads:
        layer = net.layers[index]
        assert isinstance(layer, DetectionHead)
        g.scope = f"{index}_{BOXES}"
        try:
            parts.append(decoded(g, layer, tensors[index], options.any_size))
        except UsageError as error:
            raise UsageError(f"{where(net, index)}: {error}") from None
        total += box_count(layer)
    g.scope = ""
    count, all_boxes = classes.pop(), g.concat(parts, axis=2)
    if options.form == "decoded":
        g.output("output0", all_boxes, FLOAT, [rows, 4 + count, "boxes" if options.any_size else total])
        return
    results = suppressed(g, all_boxes, count, options.thresh, options.nms, options.max_boxes,
                         options.agnostic_nms)
    for (name, kind, shape), tensor in zip(NMS_OUTPUTS, results, strict=True):
        g.output(name, tensor, kind, shape)


def box_count(layer: Any) -> int:
    """Boxes of one image that a detection head predicts."""
    o = layer.options
    if hasattr(o, "side"):
        return int(o.side ** 2 * o.num)
    return int(math.prod(layer.grid) * len(getattr(o, "mask", range(o.num))))


def _require_any_size(net: Network, options: OnnxOptions, graph: Graph) -> None:
    """UsageError where a node holds the size of the image: written for a second size, it would be another node."""
    _, height, width = net.require_images()
    step = largest_stride(net)
    try:
        net.resize(width + step, height + 2 * step)
        other = _graph(net, options)
    except ShapeError as error:
        raise UsageError(f"the size of the input cannot be left open: {error}") from None
    finally:
        net.resize(width, height)
    scope = graph.first_difference(other)
    if scope is not None:
        index = int(scope.partition("_")[0])
        raise UsageError(f"{where(net, index)}: the size of the input cannot be left open, because this layer depends "
                         "on it: name one with --size")


def largest_stride(net: Network) -> int:
    """Pixels of the input for one cell of the coarsest head, or of the smallest map: sizes are multiples of it."""
    _, height, _ = net.require_images()
    heads = [net.layers[index] for index in detection_heads(net.layers)] or net.layers
    sides = [layer.out_shape[1] for layer in heads if len(layer.out_shape) == 3 and layer.out_shape[1] > 1]
    return max(1, math.ceil(height / min(sides))) if sides else 1


def model_facts(net: Network, options: OnnxOptions, names: Sequence[str],
                threshold: float | None = None) -> dict[str, str]:
    """The metadata of the model, with the keys that consumers of exported detectors and classifiers read."""
    detector, image = bool(detection_heads(net.layers)), len(net.in_shape) == 3
    facts = {"description": "written by cfgrunner from a darknet .cfg", "task": "detect" if detector else "classify",
             "form": options.form, "batch": str(options.batch or 1)}
    if image:
        _, height, width = net.require_images()
        facts |= {"imgsz": str([height, width]), "stride": str(largest_stride(net)), "scale": "1/255",
                  "channels": str(net.in_shape[0]), "colours": "RGB", "layout": "NCHW",
                  "resize": "letterbox" if net.options.letter_box else "stretch" if detector else "crop"}
    if options.form == "nms":
        facts |= {"thresh": str(options.thresh), "nms": str(options.nms), "agnostic_nms": str(options.agnostic_nms)}
    if net.sections:
        facts[CFG_KEY] = json.dumps({"cfg": write_cfg(net.sections), "compat": net.env.compat.name,
                                     "names": list(names), "threshold": threshold}, ensure_ascii=False)
    if names:
        facts["names"] = str(dict(enumerate(names)))
    return facts
