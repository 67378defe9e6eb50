"""The exponential moving average (EMA) of the weights, [net] ema_alpha: it varies less than the weights themselves.

As in darknet (src/network.c:ema_update) it begins at half of max_batches (without max_batches: immediately) and covers
what is learned, not the rolling statistics, which are averages already.  darknet continues its last 1000 updates from
the average; here the average is what is evaluated and saved, and training continues with the weights themselves.
"""
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from runner.network import Network

Key = tuple[int, str]


class Average:
    """arrays: (layer, parameter) -> its average; empty before it begins."""

    def __init__(self, net: Network):
        self.net, self.alpha = net, net.options.ema_alpha
        self.arrays: dict[Key, np.ndarray] = {}

    def update(self) -> None:
        """Call this after every weight update."""
        if not self.alpha or self.net.progress.iteration < self.net.options.max_batches // 2:
            return
        for key, w in self._learned():
            if key not in self.arrays:
                self.arrays[key] = w.copy()
                continue
            average = self.arrays[key]
            average *= self.alpha
            average += (1 - self.alpha) * w

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Within the block, the network's weights are the averages."""
        kept = {key: w.copy() for key, w in self._learned() if key in self.arrays}
        for key, w in self._learned():
            if key in kept:
                w[...] = self.arrays[key]
        try:
            yield
        finally:
            for key, w in self._learned():
                if key in kept:
                    w[...] = kept[key]

    def _learned(self) -> Iterator[tuple[Key, np.ndarray]]:
        done: set[int] = set()
        for index, layer in enumerate(self.net.layers):
            for name, w in layer.params.items():
                if id(w) not in done:       # shared weights count once
                    done.add(id(w))
                    yield (index, name), w
