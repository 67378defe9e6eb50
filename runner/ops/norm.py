"""Batch normalisation (Ioffe & Szegedy 2015) and local response normalisation, forward and backward.

x is (n, c, h, w) or (n, c); statistics are per channel over all else.
"""
from typing import Any, NamedTuple

import numpy as np

from runner.ops import memory, parallel


class Normed(NamedTuple):
    """What batch norm's backward needs: statistics (c,), x - mean, and 1 / deviation (c,)."""
    mean: np.ndarray
    variance: np.ndarray
    centred: np.ndarray
    inverse: np.ndarray
    epsilon_outside: bool


def batchnorm_train(x: np.ndarray, scales: np.ndarray, biases: np.ndarray, epsilon: float,
                    epsilon_outside: bool = False) -> tuple[np.ndarray, Normed]:
    """-> y = scales (x - mean) / sqrt(variance + epsilon) + biases, saved.

    The variance is divided by N - 1, as in darknet (src/blas.c:variance_cpu).  epsilon_outside: the deviation is
    sqrt(variance) + epsilon.
    """
    mean = _channel_sum(x) / x.dtype.type(_per_channel(x))
    centred = np.subtract(x, _along(mean, x), out=memory.empty_like(x))
    variance = _channel_sum(centred, centred) / x.dtype.type(max(_per_channel(x) - 1, 1))
    inverse = _inverse(variance, epsilon, epsilon_outside)
    y = memory.empty_like(x)

    factor, shift = _along(scales * inverse, x), _along(biases, x)

    def block(i: slice) -> None:
        np.multiply(centred[i], factor, out=y[i])
        y[i] += shift
    parallel.for_blocks(block, len(x), x[0].size)
    return y, Normed(mean, variance, centred, inverse, epsilon_outside)


def batchnorm_inference(x: np.ndarray, scales: np.ndarray, biases: np.ndarray, mean: np.ndarray, variance: np.ndarray,
                        epsilon: float, epsilon_outside: bool = False) -> np.ndarray:
    """The same with given statistics -> y."""
    factor = _along(scales * _inverse(variance, epsilon, epsilon_outside), x)
    y, mean, shift = memory.empty_like(x), _along(mean, x), _along(biases, x)

    def block(i: slice) -> None:
        np.subtract(x[i], mean, out=y[i])
        y[i] *= factor
        y[i] += shift
    parallel.for_blocks(block, len(x), x[0].size)
    return y


