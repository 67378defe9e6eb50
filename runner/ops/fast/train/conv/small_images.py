"""Convolutions of small images in training: those of a group of images as one matrix product.

A row of a small image is shorter than a vector, and its sums are done before a thread has woken up.  So the images of a
group are interleaved, (c, h, w, images) with zeros around them: a row is as long as the group is large, a tap sees runs
of it, and all columns of the group are one matrix that stays in the cache.
"""
from collections.abc import Callable

import numpy as np

from runner.ops import memory, parallel
from runner.ops.fast import tuning
from runner.ops.fast.jit import compiled
from runner.ops.fast.simd.copy import copy_run
from runner.ops.fast.simd.math import f4
from runner.ops.fast.train.conv.shape import ConvShape

Array = np.ndarray


def suits(images: int, w_shape: tuple[int, ...], out: tuple[int, ...], groups: int) -> bool:
    """Is nothing else faster for weights (f, c, kh, kw) and an output (oh, ow)?"""
    f, c, kh, kw = w_shape
    return (groups == 1 and (kh, kw) != (1, 1) and images > 1
            and any(out[0] * out[1] <= pixels and c * f <= most for pixels, most in tuning.SMALL_IMAGES))


def forward(x: Array, shape: ConvShape, weights: Array, y: Array) -> None:
    """y (n, f, oh, ow) = conv2d(x (n, c, h, w)); weights (f, c, kh, kw)."""
    flat = weights.reshape(len(weights), -1)

    def group(i: slice) -> None:
        _split_images(np.matmul(flat, _columns(x[i], shape)), y[i])
    _for_each_group(group, len(x), flat.shape[1] * y.shape[2] * y.shape[3])


def backward(dy: Array, x: Array, shape: ConvShape, weights: Array, need_dx: bool) -> tuple[Array | None, Array]:
    """dy (n, f, oh, ow) -> dx (n, c, h, w) or None, dweights (f, c, kh, kw)."""
    f, (oh, ow) = len(weights), dy.shape[2:]
    flat, dx = weights.reshape(f, -1), memory.empty(x.shape) if need_dx else None
    sums: dict[int, Array] = {}

    def group(i: slice) -> None:
        rows = np.empty((f, oh * ow * (i.stop - i.start)), f4)
        _join_images(dy[i], rows)
        columns = _columns(x[i], shape)
        sums[i.start] = np.matmul(rows, columns.T)
        if dx is not None:
            _col2im(np.matmul(flat.T, rows, out=columns), shape, dx[i])
    _for_each_group(group, len(x), flat.shape[1] * oh * ow)
    total = sums[0]
    for start in sorted(sums)[1:]:
        total += sums[start]
    return dx, total.reshape(weights.shape)


def _for_each_group(function: Callable[[slice], None], count: int, values: int) -> None:
    """function(slice) for groups of images of `values` columns each; their number does not depend on the threads."""
    each = min(tuning.SMALL_GROUP_IMAGES, max(2, tuning.SMALL_GROUP_COLUMNS // values))
    each = -(-count // -(-count // each))
    starts = range(0, count, each)
    parallel.for_each(lambda k: function(slice(starts[k], min(starts[k] + each, count))), len(starts))


def _columns(x: Array, shape: ConvShape) -> Array:
    """x (n, c, h, w) -> (c t, oh ow n): im2col with the images innermost."""
    columns = np.empty((x.shape[1] * len(shape.taps), shape.out_h * shape.out_w * len(x)), f4)
    _im2col(x, shape, columns)
    return columns


@compiled
def _padded_size(h, w, shape):
    """-> rows and columns of an image with its zeros, and the row and column of its first pixel in there."""
    py, px = -shape.taps[0, 0], -shape.taps[0, 1]
    reach_y, reach_x = shape.taps[-1, 0] + py + 1, shape.taps[-1, 1] + px + 1
    return (max(h + py, (shape.out_h - 1) * shape.stride_y + reach_y),
            max(w + px, (shape.out_w - 1) * shape.stride_x + reach_x), py, px)


@compiled
def _im2col(x, shape, columns):
    """columns[(c, t), (y, x, n)] = x[n, c, stride (y, x) + taps[t]], 0 outside the image."""
    n, c, h, w = x.shape
    rows, pitch, py, px = _padded_size(h, w, shape)
    oh, ow, sy, sx = shape.out_h, shape.out_w, shape.stride_y, shape.stride_x
    plane, flat, source = np.zeros(rows * pitch * n, f4), columns.reshape(-1), x.reshape(-1)
    at = 0
    for k in range(c):
        for i in range(h):
            for j in range(w):
                to, start = ((i + py) * pitch + j + px) * n, (k * h + i) * w + j
                for image in range(n):
                    plane[to + image] = source[start + image * c * h * w]
        for t in range(len(shape.taps)):
            for r in range(oh):
                start = ((r * sy + shape.taps[t, 0] + py) * pitch + shape.taps[t, 1] + px) * n
                if sx == 1:
                    copy_run(plane, start, flat, at, ow * n)
                    at += ow * n
                else:
                    for q in range(ow):
                        copy_run(plane, start + q * sx * n, flat, at, n)
                        at += n


@compiled
def _col2im(columns, shape, dx):
    """The transpose of _im2col: dx[n, c, y, x] = the sum of the columns that were read from there."""
    n, c, h, w = dx.shape
    rows, pitch, py, px = _padded_size(h, w, shape)
    oh, ow, sy, sx = shape.out_h, shape.out_w, shape.stride_y, shape.stride_x
    plane, flat, out = np.empty(rows * pitch * n, f4), columns.reshape(-1), dx.reshape(-1)
    at = 0
    for k in range(c):
        plane[:] = 0
        for t in range(len(shape.taps)):
            for r in range(oh):
                start = ((r * sy + shape.taps[t, 0] + py) * pitch + shape.taps[t, 1] + px) * n
                for q in range(1 if sx == 1 else ow):
                    length = ow * n if sx == 1 else n
                    into, source = plane[start + q * sx * n:start + q * sx * n + length], flat[at:at + length]
                    for m in range(length):
                        into[m] += source[m]
                    at += length
        for i in range(h):
            for j in range(w):
                start, to = ((i + py) * pitch + j + px) * n, (k * h + i) * w + j
                for image in range(n):
                    out[to + image * c * h * w] = plane[start + image]


@compiled
def _split_images(rows, y):
    """rows (f, oh ow n) -> y (n, f, oh, ow)."""
    n, f, oh, ow = y.shape
    size, out = oh * ow, y.reshape(-1)
    for k in range(f):
        for image in range(n):
            to = (image * f + k) * size
            for p in range(size):
                out[to + p] = rows[k, p * n + image]


@compiled
def _join_images(dy, rows):
    """dy (n, f, oh, ow) -> rows (f, oh ow n), the reverse of _split_images."""
    n, f, oh, ow = dy.shape
    size, source = oh * ow, dy.reshape(-1)
    for k in range(f):
        for image in range(n):
            start = (image * f + k) * size
            for p in range(size):
                rows[k, p * n + image] = source[start + p]
