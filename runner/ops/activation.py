"""Activation functions and their derivatives, one declaration each in ACTIVATIONS.

Most derivatives are functions of the output y, as in darknet (src/activations.c, src/activations.h); those of swish,
mish, hard_mish and gelu need the input.  normalize_channels* mix the channels of a pixel: see ChannelActivation.
"""
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Array = np.ndarray
SELU, SELU_LOW = 1.0507, 1.0507 * 1.6732
GELU_A, GELU_B = 0.797885, 0.035677     # sqrt(2 / pi), and 0.044715 times it


def logistic(x: Array) -> Array:
    """1 / (1 + e^-x); keeps its digits for tiny results too, whose logarithm a loss may take."""
    y = np.negative(x)
    with np.errstate(over="ignore"):    # far below 0, e^-x is infinite and the result 0, as it should be
        np.exp(y, out=y)
    y += 1
    return np.reciprocal(y, out=y)


def signs(x: Array) -> Array:
    """1 where x is above 0, else -1  (src/convolutional_layer.c:binarize_cpu)."""
    return np.where(x > 0, x.dtype.type(1), x.dtype.type(-1))


def _rectify(x: Array, alpha: float, out: Array | None = None) -> Array:
    low = x.dtype.type(alpha)
    return np.maximum(x, x * low if low else low, out=out)      # infinity times 0 would be NaN


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


def _gelu_fork_slope(y: Array) -> Array:
    """src/activations.h: other coefficients, and evaluated at the output."""
    square = y * y
    t = np.tanh(y * (0.797885 + 0.0356774 * square))
    return 0.5 * t + y * (0.398942 + 0.0535161 * square) * (1 - t * t) + 0.5


def _swish_slope(x: Array) -> Array:
    s = logistic(x)
    return s * (1 + x * (1 - s))


def _tanh_softplus(x: Array) -> tuple[Array, Array]:
    """tanh(log(1 + e)) = (e^2 + 2 e) / (e^2 + 2 e + 2), and e = e^x; above 20 it is 1 in any precision."""
    e = np.exp(np.minimum(x, 20))
    q = e * (e + 2)
    return q / (q + 2), e


def _mish_slope(x: Array) -> Array:
    t, e = _tanh_softplus(x)
    return x * (1 - t * t) * (e / (1 + e)) + t


def _hard_mish(x: Array) -> Array:
    """x above 0, x^2 / 2 + x from -2 to 0, 0 below; the parabola meets both ends."""
    low = np.clip(x, -2, 0)
    return np.maximum(x, 0) + low * (low / 2 + 1)


def _shares(part: Array, extra: float | Array = 1e-4) -> Array:
    return part / (part.sum(axis=1, keepdims=True) + extra)


def _shares_fork(dy: Array, x: Array, y: Array) -> Array:
    """delta_k *= sum_j y_j delta_j, written for darknet's delta, which is -dy."""
    return -dy * (dy * y).sum(axis=1, keepdims=True)


def _normalize(x: Array) -> Array:
    """The parts are relu(x)."""
    return _shares(np.maximum(x, 0))


def _normalize_backward(dy: Array, x: Array, y: Array) -> Array:
    total = np.maximum(x, 0).sum(axis=1, keepdims=True) + 1e-4
    return np.where(y > 0, (dy - (dy * y).sum(axis=1, keepdims=True)) / total, 0)


def _normalize_fork(dy: Array, x: Array, y: Array) -> Array:
    return np.where(y > 0, _shares_fork(dy, x, y), dy)


def _normalize_softmax(x: Array) -> Array:
    """The parts are e^x; numerator and denominator are both multiplied by e^-top, so that no e^x overflows."""
    top = np.maximum(x.max(axis=1, keepdims=True), 0)
    return _shares(np.exp(x - top), 1e-4 * np.exp(-top))


def _normalize_softmax_backward(dy: Array, x: Array, y: Array) -> Array:
    return y * (dy - (dy * y).sum(axis=1, keepdims=True))


def _normalize_maxval(x: Array) -> Array:
    """The parts are e^(x - max)."""
    return _shares(np.exp(x - x.max(axis=1, keepdims=True)))


