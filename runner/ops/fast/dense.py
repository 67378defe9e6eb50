"""Products of a few rows with a large matrix, compiled: the matrix is read once, as it lies in memory.

BLAS packs the matrix first, which costs more than a product with eight rows of a recurrent layer.  Here four rows of W
meet two rows of x at a time, all eight sums in registers.  A row of x gives the same bits whatever rows come with it.
"""
import numpy as np

from runner.ops import parallel, planned
from runner.ops.dense import dense as reference
from runner.ops.fast import kernels
from runner.ops.fast.compiling import compiled
from runner.ops.fast.scalar import CODES, f4

Array = np.ndarray
FEW = 48            # rows up to which it is faster than BLAS
BLOCK = 1 << 17     # values of W in one piece of work
SMALL = 1 << 16     # multiplications one thread does before another has woken up


def dense(x: Array, weights: Array, alone: bool = False) -> Array:
    if not _fits(x, weights):
        return reference(x, weights, alone)
    return _product(x, weights, np.empty((len(x), len(weights)), f4))


def plan_dense(weights: Array, biases: Array | None, activation: str) -> planned.Run:
    other = planned.plan_dense(weights, biases, activation)

    def run(x: Array, out: Array | None = None) -> Array:
        if not _fits(x, weights):
            return other(x, out)
        y = _product(x, weights, np.empty((len(x), len(weights)), f4) if out is None else out)
        if biases is None and activation == "linear":
            return y
        return planned.finish(y, biases, activation, y)
    known = weights.dtype == f4 and activation in CODES
    return kernels.Dense(weights, biases, activation, run) if known else run


def _fits(x: Array, weights: Array) -> bool:
    return (x.dtype == weights.dtype == f4 and 0 < len(x) <= FEW and weights.flags.c_contiguous
            and x.flags.c_contiguous)


def _product(x: Array, weights: Array, y: Array) -> Array:
    outputs = len(weights)
    if len(x) * weights.size <= SMALL:
        _rows(x, weights, y, 0, outputs)
        return y
    each = max(4, BLOCK // weights.shape[1] // 4 * 4)
    parallel.for_each(lambda b: _rows(x, weights, y, b * each, min(outputs, (b + 1) * each)), -(-outputs // each))
    return y


@compiled
def _rows(x, w, y, begin, end):
    """y[:, begin:end] = x w[begin:end]^T."""
    n, k = x.shape
    fours = begin + (end - begin) // 4 * 4
    for j in range(begin, fours, 4):
        w0, w1, w2, w3 = w[j], w[j + 1], w[j + 2], w[j + 3]
        for r in range(0, n, 2):
            again = min(r + 1, n - 1)       # an odd last row meets itself: the same sums in the same order
            a, b = x[r], x[again]
            s0 = s1 = s2 = s3 = f4(0)
            t0 = t1 = t2 = t3 = f4(0)
            for i in range(k):
                u, v = a[i], b[i]
                p0, p1, p2, p3 = w0[i], w1[i], w2[i], w3[i]
                s0 += u * p0
                t0 += v * p0
                s1 += u * p1
                t1 += v * p1
                s2 += u * p2
                t2 += v * p2
                s3 += u * p3
                t3 += v * p3
            y[again, j], y[again, j + 1], y[again, j + 2], y[again, j + 3] = t0, t1, t2, t3
            y[r, j], y[r, j + 1], y[r, j + 2], y[r, j + 3] = s0, s1, s2, s3
    for j in range(fours, end):
        q = w[j]
        for r in range(n):
            a = x[r]
            s = f4(0)
            for i in range(k):
                s += a[i] * q[i]
            y[r, j] = s
