"""Activations against darknet's numbers, gradients against finite differences, compiled against NumPy."""
from collections.abc import Sequence

import numpy as np
import pytest

from runner import ops
from runner.ops.activation import ACTIVATION_ALIASES, FOREIGN_ACTIVATIONS

pytestmark = pytest.mark.usefixtures("backend")

X = np.array([-5, -1.5, -0.5, 0, 0.5, 1.5, 5])

# computed with darknet's own C functions: f(X), and the gradient it uses
FORWARD: dict[str, Sequence[float] | np.ndarray] = {
    "logistic": [0.00669285, 0.182426, 0.377541, 0.5, 0.622459, 0.817574, 0.993307],
    "loggy": [-0.986614, -0.635149, -0.244919, 0, 0.244919, 0.635149, 0.986614],
    "elu": [-0.993262, -0.77687, -0.393469, 0, 0.5, 1.5, 5],
    "selu": [-1.74619, -1.36576, -0.691731, 0, 0.52535, 1.57605, 5.2535],
    "gelu": [-2.98e-07, -0.100429, -0.154286, 0, 0.345714, 1.39957, 5],
    "ramp": [-0.5, -0.15, -0.05, 0, 0.55, 1.65, 5.5],
    "leaky": [-0.5, -0.15, -0.05, 0, 0.5, 1.5, 5],
    "plse": [-0.01, 0.3125, 0.4375, 0.5, 0.5625, 0.6875, 1.01],
    "stair": [-3, -1, -0.5, 0, 0, 0.5, 2],
    "lhtan": [-0.005, -0.0015, -0.0005, 0, 0.5, 1.0005, 1.004],
    "swish": [-0.0334643, -0.273638, -0.18877, 0, 0.31123, 1.22636, 4.96654],
    "mish": [-0.0335765, -0.2981, -0.220744, 0, 0.375245, 1.40338, 4.99955],
    "hard_mish": [0, -0.375, -0.375, 0, 0.5, 1.5, 5],
    # by hand
    "linear": X, "relu": [0, 0, 0, 0, 0.5, 1.5, 5], "relu6": [0, 0, 0, 0, 0.5, 1.5, 5],
    "relie": [-0.05, -0.015, -0.005, 0, 0.5, 1.5, 5], "revleaky": [-0.5, -0.15, -0.05, 0, 0.5, 1.5, 5],
    "tanh": [-0.999909, -0.905148, -0.462117, 0, 0.462117, 0.905148, 0.999909],
    "hardtan": [-1, -1, -0.5, 0, 0.5, 1, 1],
    "softsign": [-0.833333, -0.6, -0.333333, 0, 0.333333, 0.6, 0.833333],
    "symmelliot": [-0.833333, -0.6, -0.333333, 0, 0.333333, 0.6, 0.833333],
    "elliot": [0.0833333, 0.2, 0.333333, 0.5, 0.666667, 0.8, 0.916667],
    "softplus": [0.00671535, 0.201413, 0.474077, 0.693147, 0.974077, 1.701413, 5.006715],
}
SLOPE: dict[str, Sequence[float] | np.ndarray] = {
    "logistic": [0.00664806, 0.149146, 0.235004, 0.25, 0.235004, 0.149146, 0.00664803],
    "loggy": [0.0132961, 0.298293, 0.470007, 0.5, 0.470007, 0.298293, 0.0132961],
    "elu": [0.00673795, 0.22313, 0.606531, 1, 1, 1, 1],
    "selu": [0.0118455, 0.39227, 1.0663, 1.0507, 1.0507, 1.0507, 1.0507],
    "gelu": [0.5, 0.42014, 0.377874, 0.5, 0.765093, 1.12892, 1],
    "leaky": [0.1, 0.1, 0.1, 0.1, 1, 1, 1],
    "tanh": [0.000181556, 0.180707, 0.786448, 1, 0.786448, 0.180707, 0.000181675],
    "plse": [0.01, 0.125, 0.125, 0.125, 0.125, 0.125, 0.01],
    "stair": [0, 0, 1, 0, 0, 1, 0],
    "swish": [-0.0265474, -0.0412942, 0.260039, 0.5, 0.739961, 1.04129, 1.02655],
    "mish": [-0.0267475, -0.0640978, 0.289511, 0.6, 0.886424, 1.08849, 1.0008],
    "hard_mish": [0, -0.5, 0.5, 1, 1, 1, 1],
    "relu": [0, 0, 0, 0, 1, 1, 1], "relu6": [0, 0, 0, 0, 1, 1, 1], "ramp": [0.1, 0.1, 0.1, 0.1, 1.1, 1.1, 1.1],
    "relie": [0.01, 0.01, 0.01, 0.01, 1, 1, 1], "hardtan": [0, 0, 1, 1, 1, 0, 0],
    "lhtan": [0.001, 0.001, 0.001, 0.001, 1, 0.001, 0.001], "linear": [1, 1, 1, 1, 1, 1, 1],
}
CHANNELS = [name for name, activation in ops.ACTIVATIONS.items() if activation.mixes_channels]
KINKS = np.array([-4, -3, -2, -1, 0, 1, 2, 3, 4, 6])


