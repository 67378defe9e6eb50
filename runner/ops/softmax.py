"""Softmax and cross-entropy."""
import numpy as np


def softmax(x: np.ndarray, groups: int = 1, temperature: float = 1.0) -> np.ndarray:
    """x (n, k) -> p (n, k): each of `groups` equal blocks sums to 1; p = exp(x / temperature) / sum."""
    blocks = x.reshape(len(x), groups, -1) * x.dtype.type(1 / temperature)
    return _normalise(blocks, -1).reshape(x.shape)


def softmax_spatial(x: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """x (n, c, h, w) -> p: over the channels of every pixel."""
    return _normalise(x * x.dtype.type(1 / temperature), 1)


def softmax_tree(x: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """x (n, k) -> p: one softmax for each run of `sizes` values (the groups of siblings of a tree)."""
    p = np.empty_like(x)
    start = 0
    for size in sizes:
        p[:, start:start + size] = _normalise(x[:, start:start + size], -1)
        start += size
    return p


def softmax_backward(dy: np.ndarray, p: np.ndarray, groups: int = 1, temperature: float = 1.0) -> np.ndarray:
    """dy (n, k) -> dx (n, k), the derivative of softmax."""
    shape = (len(p), groups, -1)
    d, q = dy.reshape(shape), p.reshape(shape)
    return (q * (d - (d * q).sum(axis=-1, keepdims=True)) * p.dtype.type(1 / temperature)).reshape(p.shape)


def cross_entropy(p: np.ndarray, truth: np.ndarray) -> float:
    """What darknet prints: the sum of -log p wherever the truth is not 0, not weighted by it (src/blas.c)."""
    tiny = np.finfo(p.dtype).tiny
    return float(-np.log(np.maximum(p[truth != 0], tiny)).sum(dtype=np.float64))


def binary_cross_entropy(p: np.ndarray, truth: np.ndarray) -> float:
    """-sum of t log p + (1 - t) log(1 - p)."""
    tiny = np.finfo(p.dtype).tiny
    return float(-(truth * np.log(np.maximum(p, tiny)) + (1 - truth) * np.log(np.maximum(1 - p, tiny))).sum())


def _normalise(x: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    e /= e.sum(axis=axis, keepdims=True)
    return e
