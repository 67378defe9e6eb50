"""[logistic]: independent probabilities, with binary cross-entropy as the loss."""
from typing import Any

import numpy as np

from runner import ops
from runner.layers.shared.base import Head, register


@register("logistic")
class Logistic(Head):
    """Any shape -> the same shape: p = 1 / (1 + e^-x)  (pjreddie's src/logistic_layer.c).

    A classifier that ends so learns any number of labels per image, see docs/data.md.
    """

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, ...) -> p of the same shape, saved."""
        p = ops.logistic(x)
        return p, p

    def loss(self, saved: Any, truth: np.ndarray) -> tuple[float, np.ndarray]:
        """truth of the shape of p, 0 to 1, with any number of ones."""
        truth = truth.reshape(saved.shape)
        return ops.binary_cross_entropy(saved, truth), saved - truth
