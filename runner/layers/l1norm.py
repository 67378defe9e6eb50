"""[l1norm]: divides the channels of every pixel by their L1 norm (NumPyNet's layer, with a corrected gradient)."""
from typing import Any

import numpy as np

from runner.layers.shared.base import Layer, Shape, register


@register("l1norm")
class L1norm(Layer):
    """(c, h, w) -> the same shape: y = x / sum over channels of |x|."""

    def setup(self, shape: Shape) -> None:
        self.image(shape)
        self.out_shape = shape

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, c, h, w) -> y of the same shape, saved."""
        total = np.maximum(np.abs(x).sum(axis=1, keepdims=True), np.finfo(x.dtype).tiny)
        y = x / total
        return y, (y, total)

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> dx."""
        y, total = saved
        return ((dy - np.sign(y) * (y * dy).sum(axis=1, keepdims=True)) / total,)
