"""The networks of the benchmark; weights, inputs and truth are the same in every process."""
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
# a learning rate at which random weights stay finite: arithmetic on NaN and infinity runs at a different speed
STEADY = ("net.learning_rate=0.0001", "net.policy=constant", "net.burn_in=0", "net.max_batches=0",
          "net.subdivisions=1")


@dataclass(frozen=True)
class Case:
    """A cfg, and the settings that make it computable by every peer."""
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
         "without batch norm in the gates, which no peer's LSTM has; sequences of 16 characters"),
)}


def build(case: Case, batch: int = 1, settings: tuple[str, ...] = (), compat: str | None = None) -> Model:
    """The network with random weights, biases, scales and rolling statistics.

    The scales of layers without an activation are small: these end residual branches, whose sums would otherwise grow
    in a deep network until all sigmoids saturate.
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


def without_dropout(net: Model) -> Model:
    """Sets all dropout probabilities to 0: the random masks of two libraries cannot be compared."""
    for layer in net.layers:
        if isinstance(layer, Dropout):
            layer.options = replace(layer.options, probability=0.0)
    return net


def images(net: Network, count: int) -> np.ndarray:
    """(rows, *in_shape): `count` images, or sequences of time_steps characters."""
    return example(net, count, np.random.default_rng(SEED))[0]


def truth(net: Network, count: int) -> np.ndarray:
    """Three boxes per image for detectors, else one class per row."""
    return example(net, count, np.random.default_rng(SEED))[1]


def batches(net: Network, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same batch, endlessly."""
    return repeat(example(net, count, np.random.default_rng(SEED)))


def write_cfg(case: Case, path: Path, batch: int, settings: tuple[str, ...] = ()) -> None:
    """Write the cfg with its settings, for peers that read darknet's files."""
    report = Report()
    sections = read(ROOT / case.cfg, report)
    override(sections, (*case.settings, *settings, f"net.batch={batch}", "net.subdivisions=1"), ALIASES, report)
    report.raise_errors()
    path.write_text("\n".join(f"[{section.name}]\n" + "".join(f"{key}={line.value}\n" for key, line in
                                                              section.lines.items()) for section in sections))
