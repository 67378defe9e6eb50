"""[dropout]: switch a random share of the inputs off while training (Srivastava et al., JMLR 15, 2014).

    training     y = m x / (1 - p),  m = 0 with probability p, else 1, drawn anew for every value and every forward
    inference    y = x
    backward     dx = m dy / (1 - p), with the same m

Because what survives is scaled up in training, nothing has to be scaled at inference ("inverted" dropout), and the
expected value of y is x in both.  Source: src/dropout_layer.c.
"""
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner.config import opt
from runner.layers.base import Layer, LayerOptions, register


def _half(o: Any) -> None:
    "0.5 (0.2 with compat alexeyab)"
    return None


@register("dropout", "drop")
class Dropout(Layer):
    """Any shape -> the same shape.  Alone: `Dropout(probability=0.1).forward(x, train=True)`."""
    any_shape = True

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        probability: float = opt(_half, "share of the values that is switched off", low=0, high=1,
                                 says="probability is left out: 0.5 as in pjreddie's darknet (AlexeyAB's takes 0.2)")

    @property
    def probability(self) -> float:
        p = self.options.probability
        return self.env.compat.dropout_probability if p is None else p

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, ...) -> y of the same shape, saved: the mask with the scale in it, 0 or 1 / (1 - p)."""
        p = self.probability
        if not train or p == 0:
            return x, None
        if p == 1:      # nothing survives: no division by 1 - p
            mask = np.zeros_like(x)
        else:
            kept = self.env.rng.random(x.shape, np.float32) >= p
            mask = kept * x.dtype.type(1 / (1 - p))
        if self.env.compat.dropout_in_place:
            x *= mask
            return x, mask
        return x * mask, mask

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> dx: through the same holes, by the same scale."""
        dx = dy if saved is None else dy * saved
        self.show("delta", dx)
        return (dx,)