def test_every_activation_has_check_values():
    assert {*FORWARD, *CHANNELS} == set(ops.ACTIVATIONS)


def test_a_name_has_one_meaning() -> None:
    """An activation is not an alias of another one, and is not rejected as one of another program."""
    names = [*ops.ACTIVATIONS, *ACTIVATION_ALIASES, *FOREIGN_ACTIVATIONS]
    assert sorted(names) == sorted(set(names))
    assert set(ACTIVATION_ALIASES.values()) <= set(ops.ACTIVATIONS)


def test_a_declaration_says_whether_the_input_is_saved():
    x = sample((2, 4, 3, 5))
    for name, activation in ops.ACTIVATIONS.items():
        y, saved = ops.activate(x, name)
        if name == "linear":
            assert saved is None
        elif activation.saves_input:
            assert np.array_equal(saved[0], x) and np.array_equal(saved[1], y), name
        else:
            assert np.array_equal(saved, y), name


def test_a_declaration_says_whether_the_fork_differs():
    x = sample((2, 4, 3, 5))
    for name, activation in ops.ACTIVATIONS.items():
        _, saved = ops.activate(x, name)
        exact, fork = (ops.activate_backward(np.ones_like(x), saved, name, rule) for rule in ("exact", "darknet"))
        assert np.array_equal(exact, fork) != activation.has_fork_rule, name


@pytest.mark.parametrize("name", FORWARD)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_of_darknet(name, dtype):
    y, _ = ops.activate(X.astype(dtype), name)
    # at -5 darknet's single precision shows: mish is off by 3e-7 there, gelu by 7e-8
    np.testing.assert_allclose(y, FORWARD[name], rtol=3e-6, atol=3e-7)
    assert y.dtype == dtype


@pytest.mark.parametrize("name", SLOPE)
def test_slopes_of_darknet(name):
    x = X.astype(np.float32)
    _, saved = ops.activate(x, name)
    dx = ops.activate_backward(np.full_like(x, 2), saved, name, "darknet")
    # at +-5 darknet's own single precision shows: 1 - y^2 keeps four digits
    np.testing.assert_allclose(dx / 2, SLOPE[name], rtol=5e-6, atol=5e-7)


