"""How gradients become weights.

g is the gradient summed over the N images of a whole batch (all subdivisions), r the learning rate times the layer's
own `learning_rate`.  Decay acts on weights, not on biases and scales, as in darknet.
"""
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from runner import ops
from runner.layers.shared.base import Layer
from runner.network import Network

Key = tuple[int, str]
Arrays = Sequence[tuple[np.ndarray, ...]]
Learning = tuple[Key, Layer, np.ndarray, np.ndarray]        # a parameter, its layer, its array and the gradient's


class Optimizer(ABC):
    """Base: walks over the parameters of the layers that learn; a shared array is updated once, by its owner.

    clears  `update` leaves the gradient zero: the step need not go over all of them again
    """
    clears: ClassVar[bool] = False

    def __init__(self, net: Network):
        self.net = net
        self.updates = 0
        self.state: dict[str, dict[Key, np.ndarray]] = {}       # name -> (layer, parameter) -> array
        self._plans: dict[Any, tuple[Arrays, Any]] = {}

    def step(self, rate: float, images: int) -> None:
        """Use up the gradients of `images` images: they are zero afterwards.

        [net] max_grad_norm shortens them first; `clip` of a layer, or of [net], bounds its weights after it.
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
            if layer.frozen or not self.clears:
                for g in layer.grads.values():
                    g[...] = 0

    def gradients_are_numbers(self) -> bool:
        """Is no value of any gradient nan or infinite?"""
        grads = [(g,) for layer in self.net.layers for g in layer.grads.values()]
        return self._planned(ops.plan_finite, grads)()

    def grad_norm(self) -> float:
        """The length of the gradient of everything that learns, summed over the images as the layers have it."""
        return math.sqrt(sum(float(np.square(g).sum(dtype=np.float64)) for _, _, _, g in self._learning()))

    @abstractmethod
    def update(self, learning: Sequence[Learning], rate: float, images: int) -> None:
        """Change every array in place; gradients may be used as scratch."""

    def slot(self, name: str, key: Key, like: np.ndarray) -> np.ndarray:
        """The optimizer's own array for a parameter, zero at first."""
        slots = self.state.setdefault(name, {})
        if key not in slots:
            slots[key] = np.zeros_like(like)
        return slots[key]

    def _planned(self, plan: Callable[[Arrays], Any], arrays: Arrays) -> Any:
        """plan(arrays), made anew only when there are other arrays than the last time."""
        known, ready = self._plans.get(plan, (None, None))
        if known is None or len(known) != len(arrays) or not all(
                a is b for old, new in zip(known, arrays, strict=True) for a, b in zip(old, new, strict=True)):
            ready = plan(arrays)
            self._plans[plan] = arrays, ready
        return ready

    def _learning(self) -> Iterator[Learning]:
        done: set[int] = set()
        for index, layer in enumerate(self.net.layers):
            if layer.frozen:
                continue
            for name, w in layer.params.items():
                if name in layer.grads and id(w) not in done:
                    done.add(id(w))
                    yield (index, name), layer, w, layer.grads[name]


class Sgd(Optimizer):
    """darknet's rule: v = momentum v + g + decay N w;  w -= r / N v  (reference: every update_*_layer)."""
    clears = True

    def __init__(self, net: Network, momentum: float, decay: float):
        super().__init__(net)
        self.momentum, self.decay = momentum, decay

    def update(self, learning: Sequence[Learning], rate: float, images: int) -> None:
        run = self._planned(ops.plan_sgd, [(w, g, self.slot("velocity", key, w)) for key, _, w, g in learning])
        run(self.momentum, [self.decay * images * layer.specs[key[1]].decay for key, layer, _, _ in learning],
            [rate / images * layer.options.learning_rate for _, layer, _, _ in learning])


class Adam(Optimizer):
    """Kingma & Ba 2015 as darknet's GPU code has it: the rate is not divided by N, and everything decays.

    d = g + decay N w;  m = B1 m + (1 - B1) d;  v = B2 v + (1 - B2) d^2
    w -= r (m / (1 - B1^t)) / (sqrt(v / (1 - B2^t)) + eps),  t the number of the update from 1
    """
    clears = True

    def __init__(self, net: Network, B1: float, B2: float, eps: float, decay: float):
        super().__init__(net)
        self.B1, self.B2, self.eps, self.decay = B1, B2, eps, decay

    def update(self, learning: Sequence[Learning], rate: float, images: int) -> None:
        run, t = self._planned(ops.plan_adam, [(w, g, self.slot("mean", key, w), self.slot("square", key, w))
                                               for key, _, w, g in learning]), self.updates
        run(self.B1, self.B2, self.decay * images,
            [rate / (1 - self.B1 ** t) * layer.options.learning_rate for _, layer, _, _ in learning],
            1 - self.B2 ** t, self.eps)
