"""The matrix product of fully connected layers."""
import numpy as np

from runner.ops import parallel


def dense(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """x (n, i), weights (o, i) -> y (n, o) = x W^T."""
    parallel.hold_blas()        # one thread sums in one order, whatever the machine
    return x @ weights.T


def dense_backward(dy: np.ndarray, x: np.ndarray, weights: np.ndarray,
                   need_dx: bool = True) -> tuple[np.ndarray | None, np.ndarray]:
    """dy (n, o) -> dx (n, i) or None, dweights (o, i)."""
    parallel.hold_blas()
    return dy @ weights if need_dx else None, dy.T @ x
