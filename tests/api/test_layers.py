"""Layers by name, the table of a network, and its gradients."""
from pathlib import Path

import numpy as np
import pytest

import runner
from runner.api.names import Layers
from runner.errors import UsageError
from tests import toy
from tests.paths import ROOT

NORMED = toy.CFG.replace("filters=3\n", "filters=3\nbatch_normalize=1\n").replace(
    "[softmax]", "[dropout]\nprobability=.5\n[softmax]")


@pytest.fixture
def net(tmp_path: Path) -> runner.Model:
    (tmp_path / "a.cfg").write_text(NORMED)
    return runner.load(tmp_path / "a.cfg", dtype="float64")


def test_layers_have_names() -> None:
    net = runner.load(ROOT / "cfg" / "net.cfg")
    layers = net.layers
    assert isinstance(layers, Layers) and isinstance(layers, list)
    assert layers.names[:3] == ["convolutional0", "maxpool1", "convolutional2"]
    assert layers["convolutional2"] is layers["conv2"] is layers[2] and layers["softmax"] is layers[-1]
    assert [name for name, layer in layers.items() if layer.params] == \
        ["convolutional0", "convolutional2", "convolutional4", "connected6"]
    assert layers[1:3] == [layers[1], layers[2]]
    for name, sentence in (("conv1", "there is no layer 'conv1'"),
                           ("conv", "there are 3 layers 'conv': convolutional0"),
                           ("maxpol1", r"did you mean 'maxpool1'\?")):
        with pytest.raises(UsageError, match=sentence):
            _ = layers[name]


def test_the_table(net: runner.Model) -> None:
    summary = net.summary()
    lines = repr(summary).splitlines()
    assert lines[0].split() == ["layer", "input", "output", "parameters", "BFLOPs", "memory"]
    assert lines[1].split()[:2] == ["0", "convolutional"] and lines[-1].startswith("4 layers, ")
    assert f"{summary.parameters:,} parameters" in lines[-1] and summary.parameters == net.param_count
    assert summary[0].name == "convolutional" and len(summary) == 4
    assert summary._repr_html_().count("<tr>") == 5


def test_gradients_are_those_of_the_loss(net: runner.Model) -> None:
    """Against differences, of the input and of a weight; dropout draws the same mask in every pass."""
    x, truth = toy.one_batch()
    found = net.gradients(x, truth)
    assert found.input.shape == x.shape and "array" not in repr(found)

    def loss(x: np.ndarray) -> float:
        return net.gradients(x, truth).loss
    step = 1e-5
    moved = x.astype(np.float64)
    moved[1, 0, 2, 3] += step
    assert (loss(moved) - found.loss) / step == pytest.approx(found.input[1, 0, 2, 3], rel=1e-3, abs=1e-6)
    weights = net.layers["connected1"].params["weights"]
    weights.flat[5] += step
    assert (loss(x) - found.loss) / step == pytest.approx(found.params["connected1"]["weights"].flat[5], rel=1e-3)


def test_gradients_change_nothing(net: runner.Model) -> None:
    x, truth = toy.one_batch()
    _, tape = net.forward(x, train=True)
    net.backward(tape, truth)
    before = [array.copy() for layer in net.layers for array in (*layer.params.values(), *layer.buffers.values(),
                                                                 *layer.grads.values())]
    first, second = net.gradients(x, truth), net.gradients(x, truth.argmax(axis=1))
    assert first.loss == second.loss, "the same random numbers"
    after = [array for layer in net.layers for array in (*layer.params.values(), *layer.buffers.values(),
                                                         *layer.grads.values())]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    assert net.gradients(x, dy=np.ones((4, 2))).loss == 0


def test_what_gradients_refuse(net: runner.Model) -> None:
    x, _ = toy.one_batch()
    with pytest.raises(UsageError, match="need a truth"):
        net.gradients(x)
    with pytest.raises(UsageError, match="4 images, but 1 label"):
        net.gradients(x, [1])
    with pytest.raises(UsageError, match="there is no class 2"):
        net.gradients(x, [0, 1, 2, 0])
