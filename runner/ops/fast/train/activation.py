"""Activations, forward and backward: one pass over the values, shared among the threads."""
from typing import Any

import numpy as np

from runner.ops import activation as reference
from runner.ops import memory, parallel
from runner.ops.fast import tuning
from runner.ops.fast.jit import compiled
from runner.ops.fast.simd.math import COMPILED_ACTIVATIONS, activate_run, f4, slope_run
from runner.ops.fast.train.arrays import is_supported

Array = np.ndarray
RUN = tuning.RUN


def activate(x: Array, name: str, inplace: bool = False) -> tuple[Array, Any]:
    act = COMPILED_ACTIVATIONS.get(name)
    if name == "linear" or act is None or not is_supported(x):
        return reference.activate(x, name, inplace)
    code, alpha, beta, from_input = act
    y = x if inplace and not from_input else memory.empty_like(x)
    flat, out = x.reshape(-1), y.reshape(-1)
    if y is x:
        parallel.for_blocks(lambda i: _in_place(code, alpha, beta, flat[i]), flat.size, 1)
    else:
        parallel.for_blocks(lambda i: activate_run(code, alpha, beta, flat[i], out[i]), flat.size, 1)
    return y, (x, y) if from_input else y


def activate_backward(dy: Array, saved: Any, name: str, rule: str = "exact") -> Array:
    act = COMPILED_ACTIVATIONS.get(name)
    if (name == "linear" or act is None or not is_supported(dy)
            or (rule == "darknet" and reference.ACTIVATIONS[name].has_fork_rule)):
        return reference.activate_backward(dy, saved, name, rule)
    code, alpha, beta, from_input = act
    at = saved[0] if from_input else saved
    dx = memory.empty_like(dy)
    at, flat, out = at.reshape(-1), dy.reshape(-1), dx.reshape(-1)
    parallel.for_blocks(lambda i: slope_run(code, alpha, beta, at[i], flat[i], out[i]), flat.size, 1)
    return dx


@compiled
def _in_place(code, alpha, beta, x):
    """x = f(x), x (k,), through a buffer: loops that read and write one array under two names are not vectorised."""
    buffer = np.empty(RUN, f4)
    for at in range(0, x.size, RUN):
        run = x[at:at + RUN]
        copy = buffer[:run.size]
        copy[:] = run
        activate_run(code, alpha, beta, copy, run)
