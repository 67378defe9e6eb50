"""What a plan does between its convolutions, compiled: written where the plan says, by all threads."""
import numpy as np

from runner.ops import parallel
from runner.ops import planned as reference
from runner.ops.fast.activation import RUN, coded
from runner.ops.fast.compiling import compiled
from runner.ops.fast.pool import maxpool_planes
from runner.ops.fast.resample import upsample_planes
from runner.ops.fast.scalar import CODES, SLOPE, activate_run, f4
from runner.ops.planned import Run
from runner.ops.pool import Pair


def plan_add(activation: str) -> Run:
    slow = reference.plan_add(activation)
    if activation not in CODES:
        return slow
    code, low, high = coded(activation)

    def run(*arrays: np.ndarray) -> np.ndarray:
        x, other, *more, out = arrays
        if x.dtype != f4 or more or not (x.flags.c_contiguous and other.flags.c_contiguous):
            return slow(*arrays)
        first, second, y, apart = x.reshape(-1), other.reshape(-1), out.reshape(-1), x.ctypes.data != out.ctypes.data

        def block(i: slice) -> None:
            if apart:
                _add(first[i], second[i], y[i], code, low, high)
            else:
                _add_onto(y[i], second[i], code, low, high)
        parallel.for_blocks(block, y.size, 1)
        return out
    return run


def plan_maxpool2d(size: int, stride: Pair, padding: int) -> Run:
    slow = reference.plan_maxpool2d(size, stride, padding)
    if size != 2 or stride != (2, 2) or padding > 1:
        return slow

    def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
        if x.dtype != f4:
            return slow(x, out)
        planes, outs = x.reshape(-1, *x.shape[2:]), out.reshape(-1, *out.shape[2:])
        none = np.empty((len(outs), out.shape[2], 0), np.uint8)
        parallel.for_blocks(lambda k: maxpool_planes(planes[k], outs[k], none[k], False, size, *stride, padding // 2),
                            len(planes), planes[0].size)
        return out
    return run


def plan_upsample(stride: int, scale: float) -> Run:
    slow = reference.plan_upsample(stride, scale)

    def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
        if x.dtype != f4:
            return slow(x, out)
        planes, outs = x.reshape(-1, *x.shape[2:]), out.reshape(-1, *out.shape[2:])
        parallel.for_blocks(lambda k: upsample_planes(planes[k], outs[k], stride, f4(scale)), len(planes), outs[0].size)
        return out
    return run


@compiled
def _add(a, b, y, code, low, high):
    if code == SLOPE:
        for j in range(y.size):
            z = a[j] + b[j]
            y[j] = z if z > 0 else z * low
        return
    buffer = np.empty(RUN, f4)
    for at in range(0, y.size, RUN):
        first, second, out = a[at:at + RUN], b[at:at + RUN], y[at:at + RUN]
        z = buffer[:out.size]
        for j in range(out.size):
            z[j] = first[j] + second[j]
        activate_run(code, low, high, z, out)


@compiled
def _add_onto(y, b, code, low, high):
    """y = act(y + b) under one name: two names for one array would keep the loop out of vector registers."""
    if code == SLOPE:
        for j in range(y.size):
            z = y[j] + b[j]
            y[j] = z if z > 0 else z * low
        return
    buffer = np.empty(RUN, f4)
    for at in range(0, y.size, RUN):
        out, second = y[at:at + RUN], b[at:at + RUN]
        z = buffer[:out.size]
        for j in range(out.size):
            z[j] = out[j] + second[j]
        activate_run(code, low, high, z, out)
