"""An ONNX model that `export` has written, in the place of a cfg and its weights.

The file carries its cfg: the shapes, the heads and the class names come from it, and ONNX Runtime computes the outputs.
So the verbs that use a trained network compare the model with the network in accuracy and in speed.
"""
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from runner.config import Report, override, parse
from runner.errors import UsageError
from runner.export.onnx_model import CFG_KEY, is_recurrent, written_heads
from runner.export.verify import OnnxSession, batches
from runner.model import ALIASES, Model, build
from runner.network import Network
from runner.reading.json_text import parse_json
from runner.reading.schema import Misfit, Record, field


class Origin(Record):
    """What the metadata of a model say about the network it was made from, as JSON under the key CFG_KEY."""
    cfg: str = field(doc="the text of the cfg, with settings applied")
    compat: str = field("exact", doc="the fork whose formulas it has")
    names: list[str] | None = field(None, doc="of the classes")
    threshold: float | None = field(None, low=0, high=1, doc="of a detector's run: the confidence with the best F1")


class OnnxEngine:
    """Computes a network's outputs with an ONNX model of form raw (see Network.engine).

    threshold  the confidence that the run of the network has chosen; None where the model does not carry one
    """

    def __init__(self, net: Network, session: OnnxSession, path: str | Path, threshold: float | None = None):
        self.session, self.path, self.threshold = session, path, threshold
        self._names = {index: f"output{number}" for number, index in enumerate(written_heads(net))}

    def outputs(self, x: np.ndarray, layers: Sequence[int]) -> dict[int, np.ndarray]:
        """x (n, *in_shape) -> the outputs of these layers.  UsageError where the model does not have them."""
        source = self.session.inputs[0]
        if any(isinstance(side, int) and side != have
               for side, have in zip(source.shape[1:], x.shape[1:], strict=True)):
            raise UsageError(f"{self.path} takes input of the shape {source.shape[1:]}. Got {list(x.shape[1:])}: "
                             "`export --size dynamic` leaves the size open, where the network can")
        missing = [index for index in layers if index not in self._names]
        if missing:
            raise UsageError(f"{self.path} has the outputs of the layers {list(self._names)}, not of {missing}")
        parts = [self.session.run({source.name: part}) for part in batches(x, self.session.batch)]
        return {index: np.concatenate([part[self._names[index]] for part in parts])[:len(x)] for index in layers}


def load_onnx(path: str | Path, *, settings: Iterable[str] = (), threads: int | None = None,
              report: Report | None = None) -> tuple[Model, list[str]]:
    """The network of an ONNX file, computed by ONNX Runtime -> the network without weights, and the class names.

    settings  for the cfg in the file, as in runner.load
    UsageError where `export` did not write the file, or wrote it in another form than raw.
    """
    session, report = OnnxSession(path, threads), report or Report()
    text = session.metadata.get(CFG_KEY)
    if text is None:
        raise UsageError(f"{path}: this ONNX model does not carry its cfg: `export` did not write it. "
                         "`import` makes a cfg and its weights from a model of another program")
    try:
        origin = Origin.read(parse_json(text, f"{path}: its metadata", UsageError), CFG_KEY)
    except Misfit as error:
        raise UsageError(f"{path}: its metadata: {error}") from None
    form = session.metadata.get("form", "raw")
    if form != "raw":
        raise UsageError(f"{path} is a model of form {form}, whose outputs are boxes: `export --raw` writes one that "
                         "can be used here")
    sections = parse(origin.cfg, str(path), report)
    override(sections, settings, ALIASES, report)
    net = build(sections, report, compat=None if origin.compat == "exact" else origin.compat, allocate=False,
                folder=Path(path).parent)
    if is_recurrent(net):
        raise UsageError(f"{path}: models of recurrent networks are not used here; `verify` compares them")
    net.engine = OnnxEngine(net, session, path, origin.threshold)
    return net, list(origin.names or [])
