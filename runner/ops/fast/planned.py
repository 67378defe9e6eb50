"""The plan operations that need kernels of both worlds: operators of inference, and training's kernels otherwise.

Everything else in infer/ and train/ does not know the other folder.
"""
import numpy as np

from runner.ops import planned as reference
from runner.ops.conv import Pair, output_size
from runner.ops.fast.infer.conv import Depthwise, Geometry, Grouped, convolution, merge_groups
from runner.ops.fast.infer.operators import DenseOp
from runner.ops.fast.simd.isa import LANES
from runner.ops.fast.simd.math import COMPILED_ACTIVATIONS, f4
from runner.ops.fast.train.conv import conv2d
from runner.ops.fast.train.dense import plan_dense_plain
from runner.ops.inference_op import MOST_TAPS, is_placeholder
from runner.ops.planned import Run


def plan_conv2d(weights: np.ndarray, biases: np.ndarray | None, activation: str, in_shape: tuple[int, ...], *,
                stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: int = 1, groups: int = 1,
                out_size: Pair | None = None) -> Run:
    """An operator wherever the channels of a group fill blocks, or all channels are groups of one."""
    f, _, kh, kw = weights.shape
    taps = kh * kw * weights.shape[1]
    if weights.dtype != f4 or not weights.size or activation not in COMPILED_ACTIVATIONS or taps > MOST_TAPS * LANES:
        return reference.plan_conv2d(weights, biases, activation, in_shape, stride=stride, padding=padding,
                                     dilation=dilation, groups=groups, out_size=out_size)
    out = out_size or output_size(in_shape, weights.shape, stride, padding, dilation)
    geometry = Geometry(in_shape[1:], (kh, kw), out, stride, padding, dilation)
    if groups == 1:
        return convolution(weights, biases, activation, geometry)
    if groups == f == in_shape[1]:
        return Depthwise(weights, biases, activation, geometry)
    parts = merge_groups(weights, groups)
    if parts is not None:
        each = f // len(parts)
        return Grouped([convolution(part, None if biases is None else biases[k * each:(k + 1) * each], activation,
                                    Geometry((part.shape[1], *in_shape[2:]), (kh, kw), out, stride, padding, dilation))
                        for k, part in enumerate(parts)])
    weights = weights if is_placeholder(weights) else weights.copy()

    def run(x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        y = conv2d(x, weights, stride=stride, padding=padding, dilation=dilation, groups=groups,
                   out_size=geometry.out, batch_independent=True)
        return reference.finish(y, biases, activation, out)
    return run


def plan_dense(weights: np.ndarray, biases: np.ndarray | None, activation: str) -> Run:
    """An operator for float32; on plain arrays it is training's product, one row like any other."""
    plain = plan_dense_plain(weights, biases, activation)
    known = weights.dtype == f4 and activation in COMPILED_ACTIVATIONS
    return DenseOp(weights, biases, activation, plain) if known else plain
