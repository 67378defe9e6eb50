"""[cost]: a loss between its input and the truth, value by value."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import ignored, opt
from runner.layers.shared.base import Head, Kept, LayerOptions, register


@register("cost")
class Cost(Head):
    """Any shape -> the same shape: forward changes nothing  (src/cost_layer.c).

    After [softmax] its gradient is added to that of the cross-entropy: networks that end so were trained like that.
    """

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        type: str = opt("sse", "the loss function", choices=ops.LOSSES)
        scale: float = opt(1.0, "factor on the gradient, not on the printed cost", low=0)
        noobj: float = opt(1.0, "type seg: factor where the truth is 0", low=0)
        thresh: float = opt(0.0, "gradients smaller than thresh / inputs are set to 0", low=0)
        ratio: float = ignored(0.0, "share of the smallest gradients that are dropped",
                               "darknet computes the threshold and then uses 0")

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, ...) -> x, saved."""
        return x, x

    def alias(self, *xs: np.ndarray) -> np.ndarray:
        return xs[0]

    def keeps(self) -> Kept:
        return Kept(output=False)

    def loss(self, saved: Any, truth: np.ndarray) -> tuple[float, np.ndarray]:
        """truth of the shape of x.  sse prints the squared difference and returns half its gradient."""
        error, dx = self._compare(saved, truth)
        self.show("error", error)
        dx = dx * saved.dtype.type(self.options.scale)
        if self.options.thresh:
            dx[dx * dx < (self.options.thresh / dx[0].size) ** 2] = 0
        return float(error.sum()), dx

    def objective(self, saved: Any, truth: np.ndarray) -> float:
        return self.options.scale * ops.objective(saved, truth.reshape(saved.shape), self.options.type,
                                                  noobj=self.options.noobj)

    def _compare(self, x: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return ops.loss(x, truth.reshape(x.shape), self.options.type, noobj=self.options.noobj)
