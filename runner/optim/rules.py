"""The update rules of [net] optimizer= beside darknet's own two, and the choice among all.

All of them work on the mean gradient d = g / N + decay w (decay acts on weights, not on biases and scales), so the
learning rate r means the same whatever the batch.  eps keeps a division finite; every state array starts at 0, and t
counts the updates from 1.
"""
from abc import abstractmethod
from collections.abc import Callable, Sequence

import numpy as np

from runner.net_options import NetOptions
from runner.network import Network
from runner.optim.optimizers import Adam, Key, Learning, Optimizer, Sgd

Array = np.ndarray


class Rule(Optimizer):
    """Base: hands the mean gradient to `change`."""

    def __init__(self, net: Network, options: NetOptions):
        super().__init__(net)
        self.options = options

    def update(self, learning: Sequence[Learning], rate: float, images: int) -> None:
        for key, layer, w, g in learning:
            self.update_one(key, w, g, rate * layer.options.learning_rate, images, layer.specs[key[1]].decay)

    def update_one(self, key: Key, w: Array, g: Array, rate: float, images: int, decays: bool) -> None:
        """Change one array in place; g may be used as scratch."""
        d = g / w.dtype.type(images)
        if decays and self.options.decay:
            d += w.dtype.type(self.options.decay) * w
        self.change(key, w, d, rate)

    @abstractmethod
    def change(self, key: Key, w: Array, d: Array, rate: float) -> None:
        """Change w in place by the mean gradient d, which may be used as scratch."""


class Momentum(Rule):
    """v = momentum v - r d;  w += v  (Polyak 1964).  Unlike in darknet's rule a new rate does not change the past."""

    def change(self, key: Key, w: Array, d: Array, rate: float) -> None:
        v = self.slot("velocity", key, w)
        v *= self.options.momentum
        v -= rate * d
        w += v


class Nesterov(Rule):
    """v = momentum v - r d;  w += momentum v - r d  (Nesterov 1983, as in Sutskever et al. 2013)."""

    def change(self, key: Key, w: Array, d: Array, rate: float) -> None:
        v, d = self.slot("velocity", key, w), rate * d
        v *= self.options.momentum
        v -= d
        w += self.options.momentum * v - d


class Adagrad(Rule):
    """c += d^2;  w -= r d / (sqrt(c) + eps)  (Duchi, Hazan & Singer 2011)."""

    def change(self, key: Key, w: Array, d: Array, rate: float) -> None:
        c = self.slot("square", key, w)
        c += d * d
        w -= rate * d / (np.sqrt(c) + self.options.eps)


class RmsProp(Rule):
    """c = rho c + (1 - rho) d^2;  w -= r d / (sqrt(c) + eps)  (Tieleman & Hinton 2012)."""

    def change(self, key: Key, w: Array, d: Array, rate: float) -> None:
        c, rho = self.slot("square", key, w), self.options.rho
        c += (1 - rho) * (d * d - c)
        w -= rate * d / (np.sqrt(c) + self.options.eps)


class Adadelta(Rule):
    """c = rho c + (1 - rho) d^2;  u = d sqrt(a + eps) / sqrt(c + eps);  a = rho a + (1 - rho) u^2;  w -= r u
    (Zeiler 2012; there r = 1)."""

    def change(self, key: Key, w: Array, d: Array, rate: float) -> None:
        c, a, rho, eps = self.slot("square", key, w), self.slot("change", key, w), self.options.rho, self.options.eps
        c += (1 - rho) * (d * d - c)
        u = d * np.sqrt((a + eps) / (c + eps))
        a += (1 - rho) * (u * u - a)
        w -= rate * u


class MeanAdam(Rule):
    """m = B1 m + (1 - B1) d;  v = B2 v + (1 - B2) d^2;  w -= r (m / (1 - B1^t)) / (sqrt(v / (1 - B2^t)) + eps)
    (Kingma & Ba 2015, algorithm 1).  adam=1 is darknet's: on the sum of the gradients, and decaying biases too."""

    def change(self, key: Key, w: Array, d: Array, rate: float) -> None:
        m, v, o, t = self.slot("mean", key, w), self.slot("square", key, w), self.options, self.updates
        m += (1 - o.B1) * (d - m)
        v += (1 - o.B2) * (d * d - v)
        w -= rate / (1 - o.B1 ** t) * m / (np.sqrt(v / (1 - o.B2 ** t)) + o.eps)


class Adamax(Rule):
    """m = B1 m + (1 - B1) d;  u = max(B2 u, |d|);  w -= r / (1 - B1^t) m / (u + eps)
    (Kingma & Ba 2015, algorithm 2)."""

    def change(self, key: Key, w: Array, d: Array, rate: float) -> None:
        m, u, o = self.slot("mean", key, w), self.slot("largest", key, w), self.options
        m += (1 - o.B1) * (d - m)
        np.maximum(o.B2 * u, np.abs(d), out=u)
        w -= rate / (1 - o.B1 ** self.updates) * m / (u + o.eps)


class AdamW(MeanAdam):
    """Adam without decay in d;  then w -= r decay w of the w before  (Loshchilov & Hutter 2019)."""

    def update_one(self, key: Key, w: Array, g: Array, rate: float, images: int, decays: bool) -> None:
        if decays and self.options.decay:
            w *= 1 - rate * self.options.decay
        self.change(key, w, g / w.dtype.type(images), rate)


RULES: dict[str, Callable[[Network, NetOptions], Rule]] = {
    "momentum": Momentum, "nesterov": Nesterov, "adagrad": Adagrad, "rmsprop": RmsProp, "adadelta": Adadelta,
    "adam": MeanAdam, "adamax": Adamax, "adamw": AdamW}


def make_optimizer(net: Network) -> Optimizer:
    """The optimizer [net] asks for: adam=1 is darknet's Adam, optimizer=sgd (the default) its momentum."""
    o = net.options
    if o.adam:
        return Adam(net, o.B1, o.B2, o.eps, o.decay)
    if o.optimizer == "sgd":
        return Sgd(net, o.momentum, o.decay)
    return RULES[o.optimizer](net, o)


def state_arrays(options: NetOptions) -> int:
    """How many arrays the optimizer keeps for each array of weights; the moving average's is one of them."""
    own = 2 if options.adam or options.optimizer in ("adadelta", "adam", "adamax", "adamw") else 1
    return own + (options.ema_alpha > 0)
