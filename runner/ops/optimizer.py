"""The two update rules of darknet, applied to an array of weights in place; they set the gradient to zero.

w weights, g gradient, v and m the state of the optimizer: all of one shape and contiguous.  They are updated block by
block, so that a block of each stays in the cache.
"""
from collections.abc import Callable, Sequence

import numpy as np

from runner.ops import parallel

Array = np.ndarray
Numbers = Sequence[float]


def sgd_update(w: Array, g: Array, v: Array, momentum: float, decay: float, rate: float) -> None:
    """v = momentum v + g + decay w;  w -= rate v."""
    flat = w.reshape(-1), g.reshape(-1), v.reshape(-1)

    def block(i: slice) -> None:
        w, g, v = (array[i] for array in flat)
        v *= momentum
        v += g
        if decay:
            np.multiply(w, decay, out=g)
            v += g
        np.multiply(v, rate, out=g)
        w -= g
        g.fill(0)
    parallel.for_blocks(block, w.size, 1)


def adam_update(w: Array, g: Array, m: Array, v: Array, b1: float, b2: float, decay: float, rate: float,
                correction: float, epsilon: float) -> None:
    """d = g + decay w;  m += (1 - b1) (d - m);  v += (1 - b2) (d^2 - v);  w -= rate m / (sqrt(v / correction) + eps).

    rate is already divided by 1 - b1^t, and correction is 1 - b2^t.
    """
    flat = w.reshape(-1), g.reshape(-1), m.reshape(-1), v.reshape(-1)

    def block(i: slice) -> None:
        w, g, m, v = (array[i] for array in flat)
        if decay:
            g += decay * w
        m += (1 - b1) * (g - m)
        v += (1 - b2) * (g * g - v)
        w -= rate * m / (np.sqrt(v / correction) + epsilon)
        g.fill(0)
    parallel.for_blocks(block, w.size, 1)


def bind_sgd(arrays: Sequence[tuple[Array, ...]]) -> Callable[[float, Numbers, Numbers], None]:
    """(w, g, v) of every parameter -> run(momentum, decays, rates): `sgd_update` of each, with its decay and rate.

    Bound once to arrays that are updated in place, as are the next two.
    """
    def run(momentum: float, decays: Numbers, rates: Numbers) -> None:
        for (w, g, v), decay, rate in zip(arrays, decays, rates, strict=True):
            sgd_update(w, g, v, momentum, decay, rate)
    return run


def bind_adam(arrays: Sequence[tuple[Array, ...]]) -> Callable[..., None]:
    """(w, g, m, v) of every parameter -> run(b1, b2, decay, rates, correction, epsilon): `adam_update` of each."""
    def run(b1: float, b2: float, decay: float, rates: Numbers, correction: float, epsilon: float) -> None:
        for (w, g, m, v), rate in zip(arrays, rates, strict=True):
            adam_update(w, g, m, v, b1, b2, decay, rate, correction, epsilon)
    return run


def bind_finite(arrays: Sequence[tuple[Array, ...]]) -> Callable[[], bool]:
    """(g,) of every parameter -> run(): are all values finite, neither NaN nor infinity?"""
    return lambda: all(bool(np.isfinite(g).all()) for g, in arrays)
