"""Activations both ways: one pass over the values, split over the pool."""
from typing import Any

import numpy as np

from runner.ops import activation as reference
from runner.ops import memory, parallel
from runner.ops.fast.jit import compiled
from runner.ops.fast.simd.math import CODES, SWISH, activate_run, f4, slope_run

Array = np.ndarray
RUN = 2048      # values at a time, 8 KB: they stay in the innermost cache


def activate(x: Array, name: str, inplace: bool = False) -> tuple[Array, Any]:
    if name == "linear" or name not in CODES or x.dtype != f4 or not x.flags.c_contiguous:
        return reference.activate(x, name, inplace)
    code, low, high = coded(name)
    y = x if inplace and code < SWISH else memory.empty_like(x)
    flat, out = x.reshape(-1), y.reshape(-1)
    if y is x:
        parallel.for_blocks(lambda i: _in_place(code, low, high, flat[i]), flat.size, 1)
    else:
        parallel.for_blocks(lambda i: activate_run(code, low, high, flat[i], out[i]), flat.size, 1)
    return y, y if code < SWISH else (x, y)


def activate_backward(dy: Array, saved: Any, name: str, rule: str = "exact") -> Array:
    if (name == "linear" or name not in CODES or dy.dtype != f4 or not dy.flags.c_contiguous
            or (name == "gelu" and rule == "darknet")):
        return reference.activate_backward(dy, saved, name, rule)
    code, low, high = coded(name)
    at = saved if code < SWISH else saved[0]
    dx = memory.empty_like(dy)
    at, flat, out = at.reshape(-1), dy.reshape(-1), dx.reshape(-1)
    parallel.for_blocks(lambda i: slope_run(code, low, high, at[i], flat[i], out[i]), flat.size, 1)
    return dx


def coded(name: str) -> tuple[int, np.float32, np.float32]:
    """An activation as kernels take it."""
    code, low, high = CODES[name]
    return code, f4(low), f4(high)


@compiled
def _in_place(code, low, high, x):
    """By way of a buffer: loops that read and write one array under two names do not run in vector registers."""
    buffer = np.empty(RUN, f4)
    for at in range(0, x.size, RUN):
        run = x[at:at + RUN]
        copy = buffer[:run.size]
        copy[:] = run
        activate_run(code, low, high, copy, run)
