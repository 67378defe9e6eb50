"""Softmax, in blocks, per pixel and on trees, and what darknet prints as its loss."""
import math

import numpy as np
import pytest

from runner import ops
from runner.errors import ShapeError
from tests.paths import GOLDEN

pytestmark = pytest.mark.usefixtures("backend")


def rows(shape: tuple[int, ...], seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape) * 3


def plain(z: np.ndarray) -> np.ndarray:
    return np.exp(z) / np.exp(z).sum()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_known_values(dtype):
    p = ops.softmax(np.log(np.array([[1, 2, 5], [3, 3, 2]], dtype)))
    np.testing.assert_allclose(p, [[.125, .25, .625], [.375, .375, .25]], rtol=1e-6)
    assert p.dtype == dtype


@pytest.mark.parametrize("groups, temperature", [(1, 1.0), (3, 1.0), (2, 2.5), (6, 0.5)])
def test_every_block_is_a_softmax_of_its_own(groups, temperature):
    x = rows((3, 6))
    p = ops.softmax(x, groups, temperature)
    for row, got in zip(x, p, strict=True):
        want = [plain(block / temperature) for block in np.split(row, groups)]
        np.testing.assert_allclose(got, np.concatenate(want), rtol=1e-12)


def test_spatial_is_over_channels():
    x = rows((2, 5, 3, 4))
    p = ops.softmax_spatial(x, 2.0)
    np.testing.assert_allclose(p[1, :, 2, 3], plain(x[1, :, 2, 3] / 2), rtol=1e-12)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_tree_is_one_softmax_a_group(temperature):
    x, sizes = rows((3, 9)), (2, 1, 4, 2)
    p = ops.softmax_tree(x, sizes, temperature)
    for row, got in zip(x, p, strict=True):
        want = [plain(g / temperature) for g in np.split(row, np.cumsum(sizes)[:-1])]
        np.testing.assert_allclose(got, np.concatenate(want), rtol=1e-12)


def test_tree_and_its_printed_cost_are_darknets():
    folder = GOLDEN / "softmax_tree_P"
    with np.load(folder / "expected.npz") as recorded:
        logits, want, cost = recorded["train/1"], recorded["train/2"], recorded["layer_cost/2"]
    p = ops.softmax_tree(logits, (3, 3, 2, 2))      # the runs of equal parents in labels.tree
    np.testing.assert_allclose(p, want, rtol=1e-6)
    assert ops.cross_entropy(p, np.load(folder / "truth.npy")) == pytest.approx(cost.item(), rel=1e-6)


@pytest.mark.parametrize("sizes", [(2, 3), (4, 4), (6, 0)])
def test_tree_must_cover_the_values(sizes):
    with pytest.raises(ShapeError, match="add up to the 6 input values"):
        ops.softmax_tree(rows((1, 6)), sizes)


@pytest.mark.filterwarnings("error")
def test_large_inputs_and_inputs_kept():
    x = np.array([[1e4, 0, -1e4, 1e4]], np.float32)
    before = x.copy()
    np.testing.assert_array_equal(ops.softmax(x), [[.5, 0, 0, .5]])
    np.testing.assert_array_equal(ops.softmax_tree(x, (2, 2)), [[1, 0, 0, 1]])
    np.testing.assert_array_equal(ops.softmax_spatial(x.reshape(1, 4, 1, 1)).ravel(), [.5, 0, 0, .5])
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("groups, temperature", [(1, 1.0), (2, 1.7), (4, 0.5)])
def test_backward_is_the_derivative(groups, temperature):
    x, dy = rows((2, 8)), rows((2, 8), 2)
    dx = ops.softmax_backward(dy, ops.softmax(x, groups, temperature), groups, temperature)
    numeric = np.empty_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = 1e-6
        numeric[i] = ((ops.softmax(x + step, groups, temperature) - ops.softmax(x - step, groups, temperature))
                      * dy).sum() / 2e-6
    np.testing.assert_allclose(dx, numeric, rtol=1e-6, atol=1e-9)


def test_cross_entropy_is_not_weighted_by_the_truth():
    p = np.array([[.5, .25, .25], [.125, .125, .75]])
    loss = ops.cross_entropy(p, np.array([[1, 0, 0], [.1, 0, .9]]))
    assert isinstance(loss, float)
    assert loss == pytest.approx(-math.log(.5) - math.log(.125) - math.log(.75))


def test_cross_entropy_leaves_out_what_is_not_known():
    assert ops.cross_entropy(np.array([[.5, .5, .1, .9]]), np.array([[0, 1, -1234, -1234]])) == pytest.approx(
        math.log(2))


@pytest.mark.filterwarnings("error")
def test_impossible_truth_costs_much_but_not_infinitely():
    p, t = np.array([[0, 1]], np.float32), np.array([[1, 0]], np.float32)
    assert 80 < ops.cross_entropy(p, t) < 100
    assert 160 < ops.binary_cross_entropy(p, t) < 200


def test_binary_cross_entropy():
    p, t = np.array([[.5, .25], [.75, .9]]), np.array([[1, 0], [.5, 1]])
    want = -(math.log(.5) + math.log(.75) + .5 * math.log(.75) + .5 * math.log(.25) + math.log(.9))
    assert ops.binary_cross_entropy(p, t) == pytest.approx(want)
    assert isinstance(ops.binary_cross_entropy(p, t), float)
