"""[implicit]: a learned constant, the same for every image (YOLOR, Wang et al. 2021)."""
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner.config import opt
from runner.layers.shared.base import Layer, LayerOptions, Shape, register


def around(mean: float, deviation: float) -> Callable[[np.random.Generator, Shape], np.ndarray]:
    """Initial values: uniform within `deviation` of the mean, as in darknet."""
    return lambda rng, shape: mean + rng.uniform(-deviation, deviation, shape)


@register("implicit")
class Implicit(Layer):
    """Any input, whose values are ignored -> (filters, atoms, 1)  (AlexeyAB's src/representation_layer.c)."""

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        filters: int = opt(128, "channels of the constant", low=1)
        atoms: int = opt(1, "height of the constant, pixels", low=1)
        mean: float = opt(0.0, "mean of the initial values")
        std: float = opt(0.2, "their largest distance from the mean", low=0)

    def setup(self, shape: Shape) -> None:
        o = self.options
        self.out_shape = (o.filters, o.atoms, 1)
        self.param("weights", self.out_shape, around(o.mean, o.std), decay=True)
        self.stored = ("weights",)

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, ...) -> y (n, filters, atoms, 1), saved."""
        return np.repeat(self.params["weights"][None].astype(x.dtype, copy=False), len(x), axis=0), x.shape

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """The input was ignored: its gradient is 0."""
        self.add_grad("weights", dy.sum(axis=0))
        return (np.zeros(saved, dy.dtype) if self.wants_dx else None,)