def _normalize_maxval_backward(dy: Array, x: Array, y: Array) -> Array:
    """The maximum is subtracted from every exponent, so it has a derivative of its own."""
    dx = _normalize_softmax_backward(dy, x, y)
    top = x == x.max(axis=1, keepdims=True)
    lost = dx.sum(axis=1, keepdims=True)
    return dx - np.where(top, lost / top.sum(axis=1, keepdims=True), 0)


# other programs' names of the functions below
ACTIVATION_ALIASES = {"silu": "swish", "sigmoid": "logistic", "identity": "linear", "none": "linear",
                      "hardtanh": "hardtan", "hard_tanh": "hardtan", "bipolar_sigmoid": "loggy",
                      "soft_sign": "softsign", "soft_plus": "softplus", "hardmish": "hard_mish"}
# functions of other programs that do not exist here, and the nearest ones
FOREIGN_ACTIVATIONS = {
    "leakyrelu": "leaky has slope 0.1 below zero, relie has 0.01",
    "leaky_relu": "leaky has slope 0.1 below zero, relie has 0.01",
    "lrelu": "leaky has slope 0.1 below zero, relie has 0.01",
    "prelu": "a learned slope is not supported; leaky has slope 0.1",
    "rrelu": "a random slope is not supported; leaky has slope 0.1",
    "softmax": "it is a section of its own, [softmax]",
    **dict.fromkeys(("hswish", "h_swish", "hardswish", "hard_swish", "hsigmoid", "hardsigmoid", "hard_sigmoid", "celu",
                     "glu", "swiglu", "geglu", "crelu", "maxout", "sin", "sine", "snake", "square", "exp", "abs",
                     "logsigmoid", "log_softmax", "hardshrink", "softshrink", "tanhshrink", "threshold", "quick_gelu",
                     "gelu_exact", "frelu", "acon", "metaacon", "brelu", "drelu", "srelu", "reglu", "eswish", "dsilu",
                     "smish", "stanh"), "this function is not supported"),
}


@dataclass(frozen=True)
class Activation:
    """y = f(x) for each value on its own.

    slope       f' as a function of the output y or of the input x, as `slope_from` says
    fork_slope  darknet's formula where it is not the derivative, as a function of the output
    expression  the compiled expression that computes it (runner/ops/fast/simd/math.py), with its parameters alpha and
                beta; "" where there is only the NumPy one
    """
    name: str
    f: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    slope_from: Literal["output", "input"] = "output"
    fork_slope: Callable[[Array], Array] | None = None
    expression: str = ""
    alpha: float = 0.
    beta: float = 0.

    mixes_channels = False

    @property
    def has_fork_rule(self) -> bool:
        """Does rule "darknet" give another gradient?"""
        return self.fork_slope is not None

    @property
    def saves_input(self) -> bool:
        """Does the backward pass need x besides y?"""
        return self.slope_from == "input"

    def backward(self, dy: Array, saved: Any, rule: str) -> Array:
        x, y = saved if self.saves_input else (saved, saved)
        if self.fork_slope and rule == "darknet":
            slope = self.fork_slope(y)
        else:
            slope = self.slope(x if self.saves_input else y)
        slope = slope.astype(dy.dtype, copy=False)
        slope *= dy
        return slope


@dataclass(frozen=True)
class ChannelActivation:
    """y = part(x) / (sum of part(x) over the channels + 1e-4), pixel by pixel; x is (n, c, h, w)."""
    name: str
    f: Callable[[Array], Array]
    derivative: Callable[[Array, Array, Array], Array]      # (dy, x, y) -> dx
    fork_derivative: Callable[[Array, Array, Array], Array]     # what darknet takes for it

    saves_input = mixes_channels = has_fork_rule = True

    def backward(self, dy: Array, saved: Any, rule: str) -> Array:
        x, y = saved
        derivative = self.fork_derivative if rule == "darknet" else self.derivative
        return derivative(dy, x, y).astype(dy.dtype, copy=False)


def _rectifier(name: str, alpha: float) -> Activation:
    """x above zero, alpha x below; alpha < 1."""
    return Activation(name, lambda x: _rectify(x, alpha),
                      lambda y: np.maximum((y > 0).astype(y.dtype), y.dtype.type(alpha)), expression="rectifier",
                      alpha=alpha)


