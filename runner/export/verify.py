"""Does an ONNX model compute what the network computes?  Both are run on the same images, output by output."""
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from runner.detection import detection_heads, predict_boxes
from runner.errors import MissingExtra, UsageError
from runner.export.heads import NMS_OUTPUTS
from runner.export.onnx_model import box_count, is_recurrent, written_heads
from runner.layers import Region, Yolo
from runner.layers.shared.heads import DetectionHead
from runner.network import Network
from runner.reading.text import check_openable

FLOAT32_TOLERANCE = 1e-4    # of the largest value of an output
HALF_TOLERANCE = 2e-2
UNITS = {"raw": "as the layer outputs them", "decoded": "pixels, and scores", "nms": "pixels, and scores"}


@dataclass(frozen=True)
class Difference:
    """One output on all images.

    largest    largest absolute difference of a value, in the unit of the output
    scale      largest absolute value of ours
    tolerance  what `largest` may be
    remark     what else differs, such as a box that only one of the two found; "" where nothing does
    """
    output: str
    largest: float
    scale: float
    tolerance: float
    remark: str = ""

    @property
    def fits(self) -> bool:
        return self.largest <= self.tolerance and not self.remark


class OnnxSession:
    """An ONNX model in ONNX Runtime on the CPU.  MissingExtra without it; UsageError where it cannot read or run the
    model."""

    def __init__(self, model: bytes | str | Path, threads: int | None = None, name: str = "the model"):
        try:
            import onnxruntime
        except ImportError:
            raise MissingExtra("onnxruntime", "running an ONNX model", "onnx") from None
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads:
            options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        source = model if isinstance(model, bytes) else str(model)
        self._name = name if isinstance(model, bytes) else str(model)
        if not isinstance(model, bytes):
            check_openable(model, UsageError)
        try:
            self.session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except Exception as error:      # its exceptions have no common base but this
            raise UsageError(f"{self._name}: ONNX Runtime cannot read it: {_reason(error)}") from None
        self.inputs = self.session.get_inputs()
        self.outputs = [output.name for output in self.session.get_outputs()]
        self.metadata: dict[str, str] = dict(self.session.get_modelmeta().custom_metadata_map)

    @property
    def batch(self) -> int | None:
        """Rows of the first input; None: any number."""
        first = self.inputs[0].shape[0]
        return first if isinstance(first, int) else None

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """-> the outputs by name.  float32 arrays are converted to what the model takes."""
        types = {item.name: np.float16 if item.type == "tensor(float16)" else np.float32 for item in self.inputs}
        converted = {name: array.astype(types[name]) for name, array in feeds.items()}
        try:
            return dict(zip(self.outputs, self.session.run(None, converted), strict=True))
        except Exception as error:      # likewise
            raise UsageError(f"{self._name}: ONNX Runtime cannot run it: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """The first line of an error of ONNX Runtime, without its codes."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (Load model from .*? failed:)?", "", line)


def differences(net: Network, session: OnnxSession, x: np.ndarray, *, form: str = "raw", half: bool = False,
                thresh: float = 0.25, nms: float = 0.45, agnostic: bool = False) -> list[Difference]:
    """Compare the model with the network on a batch x (rows, *in_shape) -> one Difference for each output.

    A recurrent network is called twice, so that the state it carries is compared too.  thresh, nms and agnostic are
    those the model of form nms was written with.
    """
    missing = [name for name in expected_outputs(net, form) if name not in session.outputs]
    if missing:
        raise UsageError(f"a model of form {form} of this network has the outputs {', '.join(missing)}; this one has "
                         f"{', '.join(session.outputs)}: `export` did not write it from this cfg")
    net.reset_state()
    share = HALF_TOLERANCE if half else FLOAT32_TOLERANCE
    found: dict[str, Difference] = {}
    states: dict[str, np.ndarray] = {}
    streams = len(x) // net.env.time_steps if is_recurrent(net) else len(x)
    for item in session.inputs[1:]:
        states[item.name] = np.zeros((streams, *item.shape[1:]), np.float32)
    for _ in range(2 if states else 1):
        theirs = session.run({session.inputs[0].name: x} | states)
        states = {name: theirs[name.removesuffix("_in") + "_out"] for name in states}
        ours = net.head_outputs(x) if detection_heads(net.layers) else {net.last: net.predict(x)}
        if form == "nms":
            return _matched(net, ours, theirs, len(x), share, thresh, nms, agnostic)
        for one in _compared(net, ours, theirs, form, share):
            if one.output not in found or found[one.output].largest < one.largest:
                found[one.output] = one
    return list(found.values())


def expected_outputs(net: Network, form: str) -> list[str]:
    """The names of the outputs that a model of the network has, without those of recurrent states."""
    if form == "nms":
        return [name for name, _, _ in NMS_OUTPUTS]
    return [f"output{number}" for number in range(1 if form == "decoded" else len(written_heads(net)))]


def _compared(net: Network, ours: Mapping[int, np.ndarray], theirs: Mapping[str, np.ndarray], form: str,
              share: float) -> Iterator[Difference]:
    if form == "decoded":
        boxes = np.concatenate([decoded(net.layers[index], ours[index]) for index in written_heads(net)], axis=2)
        yield difference("output0 boxes", boxes[:, :4], theirs["output0"][:, :4], share)
        yield difference("output0 scores", boxes[:, 4:], theirs["output0"][:, 4:], share, smallest=1)
        return
    for number, index in enumerate(written_heads(net)):
        yield difference(f"output{number}", ours[index], theirs[f"output{number}"], share)


