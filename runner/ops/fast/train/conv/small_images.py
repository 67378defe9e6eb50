"""Convolutions of small images in training: those of a group as one product.

A row of a small image is shorter than a vector, and its sums are done before a thread has woken up.  So images of a
group are laid beside one another, (c, h, w, images) with zeros around them: a row is as long as the group is large, a
window looks at runs of it, and all columns of the group are one matrix that stays in the cache.
"""
from collections.abc import Callable

import numpy as np

from runner.ops import memory, parallel
from runner.ops.fast.jit import compiled
from runner.ops.fast.simd.copy import copy_run
from runner.ops.fast.simd.math import f4

Array = np.ndarray
ROOM = 1 << 18      # values of columns of a group, about
IMAGES = 16         # of a group at most
# pixels of an image, and channels times filters, up to which nothing else is faster
SMALL = (5 * 5, 128 * 128), (16 * 16, 512)


def fits(images: int, w_shape: tuple[int, ...], out: tuple[int, ...], groups: int) -> bool:
    f, c, kh, kw = w_shape
    return (groups == 1 and (kh, kw) != (1, 1) and images > 1
            and any(out[0] * out[1] <= pixels and c * f <= most for pixels, most in SMALL))


def forward(x: Array, weights: Array, y: Array, stride: tuple[int, int], padding: tuple[int, int],
            dilation: int) -> None:
    """x (n, c, h, w), weights (f, c, kh, kw) -> y (n, f, oh, ow)."""
    flat = weights.reshape(len(weights), -1)

    def group(i: slice) -> None:
        _unfold(np.matmul(flat, _columns(x[i], weights.shape, y.shape[2:], stride, padding, dilation)), y[i])
    _each_group(group, len(x), flat.shape[1] * y.shape[2] * y.shape[3])


def backward(dy: Array, x: Array, weights: Array, stride: tuple[int, int], padding: tuple[int, int], dilation: int,
             need_dx: bool) -> tuple[Array | None, Array]:
    """dy (n, f, oh, ow) -> dx (n, c, h, w) or None, dweights (f, c, kh, kw)."""
    (f, _, kh, kw), (oh, ow) = weights.shape, dy.shape[2:]
    flat, dx = weights.reshape(f, -1), memory.empty(x.shape) if need_dx else None
    parts: dict[int, Array] = {}

    def group(i: slice) -> None:
        rows = np.empty((f, oh * ow * (i.stop - i.start)), f4)
        _fold(dy[i], rows)
        columns = _columns(x[i], weights.shape, (oh, ow), stride, padding, dilation)
        parts[i.start] = np.matmul(rows, columns.T)
        if dx is not None:
            _spread(np.matmul(flat.T, rows, out=columns), kh, kw, oh, ow, *stride, *padding, dilation, dx[i])
    _each_group(group, len(x), flat.shape[1] * oh * ow)
    total = parts[0]
    for start in sorted(parts)[1:]:
        total += parts[start]
    return dx, total.reshape(weights.shape)


def _each_group(function: Callable[[slice], None], count: int, values: int) -> None:
    """function(slice) for groups of images of `values` columns each; their number does not depend on the threads."""
    each = min(IMAGES, max(2, ROOM // values))
    each = -(-count // -(-count // each))
    starts = range(0, count, each)
    parallel.for_each(lambda k: function(slice(starts[k], min(starts[k] + each, count))), len(starts))


def _columns(x: Array, w_shape: tuple[int, ...], out: tuple[int, ...], stride: tuple[int, int],
             padding: tuple[int, int], dilation: int) -> Array:
    """-> (c kh kw, oh ow images): what every window sees."""
    _, c, kh, kw = w_shape
    columns = np.empty((c * kh * kw, out[0] * out[1] * len(x)), f4)
    _gather(x, kh, kw, *out, *stride, *padding, dilation, columns)
    return columns


@compiled
def _sizes(h, w, kh, kw, oh, ow, sy, sx, py, px, dilation):
    """Rows and columns of an image with its zeros."""
    return (max(h + py, (oh - 1) * sy + (kh - 1) * dilation + 1), max(w + px, (ow - 1) * sx + (kw - 1) * dilation + 1))


@compiled
def _gather(x, kh, kw, oh, ow, sy, sx, py, px, dilation, columns):
    n, c, h, w = x.shape
    tall, wide = _sizes(h, w, kh, kw, oh, ow, sy, sx, py, px, dilation)
    plane, flat, source = np.zeros((tall * wide + 1) * n + 64, f4), columns.reshape(-1), x.reshape(-1)
    at = 0
    for k in range(c):
        for i in range(h):
            for j in range(w):
                to, start = ((i + py) * wide + j + px) * n, (k * h + i) * w + j
                for image in range(n):
                    plane[to + image] = source[start + image * c * h * w]
        for i in range(kh):
            for j in range(kw):
                for r in range(oh):
                    start = ((r * sy + i * dilation) * wide + j * dilation) * n
                    if sx == 1:
                        copy_run(plane, start, flat, at, ow * n)
                        at += ow * n
                    else:
                        for q in range(ow):
                            copy_run(plane, start + q * sx * n, flat, at, n)
                            at += n


@compiled
def _spread(columns, kh, kw, oh, ow, sy, sx, py, px, dilation, dx):
    """The transpose of _gather: sums go back to where the values came from."""
    n, c, h, w = dx.shape
    tall, wide = _sizes(h, w, kh, kw, oh, ow, sy, sx, py, px, dilation)
    plane, flat, out = np.empty(tall * wide * n, f4), columns.reshape(-1), dx.reshape(-1)
    at = 0
    for k in range(c):
        plane[:] = 0
        for i in range(kh):
            for j in range(kw):
                for r in range(oh):
                    start = ((r * sy + i * dilation) * wide + j * dilation) * n
                    for q in range(1 if sx == 1 else ow):
                        length = ow * n if sx == 1 else n
                        into, source = plane[start + q * sx * n:start + q * sx * n + length], flat[at:at + length]
                        for m in range(length):
                            into[m] += source[m]
                        at += length
        for i in range(h):
            for j in range(w):
                start, to = ((i + py) * wide + j + px) * n, (k * h + i) * w + j
                for image in range(n):
                    out[to + image * c * h * w] = plane[start + image]


@compiled
def _unfold(rows, y):
    """rows (f, oh ow n) -> y (n, f, oh, ow)."""
    n, f, oh, ow = y.shape
    size, out = oh * ow, y.reshape(-1)
    for k in range(f):
        for image in range(n):
            to = (image * f + k) * size
            for p in range(size):
                out[to + p] = rows[k, p * n + image]


@compiled
def _fold(dy, rows):
    """dy (n, f, oh, ow) -> rows (f, oh ow n)."""
    n, f, oh, ow = dy.shape
    size, source = oh * ow, dy.reshape(-1)
    for k in range(f):
        for image in range(n):
            start = (image * f + k) * size
            for p in range(size):
                rows[k, p * n + image] = source[start + p]
