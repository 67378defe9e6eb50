"""Convolution for inference: weights packed once, bias and activation while a block is in the cache."""
from collections.abc import Callable

import numpy as np

from runner.ops import memory
from runner.ops import planned as reference
from runner.ops.conv import Pair, conv_out
from runner.ops.fast import conv, conv_product, kernels
from runner.ops.fast.activation import coded
from runner.ops.fast.scalar import CODES

Run = Callable[..., np.ndarray]


def plan_conv2d(weights: np.ndarray, biases: np.ndarray | None, activation: str, in_shape: tuple[int, ...], *,
                stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: int = 1, groups: int = 1,
                out_size: Pair | None = None) -> Run:
    f, _, kh, kw = weights.shape
    if not conv.fits(weights) or activation not in CODES:
        return reference.plan_conv2d(weights, biases, activation, in_shape, stride=stride, padding=padding,
                                     dilation=dilation, groups=groups, out_size=out_size)
    oh, ow = out_size or (conv_out(in_shape[2], kh, stride[0], padding[0], dilation),
                          conv_out(in_shape[3], kw, stride[1], padding[1], dilation))
    if groups == 1:
        return kernels.Conv(weights, biases, activation, in_shape[1:], (oh, ow), stride, padding, dilation)
    if groups == f == in_shape[1]:
        return kernels.Depthwise(weights, biases, activation, in_shape[1:], (oh, ow), stride, padding, dilation)
    finish = conv_product.Finish(np.zeros(f, "float32") if biases is None else biases.copy(), *coded(activation))
    packed = conv.packed(weights.copy(), groups)

    def run(x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        if not conv.fits(x):
            x = np.ascontiguousarray(x, "float32")
        y = memory.empty((len(x), f, oh, ow), x.dtype) if out is None else out
        conv.forward(x, packed, y, (kh, kw), stride, padding, dilation, finish)
        return y
    return run
