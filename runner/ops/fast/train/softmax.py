"""Softmax, compiled: a group of values in three passes over the cache."""
import numpy as np

from runner.ops import parallel
from runner.ops.fast.simd.math import f4, softmax_rows
from runner.ops.fast.train.arrays import is_supported
from runner.ops.softmax import softmax as reference


def softmax(x: np.ndarray, groups: int = 1, temperature: float = 1.0) -> np.ndarray:
    if not is_supported(x):
        return reference(x, groups, temperature)
    y = np.empty_like(x)
    blocks, out = x.reshape(len(x) * groups, -1), y.reshape(len(x) * groups, -1)
    parallel.for_blocks(lambda i: softmax_rows(blocks[i], out[i], f4(1 / temperature)), len(blocks), blocks.shape[1])
    return y
