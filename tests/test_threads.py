"""Whole networks are bit-identical for any number of threads, in training and inference."""
from collections.abc import Iterator

import numpy as np
import pytest

import runner
from runner.analysis.profiling import example
from runner.config import Report
from runner.ops import parallel
from tests.paths import ROOT

pytestmark = pytest.mark.usefixtures("backend", "restore_threads")

NETWORKS = {        # as small as possible, with all algorithms still in use
    "net": ("net.batch=8",),
    "cifar": ("net.batch=4", "net.width=20", "net.height=20"),
    "yolo-fastest": ("net.batch=4", "net.width=96", "net.height=96"),
    "lstm": ("net.batch=4", "net.time_steps=4", "lstm.output=96"),
}
names = pytest.mark.parametrize("name", NETWORKS)


@pytest.fixture
def restore_threads() -> Iterator[None]:
    before = parallel.threads()
    yield
    parallel.set_threads(before)


def network(name: str) -> runner.Model:
    """A network with random scales, biases and rolling statistics."""
    net = runner.load(ROOT / "cfg" / f"{name}.cfg", seed=3, report=Report(), settings=(
        *NETWORKS[name], "net.subdivisions=1", "net.policy=constant", "net.burn_in=0", "net.learning_rate=0.01"))
    rng = np.random.default_rng(1)
    for layer in net.layers:
        for key, array in (*layer.params.items(), *layer.buffers.items()):
            if not key.endswith("weights"):
                array[...] = rng.uniform(.5, 1.5, array.shape)
    return net


@names
def test_training(name: str) -> None:
    results = []
    for threads in (1, 2, 4):
        parallel.set_threads(threads)
        net = network(name)
        batch = example(net, net.options.batch, np.random.default_rng(2))
        y, tape = net.forward(batch[0], train=True)
        loss, _ = net.backward(tape, batch[1])
        arrays = {"y": y, "loss": np.array(loss)}
        arrays |= {f"gradient of {i} {key}": grad.copy() for i, layer in enumerate(net.layers)
                   for key, grad in layer.grads.items()}
        net.zero_grads()
        net.reset_state()
        next(runner.train(net, [batch]))
        arrays |= {f"{i} {key} after a step": array for i, layer in enumerate(net.layers)
                   for key, array in (*layer.params.items(), *layer.buffers.items())}
        assert all(np.isfinite(array).all() for array in arrays.values())
        results.append(arrays)
    for other in results[1:]:
        wrong = [key for key, array in results[0].items() if not np.array_equal(array, other[key])]
        assert not wrong, f"{wrong} depend on the number of threads"


@names
def test_inference(name: str) -> None:
    results = []
    net = network(name)
    x = example(net, 3, np.random.default_rng(2))[0]
    for threads in (1, 2, 4):
        parallel.set_threads(threads)
        arrays = {}
        for count in (1, 3):        # a sequence has a row per time step
            rows = x[:count * net.env.time_steps]
            net.reset_state()
            arrays[f"forward of {count}"] = net.forward(rows)[0]
            net.reset_state()
            arrays[f"optimized, {count}"] = net.optimized().predict(rows)
        if net.env.time_steps == 1:
            np.testing.assert_array_equal(arrays["optimized, 3"][:1], arrays["optimized, 1"])
        results.append(arrays)
    for other in results[1:]:
        wrong = [key for key, array in results[0].items() if not np.array_equal(array, other[key])]
        assert not wrong, f"{wrong} depend on the number of threads"
