"""[softmax]: class probabilities, with cross-entropy as the loss."""
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import opt
from runner.errors import ShapeError
from runner.layers.base import Head, LayerOptions, Shape, register


@register("softmax", "soft")
class Softmax(Head):
    """Any shape, flattened -> (k,), not negative, each group summing to 1  (src/softmax_layer.c)."""

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        groups: int = opt(1, "parts of the input, each a softmax of its own", low=1)
        temperature: float = opt(1.0, "divides the input: above 1 flattens, below 1 sharpens", low=1e-6)
        noloss: bool = opt(False, "1: probabilities only, nothing is learned from them")

    def setup(self, shape: Shape) -> None:
        inputs = math.prod(shape)
        if inputs % self.options.groups:
            raise ShapeError(f"groups={self.options.groups} must divide the {inputs} values that come in")
        self.out_shape = (inputs,)

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, ...) -> p (n, k), saved."""
        p = ops.softmax(x.reshape(len(x), -1), self.options.groups, self.options.temperature)
        return p, p

    def loss(self, saved: Any, truth: np.ndarray) -> tuple[float, np.ndarray]:
        """truth (n, k).  The gradient is p - truth whatever the temperature, as in darknet."""
        if self.options.noloss:
            return 0.0, np.zeros((len(saved), *self.in_shapes[0]), saved.dtype)
        truth = truth.reshape(saved.shape)
        return ops.cross_entropy(saved, truth), (saved - truth).reshape(len(saved), *self.in_shapes[0])

    def objective(self, saved: Any, truth: np.ndarray) -> float:
        """temperature times the cross-entropy -sum t log p, soft targets weighted."""
        tiny = np.finfo(saved.dtype).tiny
        return -self.options.temperature * float((truth.reshape(saved.shape) * np.log(np.maximum(saved, tiny))).sum())