def _clipped(name: str, alpha: float, beta: float) -> Activation:
    """x, no lower than alpha and no higher than beta."""
    return Activation(name, lambda x: np.clip(x, alpha, beta),
                      lambda y: ((y > alpha) & (y < beta)).astype(y.dtype), expression="clip", alpha=alpha, beta=beta)


def _soft_sign(name: str) -> Activation:
    return Activation(name, lambda x: x / (1 + np.abs(x)), lambda y: (1 - np.abs(y)) ** 2)


ACTIVATIONS: dict[str, Activation | ChannelActivation] = {activation.name: activation for activation in (
    Activation("linear", lambda x: x, np.ones_like, expression="rectifier", alpha=1),
    Activation("logistic", logistic, lambda y: y * (1 - y), expression="logistic"),
    Activation("loggy", lambda x: 2 * logistic(x) - 1, lambda y: (1 - y * y) / 2),
    _rectifier("relu", 0),
    _clipped("relu6", 0, 6),
    Activation("elu", lambda x: np.maximum(x, 0) + np.expm1(np.minimum(x, 0)), lambda y: np.minimum(y, 0) + 1,
               expression="elu"),
    Activation("selu", lambda x: SELU * np.maximum(x, 0) + SELU_LOW * np.expm1(np.minimum(x, 0)),
               lambda y: np.where(y >= 0, SELU, y + SELU_LOW), expression="selu"),
    _rectifier("relie", 0.01),
    Activation("ramp", lambda x: np.maximum(x, 0) + 0.1 * x, lambda y: (y > 0) + y.dtype.type(0.1)),
    _rectifier("leaky", 0.1),
    _rectifier("revleaky", 0.1),
    Activation("tanh", np.tanh, lambda y: 1 - y * y, expression="tanh"),
    Activation("plse", _plse, lambda y: np.where((y < 0) | (y > 1), 0.01, 0.125)),
    Activation("stair", _stair, lambda y: (np.floor(y) != y).astype(y.dtype)),
    _clipped("hardtan", -1, 1),
    Activation("lhtan", _lhtan, lambda y: np.where((y > 0) & (y < 1), 1, 0.001)),
    Activation("elliot", lambda x: 0.5 * x / (1 + np.abs(x)) + 0.5, lambda y: 0.5 * (1 - np.abs(2 * y - 1)) ** 2),
    _soft_sign("symmelliot"),
    _soft_sign("softsign"),
    Activation("softplus", lambda x: np.logaddexp(x, x.dtype.type(0)), lambda y: -np.expm1(-y)),
    Activation("gelu", _gelu, _gelu_slope, "input", fork_slope=_gelu_fork_slope, expression="gelu"),
    Activation("swish", lambda x: x * logistic(x), _swish_slope, "input", expression="swish"),
    Activation("mish", lambda x: x * _tanh_softplus(x)[0], _mish_slope, "input", expression="mish"),
    Activation("hard_mish", _hard_mish, lambda x: (np.clip(x, -2, 0) + 1) * (x > -2), "input",
               expression="hard_mish"),
    ChannelActivation("normalize_channels", _normalize, _normalize_backward, _normalize_fork),
    ChannelActivation("normalize_channels_softmax", _normalize_softmax, _normalize_softmax_backward, _shares_fork),
    ChannelActivation("normalize_channels_softmax_maxval", _normalize_maxval, _normalize_maxval_backward,
                      _shares_fork),
)}


def activate(x: Array, name: str, inplace: bool = False) -> tuple[Array, Any]:
    """x (n, ...) -> y, saved: what the derivative needs.  inplace: x's memory may be used for y.

    saved is None for linear, else y, or (x, y) where `saves_input`.
    """
    if name == "linear":
        return x, None
    activation = ACTIVATIONS[name]
    if inplace and isinstance(activation, Activation) and activation.expression == "rectifier":
        return x, _rectify(x, activation.alpha, out=x)
    y = activation.f(x).astype(x.dtype, copy=False)
    return y, (x, y) if activation.saves_input else y


def activate_backward(dy: Array, saved: Any, name: str, rule: str = "exact") -> Array:
    """-> dx.  rule "darknet": the formulas of src/activations.c where they are not derivatives (gelu, normalize_*)."""
    return dy if name == "linear" else ACTIVATIONS[name].backward(dy, saved, rule)
