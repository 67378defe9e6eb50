"""Batch norm, a bias or a sum fused with the activation that follows, forward and backward, a channel at a time.

A channel of all images is small enough to stay in the cache from its first pass (the mean) to its last (the results),
so memory is read once and written once.  A channel belongs to one thread, so its sums have one order: runs of RUN
values in float32, in vector registers, and the runs in float64.

`act` is a CompiledActivation (simd/math.py).
"""
from collections.abc import Sequence
from typing import Any

import numpy as np

from runner.ops import fused as reference
from runner.ops import memory, parallel
from runner.ops.activation import ACTIVATIONS
from runner.ops.fast import tuning
from runner.ops.fast.jit import compiled
from runner.ops.fast.simd.math import COMPILED_ACTIVATIONS, RECTIFIER, activate_run, f4, slope_run
from runner.ops.fast.train.arrays import is_supported
from runner.ops.fused import Statistics

Array = np.ndarray
RUN = tuning.RUN


def batchnorm_activate(x: Array, scales: Array, biases: Array, epsilon: float, activation: str) -> tuple[Array, Any]:
    if not _is_fusible(x, activation):
        return reference.batchnorm_activate(x, scales, biases, epsilon, activation)
    y, (mean, variance, inverse) = memory.empty_like(x), np.empty((3, len(scales)), f4)
    flat, out = _flat(x), _flat(y)
    act = COMPILED_ACTIVATIONS[activation]
    parallel.for_blocks(lambda k: _batchnorm(flat, out, scales, biases, f4(epsilon), act, mean, variance, inverse,
                                             k.start, k.stop), x.shape[1], x.size // x.shape[1])
    return y, Statistics(mean, variance, inverse, x)


def batchnorm_activate_backward(dy: Array, saved: Any, scales: Array, biases: Array,
                                activation: str) -> tuple[Array, Array, Array]:
    mean, _, inverse, x = saved
    if not (_is_fusible(dy, activation) and x.flags.c_contiguous):
        return reference.batchnorm_activate_backward(dy, saved, scales, biases, activation)
    dx, (dscales, dbiases) = memory.empty_like(x), np.empty((2, len(scales)), f4)
    flat, grad, out = _flat(x), _flat(dy), _flat(dx)
    act = COMPILED_ACTIVATIONS[activation]
    parallel.for_blocks(lambda k: _batchnorm_backward(flat, grad, out, mean, inverse, scales, biases, act, dscales,
                                                      dbiases, k.start, k.stop), x.shape[1], x.size // x.shape[1])
    return dx, dscales, dbiases


def bias_activate(x: Array, biases: Array, activation: str) -> tuple[Array, Any]:
    if not _is_fusible(x, activation):
        return reference.bias_activate(x, biases, activation)
    act = COMPILED_ACTIVATIONS[activation]
    y = memory.empty_like(x) if act.from_input else x
    if x.ndim == 2:
        parallel.for_blocks(lambda i: _bias_rows(x[i], y[i], biases, act), len(x), x.shape[1])
        return y, None if activation == "linear" else (x, y) if act.from_input else y
    flat, out = _flat(x), _flat(y)
    parallel.for_blocks(lambda i: _bias(flat[i], out[i], biases, act), len(x), x[:1].size)
    return y, None if activation == "linear" else (x, y) if act.from_input else y


def bias_activate_backward(dy: Array, saved: Any, activation: str, rule: str = "exact") -> tuple[Array, Array]:
    if not _is_fusible(dy, activation) or (rule == "darknet" and ACTIVATIONS[activation].has_fork_rule):
        return reference.bias_activate_backward(dy, saved, activation, rule)
    act, linear = COMPILED_ACTIVATIONS[activation], activation == "linear"
    dx, dbiases = dy if linear else memory.empty_like(dy), np.empty(dy.shape[1], f4)
    at = dy if linear else saved[0] if isinstance(saved, tuple) else saved
    if dy.ndim == 2:
        parallel.for_blocks(lambda k: _bias_rows_backward(at, dy, dx, linear, act, dbiases, k.start, k.stop),
                            dy.shape[1], len(dy))
        return dx, dbiases
    flat, grad, out = _flat(at), _flat(dy), _flat(dx)
    parallel.for_blocks(lambda k: _bias_backward(flat, grad, out, linear, act, dbiases, k.start, k.stop),
                        dy.shape[1], dy.size // dy.shape[1])
    return dx, dbiases


def sum_activate(arrays: Sequence[Array], activation: str = "linear") -> tuple[Array, Any]:
    if len(arrays) != 2 or not all(_is_fusible(a, activation) for a in arrays):
        return reference.sum_activate(arrays, activation)
    act = COMPILED_ACTIVATIONS[activation]
    y = memory.empty_like(arrays[0])
    sums = memory.empty_like(y) if act.from_input else y
    a, b, total, out = (array.reshape(-1) for array in (*arrays, sums, y))
    parallel.for_blocks(lambda i: _sum(a[i], b[i], total[i], out[i], act), y.size, 1)
    return y, None if activation == "linear" else (sums, y) if act.from_input else y


def _is_fusible(x: Array, activation: str) -> bool:
    return activation in COMPILED_ACTIVATIONS and is_supported(x)


def _flat(x: Array) -> Array:
    """(n, c, ...) -> (n, c, size), without a copy."""
    return x.reshape(*x.shape[:2], -1)


@compiled       # eleven arguments: three arrays of parameters, three of statistics
def _batchnorm(x, y, scales, biases, epsilon, act, mean, variance, inverse, start, stop):
    """y = act((x - mean) scales inverse + biases) of the channels start ... stop, and their statistics.

    x, y (n, c, size); the others (c,).  variance: divided by N - 1; inverse = 1 / sqrt(variance + epsilon).
    """
    n, _, size = x.shape
    count = n * size
    buffer = np.empty(RUN, f4)
    for k in range(start, stop):
        total = 0.
        for i in range(n):
            for at in range(0, size, RUN):
                part, run = f4(0), x[i, k, at:at + RUN]
                for j in range(run.size):
                    part += run[j]
                total += part
        middle = f4(total / count)
        total = 0.
        for i in range(n):
            for at in range(0, size, RUN):
                part, run = f4(0), x[i, k, at:at + RUN]
                for j in range(run.size):
                    part += (run[j] - middle) * (run[j] - middle)
                total += part
        square = f4(total / max(count - 1, 1))
        mean[k], variance[k], inverse[k] = middle, square, f4(1) / np.sqrt(square + epsilon)
        factor, shift = scales[k] * inverse[k], biases[k]
        for i in range(n):
            for at in range(0, size, RUN):
                run, out = x[i, k, at:at + RUN], y[i, k, at:at + RUN]
                if act.code == RECTIFIER:
                    for j in range(run.size):
                        z = (run[j] - middle) * factor + shift
                        out[j] = z if z > 0 else z * act.alpha
                else:
                    z = buffer[:run.size]
                    for j in range(run.size):
                        z[j] = (run[j] - middle) * factor + shift
                    activate_run(act.code, act.alpha, act.beta, z, out)


@compiled       # twelve arguments: three arrays, six of parameters and their gradients
def _batchnorm_backward(x, dy, dx, mean, inverse, scales, biases, act, dscales, dbiases, start, stop):
    """dx, dscales and dbiases of the channels start ... stop; shapes as in _batchnorm.

    With dz = dy act'(z):  dbiases = sum dz,  dscales = inverse sum dz (x - mean),  and
    dx = scales inverse (dz - mean(dz) - (x - mean) inverse dscales / (N - 1)).  dz waits in dx, in the cache.
    """
    n, _, size = x.shape
    count = n * size
    buffer, second = np.empty(RUN, f4), np.empty(RUN, f4)
    for k in range(start, stop):
        middle, factor, shift = mean[k], scales[k] * inverse[k], biases[k]
        total, total_centred = 0., 0.
        for i in range(n):
            for at in range(0, size, RUN):
                run, grad, out = x[i, k, at:at + RUN], dy[i, k, at:at + RUN], dx[i, k, at:at + RUN]
                part, part_centred = f4(0), f4(0)
                if act.code == RECTIFIER:
                    for j in range(run.size):
                        centred = run[j] - middle
                        dz = grad[j] if centred * factor + shift > 0 else grad[j] * act.alpha
                        out[j] = dz
                        part += dz
                        part_centred += dz * centred
                else:
                    z, y = buffer[:run.size], second[:run.size]
                    for j in range(run.size):
                        z[j] = (run[j] - middle) * factor + shift
                    if act.from_input:
                        slope_run(act.code, act.alpha, act.beta, z, grad, out)
                    else:
                        activate_run(act.code, act.alpha, act.beta, z, y)
                        slope_run(act.code, act.alpha, act.beta, y, grad, out)
                    for j in range(run.size):
                        part += out[j]
                        part_centred += out[j] * (run[j] - middle)
                total += part
                total_centred += part_centred
        dbiases[k], dscales[k] = f4(total), f4(total_centred) * inverse[k]
        by_mean = f4(total / count)
        by_deviation = inverse[k] * dscales[k] / f4(max(count - 1, 1))
        for i in range(n):
            run, out = x[i, k], dx[i, k]
            for j in range(size):
                out[j] = (out[j] - by_mean - (run[j] - middle) * by_deviation) * factor


@compiled
def _bias(x, y, biases, act):
    """y = act(x + biases), and x += biases where the backward pass needs it; x, y (n, c, size), y may be x."""
    n, c, size = x.shape
    buffer = np.empty(RUN, f4)
    for i in range(n):
        for k in range(c):
            shift = biases[k]
            for at in range(0, size, RUN):
                run = x[i, k, at:at + RUN]
                if act.code == RECTIFIER:       # x is y: one array, or it would not run in vector registers
                    for j in range(run.size):
                        z = run[j] + shift
                        run[j] = z if z > 0 else z * act.alpha
                else:
                    z = buffer[:run.size]
                    for j in range(run.size):
                        z[j] = run[j] + shift
                    if act.from_input:
                        run[:] = z
                    activate_run(act.code, act.alpha, act.beta, z, y[i, k, at:at + RUN])


@compiled
def _bias_rows(x, y, biases, act):
    """y = act(x + biases) of x, y (n, c): a run goes over the channels, each with a bias of its own."""
    buffer = np.empty(RUN, f4)
    for i in range(len(x)):
        for at in range(0, biases.size, RUN):
            run, shift = x[i, at:at + RUN], biases[at:at + RUN]
            if act.code == RECTIFIER:
                for j in range(run.size):
                    z = run[j] + shift[j]
                    run[j] = z if z > 0 else z * act.alpha
            else:
                z = buffer[:run.size]
                for j in range(run.size):
                    z[j] = run[j] + shift[j]
                if act.from_input:
                    run[:] = z
                activate_run(act.code, act.alpha, act.beta, z, y[i, at:at + RUN])


@compiled
def _sum(a, b, total, y, act):
    """y = act(a + b), and total = a + b where the backward pass needs it; all (k,)."""
    buffer = np.empty(RUN, f4)
    for at in range(0, a.size, RUN):
        first, second, out = a[at:at + RUN], b[at:at + RUN], y[at:at + RUN]
        if act.code == RECTIFIER:
            for j in range(out.size):
                z = first[j] + second[j]
                out[j] = z if z > 0 else z * act.alpha
        else:
            z = buffer[:out.size]
            for j in range(out.size):
                z[j] = first[j] + second[j]
            if act.from_input:
                total[at:at + RUN] = z
            activate_run(act.code, act.alpha, act.beta, z, out)


@compiled
def _bias_backward(at, dy, dx, linear, act, dbiases, start, stop):
    """dx = dy act'(at) and dbiases = its sums, of the channels start ... stop; at, dy, dx (n, c, size), dbiases (c,).

    linear: dx is dy.
    """
    n, _, size = dy.shape
    for k in range(start, stop):
        total = 0.
        for i in range(n):
            for first in range(0, size, RUN):
                grad, out = dy[i, k, first:first + RUN], dx[i, k, first:first + RUN]
                if not linear:
                    slope_run(act.code, act.alpha, act.beta, at[i, k, first:first + RUN], grad, out)
                part = f4(0)
                for j in range(out.size):
                    part += out[j]
                total += part
        dbiases[k] = f4(total)


@compiled
def _bias_rows_backward(at, dy, dx, linear, act, dbiases, start, stop):
    """The same of at, dy, dx (n, c)."""
    totals = np.zeros(stop - start)
    for i in range(len(dy)):
        out = dx[i, start:stop]
        if not linear:
            slope_run(act.code, act.alpha, act.beta, at[i, start:stop], dy[i, start:stop], out)
        for j in range(out.size):
            totals[j] += out[j]
    for j in range(totals.size):
        dbiases[start + j] = f4(totals[j])
