"""[dropout] on its own: mask, scale, and its limits."""
import numpy as np
import pytest

from runner.layers import Dropout


@pytest.mark.parametrize("shape", [(4,), (3, 5), (2, 3, 4, 5)])
def test_any_shape(shape: tuple[int, ...]) -> None:
    layer = Dropout(probability=0.4)
    x = np.random.default_rng(0).uniform(1, 2, (50, *shape)).astype("f4")
    y, saved = layer.forward(x, train=True)
    kept = y != 0
    assert 0.5 < kept.mean() < 0.7
    np.testing.assert_allclose(y[kept], x[kept] / 0.6, rtol=1e-6)
    dy = np.ones_like(x)
    dx, = layer.backward(dy, saved)
    assert dx is not None
    assert np.array_equal(dx != 0, kept), "the same mask must be used in backward"
    np.testing.assert_allclose(dx[kept], 1 / 0.6, rtol=1e-6)
    again, _ = layer.forward(x, train=True)
    assert not np.array_equal(again, y), "every forward draws a fresh mask"
    assert layer.forward(x[:3], train=True)[0].shape == x[:3].shape, "the mask has the size of the actual batch"
    assert layer.forward(x)[0] is x, "inference is the identity"


def test_probabilities_0_and_1() -> None:
    x = np.ones((2, 3), "f4")
    assert np.array_equal(Dropout(probability=0.0).forward(x, train=True)[0], x)
    layer = Dropout(probability=1.0)
    y, saved = layer.forward(x, train=True)
    dx, = layer.backward(x, saved)
    assert dx is not None and not y.any() and not dx.any()