def numeric_gradient(f, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    dx = np.empty_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += 1e-6
        down[i] -= 1e-6
        dx[i] = ((f(up) - f(down)) * dy).sum() / 2e-6
    return dx


def sample(shape: tuple[int, ...]) -> np.ndarray:
    """Values from -7 to 7, none within 0.01 of where some activation bends."""
    x = np.random.default_rng(1).uniform(-7, 7, shape)
    near = np.abs(x[..., None] - KINKS).min(axis=-1) < 0.01
    return np.where(near, x + 0.03, x)


@pytest.mark.parametrize("name", ops.ACTIVATIONS)
@pytest.mark.parametrize("scale", [1, 0.1])
def test_exact_gradient(name, scale):
    x = sample((2, 5, 3, 1)) * scale
    x[np.abs(x) < 0.005] = 0.02
    dy = np.random.default_rng(2).normal(size=x.shape)
    _, saved = ops.activate(x.copy(), name)
    dx = ops.activate_backward(dy, saved, name, "exact")
    np.testing.assert_allclose(dx, numeric_gradient(lambda v: ops.activate(v, name)[0], x, dy), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ops.ACTIVATIONS)
def test_every_backend_agrees_with_the_reference(name):
    x, dy = sample((3, 5, 3, 7)).astype("float32"), np.random.default_rng(2).normal(size=(3, 5, 3, 7)).astype("float32")
    y, saved = ops.activate(x, name)
    want, kept = ops.REFERENCE["activate"](x, name)
    np.testing.assert_allclose(y, want, rtol=2e-6, atol=1e-6)
    for rule in ("exact", "darknet"):
        dx = ops.activate_backward(dy, saved, name, rule)
        np.testing.assert_allclose(dx, ops.REFERENCE["activate_backward"](dy, kept, name, rule), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CHANNELS)
def test_normalized_channels_by_their_definition(name):
    x = np.random.default_rng(3).normal(size=(2, 4, 3, 2))
    y, _ = ops.activate(x, name)
    part = {"normalize_channels": np.maximum(x, 0), "normalize_channels_softmax": np.exp(x),
            "normalize_channels_softmax_maxval": np.exp(x - x.max(axis=1, keepdims=True))}[name]
    np.testing.assert_allclose(y, part / (1e-4 + part.sum(axis=1, keepdims=True)), rtol=1e-12)


@pytest.mark.parametrize("name", CHANNELS)
def test_darknets_rule_for_channels(name):
    """delta_k *= sum_j y_j delta_j (src/activations.c), written for delta = -dy."""
    rng = np.random.default_rng(4)
    y, saved = ops.activate(rng.normal(size=(2, 4, 3, 2)), name)
    dy = rng.normal(size=y.shape)
    delta = -dy
    new = delta * (y * delta).sum(axis=1, keepdims=True)
    if name == "normalize_channels":
        new = np.where(y > 0, new, delta)
    np.testing.assert_allclose(ops.activate_backward(dy, saved, name, "darknet"), -new, rtol=1e-12)


@pytest.mark.parametrize("name", ops.ACTIVATIONS)
def test_nothing_is_changed_and_types_are_kept(name):
    x = np.random.default_rng(5).normal(size=(3, 4, 2, 5)).astype(np.float32)
    dy = np.random.default_rng(6).normal(size=x.shape).astype(np.float32)
    x0, dy0 = x.copy(), dy.copy()
    y, saved = ops.activate(x, name)
    y0 = y.copy()
    for rule in ("exact", "darknet"):
        dx = ops.activate_backward(dy, saved, name, rule)
        assert dx.dtype == np.float32 and dx.shape == x.shape
    assert y.dtype == np.float32
    for now, before in ((x, x0), (dy, dy0), (y, y0)):
        np.testing.assert_array_equal(now, before)


@pytest.mark.parametrize("name", ops.ACTIVATIONS)
def test_in_place_gives_the_same(name):
    x = np.random.default_rng(7).normal(size=(2, 4, 3, 5)).astype(np.float32)
    dy = np.ones_like(x)
    y, saved = ops.activate(x, name)
    dx = ops.activate_backward(dy, saved, name)
    y2, saved2 = ops.activate(x.copy(), name, inplace=True)
    np.testing.assert_array_equal(y2, y)
    np.testing.assert_array_equal(ops.activate_backward(dy, saved2, name), dx)


@pytest.mark.parametrize("name", ops.ACTIVATIONS)
@pytest.mark.filterwarnings("error")
def test_large_values_stay_finite(name):
    x = np.array([-1e4, -300, -100, -30, 30, 100, 300, 1e4], np.float32).reshape(1, 8, 1, 1)
    y, saved = ops.activate(x, name)
    assert np.isfinite(y).all()
    for rule in ("exact", "darknet"):
        assert np.isfinite(ops.activate_backward(np.ones_like(x), saved, name, rule)).all()


def test_small_probabilities_keep_their_digits():
    x = np.array([-80, -40, -20, -10], np.float32)
    np.testing.assert_allclose(ops.logistic(x), np.exp(x.astype(np.float64)) / (1 + np.exp(x.astype(np.float64))),
                               rtol=1e-6)


def test_mish_agrees_with_its_definition():
    x = np.linspace(-40, 40, 999)
    y, _ = ops.activate(x, "mish")
    np.testing.assert_allclose(y, x * np.tanh(np.logaddexp(x, 0)), rtol=1e-13)
