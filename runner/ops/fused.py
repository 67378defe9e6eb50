"""Batch norm or a bias fused with the activation that follows, forward and backward.

Elementwise operations are bound by memory, so all of them are applied to a few channels while those are in the cache.
Only what cannot be recomputed is saved: x and the statistics.  These are the true derivatives; the formulas of the
forks are in norm.py and activation.py, as separate operations.
"""
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from runner.ops import memory, parallel
from runner.ops.activation import ACTIVATIONS, activate, activate_backward
from runner.ops.norm import along_channels

Array = np.ndarray
PART = 1 << 17      # values of an array that stay in the cache, together with a few more such arrays


class Statistics(NamedTuple):
    """What the backward pass needs: the input, and per channel (c,) its mean, variance and 1 / std."""
    mean: Array
    variance: Array
    inverse: Array
    x: Array


def batchnorm_activate(x: Array, scales: Array, biases: Array, epsilon: float, activation: str) -> tuple[Array, Any]:
    """x (n, c, ...) -> y = act(scales (x - mean) / sqrt(variance + epsilon) + biases), saved, which begins with the
    batch's mean and variance (c,).  x is saved and must not change; the variance is divided by N - 1.
    """
    y, count = memory.empty_like(x), x.size // x.shape[1]
    mean, variance, inverse = (np.empty_like(scales) for _ in range(3))

    def block(k: slice) -> None:
        parts, sums = _parts(x, k), np.empty((len(x), k.stop - k.start), x.dtype)
        for i in parts:
            sums[i] = _sums(x[i, k])
        mean[k] = sums.sum(axis=0) / count
        for i in parts:
            centred = x[i, k] - along_channels(mean[k], x)
            centred *= centred
            sums[i] = _sums(centred)
        variance[k] = sums.sum(axis=0) / max(count - 1, 1)
        inverse[k] = 1 / np.sqrt(variance[k] + x.dtype.type(epsilon))
        for i in parts:
            z = x[i, k] - along_channels(mean[k], x)
            z *= along_channels(scales[k] * inverse[k], x)
            z += along_channels(biases[k], x)
            y[i, k] = activate(z, activation, inplace=True)[0]
    parallel.for_blocks(block, x.shape[1], count)
    return y, Statistics(mean, variance, inverse, x)


def batchnorm_activate_backward(dy: Array, saved: Any, scales: Array, biases: Array,
                                activation: str) -> tuple[Array, Array, Array]:
    """-> dx, dscales (c,), dbiases (c,); scales and biases are those of the forward pass."""
    mean, _, inverse, x = saved
    dx, count = memory.empty_like(x), x.size // x.shape[1]
    dscales, dbiases = np.empty_like(scales), np.empty_like(scales)

    def block(k: slice) -> None:
        parts, sums = _parts(x, k), np.empty((2, len(x), k.stop - k.start), x.dtype)
        factor = scales[k] * inverse[k]
        for i in parts:
            centred = x[i, k] - along_channels(mean[k], x)
            z = centred * along_channels(factor, x)
            z += along_channels(biases[k], x)
            dz = dx[i, k] = activate_backward(dy[i, k], activate(z, activation, inplace=True)[1], activation)
            sums[0, i] = _sums(dz)
            centred *= dz
            sums[1, i] = _sums(centred)
        dbiases[k], by_centred = sums.sum(axis=1)
        dscales[k] = by_centred * inverse[k]
        for i in parts:     # the terms through the mean and the variance
            centred = x[i, k] - along_channels(mean[k], x)
            centred *= along_channels(inverse[k] * dscales[k] / max(count - 1, 1), x)
            centred += along_channels(dbiases[k] / count, x)
            dz = dx[i, k]
            dz -= centred
            dz *= along_channels(factor, x)
    parallel.for_blocks(block, x.shape[1], count)
    return dx, dscales, dbiases


def bias_activate(x: Array, biases: Array, activation: str) -> tuple[Array, Any]:
    """x (n, c, ...), overwritten -> y = act(x + biases), saved as activate saves it."""
    keeps_x = ACTIVATIONS[activation].saves_input
    y = memory.empty_like(x) if keeps_x else x

    def block(i: slice) -> None:
        part = x[i]
        part += along_channels(biases, x)
        if activation != "linear":
            y[i] = activate(part, activation, inplace=not keeps_x)[0]
    parallel.for_blocks(block, len(x), x[:1].size)
    return y, (x, y) if keeps_x else None if activation == "linear" else y


def bias_activate_backward(dy: Array, saved: Any, activation: str, rule: str = "exact") -> tuple[Array, Array]:
    """-> dx, dbiases (c,); rule as in activate_backward.  dx of a linear layer is dy itself."""
    dx = dy if activation == "linear" else memory.empty_like(dy)
    parts = np.empty(dy.shape[:2], dy.dtype)

    def block(i: slice) -> None:
        part = dy[i]
        if activation != "linear":
            kept = tuple(a[i] for a in saved) if isinstance(saved, tuple) else saved[i]
            part = dx[i] = activate_backward(part, kept, activation, rule)
        parts[i] = part.sum(axis=tuple(range(2, dy.ndim)))
    parallel.for_blocks(block, len(dy), dy[:1].size)
    return dx, parts.sum(axis=0)


def sum_activate(arrays: Sequence[Array], activation: str = "linear") -> tuple[Array, Any]:
    """Arrays of one shape (n, ...) -> y = act(their sum), saved as activate saves it; the arrays are not changed."""
    first, second, *more = (np.ascontiguousarray(array) for array in arrays)
    y = memory.empty_like(first)
    keeps_x = ACTIVATIONS[activation].saves_input
    sums = memory.empty_like(first) if keeps_x else y

    def block(i: slice) -> None:
        part = np.add(first[i], second[i], out=sums[i])
        for array in more:
            part += array[i]
        if activation != "linear":
            y[i] = activate(part, activation, inplace=not keeps_x)[0]
    parallel.for_blocks(block, len(y), y[:1].size)
    return y, (sums, y) if keeps_x else None if activation == "linear" else y


def _parts(x: Array, k: slice) -> list[slice]:
    """Runs of images whose channels k together stay in the cache."""
    each = max(1, PART // x[0, k].size)
    return [slice(first, min(first + each, len(x))) for first in range(0, len(x), each)]


def _sums(a: Array) -> Array:
    """(n, c, ...) -> (n, c)."""
    return a.sum(axis=tuple(range(2, a.ndim))) if a.ndim > 2 else a
