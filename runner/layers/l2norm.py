"""[l2norm]: divides the channels of every pixel by their L2 norm."""
from typing import Any

import numpy as np

from runner.layers.shared.base import Layer, Shape, register


@register("l2norm")
class L2norm(Layer):
    """(c, h, w) -> the same shape: y = x / sqrt(sum over channels of x^2)  (pjreddie's src/l2norm_layer.c).

    darknet passes the gradient on unchanged, and so does compat mode.
    """

    def setup(self, shape: Shape) -> None:
        self.image(shape)
        self.out_shape = shape

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, c, h, w) -> y of the same shape, saved."""
        length = np.sqrt((x * x).sum(axis=1, keepdims=True))
        length = np.maximum(length, np.finfo(x.dtype).tiny)      # a pixel of zeros stays zero
        y = x / length
        return y, (y, length)

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> dx."""
        if self.env.compat.gradients == "darknet":
            return (dy,)
        y, length = saved
        return ((dy - y * (y * dy).sum(axis=1, keepdims=True)) / length,)
