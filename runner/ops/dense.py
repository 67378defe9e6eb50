"""The matrix product of fully connected layers."""
import numpy as np

from runner.ops import parallel


def dense(x: np.ndarray, weights: np.ndarray, alone: bool = False) -> np.ndarray:
    """x (n, i), weights (o, i) -> y (n, o) = x W^T.

    alone: each image is a product of its own.  BLAS sums in an order that depends on the size of a product and the
    place in it; so computed, an image gets the same bits in any batch.  Slower for many images, hence not in training.
    """
    parallel.hold_blas()        # one thread sums in one order, whatever the machine
    if not alone:
        return x @ weights.T
    y = np.empty((len(x), len(weights)), x.dtype)

    def block(i: slice) -> None:
        for k in range(i.start, i.stop):
            np.matmul(weights, x[k], out=y[k])
    parallel.for_blocks(block, len(x), weights.size)
    return y


def dense_backward(dy: np.ndarray, x: np.ndarray, weights: np.ndarray,
                   need_dx: bool = True) -> tuple[np.ndarray | None, np.ndarray]:
    """dy (n, o) -> dx (n, i) or None, dweights (o, i)."""
    parallel.hold_blas()
    return dy @ weights if need_dx else None, dy.T @ x
