"""The losses of [cost]: values by hand, darknet's deltas, and gradients against the objective."""
import math

import numpy as np
import pytest

from runner import ops

X = np.array([[.5, -2, 3, 0.25]])
T = np.array([[1, 0, 1, 0.25]])          # d = .5, 2, -2, 0

ERROR: dict[str, list[float]] = {
    "sse": [.25, 4, 4, 0], "masked": [.25, 4, 4, 0], "seg": [.25, 4, 4, 0], "smooth": [.25, 3, 3, 0],
    "L1": [.5, 2, 2, 0], "wgan": [-.5, -2, -3, -.25], "mse": [.0625, 1, 1, 0], "mae": [.125, .5, .5, 0],
}
DELTA: dict[str, list[float]] = {       # darknet's, minus the gradient
    "sse": [.5, 2, -2, 0], "masked": [.5, 2, -2, 0], "seg": [.5, 2, -2, 0], "smooth": [.5, 1, -1, 0],
    "L1": [1, 1, -1, -1], "wgan": [1, -1, 1, 1], "mse": [.25, 1, -1, 0], "mae": [.25, .25, -.25, 0],
}


def data(kind: str, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray]:
    """x and truth (3, 2, 2, 3), differences away from 0 and 1 where some kinds bend."""
    rng = np.random.default_rng(1)
    shape = (3, 2, 2, 3)
    x: np.ndarray
    t: np.ndarray
    if kind == "hellinger":
        x, t = rng.uniform(0.1, 1, shape), rng.uniform(0.1, 1, shape)
    elif kind in ("hinge", "wgan"):
        x, t = rng.normal(size=shape), rng.integers(0, 2, shape) * 1.0
        t = 2 * t - 1 if kind == "hinge" else t
    else:
        t = rng.integers(0, 2, shape) * rng.uniform(0.5, 1, shape)
        x = t + rng.choice([-1, 1], shape) * rng.choice([0.1, 0.4, 0.9, 1.1, 3], shape)
        if kind == "masked":
            t[rng.uniform(size=shape) < 0.3] = ops.MASKED
    return x.astype(dtype), t.astype(dtype)


@pytest.mark.parametrize("kind", ERROR)
def test_known_values(kind):
    error, dx = ops.loss(X, T, kind)
    np.testing.assert_allclose(error, [ERROR[kind]])
    np.testing.assert_allclose(-dx, [DELTA[kind]])


def test_known_values_of_the_others():
    error, dx = ops.loss(np.array([[0.5, -2.0]]), np.array([[1.0, 1.0]]), "hinge")
    np.testing.assert_allclose(error, [[.25, 1.5]])
    np.testing.assert_allclose(dx, [[-.5, -.5]])
    np.testing.assert_array_equal(ops.loss(np.array([[3.0]]), np.array([[1.0]]), "hinge"), [[[0]], [[0]]])
    error, dx = ops.loss(np.array([[0.25]]), np.array([[1.0]]), "hellinger")
    np.testing.assert_allclose([error, dx], [[[.125]], [[-.5]]])
    error, dx = ops.loss(np.array([[0.0]]), np.array([[2.0]]), "logcosh")
    np.testing.assert_allclose([error, dx], [[[math.log(math.cosh(2))]], [[-math.tanh(2)]]])


@pytest.mark.parametrize("kind", ops.LOSSES)
@pytest.mark.parametrize("noobj", [1.0, 0.25])
def test_gradient_of_the_objective(kind, noobj):
    x, t = data(kind)
    _, dx = ops.loss(x, t, kind, noobj=noobj)
    numeric = np.empty_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += 1e-6
        down[i] -= 1e-6
        numeric[i] = (ops.objective(up, t, kind, noobj=noobj) - ops.objective(down, t, kind, noobj=noobj)) / 2e-6
    np.testing.assert_allclose(dx, numeric, rtol=1e-5, atol=1e-7)
    assert np.abs(dx).max() > 0


@pytest.mark.parametrize("kind", ops.LOSSES)
@pytest.mark.filterwarnings("error")
def test_types_and_inputs_kept(kind):
    x, t = data(kind, "float32")
    x0, t0 = x.copy(), t.copy()
    error, dx = ops.loss(x, t, kind, noobj=0.5)
    assert error.dtype == dx.dtype == np.float32 and error.shape == dx.shape == x.shape
    np.testing.assert_array_equal(x, x0)
    np.testing.assert_array_equal(t, t0)
    assert isinstance(ops.objective(x, t, kind), float)


def test_masked_values_have_no_gradient():
    error, dx = ops.loss(np.array([[.5, 7.]]), np.array([[1, ops.MASKED]]), "masked")
    np.testing.assert_array_equal(error, [[.25, 0]])
    np.testing.assert_array_equal(dx, [[-.5, 0]])


def test_seg_weights_the_background():
    error, dx = ops.loss(np.array([[.5, .5]]), np.array([[1., 0]]), "seg", noobj=0.1)
    np.testing.assert_allclose(error, [[.25, .025]])
    np.testing.assert_allclose(dx, [[-.5, .05]])


@pytest.mark.parametrize("kind", ["mse", "mae", "logcosh", "hinge", "hellinger"])
def test_means_do_not_depend_on_the_batch(kind):
    """They divide by the values of an image, not by those of the batch: the sum over images is the convention."""
    x, t = data(kind)
    _, together = ops.loss(x, t, kind)
    single = [ops.loss(x[i:i + 1], t[i:i + 1], kind)[1] for i in range(len(x))]
    np.testing.assert_array_equal(together, np.concatenate(single))
