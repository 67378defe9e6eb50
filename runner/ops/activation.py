"""Activation functions and their derivatives.

Most derivatives are functions of the output y, as in darknet (src/activations.c, src/activations.h); those of swish,
mish, hard_mish and gelu need the input.  normalize_channels* mix the channels of a pixel and stand apart.
"""
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray
SELU, SELU_LOW = 1.0507, 1.0507 * 1.6732
GELU_A, GELU_B = 0.797885, 0.035677     # sqrt(2 / pi), and 0.044715 times it


def logistic(x: Array) -> Array:
    """1 / (1 + e^-x); exact to the last digits for small values too, whose logarithm a loss may take."""
    y = np.negative(x)
    with np.errstate(over="ignore"):    # e^-x is infinite far below 0, and the result 0, as it should be
        np.exp(y, out=y)
    y += 1
    return np.reciprocal(y, out=y)


def signs(x: Array) -> Array:
    """1 where x is above 0, else -1  (src/convolutional_layer.c:binarize_cpu)."""
    return np.where(x > 0, x.dtype.type(1), x.dtype.type(-1))


def _softplus(x: Array) -> Array:
    return np.logaddexp(x, x.dtype.type(0))


def _slope(low: float) -> Callable[[Array], Array]:
    """x above zero, low x below; low < 1."""
    return lambda x: np.maximum(x, x * x.dtype.type(low))


def _step(low: float) -> Callable[[Array], Array]:
    """The derivative of _slope, from its output: 1 above zero, else low."""
    return lambda y: np.maximum((y > 0).astype(y.dtype), y.dtype.type(low))


def _between(low: float, high: float) -> Callable[[Array], Array]:
    return lambda y: ((y > low) & (y < high)).astype(y.dtype)


def _plse(x: Array) -> Array:
    return np.where(x < -4, 0.01 * (x + 4), np.where(x > 4, 0.01 * (x - 4) + 1, 0.125 * x + 0.5))


def _stair(x: Array) -> Array:
    n = np.floor(x)
    return np.where(n % 2 == 0, np.floor(x / 2), x - n + np.floor(x / 2))


def _lhtan(x: Array) -> Array:
    return np.where(x < 0, 0.001 * x, np.where(x > 1, 0.001 * (x - 1) + 1, x))


def _gelu(x: Array) -> Array:
    """0.5 x (1 + tanh(u)), u = 0.797885 x + 0.035677 x^3 (Hendrycks & Gimpel 2016)."""
    return 0.5 * x * (1 + np.tanh(x * (GELU_A + GELU_B * (x * x))))


def _gelu_slope(x: Array) -> Array:
    square = x * x
    t = np.tanh(x * (GELU_A + GELU_B * square))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * (GELU_A + 3 * GELU_B * square)


def _gelu_slope_darknet(y: Array) -> Array:
    """What src/activations.h writes: coefficients of its own, and evaluated at the output."""
    square = y * y
    t = np.tanh(y * (0.797885 + 0.0356774 * square))
    return 0.5 * t + y * (0.398942 + 0.0535161 * square) * (1 - t * t) + 0.5


def _swish_slope(x: Array) -> Array:
    s = logistic(x)
    return s * (1 + x * (1 - s))


def _tanh_softplus(x: Array) -> tuple[Array, Array]:
    """tanh(log(1 + e)) = (e^2 + 2 e) / (e^2 + 2 e + 2), and e = e^x; above 20 the former is 1 in any precision."""
    e = np.exp(np.minimum(x, 20))
    q = e * (e + 2)
    return q / (q + 2), e


def _mish_slope(x: Array) -> Array:
    t, e = _tanh_softplus(x)
    return x * (1 - t * t) * (e / (1 + e)) + t


def _hard_mish(x: Array) -> Array:
    """x above 0, x^2 / 2 + x down to -2, 0 below: at the end -2 the parabola is 0 too."""
    low = np.clip(x, -2, 0)
    return np.maximum(x, 0) + low * (low / 2 + 1)


