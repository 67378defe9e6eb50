"""Softmax and cross-entropy."""
from collections.abc import Sequence

import numpy as np

from runner.errors import ShapeError
from runner.ops.loss import MASKED


def softmax(x: np.ndarray, groups: int = 1, temperature: float = 1.0) -> np.ndarray:
    """x (n, k) -> p (n, k): each of `groups` equal blocks sums to 1; p = exp(x / temperature) / sum."""
    blocks = x.reshape(len(x), groups, x.shape[1] // groups) * x.dtype.type(1 / temperature)
    return _normalize(blocks, -1).reshape(x.shape)


def softmax_spatial(x: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """x (n, c, h, w) -> p: over the channels of every pixel."""
    return _normalize(x * x.dtype.type(1 / temperature), 1)


def softmax_tree(x: np.ndarray, sizes: Sequence[int], temperature: float = 1.0) -> np.ndarray:
    """x (n, k) -> p: one softmax for each run of `sizes` values (groups of siblings in a tree), which add up to k."""
    lengths = np.asarray(sizes)
    if lengths.sum() != x.shape[1] or lengths.min() < 1:
        raise ShapeError(f"softmax tree: the groups must add up to the {x.shape[1]} input values. "
                         f"Got {lengths.sum()} in {len(lengths)} groups, the smallest of {lengths.min()}")
    starts = np.cumsum(lengths) - lengths
    z = x * x.dtype.type(1 / temperature)
    z -= np.repeat(np.maximum.reduceat(z, starts, axis=1), lengths, axis=1)
    np.exp(z, out=z)
    z /= np.repeat(np.add.reduceat(z, starts, axis=1), lengths, axis=1)
    return z


def softmax_backward(dy: np.ndarray, p: np.ndarray, groups: int = 1, temperature: float = 1.0) -> np.ndarray:
    """dy (n, k) -> dx (n, k), the derivative of softmax."""
    shape = (len(p), groups, -1)
    d, q = dy.reshape(shape), p.reshape(shape)
    return (q * (d - (d * q).sum(axis=-1, keepdims=True)) * p.dtype.type(1 / temperature)).reshape(p.shape)


def cross_entropy(p: np.ndarray, truth: np.ndarray) -> float:
    """What darknet prints: the sum of -log p where the truth is not 0, not weighted by it (src/blas.c).

    Values whose truth is MASKED (unknown: tree groups off the path) do not count, as on its GPU.
    """
    tiny = np.finfo(p.dtype).tiny
    right = p[(truth != 0) & (truth != MASKED)]
    return float(-np.log(np.maximum(right, tiny)).sum(dtype=np.float64))


def binary_cross_entropy(p: np.ndarray, truth: np.ndarray) -> float:
    """-sum of t log p + (1 - t) log(1 - p)."""
    tiny = np.finfo(p.dtype).tiny
    each = truth * np.log(np.maximum(p, tiny)) + (1 - truth) * np.log(np.maximum(1 - p, tiny))
    return -float(each.sum(dtype=np.float64))


def _normalize(x: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    e /= e.sum(axis=axis, keepdims=True)
    return e
