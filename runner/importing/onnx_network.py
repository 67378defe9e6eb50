"""An ONNX model as a network: its cfg as text, the network with its weights, and a comparison with ONNX Runtime."""
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import runner.importing.dense_nodes
import runner.importing.image_nodes
import runner.importing.joining_nodes  # noqa: F401  (each of the three registers its readers)
from runner.config import Report, parse
from runner.errors import UsageError, counted
from runner.export.verify import FLOAT32_TOLERANCE, HALF_TOLERANCE, Difference, OnnxSession, difference, pattern
from runner.importing.activations import find_activations
from runner.importing.drafts import Draft, cfg_text, comment, needed
from runner.importing.graph import OnnxGraph, input_shape
from runner.importing.node_readers import Reading
from runner.model import Model, build
from runner.reading.arrays import non_finite
from runner.reading.onnx_file import read_onnx

ROWS = 2        # images that are compared, where the model takes any number

HEADER = """# {what}
# Converted from the ONNX model {name}. The names of its nodes stand above each section.

[net]
{size}
batch=1

# To train it, change batch and add, for example (docs/training.md):
# batch=64
# subdivisions=8
# learning_rate=0.001
# momentum=0.9
# decay=0.0005
# policy=poly
# power=4
# max_batches=10000
"""
SOFTMAX = """
# The outputs are not probabilities. To train a classifier, and to see probabilities, add:
# [softmax]
"""


@dataclass(frozen=True)
class Imported:
    """text: the cfg; net: with the weights; found: the comparison with ONNX Runtime, output by output."""
    text: str
    net: Model
    found: list[Difference]

    @property
    def same(self) -> bool:
        return all(one.fits for one in self.found)


def import_onnx(path: str | Path, size: tuple[int, int] | None = None, cfg: str = "net.cfg") -> Imported:
    """Read a model as a network.  Nothing is written.

    size  (width, height) of the images, where the model leaves it open
    cfg   the name the cfg will have, for messages
    UsageError names every node that no section computes, all at once; MissingExtra without onnx and onnxruntime.
    """
    model = read_onnx(path)
    graph = OnnxGraph(model)
    name, batch, in_shape, half = input_shape(graph, path, size)
    find_activations(graph)
    reading = Reading(graph, name, batch, in_shape)
    reading.run()
    if reading.problems:
        raise UsageError(_problems(path, reading.problems))
    outputs = {each: reading.values[each].whole().draft for each in graph.outputs if each in reading.values}
    if not outputs or any(draft is reading.drafts.input for draft in outputs.values()):
        raise UsageError(f"{path}: an output of the model does not depend on its input")
    text, placed = _text(path, reading, outputs)
    net = _network(text, cfg, placed)
    _require_finite(net, path)
    return Imported(text, net, _compared(net, model, path, outputs, placed, half))


def _problems(path: str | Path, problems: dict[tuple[str, str], list[str]]) -> str:
    total = sum(map(len, problems.values()))
    lines = [f"{path}: {counted(total, 'node')} cannot be written as sections:"]
    for (op, reason), names in problems.items():
        lines += [f"{path}: {op}: {reason}: {comment(', '.join(names))}"]
    return "\n".join(lines)


def _text(path: str | Path, reading: Reading, outputs: dict[str, Draft]) -> tuple[str, dict[int, Draft]]:
    drafts = needed(reading.drafts.all, list(outputs.values()))
    shape = reading.drafts.input.shape
    size = f"width={shape[2]}\nheight={shape[1]}\nchannels={shape[0]}" if len(shape) == 3 else f"inputs={shape[0]}"
    name = comment(Path(path).name)
    remarks: dict[int, list[str]] = {}
    if len(outputs) > 1:
        for output, draft in outputs.items():
            remarks.setdefault(id(draft), []).append(f"output {output!r} of the model")
    ending = "" if drafts[-1].section == "softmax" else SOFTMAX
    return cfg_text(drafts, HEADER.format(what=Path(name).stem, name=name, size=size), remarks, ending)


def _network(text: str, cfg: str, placed: dict[int, Draft]) -> Model:
    """The network of the cfg, with the arrays of the model."""
    report = Report()
    net = build(parse(text, cfg, report), report)
    for index, draft in placed.items():
        layer = net.layers[index]
        for name, array in draft.arrays.items():
            target = layer.params[name] if name in layer.params else layer.buffers[name]
            target[...] = array.reshape(target.shape)
    return net


def _require_finite(net: Model, path: str | Path) -> None:
    for index, layer in enumerate(net.layers):
        for name, array in {**layer.params, **layer.buffers}.items():
            if bad := non_finite(array):
                raise UsageError(f"{path}: layer {index} [{layer.names[0]}]: of its {array.size:,} {name}, {bad}")


def _compared(net: Model, model: Any, path: str | Path, outputs: dict[str, Draft], placed: dict[int, Draft],
              half: bool) -> list[Difference]:
    session = OnnxSession(model.SerializeToString(), name=str(path))
    x = pattern(net, session.batch or ROWS)
    theirs = session.run({session.inputs[0].name: x})
    ours, index_of = net.outputs(x), {id(draft): index for index, draft in placed.items()}
    share = HALF_TOLERANCE if half else FLOAT32_TOLERANCE
    return [difference(name, ours[index_of[id(draft)]], np.asarray(theirs[name]), share)
            for name, draft in outputs.items()]
