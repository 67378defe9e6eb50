"""[conv_lstm] state_constrain: exact mode is the derivative of the clipped cell, the forks let the gradient through."""
import numpy as np
import pytest

from runner.compat import COMPAT
from runner.layers import ConvLstm
from runner.layers.shared.base import Env


def gradient(compat: str, limit: float) -> np.ndarray:
    """The gradient of the first of two time steps, from the output of the second."""
    env = Env(dtype=np.dtype("float64"), time_steps=2, compat=COMPAT[compat])
    layer = ConvLstm((2, 3, 3), env=env, output=2, size=3, pad=1, state_constrain=limit)
    x = np.random.default_rng(0).normal(size=(2, 2, 3, 3)) * 3
    y, saved = layer.forward(x, train=True)
    dy = np.zeros_like(y)
    dy[1] = 1
    dx = layer.backward(dy, saved)[0]
    assert dx is not None
    return dx[0]


@pytest.mark.parametrize("compat", ["alexeyab", "pjreddie"])
def test_the_forks_pass_the_gradient_through_a_clipped_cell(compat: str) -> None:
    """src/conv_lstm_layer.c: constrain_cpu clips the cell forward; backward does not look at it."""
    clipped, free = gradient(compat, 1e-6), gradient(compat, 0)
    assert clipped.any() and free.any()         # both forks pass no gradient through the output: only the cell is left


def test_exact_mode_stops_at_a_clipped_cell() -> None:
    assert np.abs(gradient("exact", 1e-6)).max() < .5 * np.abs(gradient("exact", 0)).max()
