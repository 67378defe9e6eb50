"""[batchnorm]: normalizes every channel over the batch, then scales and shifts it (Ioffe & Szegedy 2015)."""
from typing import Any

import numpy as np

from runner.layers.shared import tail
from runner.layers.shared.base import Layer, Shape, register


@register("batchnorm")
class Batchnorm(Layer):
    """(c, h, w) -> the same shape  (src/batchnorm_layer.c).

    training     y = scales (x - mean) / sqrt(variance + 1e-5) + biases, the variance is divided by N - 1
    inference    the same with the rolling mean and variance
    """
    mixes_images = "the statistics are computed over the whole batch"

    def setup(self, shape: Shape) -> None:
        c, _, _ = self.image(shape)
        self.out_shape = shape
        tail.declare(self, c, batch_normalize=True)
        before = ("biases",) if self.env.compat.batchnorm_stores_biases else ()
        self.stored = tail.names(self, *before)

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, c, h, w) -> y of the same shape, saved."""
        return tail.forward(self, x, "linear", train=train, momentum=self.env.compat.batchnorm_momentum)

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> dx through the statistics of the batch."""
        return (tail.backward(self, dy, saved, "linear"),)
