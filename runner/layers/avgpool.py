"""[avgpool]: the mean of every channel over the whole image."""
from typing import Any

import numpy as np

from runner import ops
from runner.layers.shared.base import Kept, Layer, Shape, register


@register("avgpool", "avg")
class Avgpool(Layer):
    """(c, h, w) -> (c, 1, 1)  (src/avgpool_layer.c)."""

    def setup(self, shape: Shape) -> None:
        self.out_shape = (self.image(shape)[0], 1, 1)

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, c, h, w) -> y (n, c, 1, 1), saved."""
        x = x.reshape(len(x), *self.image(self.in_shapes[0]))
        return ops.avgpool(x).reshape(len(x), *self.out_shape), x.shape

    def prepare(self, rows: int) -> Any:
        return ops.plan_avgpool() if len(self.in_shapes[0]) == 3 else super().prepare(rows)

    def keeps(self) -> Kept:
        return Kept(inputs=False, output=False)

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> dx: every pixel gets an equal share."""
        dx = ops.avgpool_backward(dy.reshape(len(dy), -1), saved)
        return (dx.reshape(len(dx), *self.in_shapes[0]),)