def batchnorm_backward(dy: np.ndarray, saved: Normed, scales: np.ndarray, *,
                       rule: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> dx, dscales (c,), dbiases (c,).

    rule "exact" is the derivative of batchnorm_train.  "pjreddie" and "alexeyab" are what the forks compute
    (src/batchnorm_layer.c, src/blas.c): the variance's part divided by N although it was N - 1 forward, an epsilon
    of 1e-5 whatever the forward had, and AlexeyAB's sqrt(variance) + 1e-5 in the direct term.
    """
    count, kind = _per_channel(dy), dy.dtype.type
    dbiases, by_centred = _channel_sum(dy), _channel_sum(dy, saved.centred)
    dscales = by_centred * saved.inverse
    if rule == "exact":
        direct = saved.inverse
        # d(1/deviation) / d(variance)
        if saved.epsilon_outside:
            slope = -saved.inverse ** 2 / (2 * np.sqrt(np.maximum(saved.variance, np.finfo(dy.dtype).tiny)))
        else:
            slope = -saved.inverse ** 3 / 2
        by_variance = by_centred * slope * kind(2 / max(count - 1, 1))
    else:
        root = saved.variance + kind(1e-5)
        direct = 1 / np.sqrt(root) if rule == "pjreddie" else 1 / (np.sqrt(saved.variance) + kind(1e-5))
        by_variance = by_centred * (-root ** kind(-1.5) / 2) * kind(2 / count)
        saved = saved._replace(inverse=1 / np.sqrt(root))
    factor, centre = _along(scales * direct, dy), _along(scales * by_variance, dy)
    # the mean's part: the centred values sum to zero, so only the direct term is left of it
    level = _along(scales * dbiases * saved.inverse / kind(count), dy)
    dx = memory.empty_like(dy)

    def block(i: slice) -> None:
        np.multiply(saved.centred[i], centre, out=dx[i])
        dx[i] += dy[i] * factor
        dx[i] -= level
    parallel.for_blocks(block, len(dy), dy[0].size)
    return dx, dscales, dbiases


def add_bias(x: np.ndarray, biases: np.ndarray) -> np.ndarray:
    """Add one value a channel to x itself; -> x."""
    x += _along(biases, x)
    return x


def bias_gradient(dy: np.ndarray) -> np.ndarray:
    """dy (n, c, ...) -> (c,), its sums."""
    return _channel_sum(dy)


def lrn(x: np.ndarray, size: int, alpha: float, beta: float, kappa: float) -> tuple[np.ndarray, np.ndarray]:
    """x (n, c, h, w) -> y = x norms^-beta, norms.

    norms = kappa + alpha (sum of squares over channels k - (size - 1) // 2 ... k + size // 2, less that of channel
    size // 2): darknet's running sum never adds that one channel and later subtracts it
    (src/normalization_layer.c).  Krizhevsky et al. 2012 without the slip.
    """
    norms = x.dtype.type(alpha) * _window_sum(x * x, size) + x.dtype.type(kappa)
    return x * norms ** x.dtype.type(-beta), norms


def lrn_backward(dy: np.ndarray, x: np.ndarray, norms: np.ndarray, size: int, alpha: float, beta: float,
                 rule: str = "exact") -> np.ndarray:
    """-> dx.  rule "darknet" leaves out what a channel does to its neighbours' norms."""
    kind = dy.dtype.type
    dx = dy * norms ** kind(-beta)
    if rule == "exact":
        by_norm = dy * x * norms ** kind(-beta - 1) * kind(-beta)
        dx += 2 * kind(alpha) * x * _window_sum(by_norm, size, turned=True)
    return dx


def _window_sum(q: np.ndarray, size: int, turned: bool = False) -> np.ndarray:
    """Sums over LRN's window of channels; turned: to whom a channel contributes (the transpose)."""
    c, before, after = q.shape[1], (size - 1) // 2, size // 2
    member = np.abs(np.arange(c)[:, None] - np.arange(c)[None, :])
    ahead = np.arange(c)[None, :] >= np.arange(c)[:, None]
    window = np.where(ahead, member <= after, member <= before).astype(q.dtype)     # [k, j]: is j in k's window
    if after < c:
        window[:, after] -= 1
    return np.einsum("kj,njhw->nkhw", window.T if turned else window, q, optimize=True)


def _per_channel(x: np.ndarray) -> int:
    return x.size // x.shape[1]


def _along(v: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(c,) shaped to be combined with x."""
    return v.reshape(1, -1, *[1] * (x.ndim - 2))


def _channel_sum(a: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    """(c,): sums of a, or of a b; an image at a time and the images in order, whatever the threads."""
    n, c = a.shape[:2]
    if a.ndim == 2:
        return (a if b is None else a * b).sum(axis=0)
    parts = np.empty((n, c), a.dtype)

    def block(i: slice) -> None:
        if b is None:
            parts[i] = a[i].sum(axis=(2, 3))
        else:
            parts[i] = (a[i] * b[i]).sum(axis=(2, 3))
    parallel.for_blocks(block, n, a[0].size)
    return parts.sum(axis=0)


def _inverse(variance: np.ndarray, epsilon: float, outside: bool) -> Any:
    kind = variance.dtype.type
    return 1 / (np.sqrt(variance) + kind(epsilon)) if outside else 1 / np.sqrt(variance + kind(epsilon))
