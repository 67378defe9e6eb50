"""Batch normalization (Ioffe & Szegedy 2015) and local response normalization, forward and backward.

x is (n, c, h, w) or (n, c); statistics are per channel, over all other axes.
"""
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from runner.ops import memory, parallel

FORK_EPSILON = 1e-5     # in the backward passes of darknet's forks, src/blas.c
MOST_CHANNELS = 2048        # of which LRN sums are one product of matrices
# of an array (k,) of this process, those of all processes that have a part of the batch: (processes, k)
Stack = Callable[[np.ndarray], np.ndarray]


class Normed(NamedTuple):
    """What batch norm's backward needs: statistics (c,), x - mean, and 1 / std (c,)."""
    mean: np.ndarray
    variance: np.ndarray
    centred: np.ndarray
    inverse: np.ndarray
    epsilon_outside: bool
    stack: Stack | None = None


def batchnorm_train(x: np.ndarray, scales: np.ndarray, biases: np.ndarray, epsilon: float,
                    epsilon_outside: bool = False, stack: Stack | None = None) -> tuple[np.ndarray, Normed]:
    """-> y = scales (x - mean) / sqrt(variance + epsilon) + biases, saved.

    The variance is divided by N - 1, as in darknet (src/blas.c:variance_cpu).  epsilon_outside: the
    denominator is sqrt(variance) + epsilon.  stack: the statistics are those of the batch of all processes, of which x
    is a part as large as every other.
    """
    count = _values_per_channel(x)
    mean = _channel_sum(x) / x.dtype.type(count)
    centred = np.subtract(x, along_channels(mean, x), out=memory.empty_like(x))
    squares = _channel_sum(centred, centred)
    if stack:
        mean, squares, count = _combined(mean, squares, count, stack, centred)
    variance = squares / x.dtype.type(max(count - 1, 1))
    inverse = _inverse(variance, epsilon, epsilon_outside)
    y = memory.empty_like(x)

    factor, shift = along_channels(scales * inverse, x), along_channels(biases, x)

    def block(i: slice) -> None:
        np.multiply(centred[i], factor, out=y[i])
        y[i] += shift
    parallel.for_blocks(block, len(x), x[0].size)
    return y, Normed(mean, variance, centred, inverse, epsilon_outside, stack)