def difference(name: str, ours: np.ndarray, theirs: np.ndarray, share: float, smallest: float = 1e-3) -> Difference:
    """The tolerance is `share` of the largest value, or of `smallest` where all are below."""
    if ours.size != theirs.size:
        return Difference(name, float("inf"), 0, 0, f"{list(theirs.shape)} values instead of {list(ours.shape)}")
    a, b = ours.reshape(theirs.shape).astype(np.float64), theirs.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0, np.abs(a - b))
    apart = np.where(np.isnan(apart), np.inf, apart)
    finite = np.abs(a[np.isfinite(a)])
    scale = float(finite.max(initial=0))
    return Difference(name, float(apart.max(initial=0)), scale, share * max(scale, smallest))


def decoded(layer: Any, output: np.ndarray) -> np.ndarray:
    """The boxes of a head, every one of them, as a model of form decoded has them: (n, 4 + classes, boxes)."""
    assert isinstance(layer, DetectionHead)
    images = []
    width, height = layer.network_size
    for row in output:
        found = layer.boxes(row, -np.inf)
        table = np.concatenate([found.boxes * (width, height, width, height), found.probability], axis=1)
        if isinstance(layer, Yolo) or (isinstance(layer, Region) and layer.fork == "alexeyab"):     # cell by cell
            cells = int(np.prod(layer.grid))
            table = table.reshape(cells, box_count(layer) // cells, -1).swapaxes(0, 1).reshape(len(table), -1)
        images.append(table.T)
    return np.stack(images)


def _matched(net: Network, ours: Mapping[int, np.ndarray], theirs: Mapping[str, np.ndarray], images: int, share: float,
             thresh: float, nms: float, agnostic: bool) -> list[Difference]:
    """Match the detections of both, image by image and class by class: each with the nearest of the other."""
    width, height = net.require_images()[2], net.require_images()[1]
    pixels, scores, side = 0.0, 0.0, float(max(width, height))
    only: list[str] = []
    for image in range(images):
        rows = predict_boxes(net.layers, ours, (width, height), thresh, image=image, nms=nms, nms_kind="sort",
                             agnostic_nms=agnostic).rows()
        centre, size = rows[:, 2:4] * (width, height), rows[:, 4:6] * (width, height)
        corners = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
        side = max(side, float(np.abs(corners).max(initial=0)))
        mine = theirs["image_index"] == image
        left = [(int(label), float(score), box) for label, score, box in
                zip(theirs["classes"][mine], theirs["scores"][mine], theirs["boxes"][mine], strict=True)]
        for (label, score), box in zip(rows[:, :2], corners, strict=True):
            near = [(float(np.abs(box - other[2]).max()), at) for at, other in enumerate(left) if other[0] == label]
            apart, at = min(near, default=(np.inf, -1))
            if apart > max(1, share * side):
                if abs(score - thresh) > share:
                    only.append(f"image {image}: class {int(label)} at {np.round(box).astype(int).tolist()} is missing")
                continue
            pixels, scores = max(pixels, apart), max(scores, abs(float(score) - left[at][1]))
            del left[at]
        only += [f"image {image}: class {label} at {np.round(box).astype(int).tolist()} is not the network's"
                 for label, score, box in left if abs(score - thresh) > share]
    remark = "; ".join(only[:3]) + (f"; and {len(only) - 3} more" if len(only) > 3 else "")
    return [Difference("boxes", pixels, side, share * side, remark), Difference("scores", scores, 1, share)]


def pattern(net: Network, rows: int) -> np.ndarray:
    """Images (rows, *in_shape) in 0..1 with edges and smooth parts, the same each time, where there is no photo."""
    rng = np.random.default_rng(0)
    if len(net.in_shape) != 3:
        symbols = rng.integers(0, net.in_shape[0], rows)
        return np.eye(net.in_shape[0], dtype=np.float32)[symbols]
    c, h, w = net.in_shape
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    images = np.empty((rows, c, h, w), np.float32)
    for image in images:
        for plane in image:
            fx, fy, phase, level = rng.uniform(1, 9), rng.uniform(1, 9), rng.uniform(0, 6), rng.uniform(.3, .7)
            waves = np.sin(fx * x / w * 6 + phase) * np.cos(fy * y / h * 6)
            plane[...] = np.clip(level + .3 * waves + .3 * ((x * fy + y * fx) % (w / 3) > w / 6) - .15, 0, 1)
    return images


def batches(x: np.ndarray, rows: int | None) -> Iterator[np.ndarray]:
    """x in batches of exactly `rows` (None: all at once); the last is filled up with its own first images."""
    step = rows or len(x)
    for start in range(0, len(x), step):
        part = x[start:start + step]
        yield np.concatenate([part, np.resize(part, (step - len(part), *part.shape[1:]))]) if len(part) < step else part


def worst(found: Sequence[Sequence[Difference]]) -> list[Difference]:
    """The largest difference of each output over several batches."""
    return [max(each, key=lambda one: (bool(one.remark), one.largest / max(one.tolerance, 1e-30)))
            for each in zip(*found, strict=True)]
