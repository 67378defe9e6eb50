"""[empty]: passes its input on unchanged."""
from typing import Any

import numpy as np

from runner.layers.shared.base import Kept, Layer, register


@register("empty", "silence")
class Empty(Layer):
    """Any shape -> the same shape  (AlexeyAB's src/parser.c:parse_network_cfg_custom)."""
    any_shape = True

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x -> x, None."""
        return x, None

    def alias(self, *xs: np.ndarray) -> np.ndarray:
        return xs[0]

    def keeps(self) -> Kept:
        return Kept(inputs=False, output=False)

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> dy."""
        return (dy,)
