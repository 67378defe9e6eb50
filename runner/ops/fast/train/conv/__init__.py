"""Convolution and its gradients, compiled, on NCHW arrays: which algorithm takes which shape.

| shape | forward | data gradient | weight gradient |
|---|---|---|---|
| small images in a batch, few channels (`small_images.suits`) | small_images | small_images | small_images |
| 3 x 3, stride 1, enough tiles and channels (`winograd.suits`) | winograd | winograd | winograd |
| one input channel a group (depthwise) | depthwise | depthwise | depthwise |
| 1 x 1, stride 1 | implicit_gemm | implicit_gemm, images as long rows | wgrad, images as long rows |
| any other, stride 1 | implicit_gemm | implicit_gemm, filters flipped | wgrad |
| any other, with a stride | implicit_gemm | dgrad_strided | wgrad |

The first row that matches is taken.  A result that must not depend on the batch never comes from `small_images`.
Arrays that are not float32 or not contiguous go to the reference (runner/ops/conv.py).
"""
import math

import numpy as np

from runner.ops import conv as reference
from runner.ops import memory, parallel
from runner.ops.conv import Pair, output_size
from runner.ops.fast.train.arrays import is_supported
from runner.ops.fast.train.conv import depthwise, dgrad_strided, implicit_gemm, small_images, wgrad, winograd
from runner.ops.fast.train.conv.shape import ConvShape, conv_shape, is_pointwise

Array = np.ndarray


def conv2d(x: Array, weights: Array, *, stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: int = 1,
           groups: int = 1, out_size: Pair | None = None, batch_independent: bool = False) -> Array:
    if not is_supported(x, weights):
        return reference.conv2d(x, weights, stride=stride, padding=padding, dilation=dilation, groups=groups,
                                out_size=out_size, batch_independent=batch_independent)
    f, size = len(weights), weights.shape[2:]
    out = out_size or output_size(x.shape, weights.shape, stride, padding, dilation)
    shape, y = conv_shape(size, out, stride, padding, dilation), memory.empty((len(x), f, *out), x.dtype)
    if not batch_independent and small_images.suits(len(x), weights.shape, out, groups):
        small_images.forward(x, shape, weights, y)
    elif winograd.suits(x.shape, weights.shape, out, stride, padding, dilation, groups, batch_independent):
        winograd.forward(x, weights, y, padding)
    elif groups > 1 == weights.shape[1]:
        depthwise.depthwise(x, shape, weights.reshape(f, -1), y)
    else:
        packed = [implicit_gemm.pack(part) for part in weights.reshape(groups, f // groups, -1)]
        if is_pointwise(size, stride, padding) and x.shape[2:] == y.shape[2:]:
            implicit_gemm.implicit_gemm(_long_rows(x), _long_shape(x), packed, _long_rows(y))
        else:
            implicit_gemm.implicit_gemm(x, shape, packed, y)
    return y


def conv2d_backward(dy: Array, x: Array, weights: Array, *, stride: Pair = (1, 1), padding: Pair = (0, 0),
                    dilation: int = 1, groups: int = 1, need_dx: bool = True) -> tuple[Array | None, Array]:
    if not is_supported(dy, x, weights):
        return reference.conv2d_backward(dy, x, weights, stride=stride, padding=padding, dilation=dilation,
                                         groups=groups, need_dx=need_dx)
    size, out = weights.shape[2:], (dy.shape[2], dy.shape[3])
    shape = conv_shape(size, out, stride, padding, dilation)
    if small_images.suits(len(x), weights.shape, out, groups):
        return small_images.backward(dy, x, shape, weights, need_dx)
    if winograd.suits(x.shape, weights.shape, out, stride, padding, dilation, groups):
        return winograd.backward(dy, x, weights, padding, need_dx)
    dx = data_gradient(dy, x.shape, weights, stride, padding, dilation, groups) if need_dx else None
    if groups == x.shape[1] > 1:
        return dx, depthwise.weight_gradient(dy, x, shape).reshape(weights.shape)
    if is_pointwise(size, stride, padding) and dy.shape[2:] == x.shape[2:]:
        dy, x, shape = _long_rows(dy), _long_rows(x), _long_shape(x)
    return dx, wgrad.weight_gradient(dy, x, shape, groups).reshape(weights.shape)


def data_gradient(dy: Array, x_shape: tuple[int, ...], weights: Array, stride: Pair, padding: Pair, dilation: int,
                  groups: int) -> Array:
    """dx of `x_shape` (n, c, h, w), by the last four rows of the table."""
    _, c, h, w = x_shape
    kh, kw = weights.shape[2:]
    dx = memory.empty(x_shape, dy.dtype)
    if groups == c > 1:
        depthwise.data_gradient(dy, weights, dx, stride, padding, dilation)
    elif is_pointwise((kh, kw), stride, padding) and dy.shape[2:] == (h, w):
        packed = _packed_transposed(weights, groups)
        implicit_gemm.implicit_gemm(_long_rows(dy), _long_shape(dy), packed, _long_rows(dx))
    elif stride != (1, 1):
        dgrad_strided.data_gradient(dy, dx, weights, stride, padding, dilation, groups)
    else:
        forward = conv_shape((kh, kw), (h, w), stride, padding, dilation)
        flipped = forward._replace(taps=-forward.taps)      # a pixel sees dy where the filter saw the pixel from
        implicit_gemm.implicit_gemm(dy, flipped, _packed_transposed(weights, groups), dx)
    return dx


def conv2d_transpose(x: Array, weights: Array, *, stride: Pair = (1, 1), padding: Pair = (0, 0)) -> Array:
    if not is_supported(x, weights):
        return reference.conv2d_transpose(x, weights, stride=stride, padding=padding)
    return data_gradient(x, reference.transposed_shape(x, weights, stride, padding), weights, stride, padding, 1, 1)


def conv2d_transpose_backward(dy: Array, x: Array, weights: Array, *, stride: Pair = (1, 1), padding: Pair = (0, 0),
                              need_dx: bool = True) -> tuple[Array | None, Array]:
    dx = conv2d(dy, weights, stride=stride, padding=padding, out_size=x.shape[2:]) if need_dx else None
    _, dweights = conv2d_backward(x, dy, weights, stride=stride, padding=padding, need_dx=False)
    return dx, dweights


def conv2d_workspace(n: int, w_shape: tuple[int, ...], out: Pair, stride: Pair, dilation: int, groups: int) -> int:
    return (parallel.WAVE + 2) * math.prod(w_shape)     # flipped weights, and parts of their gradient


def _packed_transposed(weights: Array, groups: int) -> list[Array]:
    """weights (f, c / groups, kh, kw) -> of each group the panels of (c / groups, f / groups t)."""
    flat = weights.reshape(*weights.shape[:2], -1)
    taps = np.arange(flat.shape[2])
    return [implicit_gemm.pack_transposed(flat, group, groups, taps) for group in range(groups)]


def _long_rows(x: Array) -> Array:
    """(n, c, h, w) -> (n, c, 1, h w), without a copy."""
    return x.reshape(*x.shape[:2], 1, -1)


def _long_shape(x: Array) -> ConvShape:
    """Of a 1 x 1 convolution on the long rows of x."""
    return conv_shape((1, 1), (1, x.shape[2] * x.shape[3]), (1, 1), (0, 0))
