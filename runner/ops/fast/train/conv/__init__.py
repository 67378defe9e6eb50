"""Convolution and its gradients, compiled: which algorithm takes which shape.

In training `conv_small` takes small images with few channels.  `winograd` takes 3 x 3 at stride 1 where images are
large enough, `conv_product` every other shape of float32 arrays.  What is not float32 or not contiguous goes to the
reference.
"""
import math

import numpy as np

from runner.ops import conv as reference
from runner.ops import memory, parallel
from runner.ops.conv import Pair, conv_out
from runner.ops.fast.train.conv import depthwise, dgrad_strided, implicit_gemm, small_images, wgrad, winograd

Array = np.ndarray


def conv2d(x: np.ndarray, weights: np.ndarray, *, stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: int = 1,
           groups: int = 1, out_size: Pair | None = None, alone: bool = False) -> np.ndarray:
    if not fits(x, weights):
        return reference.conv2d(x, weights, stride=stride, padding=padding, dilation=dilation, groups=groups,
                                out_size=out_size, alone=alone)
    n, _, h, w = x.shape
    f, _, kh, kw = weights.shape
    oh, ow = out_size or (conv_out(h, kh, stride[0], padding[0], dilation),
                          conv_out(w, kw, stride[1], padding[1], dilation))
    y = memory.empty((n, f, oh, ow), x.dtype)
    if not alone and small_images.fits(n, weights.shape, (oh, ow), groups):
        small_images.forward(x, weights, y, stride, padding, dilation)
        return y
    if winograd.fits(x.shape, weights.shape, (oh, ow), stride, padding, dilation, groups, alone):
        winograd.forward(x, weights, y, padding)
        return y
    forward(x, packed(weights, groups), y, (kh, kw), stride, padding, dilation)
    return y


def conv2d_backward(dy: np.ndarray, x: np.ndarray, weights: np.ndarray, *, stride: Pair = (1, 1),
                    padding: Pair = (0, 0), dilation: int = 1, groups: int = 1,
                    need_dx: bool = True) -> tuple[np.ndarray | None, np.ndarray]:
    if not fits(dy, x, weights):
        return reference.conv2d_backward(dy, x, weights, stride=stride, padding=padding, dilation=dilation,
                                         groups=groups, need_dx=need_dx)
    if small_images.fits(len(x), weights.shape, dy.shape[2:], groups):
        return small_images.backward(dy, x, weights, stride, padding, dilation, need_dx)
    if winograd.fits(x.shape, weights.shape, dy.shape[2:], stride, padding, dilation, groups):
        return winograd.backward(dy, x, weights, padding, need_dx)
    dx = data_gradient(dy, x.shape, weights, stride, padding, dilation, groups) if need_dx else None
    size = weights.shape[2:]
    if groups == x.shape[1] > 1:
        dweights = depthwise.weight_gradient(dy, x, taps(size, padding, dilation), stride)
        return dx, dweights.reshape(weights.shape)
    if is_plain(size, stride, padding) and dy.shape[2:] == x.shape[2:]:
        dy, x = flat(dy), flat(x)
    dweights = wgrad.weight_gradient(dy, x, taps(size, padding, dilation), stride, groups)
    return dx, dweights.reshape(weights.shape)


def conv2d_transpose(x: np.ndarray, weights: np.ndarray, *, stride: Pair = (1, 1),
                     padding: Pair = (0, 0)) -> np.ndarray:
    if not fits(x, weights):
        return reference.conv2d_transpose(x, weights, stride=stride, padding=padding)
    return data_gradient(x, reference.transposed_shape(x, weights, stride, padding), weights, stride, padding, 1, 1)


def conv2d_transpose_backward(dy: np.ndarray, x: np.ndarray, weights: np.ndarray, *, stride: Pair = (1, 1),
                              padding: Pair = (0, 0), need_dx: bool = True) -> tuple[np.ndarray | None, np.ndarray]:
    dx = conv2d(dy, weights, stride=stride, padding=padding, out_size=x.shape[2:]) if need_dx else None
    _, dweights = conv2d_backward(x, dy, weights, stride=stride, padding=padding, need_dx=False)
    return dx, dweights


def fits(*arrays: Array) -> bool:
    return all(a.dtype == np.float32 and a.flags.c_contiguous and a.size for a in arrays)


def packed(weights: Array, groups: int) -> list[Array]:
    """The weights as `forward` takes them: of each group, or as they are where a group is one channel."""
    if groups > 1 == weights.shape[1]:
        return [weights.reshape(len(weights), -1)]
    return [implicit_gemm.pack(part) for part in weights.reshape(groups, len(weights) // groups, -1)]


def forward(x: Array, packed: list[Array], y: Array, size: Pair, stride: Pair, padding: Pair, dilation: int) -> None:
    """y = conv(x) with weights as `packed` gives them."""
    if packed[0].ndim == 2:
        depthwise.depthwise(x, taps(size, padding, dilation), stride, packed[0], y)
        return
    if is_plain(size, stride, padding) and x.shape[2:] == y.shape[2:]:
        x, y = flat(x), flat(y)
    implicit_gemm.product(x, taps(size, padding, dilation), stride, y.shape[2:], packed, y)


def data_gradient(dy: Array, shape: tuple[int, ...], weights: Array, stride: Pair, padding: Pair, dilation: int,
                  groups: int) -> Array:
    """dx: a product of dy with the kernels turned round."""
    _, c, h, w = shape
    f, _, kh, kw = weights.shape
    dx = memory.empty(shape, dy.dtype)
    if groups == c > 1:
        depthwise.data_gradient(dy, weights, dx, stride, padding, dilation)
        return dx
    all_taps = weights.reshape(f, c // groups, kh * kw)
    if is_plain((kh, kw), stride, padding) and dy.shape[2:] == (h, w):
        packed = [implicit_gemm.pack_turned(all_taps, i, groups, np.zeros(1, int)) for i in range(groups)]
        implicit_gemm.product(flat(dy), taps((1, 1), padding, 1), stride, (1, h * w), packed, flat(dx))
        return dx
    if stride != (1, 1):
        dgrad_strided.data_gradient(dy, dx, weights, stride, padding, dilation, groups)
        return dx
    seen, order = -taps((kh, kw), padding, dilation), np.arange(kh * kw)
    packed = [implicit_gemm.pack_turned(all_taps, i, groups, order) for i in range(groups)]
    implicit_gemm.product(dy, seen, stride, (h, w), packed, dx)
    return dx


def taps(size: Pair, padding: Pair, dilation: int) -> Array:
    """Where each tap of a kernel looks, from the first point of a window on."""
    return np.array([(i * dilation - padding[0], j * dilation - padding[1])
                     for i in range(size[0]) for j in range(size[1])])


def is_plain(size: Pair, stride: Pair, padding: Pair) -> bool:
    """1 x 1 at stride 1: an image may be taken as one long row."""
    return tuple(size) == stride == (1, 1) and padding == (0, 0)


def flat(x: Array) -> Array:
    return x.reshape(*x.shape[:2], 1, -1)


def conv2d_workspace(n: int, w_shape: tuple[int, ...], out: Pair, stride: Pair, dilation: int, groups: int) -> int:
    return (parallel.WAVE + 2) * math.prod(w_shape)     # weights turned round, and parts of their gradient
