"""[control_channels]: multiplies every channel by a value from an earlier layer (YOLOR, Wang et al. 2021)."""
from typing import Any

import numpy as np

from runner.layers.shared.base import register
from runner.layers.shift_channels import ShiftChannels


@register("control_channels")
class ControlChannels(ShiftChannels):
    """(c, h, w), from (c, 1, 1) -> (c, h, w): x * from.  A section of the YOLOR forks.

    [scale_channels] is the same with the inputs exchanged.
    """

    def forward(self, *xs: np.ndarray, train: bool = False) -> tuple[np.ndarray, Any]:
        """map (n, c, h, w), values (n, c, 1, 1) -> y (n, c, h, w), saved."""
        x, values = xs[0].reshape(-1, *self.out_shape), xs[1].reshape(-1, *self.vector)
        return x * values, (x, values)

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> gradients of the map and of the values."""
        x, values = saved
        return ((dy * values).reshape(len(dy), *self.in_shapes[0]),
                (dy * x).sum(axis=(2, 3)).reshape(len(dy), *self.in_shapes[1]))
