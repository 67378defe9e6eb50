"""From gradients to new weights.

g is the gradient summed over the N images of a whole batch (all subdivisions), r the learning rate times the layer's
own `learning_rate`.  Decay applies to weights, not to biases and scales, as in darknet.
"""
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from runner import ops
from runner.layers.shared.base import Layer
from runner.net_options import NetOptions
from runner.network import Network
from runner.optim.rules import RULES, Rule

Key = tuple[int, str]
Arrays = Sequence[tuple[np.ndarray, ...]]
Learning = tuple[Key, Layer, np.ndarray, np.ndarray]        # a parameter's key, its layer, its array, its gradient


class Optimizer(ABC):
    """Base: iterates over the parameters of the layers that learn; a shared array is updated once, by its owner.

    state_names  of the arrays kept for each parameter, of its shape and zero at first
    clears       `update` leaves the gradients zero: `step` need not clear them
    """
    state_names: tuple[str, ...] = ()
    clears: ClassVar[bool] = False

    def __init__(self, net: Network):
        self.net = net
        self.updates = 0
        self.state: dict[str, dict[Key, np.ndarray]] = {}       # name -> (layer, parameter) -> array
        self._bound: dict[Any, tuple[Arrays, Any]] = {}

    def step(self, rate: float, images: int) -> None:
        """One weight update from the gradients of `images` images, which are zero afterwards.

        [net] max_grad_norm scales them down first; `clip` of a layer, or of [net], bounds its weights afterwards.
        """
        self.updates += 1
        learning = list(self._learning())
        limit = self.net.options.max_grad_norm
        if limit:
            norm = self.grad_norm() / images
            if norm > limit:
                for _, _, _, g in learning:
                    g *= limit / norm
        self.update(learning, rate, images)
        for key, layer, w, _ in learning:
            clip = layer.options.clip or self.net.options.clip
            if clip and layer.specs[key[1]].decay:
                np.clip(w, -clip, clip, out=w)
        for layer in self.net.layers:
            if layer.frozen or layer.held or not self.clears:
                for g in layer.grads.values():
                    g[...] = 0

    def gradients_are_finite(self) -> bool:
        """Is every value of every gradient finite?"""
        grads = [(g,) for layer in self.net.layers for g in layer.grads.values()]
        return self._bind(ops.bind_finite, grads)()

    def grad_norm(self) -> float:
        """The L2 norm of the gradient of everything that learns, summed over the images as the layers have it."""
        return math.sqrt(sum(float(np.square(g).sum(dtype=np.float64)) for _, _, _, g in self._learning()))

    @abstractmethod
    def update(self, learning: Sequence[Learning], rate: float, images: int) -> None:
        """Change every array in place; gradients may be used as scratch."""

    def state_of(self, key: Key, like: np.ndarray) -> list[np.ndarray]:
        """The state arrays of a parameter, in the order of `state_names`."""
        for name in self.state_names:
            if key not in self.state.setdefault(name, {}):
                self.state[name][key] = np.zeros_like(like)
        return [self.state[name][key] for name in self.state_names]

    def _bind(self, bind: Callable[[Arrays], Any], arrays: Arrays) -> Any:
        """bind(arrays), called again only when the arrays are not those of the last time."""
        known, run = self._bound.get(bind, (None, None))
        if known is None or len(known) != len(arrays) or not all(
                a is b for old, new in zip(known, arrays, strict=True) for a, b in zip(old, new, strict=True)):
            run = bind(arrays)
            self._bound[bind] = arrays, run
        return run

    def _learning(self) -> Iterator[Learning]:
        done: set[int] = set()
        for index, layer in enumerate(self.net.layers):
            if layer.frozen or layer.held:
                continue
            for name, w in layer.params.items():
                if name in layer.grads and id(w) not in done:
                    done.add(id(w))
                    yield (index, name), layer, w, layer.grads[name]


class RuleOptimizer(Optimizer):
    """Applies one of rules.RULES."""

    def __init__(self, net: Network, rule: Rule):
        super().__init__(net)
        self.rule, self.state_names = rule, rule.state_names

    def update(self, learning: Sequence[Learning], rate: float, images: int) -> None:
        for key, layer, w, g in learning:
            self.rule.update(w, g, self.state_of(key, w), rate * layer.options.learning_rate, self.updates, images,
                             layer.specs[key[1]].decay)


class Sgd(Optimizer):
    """darknet's rule: v = momentum v + g + decay N w;  w -= r / N v  (every update_*_layer)."""
    state_names = ("velocity",)
    clears = True

    def __init__(self, net: Network, momentum: float, decay: float):
        super().__init__(net)
        self.momentum, self.decay = momentum, decay

    def update(self, learning: Sequence[Learning], rate: float, images: int) -> None:
        run = self._bind(ops.bind_sgd, [(w, g, *self.state_of(key, w)) for key, _, w, g in learning])
        run(self.momentum, [self.decay * images * layer.specs[key[1]].decay for key, layer, _, _ in learning],
            [rate / images * layer.options.learning_rate for _, layer, _, _ in learning])


class Adam(Optimizer):
    """Kingma & Ba 2015 as darknet's GPU code has it: the rate is not divided by N, and everything decays.

    d = g + decay N w;  m = B1 m + (1 - B1) d;  v = B2 v + (1 - B2) d^2
    w -= r (m / (1 - B1^t)) / (sqrt(v / (1 - B2^t)) + eps),  t the number of the update from 1
    """
    state_names = ("mean", "square")
    clears = True

    def __init__(self, net: Network, B1: float, B2: float, eps: float, decay: float):
        super().__init__(net)
        self.B1, self.B2, self.eps, self.decay = B1, B2, eps, decay

    def update(self, learning: Sequence[Learning], rate: float, images: int) -> None:
        run = self._bind(ops.bind_adam, [(w, g, *self.state_of(key, w)) for key, _, w, g in learning])
        t = self.updates
        run(self.B1, self.B2, self.decay * images,
            [rate / (1 - self.B1 ** t) * layer.options.learning_rate for _, layer, _, _ in learning],
            1 - self.B2 ** t, self.eps)


def make_optimizer(net: Network) -> Optimizer:
    """The optimizer [net] asks for: adam=1 is darknet's Adam, optimizer=sgd (the default) its momentum."""
    o = net.options
    kind = _kind(o)
    if issubclass(kind, Rule):
        return RuleOptimizer(net, kind.of(o))
    return Adam(net, o.B1, o.B2, o.eps, o.decay) if kind is Adam else Sgd(net, o.momentum, o.decay)


def state_arrays(options: NetOptions) -> int:
    """How many arrays the optimizer keeps for each array of weights; that of the moving average is one of them."""
    return len(_kind(options).state_names) + (options.ema_alpha > 0)


def _kind(options: NetOptions) -> type[Sgd] | type[Adam] | type[Rule]:
    if options.adam:
        return Adam
    return Sgd if options.optimizer == "sgd" else RULES[options.optimizer]