def _combined(mean: np.ndarray, squares: np.ndarray, count: int, stack: Stack,
              centred: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Means and sums of squared differences of the parts -> those of the whole, and its count; `centred` is moved.

    The sum of a part's squares around the common mean is that around its own, plus count times the squared distance of
    the means (Chan, Golub and LeVeque 1979).
    """
    means, sums = np.split(stack(np.concatenate([mean, squares]).astype(np.float64)), 2, axis=1)
    common = means.mean(axis=0)
    whole = sums.sum(axis=0) + count * np.square(means - common).sum(axis=0)
    centred += along_channels((mean - common).astype(centred.dtype), centred)
    return common.astype(mean.dtype), whole.astype(mean.dtype), count * len(means)


def batchnorm_inference(x: np.ndarray, scales: np.ndarray, biases: np.ndarray, mean: np.ndarray, variance: np.ndarray,
                        epsilon: float, epsilon_outside: bool = False) -> np.ndarray:
    """The same with the given statistics -> y."""
    factor = along_channels(scales * _inverse(variance, epsilon, epsilon_outside), x)
    y, mean, shift = memory.empty_like(x), along_channels(mean, x), along_channels(biases, x)

    def block(i: slice) -> None:
        np.subtract(x[i], mean, out=y[i])
        y[i] *= factor
        y[i] += shift
    parallel.for_blocks(block, len(x), x[0].size)
    return y


def batchnorm_backward(dy: np.ndarray, saved: Normed, scales: np.ndarray, *,
                       rule: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> dx, dscales (c,), dbiases (c,); these two of this process's part of the batch.

    rule "exact" is the derivative of batchnorm_train.  "pjreddie" and "alexeyab" are what the forks compute
    (src/batchnorm_layer.c, src/blas.c): the term of the variance divided by N although forward divides by N - 1,
    FORK_EPSILON instead of the epsilon of forward, and AlexeyAB's sqrt(variance) + FORK_EPSILON in the direct term.
    """
    count, kind = _values_per_channel(dy), dy.dtype.type
    dbiases, by_centred = _channel_sum(dy), _channel_sum(dy, saved.centred)
    dscales, all_biases = by_centred * saved.inverse, dbiases
    if saved.stack:
        every = saved.stack(np.concatenate([dbiases, by_centred]).astype(np.float64))
        all_biases, by_centred = np.split(every.sum(axis=0).astype(dy.dtype), 2)
        count *= len(every)
    if rule == "exact":
        direct = saved.inverse
        # d(1 / std) / d(variance)
        if saved.epsilon_outside:
            slope = -saved.inverse ** 2 / (2 * np.sqrt(np.maximum(saved.variance, np.finfo(dy.dtype).tiny)))
        else:
            slope = -saved.inverse ** 3 / 2
        by_variance = by_centred * slope * kind(2 / max(count - 1, 1))
    else:
        root = saved.variance + kind(FORK_EPSILON)
        direct = 1 / np.sqrt(root) if rule == "pjreddie" else 1 / (np.sqrt(saved.variance) + kind(FORK_EPSILON))
        by_variance = by_centred * (-root ** kind(-1.5) / 2) * kind(2 / count)
        saved = saved._replace(inverse=1 / np.sqrt(root))
    factor, centre = along_channels(scales * direct, dy), along_channels(scales * by_variance, dy)
    # the term of the mean: the centred values sum to zero, so only the direct part of it is left
    level = along_channels(scales * all_biases * saved.inverse / kind(count), dy)
    dx = memory.empty_like(dy)

    def block(i: slice) -> None:
        np.multiply(saved.centred[i], centre, out=dx[i])
        dx[i] += dy[i] * factor
        dx[i] -= level
    parallel.for_blocks(block, len(dy), dy[0].size)
    return dx, dscales, dbiases


def add_bias(x: np.ndarray, biases: np.ndarray) -> np.ndarray:
    """x += biases (c,), one per channel; -> x."""
    x += along_channels(biases, x)
    return x


def bias_gradient(dy: np.ndarray) -> np.ndarray:
    """dy (n, c, ...) -> (c,), its sum per channel."""
    return _channel_sum(dy)


def lrn(x: np.ndarray, size: int, alpha: float, beta: float, kappa: float) -> tuple[np.ndarray, np.ndarray]:
    """x (n, c, h, w) -> y = x norms^-beta, norms.

    norms = kappa + alpha (sum of squares over channels k - (size - 1) // 2 ... k + size // 2, less that of channel
    size // 2): darknet's running sum never adds that one channel and later subtracts it
    (src/normalization_layer.c).  Without that bug it is Krizhevsky et al. 2012.
    """
    norms = x.dtype.type(alpha) * _window_sum(x * x, size) + x.dtype.type(kappa)
    return x * norms ** x.dtype.type(-beta), norms


def lrn_backward(dy: np.ndarray, x: np.ndarray, norms: np.ndarray, size: int, alpha: float, beta: float,
                 rule: str = "exact") -> np.ndarray:
    """-> dx.  rule "darknet" leaves out the influence of a channel on the norms of its neighbours."""
    kind = dy.dtype.type
    dx = dy * norms ** kind(-beta)
    if rule == "exact":
        by_norm = dy * x * norms ** kind(-beta - 1) * kind(-beta)
        dx += 2 * kind(alpha) * x * _window_sum(by_norm, size, transposed=True)
    return dx


def lrn_window(channels: int, size: int) -> np.ndarray:
    """(channels, channels): how often channel j is in the sum of channel k, at [k, j]; see lrn."""
    before, after = (size - 1) // 2, size // 2
    distance = np.abs(np.arange(channels)[:, None] - np.arange(channels)[None, :])
    ahead = np.arange(channels)[None, :] >= np.arange(channels)[:, None]
    window = np.where(ahead, distance <= after, distance <= before).astype(np.float32)
    if after < channels:
        window[:, after] -= 1
    return window


def _window_sum(q: np.ndarray, size: int, transposed: bool = False) -> np.ndarray:
    """Sums over the channels in LRN's window; transposed: over the channels whose window contains this one."""
    if q.shape[1] > MOST_CHANNELS:
        return _shifted_sum(q, size, transposed)
    window = lrn_window(q.shape[1], size).astype(q.dtype)
    return np.einsum("kj,njhw->nkhw", window.T if transposed else window, q, optimize=True)


def _shifted_sum(q: np.ndarray, size: int, transposed: bool) -> np.ndarray:
    """_window_sum channel by channel of the window, without a matrix of channels x channels."""
    channels, before, silent = q.shape[1], (size - 1) // 2, size // 2
    after = silent
    if transposed:
        before, after = after, before
    total = q.copy()
    for distance in range(1, min(after, channels - 1) + 1):
        total[:, :-distance] += q[:, distance:]
    for distance in range(1, min(before, channels - 1) + 1):
        total[:, distance:] += q[:, :-distance]
    if silent < channels:
        if transposed:
            total[:, silent] -= q.sum(axis=1)
        else:
            total -= q[:, silent:silent + 1]
    return total


def _values_per_channel(x: np.ndarray) -> int:
    return x.size // x.shape[1]


def along_channels(v: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(c,) reshaped to broadcast against x (n, c, ...)."""
    return v.reshape(1, -1, *[1] * (x.ndim - 2))


def _channel_sum(a: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    """(c,): sums of a, or of a b; image by image and in order, so that the number of threads does not matter."""
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
