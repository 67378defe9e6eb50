"""Weight updates in one pass over their arrays."""
import numpy as np

from runner.ops import parallel
from runner.ops import update as reference
from runner.ops.fast.compiling import compiled
from runner.ops.fast.scalar import f4

Array = np.ndarray


def sgd_update(w: Array, g: Array, v: Array, momentum: float, decay: float, rate: float) -> None:
    if w.dtype != f4 or not _contiguous(w, g, v):
        return reference.sgd_update(w, g, v, momentum, decay, rate)
    flat_w, flat_g, flat_v = w.reshape(-1), g.reshape(-1), v.reshape(-1)
    parallel.for_blocks(lambda i: _sgd(flat_w[i], flat_g[i], flat_v[i], f4(momentum), f4(decay), f4(rate)), w.size, 1)


def adam_update(w: Array, g: Array, m: Array, v: Array, b1: float, b2: float, decay: float, rate: float,
                correction: float, epsilon: float) -> None:
    if w.dtype != f4 or not _contiguous(w, g, m, v):
        return reference.adam_update(w, g, m, v, b1, b2, decay, rate, correction, epsilon)
    numbers = f4(1 - b1), f4(1 - b2), f4(decay), f4(rate), f4(correction), f4(epsilon)
    flat = w.reshape(-1), g.reshape(-1), m.reshape(-1), v.reshape(-1)
    parallel.for_blocks(lambda i: _adam(*(array[i] for array in flat), *numbers), w.size, 1)


def _contiguous(*arrays: Array) -> bool:
    return all(array.flags.c_contiguous for array in arrays)


@compiled
def _sgd(w, g, v, momentum, decay, rate):
    for i in range(w.size):
        new = momentum * v[i] + g[i] + decay * w[i]
        v[i] = new
        w[i] -= rate * new
        g[i] = 0


@compiled
def _adam(w, g, m, v, one_minus_b1, one_minus_b2, decay, rate, correction, epsilon):
    for i in range(w.size):
        d = g[i] + decay * w[i]
        mean = m[i] + one_minus_b1 * (d - m[i])
        square = v[i] + one_minus_b2 * (d * d - v[i])
        m[i], v[i] = mean, square
        w[i] -= rate * mean / (np.sqrt(square / correction) + epsilon)
        g[i] = 0
