"""Nearest-neighbour upsampling and its transpose, compiled, a plane (one channel of one image) at a time."""
import numpy as np

from runner.ops import memory, parallel
from runner.ops import resample as reference
from runner.ops.fast.jit import compiled
from runner.ops.fast.simd.math import f4
from runner.ops.fast.train.arrays import is_supported


def upsample(x: np.ndarray, stride: int, scale: float = 1.0) -> np.ndarray:
    if not is_supported(x):
        return reference.upsample(x, stride, scale)
    n, c, h, w = x.shape
    y = memory.empty((n, c, h * stride, w * stride))
    planes, out = x.reshape(-1, h, w), y.reshape(-1, h * stride, w * stride)
    parallel.for_blocks(lambda k: _upsample(planes[k], out[k], stride, f4(scale)), n * c,
                        out[:1].size)
    return y


def upsample_backward(dy: np.ndarray, stride: int, scale: float = 1.0) -> np.ndarray:
    return downsample(dy, stride, scale)


def downsample(x: np.ndarray, stride: int, scale: float = 1.0) -> np.ndarray:
    n, c, h, w = x.shape
    if not is_supported(x):
        return reference.downsample(x, stride, scale)
    y = memory.empty((n, c, h // stride, w // stride))
    planes, out = x.reshape(-1, h, w), y.reshape(n * c, *y.shape[2:])
    parallel.for_blocks(lambda k: _downsample(planes[k], out[k], stride, f4(scale)), n * c, h * w)
    return y


@compiled
def _upsample(x, y, stride, scale):
    """y[p, i, j] = scale x[p, i / stride, j / stride], rounded down; x (p, h, w)."""
    for p in range(x.shape[0]):
        for i in range(x.shape[1]):
            row, wide = x[p, i], y[p, i * stride]
            if stride == 2:
                for j in range(row.size):
                    wide[2 * j] = wide[2 * j + 1] = row[j] * scale
            else:
                for j in range(row.size):
                    for k in range(stride):
                        wide[j * stride + k] = row[j] * scale
            for k in range(1, stride):
                y[p, i * stride + k] = wide


@compiled
def _downsample(x, y, stride, scale):
    """y[p, i, j] = scale times the sum of x[p, stride i + k, stride j + m] over k and m below stride; y (p, h, w)."""
    for p in range(y.shape[0]):
        for i in range(y.shape[1]):
            out = y[p, i]
            if stride == 2:
                upper, lower = x[p, 2 * i], x[p, 2 * i + 1]
                for j in range(out.size):
                    out[j] = ((upper[2 * j] + upper[2 * j + 1]) + (lower[2 * j] + lower[2 * j + 1])) * scale
            else:
                for j in range(out.size):
                    total = f4(0)
                    for k in range(stride):
                        for m in range(stride):
                            total += x[p, i * stride + k, j * stride + m]
                    out[j] = total * scale
