"""The update rules of [net] optimizer=, other than darknet's own two (optimizers.Sgd and Adam).

A rule is its formula on arrays and the options of [net] it reads; it knows no network.  All rules work on the mean
gradient d = g / N + decay w (decay applies to weights, not to biases and scales), so the learning rate r means the same
for any batch.  eps keeps a division finite; every state array starts at 0, and t counts the updates from 1.

To add a rule: one class here, and its formula in tests/optim/test_optimizers.py.
"""
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np

Array = np.ndarray

RULES: dict[str, type["Rule"]] = {}     # by the name that optimizer= takes


@dataclass(frozen=True)
class Rule(ABC):
    """Base of all rules.  The fields are the options of [net] that the rule reads, in addition to the learning rate.

    state_names  of the arrays kept for each array of weights, of its shape; `change` gets them in this order
    """
    state_names: ClassVar[tuple[str, ...]] = ()
    decay: float

    def __init_subclass__(cls, name: str) -> None:
        RULES[name] = cls

    @classmethod
    def of(cls, options: Any) -> Self:
        """The rule with the values that [net] gives."""
        return cls(**{field.name: getattr(options, field.name) for field in fields(cls)})

    def update(self, w: Array, g: Array, state: list[Array], rate: float, t: int, images: int, decays: bool) -> None:
        """Change w and state in place.

        g       gradient of the shape of w, summed over `images` images
        decays  whether `decay` applies to w
        """
        d = g / w.dtype.type(images)
        if decays and self.decay:
            d += w.dtype.type(self.decay) * w
        self.change(w, d, rate, t, *state)

    @abstractmethod
    def change(self, w: Array, d: Array, rate: float, t: int, *state: Array) -> None:
        """Change w and state in place by the mean gradient d, which may be used as scratch."""


@dataclass(frozen=True)
class Momentum(Rule, name="momentum"):
    """v = momentum v - r d;  w += v  (Polyak 1964).

    Unlike in darknet's rule, a new learning rate does not rescale the velocity of past updates.
    """
    state_names = ("velocity",)
    momentum: float

    def change(self, w: Array, d: Array, rate: float, t: int, *state: Array) -> None:
        v, = state
        v *= self.momentum
        v -= rate * d
        w += v


@dataclass(frozen=True)
class Nesterov(Rule, name="nesterov"):
    """v = momentum v - r d;  w += momentum v - r d  (Nesterov 1983, as in Sutskever et al. 2013)."""
    state_names = ("velocity",)
    momentum: float

    def change(self, w: Array, d: Array, rate: float, t: int, *state: Array) -> None:
        (v,), d = state, rate * d
        v *= self.momentum
        v -= d
        w += self.momentum * v - d


@dataclass(frozen=True)
class Adagrad(Rule, name="adagrad"):
    """c += d^2;  w -= r d / (sqrt(c) + eps)  (Duchi, Hazan & Singer 2011)."""
    state_names = ("square",)
    eps: float

    def change(self, w: Array, d: Array, rate: float, t: int, *state: Array) -> None:
        c, = state
        c += d * d
        w -= rate * d / (np.sqrt(c) + self.eps)


@dataclass(frozen=True)
class RmsProp(Rule, name="rmsprop"):
    """c = rho c + (1 - rho) d^2;  w -= r d / (sqrt(c) + eps)  (Tieleman & Hinton 2012)."""
    state_names = ("square",)
    rho: float
    eps: float

    def change(self, w: Array, d: Array, rate: float, t: int, *state: Array) -> None:
        c, = state
        c += (1 - self.rho) * (d * d - c)
        w -= rate * d / (np.sqrt(c) + self.eps)


@dataclass(frozen=True)
class Adadelta(Rule, name="adadelta"):
    """c = rho c + (1 - rho) d^2;  u = d sqrt(a + eps) / sqrt(c + eps);  a = rho a + (1 - rho) u^2;  w -= r u
    (Zeiler 2012, where r = 1)."""
    state_names = ("square", "change")
    rho: float
    eps: float

    def change(self, w: Array, d: Array, rate: float, t: int, *state: Array) -> None:
        c, a = state
        c += (1 - self.rho) * (d * d - c)
        u = d * np.sqrt((a + self.eps) / (c + self.eps))
        a += (1 - self.rho) * (u * u - a)
        w -= rate * u


@dataclass(frozen=True)
class Adam(Rule, name="adam"):
    """m = B1 m + (1 - B1) d;  v = B2 v + (1 - B2) d^2;  w -= r (m / (1 - B1^t)) / (sqrt(v / (1 - B2^t)) + eps)
    (Kingma & Ba 2015, algorithm 1).  adam=1 is darknet's: on the sum of the gradients, and decaying biases too."""
    state_names = ("mean", "square")
    B1: float
    B2: float
    eps: float

    def change(self, w: Array, d: Array, rate: float, t: int, *state: Array) -> None:
        m, v = state
        m += (1 - self.B1) * (d - m)
        v += (1 - self.B2) * (d * d - v)
        w -= rate / (1 - self.B1 ** t) * m / (np.sqrt(v / (1 - self.B2 ** t)) + self.eps)


@dataclass(frozen=True)
class Adamax(Rule, name="adamax"):
    """m = B1 m + (1 - B1) d;  u = max(B2 u, |d|);  w -= r / (1 - B1^t) m / (u + eps)
    (Kingma & Ba 2015, algorithm 2)."""
    state_names = ("mean", "largest")
    B1: float
    B2: float
    eps: float

    def change(self, w: Array, d: Array, rate: float, t: int, *state: Array) -> None:
        m, u = state
        m += (1 - self.B1) * (d - m)
        np.maximum(self.B2 * u, np.abs(d), out=u)
        w -= rate / (1 - self.B1 ** t) * m / (u + self.eps)


@dataclass(frozen=True)
class AdamW(Adam, name="adamw"):
    """Adam without decay in d;  then w -= r decay w of the w before  (Loshchilov & Hutter 2019)."""

    def update(self, w: Array, g: Array, state: list[Array], rate: float, t: int, images: int, decays: bool) -> None:
        if decays and self.decay:
            w *= 1 - rate * self.decay
        self.change(w, g / w.dtype.type(images), rate, t, *state)


def names_of_rules_that_read(option: str) -> str:
    """The names of the rules that read an option of [net], with commas between."""
    return ", ".join(name for name, rule in RULES.items() if option in {field.name for field in fields(rule)})
