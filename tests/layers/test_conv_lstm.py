"""[conv_lstm] state_constrain: exact mode is the derivative of the clipped cell, the forks let the gradient through."""
import numpy as np
import pytest

from runner.compat import COMPAT
from runner.layers import ConvLstm
from runner.layers.shared.base import Env
from tests.compat.darknet_recurrent import LstmEmulation


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


@pytest.mark.parametrize("limit", [0, .05])
@pytest.mark.parametrize("peephole", [0, 1])
def test_clipped_gradients_are_those_of_the_c_code(peephole: int, limit: float) -> None:
    """Against an emulation of src/conv_lstm_layer.c, but for what its step 0 takes for the step before."""
    def gradients(emulated: bool) -> dict[str, np.ndarray]:
        env = Env(dtype=np.dtype("float64"), time_steps=3, compat=COMPAT["alexeyab"])
        layer = ConvLstm((2, 3, 4), env=env, output=2, size=3, pad=1, peephole=peephole, state_constrain=limit)
        if emulated:
            LstmEmulation("AlexeyAB", layer)
        rng = np.random.default_rng(0)
        y, saved = layer.forward(rng.normal(size=(6, 2, 3, 4)), train=True)
        dx = layer.backward(rng.normal(size=y.shape), saved)[0]
        assert dx is not None
        return {"dx": dx[2:]} | layer.grads         # step 0 of two streams
    ours, theirs = gradients(False), gradients(True)
    compared = [name for name in ours if name == "dx" or name[:2] in ("ui", "ug", "uo", "vo")]
    assert len(compared) == (9 if peephole else 7)
    for name in compared:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-9, atol=1e-12, err_msg=name)
