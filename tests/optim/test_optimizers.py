"""Every rule of [net] optimizer= against its formula, written out plainly for single numbers over several updates."""
import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import runner
from runner.config import Report, parse
from runner.errors import CfgError
from runner.model import build
from runner.net_options import OPTIMIZERS
from runner.network import Network
from runner.optim.optimizers import Adam, RuleOptimizer, Sgd, make_optimizer
from runner.optim.rules import RULES

pytestmark = pytest.mark.usefixtures("backend")

R, N, DECAY = 0.05, 4, 0.01
GRADIENTS = [3.0, -2.0, 0.5, 0.0, -7.0, 1.0]        # sums over the N images, one for each update

# Each takes (w, the mean gradients with decay added by `d`) and yields w after every update.
# d(k, w): the mean gradient of update k at w.
Formula = Callable[[float, Callable[[int, float], float]], Iterator[float]]


def momentum(w: float, d: Callable) -> Iterator[float]:
    v = 0.0
    for k in range(len(GRADIENTS)):
        v = 0.8 * v - R * d(k, w)
        w = w + v
        yield w


def nesterov(w: float, d: Callable) -> Iterator[float]:
    v = 0.0
    for k in range(len(GRADIENTS)):
        g = d(k, w)
        v = 0.8 * v - R * g
        w = w + 0.8 * v - R * g
        yield w


def adagrad(w: float, d: Callable) -> Iterator[float]:
    c = 0.0
    for k in range(len(GRADIENTS)):
        g = d(k, w)
        c += g ** 2
        w -= R * g / (math.sqrt(c) + 0.001)
        yield w


def rmsprop(w: float, d: Callable) -> Iterator[float]:
    c = 0.0
    for k in range(len(GRADIENTS)):
        g = d(k, w)
        c = 0.7 * c + (1 - 0.7) * g ** 2
        w -= R * g / (math.sqrt(c) + 0.001)
        yield w


def adadelta(w: float, d: Callable) -> Iterator[float]:
    c = a = 0.0
    for k in range(len(GRADIENTS)):
        g = d(k, w)
        c = 0.7 * c + (1 - 0.7) * g ** 2
        u = math.sqrt(a + 0.001) / math.sqrt(c + 0.001) * g
        a = 0.7 * a + (1 - 0.7) * u ** 2
        w -= R * u
        yield w


def adam(w: float, d: Callable) -> Iterator[float]:
    m = v = 0.0
    for k in range(len(GRADIENTS)):
        g = d(k, w)
        m = 0.6 * m + 0.4 * g
        v = 0.95 * v + 0.05 * g ** 2
        w -= R * (m / (1 - 0.6 ** (k + 1))) / (math.sqrt(v / (1 - 0.95 ** (k + 1))) + 0.001)
        yield w


def adamax(w: float, d: Callable) -> Iterator[float]:
    m = u = 0.0
    for k in range(len(GRADIENTS)):
        g = d(k, w)
        m = 0.6 * m + 0.4 * g
        u = max(0.95 * u, abs(g))
        w -= R / (1 - 0.6 ** (k + 1)) * m / (u + 0.001)
        yield w


def adamw(w: float, d: Callable) -> Iterator[float]:
    m = v = 0.0
    for k in range(len(GRADIENTS)):
        g = d(k, 0.0)
        m = 0.6 * m + 0.4 * g
        v = 0.95 * v + 0.05 * g ** 2
        step = (m / (1 - 0.6 ** (k + 1))) / (math.sqrt(v / (1 - 0.95 ** (k + 1))) + 0.001)
        w = w - R * (step + (d(k, w) - g))          # the decay is decoupled from the step
        yield w


FORMULAS: dict[str, Formula] = {f.__name__: f for f in (momentum, nesterov, adagrad, rmsprop, adadelta, adam, adamax,
                                                       adamw)}


def net_with(options: str) -> Network:
    report = Report()
    text = f"[net]\ninputs=1\n{options}\n[connected]\noutput=1\nactivation=linear\nlearning_rate=0.5\n"
    net = build(parse(text.replace(" ", "\n"), "test", report), report, dtype="float64")
    for name, array in net.layers[0].params.items():
        array[...] = {"weights": 1.5, "biases": -0.25}[name]
    net.layers[0].require_grads()
    return net


@pytest.mark.parametrize("name", FORMULAS)
def test_rule(name: str) -> None:
    net = net_with(f"optimizer={name} momentum=0.8 rho=0.7 B1=0.6 B2=0.95 eps=0.001 decay={DECAY}")
    optimizer, layer = make_optimizer(net), net.layers[0]
    assert isinstance(optimizer, RuleOptimizer) and type(optimizer.rule) is RULES[name]
    weight = FORMULAS[name](1.5, lambda k, w: GRADIENTS[k] / N + DECAY * w)
    bias = FORMULAS[name](-0.25, lambda k, w: -2 * GRADIENTS[k] / N)        # biases do not decay
    for g, w, b in zip(GRADIENTS, weight, bias, strict=True):
        layer.grads["weights"][...], layer.grads["biases"][...] = g, -2 * g
        optimizer.step(2 * R, N)                                            # the layer's learning_rate halves it
        np.testing.assert_allclose(layer.params["weights"][0, 0], w, rtol=1e-12)
        np.testing.assert_allclose(layer.params["biases"][0], b, rtol=1e-12)
        assert not layer.grads["weights"].any(), "a step uses the gradients up"


def test_every_rule_has_a_formula() -> None:
    assert set(FORMULAS) | {"sgd"} == set(OPTIMIZERS) == set(RULES) | {"sgd"}


def test_two_rules_at_once_are_a_mistake() -> None:
    with pytest.raises(CfgError, match="adam=1 and optimizer=rmsprop are two update rules"):
        net_with("adam=1 optimizer=rmsprop")
    with pytest.raises(CfgError, match="did you mean 'adamax'"):
        net_with("optimizer=adamaxx")


def test_darknets_own_rules_stay() -> None:
    assert type(make_optimizer(net_with("momentum=0.8"))) is Sgd
    assert type(make_optimizer(net_with("adam=1"))) is Adam
    net = net_with("optimizer=sgd momentum=0.8 decay=0.01")
    optimizer, w, v = make_optimizer(net), 1.5, 0.0
    for g in GRADIENTS:
        net.layers[0].grads["weights"][...] = g
        optimizer.step(2 * R, N)
        v = 0.8 * v + g + DECAY * N * w
        w -= R / N * v
        np.testing.assert_allclose(net.layers[0].params["weights"][0, 0], w, rtol=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_rule_finds_a_line(name: str) -> None:
    """y = 3 x - 1, from random points; float32 stays float32."""
    rates = {"adadelta": 10, "adagrad": 0.5, "rmsprop": 0.02, "adam": 0.05, "adamax": 0.1, "adamw": 0.05}
    report = Report()
    text = (f"[net]\ninputs=1\noptimizer={name}\ndecay=0\nlearning_rate={rates.get(name, 0.05)}\nmax_batches=250\n"
            "batch=16\n[connected]\noutput=1\nactivation=linear\n[cost]\n")
    net = build(parse(text, "test", report), report)
    rng = np.random.default_rng(0)

    def points() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        while True:
            x = rng.uniform(-1, 1, (16, 1)).astype(np.float32)
            yield x, 3 * x - 1
    for step in runner.train(net, points()):
        last = step.loss
    assert last < 2e-3, f"{name}: loss {last}"
    assert all(p.dtype == np.float32 for p in net.layers[0].params.values())
