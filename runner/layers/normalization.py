"""[normalization]: local response normalization over neighbouring channels (Krizhevsky et al. 2012)."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import opt
from runner.layers.shared.base import Layer, LayerOptions, Shape, register


@register("normalization", "lrn")
class Normalization(Layer):
    """(c, h, w) -> the same shape: y = x (kappa + alpha * sum of squares of neighbouring channels)^-beta.

    With an off-by-one in the sum that darknet has and published weights were trained with (src/normalization_layer.c).
    """

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        alpha: float = opt(0.0001, "weight of the sum of squares, not divided by size", low=0)
        beta: float = opt(0.75, "exponent", low=0)
        kappa: float = opt(1.0, "added to the sum", above=0)
        size: int = opt(5, "channels in the sum, half of them on either side", low=1)

    def setup(self, shape: Shape) -> None:
        self.image(shape)
        self.out_shape = shape

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, c, h, w) -> y of the same shape, saved."""
        image, o = x.reshape(len(x), *self.image(self.in_shapes[0])), self.options
        y, norms = ops.lrn(image, o.size, o.alpha, o.beta, o.kappa)
        return y.reshape(x.shape), (image, norms)

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> dx.  In compat mode without the influence on neighbouring channels, which darknet leaves out."""
        (x, norms), o = saved, self.options
        dx = ops.lrn_backward(dy.reshape(x.shape), x, norms, o.size, o.alpha, o.beta, self.env.compat.gradients)
        return (dx.reshape(dy.shape),)
