"""The matrix product of fully connected layers.

Large products are split into fixed blocks of their outputs, so that all cores work and the bits do not depend on the
number of cores.
"""
from collections.abc import Callable

import numpy as np

from runner.ops import memory, parallel

TRANSPOSED_ROWS = 32    # rows up to which W x^T is faster than x W^T: the large matrix is then read in place
OUTPUT_BLOCK = 256      # outputs computed together
SPLIT_WORK = 1 << 20    # multiplications that are worth splitting


def dense(x: np.ndarray, weights: np.ndarray, batch_independent: bool = False) -> np.ndarray:
    """x (n, i), weights (o, i) -> y (n, o) = x W^T.

    batch_independent: each image is a product of its own.  BLAS sums in an order that depends on the size of a product
    and the place in it; computed so, the result of an image is bit-identical in any batch.  Slower for
    many images, so training does not ask for it.
    """
    if batch_independent:
        y = np.empty((len(x), len(weights)), x.dtype)

        def block(i: slice) -> None:
            for k in range(i.start, i.stop):
                np.matmul(weights, x[k], out=y[k])
        parallel.for_blocks(block, len(x), weights.size)
        return y
    size = len(x) * weights.size
    if len(x) > TRANSPOSED_ROWS:
        y = memory.empty((len(x), len(weights)), x.dtype)
        _split(lambda i: np.matmul(x, weights[i].T, out=y[:, i]), len(weights), size)
        return y
    transposed = np.empty((len(weights), len(x)), x.dtype)
    _split(lambda i: np.matmul(weights[i], x.T, out=transposed[i]), len(weights), size)
    return np.ascontiguousarray(transposed.T)


def dense_input_gradient(dy: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """dy (n, o) -> dx (n, i) = dy W."""
    dx = np.empty((len(dy), weights.shape[1]), dy.dtype)
    _split(lambda i: np.matmul(dy, weights[:, i], out=dx[:, i]), weights.shape[1], len(dy) * weights.size)
    return dx


def dense_weight_gradient(dy: np.ndarray, x: np.ndarray, total: np.ndarray | None = None) -> np.ndarray:
    """dy (n, o), x (n, i) -> dweights (o, i) = dy^T x; if `total` is given, they are added to it and it is returned."""
    dweights = memory.empty((dy.shape[1], x.shape[1]), dy.dtype)
    _split(lambda i: np.matmul(dy[:, i].T, x, out=dweights[i]), len(dweights), len(dy) * dweights.size)
    return dweights if total is None else np.add(total, dweights, out=total)


def _split(function: Callable[[slice], object], outputs: int, multiplications: int) -> None:
    """function(slice) for blocks of outputs, or for all of them at once where there is little to do."""
    parallel.limit_blas()        # one thread sums in one order, whatever the machine
    each = OUTPUT_BLOCK if multiplications >= SPLIT_WORK else max(outputs, 1)

    def block(k: int) -> None:
        function(slice(k * each, min((k + 1) * each, outputs)))
    parallel.for_each(block, -(-outputs // each))
