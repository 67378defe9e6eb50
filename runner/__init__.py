"""Config-driven NumPy network runner: darknet's .cfg and .weights, trained and run without a compiler.

    net = runner.load("cfg/net.cfg", weights="weights/net/best.weights")      # or a run: runner.load("weights/net")
    for result in net.predict("photos/"):       # a Result for every image, with the names of the classes
        print(result.image, result.name, result.probability)
    net.train("data/digits", epochs=3)          # as `train` of the command line: evaluates, and keeps the best weights
    print(net.evaluate("data/digits"))

    y = net.predict(x)                          # x (n, c, h, w) float32 in [0, 1] -> the output, an array
    for step in runner.train(net, batches):     # (x, truth) pairs -> a Step for every weight update
        print(step.number, step.loss)

docs/python.md describes it all.
"""
import importlib
import sys
from typing import TYPE_CHECKING, Any

OLDEST_PYTHON = (3, 11)
if sys.version_info < OLDEST_PYTHON:        # an old Python gets as far as this: below is syntax that it cannot read
    _too_old = (f"Python {OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]} or newer is needed; this is Python "
                f"{sys.version.split()[0]} in {sys.executable}")
    if sys.argv[:1] == ["-m"]:              # python -m runner
        sys.stderr.write(f"cfgrunner: {_too_old}\n")
        raise SystemExit(2)                 # runner.cli cannot be read by it
    raise ImportError(f"runner (cfgrunner): {_too_old}")

if TYPE_CHECKING:
    from runner import layers as layers
    from runner import ops as ops
    from runner.api.gradients import Gradients as Gradients
    from runner.api.loading import load as load
    from runner.api.network import Model as Model
    from runner.api.training import TrainingResult as TrainingResult
    from runner.api.training import train as train
    from runner.errors import CfgError as CfgError
    from runner.errors import DataError as DataError
    from runner.errors import RunnerError as RunnerError
    from runner.errors import ShapeError as ShapeError
    from runner.errors import UsageError as UsageError
    from runner.errors import WeightsError as WeightsError
    from runner.inference.classify import Prediction as Prediction
    from runner.inference.classify import Result as Result
    from runner.inference.classify import infer as infer
    from runner.inference.detect import Detection as Detection
    from runner.inference.detect import ImageDetections as ImageDetections
    from runner.inference.detect import detect as detect
    from runner.inference.track import track as track
    from runner.model import check as check
    from runner.network import Network as Network
    from runner.training import Control as Control
    from runner.training import DetectionCriteria as DetectionCriteria
    from runner.training import Metrics as Metrics
    from runner.training import Step as Step
    from runner.training import Update as Update

__version__ = "0.1.0"

# where each public name lives; imported on first use, so that `--help` does not wait for NumPy
_HOME = {name: home for home, names in {
    "runner": "layers ops",
    "runner.model": "check",
    "runner.network": "Network",
    "runner.api.loading": "load",
    "runner.api.network": "Model",
    "runner.api.gradients": "Gradients",
    "runner.api.training": "train TrainingResult",
    "runner.training": "Step Update Control Metrics DetectionCriteria",
    "runner.inference.classify": "infer Result Prediction",
    "runner.inference.detect": "detect ImageDetections Detection",
    "runner.inference.track": "track",
    "runner.errors": "RunnerError CfgError ShapeError WeightsError DataError UsageError",
}.items() for name in names.split()}

__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'runner' has no attribute {name!r}")
    home = _HOME[name]
    value = importlib.import_module(f"runner.{name}") if home == "runner" else getattr(
        importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
