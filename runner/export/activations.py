"""Every activation as ONNX operators.  A test compares each with runner.ops."""
from collections.abc import Callable

from runner.export.graph import Graph
from runner.ops.activation import GELU_A, GELU_B, SELU, SELU_LOW

Write = Callable[[Graph, str], str]


def _leaky(slope: float) -> Write:
    return lambda g, x: g.node("LeakyRelu", x, alpha=slope)


def _swish(g: Graph, x: str) -> str:
    return g.node("Mul", x, g.node("Sigmoid", x))


def _mish(g: Graph, x: str) -> str:
    """x tanh(log(1 + e^x)); an operator of its own since opset 18."""
    if g.opset >= 18:
        return g.node("Mish", x)
    return g.node("Mul", x, g.node("Tanh", g.node("Softplus", x)))


def _hard_mish(g: Graph, x: str) -> str:
    low = g.clip(x, -2, 0)
    return g.node("Add", g.node("Relu", x), g.node("Mul", low, g.scaled(low, 0.5, 1)))


def _gelu(g: Graph, x: str) -> str:
    """The tanh form with darknet's constants: 0.5 x (1 + tanh(x (a + b x^2)))."""
    inner = g.node("Mul", x, g.scaled(g.node("Mul", x, x), GELU_B, GELU_A))
    return g.node("Mul", g.scaled(x, 0.5), g.scaled(g.node("Tanh", inner), 1, 1))


def _pieces(g: Graph, x: str, low: float, high: float, below: Write, between: Write, above: Write) -> str:
    """below(x) where x < low, above(x) where x > high, else between(x)."""
    inner = g.node("Where", g.node("Greater", x, g.constant(high)), above(g, x), between(g, x))
    return g.node("Where", g.node("Less", x, g.constant(low)), below(g, x), inner)


def _plse(g: Graph, x: str) -> str:
    return _pieces(g, x, -4, 4, lambda g, x: g.scaled(x, 0.01, 0.04), lambda g, x: g.scaled(x, 0.125, 0.5),
                   lambda g, x: g.scaled(x, 0.01, 0.96))


def _lhtan(g: Graph, x: str) -> str:
    return _pieces(g, x, 0, 1, lambda g, x: g.scaled(x, 0.001), lambda g, x: x,
                   lambda g, x: g.scaled(x, 0.001, 0.999))


def _stair(g: Graph, x: str) -> str:
    """floor(x / 2) where floor(x) is even, else x - floor(x) + floor(x / 2)."""
    n, half = g.node("Floor", x), g.node("Floor", g.scaled(x, 0.5))
    even = g.node("Equal", n, g.scaled(g.node("Floor", g.scaled(n, 0.5)), 2))
    return g.node("Where", even, half, g.node("Add", g.node("Sub", x, n), half))


def _elliot(g: Graph, x: str) -> str:
    return g.scaled(g.node("Softsign", x), 0.5, 0.5)


def _shares(g: Graph, part: str) -> str:
    return g.node("Div", part, g.scaled(g.reduce("ReduceSum", part, 1), 1, 1e-4))


def _normalize_softmax(g: Graph, x: str) -> str:
    """e^x / (sum of e^x + 1e-4), both multiplied by e^-top so that nothing overflows."""
    top = g.node("Relu", g.reduce("ReduceMax", x, 1))
    part = g.node("Exp", g.node("Sub", x, top))
    extra = g.scaled(g.node("Exp", g.node("Neg", top)), 1e-4)
    return g.node("Div", part, g.node("Add", g.reduce("ReduceSum", part, 1), extra))


def _normalize_maxval(g: Graph, x: str) -> str:
    return _shares(g, g.node("Exp", g.node("Sub", x, g.reduce("ReduceMax", x, 1))))


ACTIVATIONS: dict[str, Write] = {
    "linear": lambda g, x: x,
    "logistic": lambda g, x: g.node("Sigmoid", x),
    "loggy": lambda g, x: g.scaled(g.node("Sigmoid", x), 2, -1),
    "relu": lambda g, x: g.node("Relu", x),
    "relu6": lambda g, x: g.clip(x, 0, 6),
    "elu": lambda g, x: g.node("Elu", x),
    "selu": lambda g, x: g.node("Selu", x, alpha=SELU_LOW / SELU, gamma=SELU),
    "relie": _leaky(0.01),
    "ramp": lambda g, x: g.node("Add", g.node("Relu", x), g.scaled(x, 0.1)),
    "leaky": _leaky(0.1),
    "revleaky": _leaky(0.1),
    "tanh": lambda g, x: g.node("Tanh", x),
    "plse": _plse,
    "stair": _stair,
    "hardtan": lambda g, x: g.clip(x, -1, 1),
    "lhtan": _lhtan,
    "elliot": _elliot,
    "symmelliot": lambda g, x: g.node("Softsign", x),
    "softsign": lambda g, x: g.node("Softsign", x),
    "softplus": lambda g, x: g.node("Softplus", x),
    "gelu": _gelu,
    "swish": _swish,
    "mish": _mish,
    "hard_mish": _hard_mish,
    "normalize_channels": lambda g, x: _shares(g, g.node("Relu", x)),
    "normalize_channels_softmax": _normalize_softmax,
    "normalize_channels_softmax_maxval": _normalize_maxval,
}
