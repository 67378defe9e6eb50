"""Samples x checks; and that nothing registered escapes them."""
import inspect
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import runner.layers
from runner.layers import LAYERS, Contrastive, Convolutional, Iseg
from runner.layers.shared.base import Layer, LayerOptions
from tests.layers import checks
from tests.layers.samples import SAMPLES, Sample

pytestmark = pytest.mark.usefixtures("backend")

KINDS = sorted(set(LAYERS.values()), key=lambda kind: kind.names)


@pytest.mark.parametrize("check", checks.ALL, ids=lambda f: f.__name__)
@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_layer(sample: Sample, check: Callable, tmp_path: Path) -> None:
    check(sample, tmp_path) if "tmp_path" in inspect.signature(check).parameters else check(sample)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.names[0])
def test_every_layer_is_sampled_with_every_option(kind: type[Layer]) -> None:
    mine = [sample for sample in SAMPLES if sample.name in kind.names]
    used = {part.split("=")[0] for sample in mine for part in sample.text.split()}
    own = {key for key, f in kind.Options.declared().items() if not f.metadata["reason"]}
    missing = own - set(LayerOptions.declared()) - used - {"share_index"}       # needs a second layer: test_network
    assert mine, f"[{kind.names[0]}] has no sample"
    assert not missing, f"no sample of [{kind.names[0]}] uses {sorted(missing)}"


def test_every_file_is_registered_under_its_own_name() -> None:
    """What several sections share is in layers/shared."""
    files = {path.stem for path in Path(runner.layers.__file__).parent.glob("[!_]*.py")}
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
        assert dx is not None
        assert dx.ravel().tolist() == [2, -2, 2], "the input's gradient is that of the signs"
        assert layer.grads["weights"].ravel().tolist() == x.ravel().tolist(), "the weights' goes straight through"
    assert Convolutional((32, 4, 4), xnor=True).flops() == Convolutional((32, 4, 4)).flops() / 32


def test_contrastive_draws_the_same_kind_together() -> None:
    z = np.random.default_rng(1).normal(size=(4, 6))
    truth = np.eye(2)[[0, 0, 1, 1]]
    layer = Contrastive((6,), classes=2)
    cost, dz = layer.loss(layer.forward(z, train=True)[1], truth)
    moved = z - 0.5 * dz

    def likeness(a: np.ndarray, i: int, j: int) -> float:
        return float(a[i] @ a[j] / np.linalg.norm(a[i]) / np.linalg.norm(a[j]))
    assert likeness(moved, 0, 1) > likeness(z, 0, 1) and likeness(moved, 2, 3) > likeness(z, 2, 3)
    np.testing.assert_allclose(cost, (dz ** 2).sum())


def test_iseg_teaches_classes_by_their_masks_and_codes_by_their_means() -> None:
    layer = Iseg((2, 1, 4), classes=1, ids=1)
    x = np.array([[[[0., 0, 0, 0]], [[1., 3, -1, -5]]]])
    truth = np.array([[0, 1, 1, 0, 0, 0, 0, 0, 1, 1, -1, 0, 0, 0, 0.]])      # two things of two pixels, the end
    cost, dx = layer.loss(layer.forward(x, train=True)[1], truth)
    np.testing.assert_allclose(-dx[0, 0, 0], [.5, .5, .5, .5], err_msg="every pixel is in a mask: 1 - sigmoid(0)")
    # means 2 and -3: to the own one, away from the other, on top of 0.1 (0 - code), all times 0.01
    want = [-.1 + .1 + .1, -.3 - .1 + .1, .1 - .1 - .1, .5 + .1 - .1]
    np.testing.assert_allclose(-dx[0, 1, 0], 0.01 * np.array(want), atol=1e-9)
    np.testing.assert_allclose(cost, (dx ** 2).sum())
