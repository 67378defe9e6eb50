"""Samples x checks; and that nothing registered escapes them."""
import inspect
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import runner.layers
from runner.layers import LAYERS, Convolutional
from runner.layers.base import LayerOptions
from tests import checks
from tests.samples import SAMPLES, Sample

KINDS = sorted(set(LAYERS.values()), key=lambda kind: kind.names)
HELPERS = {     # files beside the layers that are no section
    "__init__", "base", "blur", "heads", "net", "recurrent", "tail", "wordtree"}


@pytest.mark.parametrize("check", checks.ALL, ids=lambda f: f.__name__)
@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_layer(sample: Sample, check: Callable, tmp_path: Path) -> None:
    check(sample, tmp_path) if "tmp_path" in inspect.signature(check).parameters else check(sample)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.names[0])
def test_every_layer_is_sampled_with_every_option(kind: type) -> None:
    mine = [sample for sample in SAMPLES if sample.name in kind.names]
    used = {part.split("=")[0] for sample in mine for part in sample.text.split()}
    own = {key for key, f in kind.Options.declared().items() if not f.metadata["reason"]}
    missing = own - set(LayerOptions.declared()) - used - {"share_index"}       # needs a second layer: test_network
    assert mine, f"[{kind.names[0]}] has no sample"
    assert not missing, f"no sample of [{kind.names[0]}] uses {sorted(missing)}"


def test_every_file_is_registered_under_its_own_name() -> None:
    files = {path.stem for path in Path(runner.layers.__file__).parent.glob("*.py")} - HELPERS
    assert files == {kind.names[0].lower() for kind in KINDS}


def test_a_binary_convolution_by_hand() -> None:
    """Signs of the weights times their mean size; xnor takes the signs of the inputs too, and counts a 32nd."""
    for xnor, want in ((False, [2 * 3 - 2 * -4 + 2 * .5]), (True, [2 * 1 - 2 * -1 + 2 * 1])):
        layer = Convolutional((3, 1, 1), binary=not xnor, xnor=xnor, activation="linear")
        layer.params["weights"][...] = np.array([1, -2, 3]).reshape(1, 3, 1, 1)
        x = np.array([3, -4, .5], "f4").reshape(1, 3, 1, 1)
        y, saved = layer.forward(x, train=True)
        assert y.ravel().tolist() == want
        dx, = layer.backward(np.ones_like(y), saved)
        assert dx.ravel().tolist() == [2, -2, 2], "the input's gradient is that of the signs"
        assert layer.grads["weights"].ravel().tolist() == x.ravel().tolist(), "the weights' goes straight through"
    assert Convolutional((32, 4, 4), xnor=True).flops() == Convolutional((32, 4, 4)).flops() / 32
