"""The networks that are measured, with weights, inputs and truth drawn the same way in every process."""
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path

import numpy as np

import runner
from runner.analysis.profiling import example
from runner.config import Report, override, read
from runner.layers import Dropout
from runner.model import ALIASES, Model
from runner.network import Network

ROOT = Path(__file__).parents[1]
SEED = 7
# a rate at which nothing grows without bound on random weights: numbers that are no numbers have a speed of their own
STEADY = ("net.learning_rate=0.0001", "net.policy=constant", "net.burn_in=0", "net.max_batches=0",
          "net.subdivisions=1")


@dataclass(frozen=True)
class Case:
    """A cfg, and what is changed in it so that every peer can compute the same."""
    name: str
    cfg: str
    settings: tuple[str, ...] = ()
    note: str = ""


CASES = {case.name: case for case in (
    Case("net", "cfg/net.cfg"),
    Case("cifar", "cfg/cifar.cfg"),
    Case("darknet19", "cfg/darknet19.cfg"),
    Case("resnet18", "cfg/resnet18.cfg"),
    Case("yolov3-tiny", "cfg/yolov3-tiny.cfg"),
    Case("yolov4-tiny", "cfg/yolov4-tiny.cfg"),
    Case("yolo-fastest", "cfg/yolo-fastest.cfg"),
    Case("lstm", "cfg/lstm.cfg", ("lstm.batch_normalize=0",),
         "without batch norm in its gates, which no peer's LSTM has; 16 characters to a sequence"),
)}


def build(case: Case, batch: int = 1, settings: tuple[str, ...] = (), compat: str | None = None) -> Model:
    """The network with drawn weights: every array differs from what it starts as, rolling statistics too.

    Branches that end without an activation are added to something: they are drawn small, or the sums of a deep
    network would grow until sigmoids are all 0 or 1.
    """
    net = runner.load(ROOT / case.cfg, seed=SEED, compat=compat, report=Report(),
                      settings=(*case.settings, *STEADY, f"net.batch={batch}", *settings))
    rng = np.random.default_rng(SEED)
    for layer in net.layers:
        for name, array in {**layer.params, **layer.buffers}.items():
            last = name.rpartition("/")[2]
            if last in ("scales", "rolling_variance"):
                small = last == "scales" and getattr(layer.options, "activation", "") == "linear"
                array[...] = rng.uniform(0.7, 1.3, array.shape) * (0.2 if small else 1)
            elif last in ("biases", "rolling_mean"):
                array[...] = rng.normal(0, 0.1, array.shape)
    return net


def without_chance(net: Model) -> Model:
    """Dropout lets everything pass: what two libraries draw at random cannot be compared."""
    for layer in net.layers:
        if isinstance(layer, Dropout):
            layer.options = replace(layer.options, probability=0.0)
    return net


def images(net: Network, count: int) -> np.ndarray:
    """(rows, *in_shape): `count` images, or sequences of time_steps characters."""
    return example(net, count, np.random.default_rng(SEED))[0]


def truth(net: Network, count: int) -> np.ndarray:
    """Three boxes an image for detectors, else one class a row."""
    return example(net, count, np.random.default_rng(SEED))[1]


def batches(net: Network, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same batch for ever."""
    return repeat(example(net, count, np.random.default_rng(SEED)))


def write_cfg(case: Case, path: Path, batch: int, settings: tuple[str, ...] = ()) -> None:
    """The cfg with its settings, for programs that read darknet's files themselves."""
    report = Report()
    sections = read(ROOT / case.cfg, report)
    override(sections, (*case.settings, *settings, f"net.batch={batch}", "net.subdivisions=1"), ALIASES, report)
    report.raise_errors()
    path.write_text("\n".join(f"[{section.name}]\n" + "".join(f"{key}={line.value}\n" for key, line in
                                                              section.lines.items()) for section in sections))
