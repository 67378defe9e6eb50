"""Every sampled layer, written as ONNX nodes and run by ONNX Runtime, computes what the layer computes."""
from typing import Any

import numpy as np
import pytest

from runner.compat import COMPAT
from runner.export.activations import ACTIVATIONS
from runner.export.graph import FLOAT, Graph
from runner.export.writers import write
from runner.layers.shared.base import Layer
from runner.ops import ACTIVATIONS as OURS
from tests.layers.checks import build, fresh, inputs
from tests.layers.samples import SAMPLES, Sample

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def give_values(layer: Layer) -> None:
    """Statistics and biases that are not the initial zeros and ones."""
    rng = np.random.default_rng(11)
    for name, array in {**layer.params, **layer.buffers}.items():
        if name.endswith(("rolling_variance", "scales")):
            array[...] = rng.uniform(.5, 2, array.shape)
        elif name.endswith(("biases", "rolling_mean")):
            array[...] = rng.normal(size=array.shape) * .3


def run(model: Any, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip([out.name for out in session.get_outputs()], session.run(None, feeds), strict=True))


def compare(layer: Layer, xs: list[np.ndarray], opset: int, **options: Any) -> None:
    """Two calls: the second starts from the state the first left."""
    g = Graph(opset, **options)
    g.scope = "0"
    names = [f"x{i}" for i in range(len(xs))]
    for name, shape in zip(names, layer.in_shapes, strict=True):
        g.inputs.append((name, FLOAT, ["rows", *shape]))
    y = write(g, layer, *names)
    g.output("y", y, FLOAT, ["out_rows", *layer.out_shape])
    model = g.model("layer", {}, "tests", "0")
    states = [name for name, _, _ in g.inputs[len(xs):]]
    streams = len(xs[0]) // layer.env.time_steps
    feeds = dict(zip(names, xs, strict=True))
    feeds |= {name: np.zeros((streams, *map(int, shape[1:])), np.float32) for name, _, shape in g.inputs[len(xs):]}
    layer.reset_state()
    for _ in range(2):
        ours, found = layer.forward(*xs)[0], run(model, feeds)
        np.testing.assert_allclose(found["y"], ours.reshape(found["y"].shape), rtol=2e-4, atol=2e-5)
        feeds |= {name: found[name.removesuffix("_in") + "_out"] for name in states}


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_layer_computes_the_same(sample: Sample, opset: int) -> None:
    layer = build(sample)
    give_values(layer)
    compare(layer, inputs(sample, batch=3), opset)


NORMED = [sample for sample in SAMPLES if "batch_normalize=1" in sample.text or sample.name == "batchnorm"]


@pytest.mark.parametrize("sample", NORMED, ids=str)
def test_batch_norm_can_stay_a_node(sample: Sample) -> None:
    layer = build(sample)
    give_values(layer)
    compare(layer, inputs(sample), 17, keep_batchnorm=True)


COMPAT_SAMPLES = [sample for sample in SAMPLES if sample.name in (
    "region", "reorg", "yolo", "rnn", "crnn", "gru", "lstm", "history", "conv_lstm", "batchnorm", "convolutional")]


@pytest.mark.parametrize("compat", [name for name in COMPAT if name != "exact"])
@pytest.mark.parametrize("sample", COMPAT_SAMPLES, ids=str)
def test_a_layer_computes_the_same_as_a_fork(sample: Sample, compat: str) -> None:
    try:
        layer = build(sample, compat=COMPAT[compat])
    except Exception as error:      # the fork has not this form of the section
        pytest.skip(str(error))
    give_values(layer)
    compare(layer, inputs(sample), 17)
    fresh(layer, *inputs(sample))


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("name", OURS)
def test_an_activation_computes_the_same(name: str, opset: int) -> None:
    x = np.random.default_rng(2).normal(size=(2, 4, 3, 5)).astype(np.float32) * 3
    x[0, 0, 0] = 0, 1, -1, 2, -2
    g = Graph(opset)
    g.inputs.append(("x", FLOAT, ["rows", 4, 3, 5]))
    g.output("y", ACTIVATIONS[name](g, "x"), FLOAT, ["rows", 4, 3, 5])
    found = run(g.model("activation", {}, "tests", "0"), {"x": x})["y"]
    np.testing.assert_allclose(found, OURS[name].f(x), rtol=1e-5, atol=1e-6)


def test_every_activation_can_be_written() -> None:
    assert set(ACTIVATIONS) == set(OURS)
