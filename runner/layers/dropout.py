"""[dropout]: zeroes a random share of the inputs in training (Srivastava et al., JMLR 15, 2014).

    training     y = m x / (1 - p),  m = 0 with probability p, else 1, drawn anew for every value and every forward
    inference    y = x, except in Network.sample, where it is as in training
    backward     dx = m dy / (1 - p), with the same m

Because the remaining values are scaled up in training, nothing has to be scaled at inference ("inverted" dropout):
the expected value of y is x in both.  Source: src/dropout_layer.c.
"""
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner.config import by_layer, opt
from runner.layers.shared.base import Kept, Layer, LayerOptions, register


@register("dropout", "drop")
class Dropout(Layer):
    """Any shape -> the same shape.  On its own: `Dropout(probability=0.1).forward(x, train=True)`."""
    any_shape = True

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        probability: float = opt(by_layer("0.5 (0.2 with compat alexeyab)"), "share of the values that are zeroed",
                                 low=0, high=1, says="probability is left out: 0.5 is used, as in pjreddie's darknet "
                                                     "(AlexeyAB's uses 0.2)")
        dropblock: bool = opt(False, "1: zero one block of each channel instead of single values")
        dropblock_size_rel: float = opt(0.0, "side of the block as a share of width and height", low=0, high=1)
        dropblock_size_abs: int = opt(0, "side of the block, pixels; 7 when neither side is given", low=0)

    @property
    def probability(self) -> float:
        """The option, or the fork's default."""
        p = self.options.probability
        return self.env.compat.dropout_probability if p is None else p

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, ...) -> y of the same shape, saved: the scaled mask, 0 or 1 / (1 - p)."""
        p = self.probability
        if not (train or self.env.sampling) or p == 0:
            return x, None
        if self.options.dropblock and x.ndim == 4 and self.env.compat.dropblock:
            mask = self._blocks(x, p)
        elif p == 1:      # all zeros: no division by 1 - p
            mask = np.zeros_like(x)
        else:
            kept = self.env.uniform(x.shape) >= p
            mask = kept * x.dtype.type(1 / (1 - p))
        if self.env.compat.dropout_in_place:
            x *= mask
            return x, mask
        return x * mask, mask

    def alias(self, *xs: np.ndarray) -> np.ndarray:
        return xs[0]

    def _blocks(self, x: np.ndarray, p: float) -> np.ndarray:
        """The scaled mask of DropBlock (Ghiasi et al. 2018) as src/dropout_layer_kernels.cu has it.

        Blocks and p grow over the first 85 % of training.  A channel loses at most one block, which starts at its
        smallest random number; the rest of the image is scaled up to make up for the loss.
        """
        n, c, h, w = x.shape
        o, progress = self.options, self.env.progress
        grown = min(1.0, progress.iteration / (0.85 * progress.max_batches)) if progress.max_batches else 1.0
        sides = []
        for side in (h, w):
            size = o.dropblock_size_abs or (o.dropblock_size_rel * side if o.dropblock_size_rel else 7)
            sides.append(int(np.clip(int(min(size, min(h, w)) * grown), 1, side)))
        draws = self.env.uniform((n, c, h * w))
        place = draws.argmin(axis=2)
        hit = draws.min(axis=2) < p * grown / (sides[0] * sides[1])
        top, left = np.minimum(place // w, h - sides[0]), np.minimum(place % w, w - sides[1])
        rows, columns = np.arange(h)[:, None], np.arange(w)
        inside = ((rows >= top[..., None, None]) & (rows < top[..., None, None] + sides[0])
                  & (columns >= left[..., None, None]) & (columns < left[..., None, None] + sides[1]))
        kept = ~(inside & hit[..., None, None])
        share = kept.mean(axis=(1, 2, 3), keepdims=True)
        return (kept / np.maximum(share, 1e-6)).astype(x.dtype)

    def keeps(self) -> Kept:
        return Kept(False, False, self.bytes_of(self.out_shape))

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> dx: through the same mask, with the same scale."""
        dx = dy if saved is None else dy * saved
        self.show("delta", dx)
        return (dx,)
