"""Config-driven NumPy network runner: darknet's .cfg and .weights, trained and run without a compiler.

    net = runner.load("cfg/net.cfg", weights="weights/net/best.weights")
    y = net.predict(x)                          # x (n, c, h, w) float32 in [0, 1]
    for step in runner.train(net, batches):     # (x, truth) pairs -> a Step for every weight update
        print(step.number, step.loss)
    for result in runner.infer(net, images):    # a Result for every image
        print(result)
"""
import importlib
from typing import Any

__version__ = "0.1.0"

# where each public name lives; imported on first use, so that `--help` does not wait for NumPy
_HOME = {"load": "runner.model", "check": "runner.model", "Model": "runner.model", "Network": "runner.network",
         "train": "runner.training", "Step": "runner.training", "infer": "runner.inference.classify",
         "Result": "runner.inference.classify", "layers": "runner", "ops": "runner", "RunnerError": "runner.errors"}

__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'runner' has no attribute {name!r}")
    home = _HOME[name]
    value = importlib.import_module(f"runner.{name}") if home == "runner" else getattr(
        importlib.import_module(home), name)
    globals()[name] = value
    return value
