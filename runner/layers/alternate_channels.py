"""[alternate_channels]: prepends one constant channel for each value of an earlier layer."""
from typing import Any

import numpy as np

from runner.layers.shared.base import Shape, register
from runner.layers.shift_channels import ShiftChannels


@register("alternate_channels")
class AlternateChannels(ShiftChannels):
    """(c, h, w), from (c, 1, 1) -> (2 c, h, w): the values, broadcast over the pixels, then x.

    A section of the YOLOR forks (Wang et al. 2021).
    """

    def setup(self, shape: Shape, other: Shape) -> None:
        super().setup(shape, other)
        c, h, w = self.out_shape
        self.out_shape = (2 * c, h, w)

    def forward(self, *xs: np.ndarray, train: bool = False) -> tuple[np.ndarray, Any]:
        """map (n, c, h, w), values (n, c, 1, 1) -> y (n, 2 c, h, w), None."""
        c, h, w = self.image(self.in_shapes[0])
        x = xs[0].reshape(-1, c, h, w)
        return np.concatenate([np.broadcast_to(xs[1].reshape(-1, c, 1, 1), x.shape), x], axis=1), None

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> gradients of the map and of the values."""
        c = self.vector[0]
        return (np.ascontiguousarray(dy[:, c:]).reshape(len(dy), *self.in_shapes[0]),
                dy[:, :c].sum(axis=(2, 3)).reshape(len(dy), *self.in_shapes[1]))
