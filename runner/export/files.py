"""Networks written to files: ONNX models after a check, and named arrays as .safetensors or .npz."""
import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from runner.detection import detection_heads
from runner.errors import MissingExtra, UsageError
from runner.export.onnx_model import BOXES, OnnxOptions, onnx_model, require_onnx
from runner.export.verify import Difference, OnnxSession, batches, decoded, differences, worst
from runner.files import atomic_write
from runner.network import Network
from runner.outputs import MARK

COMPARED = 20                       # boxes that suppression is compared on, at least
LARGEST_MODEL = (1 << 31) - 1       # bytes; protobuf's limit


def save_onnx(net: Network, path: str | Path, options: OnnxOptions, x: np.ndarray, *, names: Sequence[str] = (),
              half: bool = False, threshold: float | None = None) -> list[Difference]:
    """Write a network as an ONNX file if it passes two checks: ONNX's own, and the comparison of its outputs.

    x     images (or other input) to compare on, (n, *in_shape)
    half  weights and computation in float16; inputs and outputs stay float32
    threshold  see onnx_model

    -> the differences.  Where one does not fit (`Difference.fits`), no file is written.
    """
    onnx = require_onnx()
    model = onnx_model(net, options, names=names, threshold=threshold)
    if half:
        model = _halved(model)
        onnx.helper.set_model_props(model, {item.key: item.value for item in model.metadata_props} | {"half": "True"})
    data = model.SerializeToString()
    if len(data) > LARGEST_MODEL:
        raise UsageError(f"{path}: the model would have {len(data):,} bytes; an ONNX file holds at most 2 GB")
    onnx.checker.check_model(model, full_check=True)
    session, thresh = OnnxSession(data), options.thresh
    if options.form == "nms":
        thresh = comparable_threshold(net, x, options.thresh)
        if thresh != options.thresh:        # the same model with a lower threshold
            other = onnx_model(net, replace(options, thresh=thresh), names=names)
            session = OnnxSession((_halved(other) if half else other).SerializeToString())
    found = worst([differences(net, session, part, form=options.form, half=half, thresh=thresh, nms=options.nms,
                               agnostic=options.agnostic_nms)
                   for part in batches(x, session.batch)])
    if all(one.fits for one in found):
        with atomic_write(path) as file:
            file.write(data)
    return found


def comparable_threshold(net: Network, x: np.ndarray, thresh: float) -> float:
    """`thresh`, or a lower one at which about COMPARED boxes of x are there to be compared."""
    outputs = net.head_outputs(x)
    scores = np.concatenate([decoded(net.layers[index], outputs[index])[:, 4:].reshape(-1)
                             for index in detection_heads(net.layers)])
    return min(thresh, float(np.sort(scores)[-min(COMPARED, len(scores))]))


def _halved(model: Any) -> Any:
    try:
        from onnxruntime.transformers.float16 import convert_float_to_float16
        from onnxruntime.transformers.onnx_model import OnnxModel
    except ImportError:
        raise MissingExtra("onnxruntime", "--half", "onnx") from None
    # pixels stay float32: above 1024 float16 has no fractions
    boxes = [node.name for node in model.graph.node if BOXES in node.name.partition("/")[0] or "/" not in node.name]
    halved = OnnxModel(convert_float_to_float16(model, keep_io_types=True, node_block_list=boxes))
    halved.topological_sort()       # the casts of the inputs were added at the end
    return halved.model


def named_arrays(net: Network) -> Iterator[tuple[str, np.ndarray]]:
    """Every stored array once, in the order of the .weights file: "3.convolutional.weights" and so on."""
    for index, layer in enumerate(net.layers):
        for name in layer.stored:
            array = layer.params[name] if name in layer.params else layer.buffers[name]
            yield f"{index}.{layer.names[0]}.{name.replace('/', '.')}", np.ascontiguousarray(array)


def save_arrays(net: Network, path: str | Path) -> int:
    """Write the arrays of a network by name, as .safetensors or .npz -> their number."""
    arrays = dict(named_arrays(net))
    if Path(path).suffix.lower() == ".safetensors":
        try:
            from safetensors.numpy import save
        except ImportError:
            raise MissingExtra("safetensors", "export to .safetensors", "onnx") from None
        data = save(arrays, {"producer": "cfgrunner", "seen": str(net.progress.seen)})
    else:
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)      # type: ignore[arg-type]
        with zipfile.ZipFile(buffer, "a") as archive:
            archive.comment = MARK.encode()     # by which the file is recognised as ours
        data = buffer.getvalue()
    with atomic_write(path) as file:
        file.write(data)
    return len(arrays)