# name -> (f(x), f' as a function of the output y)
FROM_OUTPUT: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "logistic": (logistic, lambda y: y * (1 - y)),
    "loggy": (lambda x: 2 * logistic(x) - 1, lambda y: (1 - y * y) / 2),
    "relu": (lambda x: np.maximum(x, x.dtype.type(0)), _step(0)),
    "relu6": (lambda x: np.clip(x, 0, 6), _between(0, 6)),
    "elu": (lambda x: np.maximum(x, 0) + np.expm1(np.minimum(x, 0)), lambda y: np.minimum(y, 0) + 1),
    "selu": (lambda x: SELU * np.maximum(x, 0) + SELU_LOW * np.expm1(np.minimum(x, 0)),
             lambda y: np.where(y >= 0, SELU, y + SELU_LOW)),
    "relie": (_slope(0.01), _step(0.01)),
    "ramp": (lambda x: np.maximum(x, 0) + 0.1 * x, lambda y: (y > 0) + y.dtype.type(0.1)),
    "leaky": (_slope(0.1), _step(0.1)),
    "revleaky": (_slope(0.1), _step(0.1)),
    "tanh": (np.tanh, lambda y: 1 - y * y),
    "plse": (_plse, lambda y: np.where((y < 0) | (y > 1), 0.01, 0.125)),
    "stair": (_stair, lambda y: (np.floor(y) != y).astype(y.dtype)),
    "hardtan": (lambda x: np.clip(x, -1, 1), _between(-1, 1)),
    "lhtan": (_lhtan, lambda y: np.where((y > 0) & (y < 1), 1, 0.001)),
    "elliot": (lambda x: 0.5 * x / (1 + np.abs(x)) + 0.5, lambda y: 0.5 * (1 - np.abs(2 * y - 1)) ** 2),
    "symmelliot": (lambda x: x / (1 + np.abs(x)), lambda y: (1 - np.abs(y)) ** 2),
    "softsign": (lambda x: x / (1 + np.abs(x)), lambda y: (1 - np.abs(y)) ** 2),
    "softplus": (_softplus, lambda y: -np.expm1(-y)),
}
# name -> (f(x), f' as a function of the input x)
FROM_INPUT: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "gelu": (_gelu, _gelu_slope),
    "swish": (lambda x: x * logistic(x), _swish_slope),
    "mish": (lambda x: x * _tanh_softplus(x)[0], _mish_slope),
    "hard_mish": (_hard_mish, lambda x: (np.clip(x, -2, 0) + 1) * (x > -2)),
}
CHANNELS = ("normalize_channels", "normalize_channels_softmax", "normalize_channels_softmax_maxval")
ACTIVATIONS = ("linear", *FROM_OUTPUT, *FROM_INPUT, *CHANNELS)


def activate(x: Array, name: str, inplace: bool = False) -> tuple[Array, Any]:
    """x (n, ...) -> y, saved: what the derivative needs.  inplace: x's memory may be used for y.

    normalize_channels* take (n, c, h, w): the values of a pixel are divided by their sum over the channels.
    """
    if name == "linear":
        return x, None
    if name in ("leaky", "relu", "revleaky") and inplace:
        low = x.dtype.type(0 if name == "relu" else 0.1)
        np.maximum(x, x * low if low else low, out=x)
        return x, x
    if name in CHANNELS:
        y = _normalized(x, name)
        return y, (x, y)
    if name in FROM_INPUT:
        y = FROM_INPUT[name][0](x).astype(x.dtype, copy=False)
        return y, (x, y)
    y = FROM_OUTPUT[name][0](x).astype(x.dtype, copy=False)
    return y, y


def activate_backward(dy: Array, saved: Any, name: str, rule: str = "exact") -> Array:
    """-> dx.  rule "darknet": the formulas of src/activations.c where they are no derivatives (gelu, normalize_*)."""
    if name == "linear":
        return dy
    if name in CHANNELS:
        x, y = saved
        return _normalized_backward(dy, x, y, name, rule)
    if name == "gelu" and rule == "darknet":
        slope = _gelu_slope_darknet(saved[1])
    elif name in FROM_INPUT:
        slope = FROM_INPUT[name][1](saved[0])
    else:
        slope = FROM_OUTPUT[name][1](saved)
    slope = slope.astype(dy.dtype, copy=False)
    slope *= dy
    return slope


def _normalized(x: Array, name: str) -> Array:
    """Each part over 1e-4 plus the sum of the parts of its pixel; parts are relu(x), e^x or e^(x - max)."""
    if name == "normalize_channels":
        part, extra = np.maximum(x, 0), 1e-4
    elif name.endswith("maxval"):
        part, extra = np.exp(x - x.max(axis=1, keepdims=True)), 1e-4
    else:
        # numerator and denominator both times e^-top, so that no e^x overflows: the quotient stays the same
        top = np.maximum(x.max(axis=1, keepdims=True), 0)
        part, extra = np.exp(x - top), 1e-4 * np.exp(-top)
    return part / (part.sum(axis=1, keepdims=True) + extra)


def _normalized_backward(dy: Array, x: Array, y: Array, name: str, rule: str) -> Array:
    inner = (dy * y).sum(axis=1, keepdims=True)
    positive = y > 0 if name == "normalize_channels" else np.True_
    if rule == "darknet":
        # written for darknet's delta, which is -dy: delta_k *= sum_j y_j delta_j
        return np.where(positive, -dy * inner, dy)
    if name == "normalize_channels":
        total = np.maximum(x, 0).sum(axis=1, keepdims=True) + 1e-4
        return np.where(positive, (dy - inner) / total, 0).astype(dy.dtype, copy=False)
    dx = y * (dy - inner)
    if name.endswith("maxval"):     # the maximum is subtracted from every exponent: its own derivative
        top = x == x.max(axis=1, keepdims=True)
        lost = dx.sum(axis=1, keepdims=True)
        dx = dx - np.where(top, lost / top.sum(axis=1, keepdims=True), 0)
    return dx.astype(dy.dtype, copy=False)
