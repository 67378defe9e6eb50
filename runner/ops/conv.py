"""Convolution and its two gradients, by matrix products over im2col columns.

x (n, c, h, w), weights (f, c / groups, kh, kw), y (n, f, oh, ow).  stride and padding are (down, across); padding
is what is added on each side, and everything further out counts as zero too, so that `out_size` may ask for more.

How it is fast in plain NumPy: the work is cut into pieces for the pool; an image is padded once; the columns of a
piece (im2col) are copied by rows and stay in the cache until they are multiplied; small images share a product.  The
data gradient is a convolution again.  3 x 3 on larger maps: winograd.py.
"""
import itertools
import math
from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import as_strided

from runner.ops import memory, parallel, winograd
from runner.ops.windows import count_windows
from runner.ops.winograd_matrices import POINTS

COLUMN_BLOCK = 1 << 18  # values in one block of columns, about a megabyte of float32
MIN_COLUMNS = 256       # columns of a product, where there are as many: with fewer, BLAS is busy copying the weights
WGRAD_PIXELS = 512      # pixels that one product of the weight gradient sums over
WGRAD_PIECES = 4        # pieces that the weight gradient is cut into
SPLIT_WORK = 1 << 23    # multiplications that are worth a second piece
Pair = tuple[int, int]


def output_length(length: int, size: int, stride: int, padding: int, dilation: int = 1) -> int:
    """Windows along one axis of `length` pixels."""
    return count_windows(length + 2 * padding, dilation * (size - 1) + 1, stride)


def output_size(x_shape: tuple[int, ...], w_shape: tuple[int, ...], stride: Pair, padding: Pair,
                dilation: int = 1) -> Pair:
    """(oh, ow) of x (..., h, w) under filters (..., kh, kw)."""
    oh, ow = (output_length(*axis, dilation) for axis in zip(x_shape[-2:], w_shape[-2:], stride, padding, strict=True))
    return oh, ow


def conv2d(x: np.ndarray, weights: np.ndarray, *, stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: int = 1,
           groups: int = 1, out_size: Pair | None = None, batch_independent: bool = False) -> np.ndarray:
    """-> y (n, f, oh, ow) = sum over c, i, j of weights[f, c, i, j] x[c, y sy + i d - py, x sx + j d - px].

    batch_independent: the result of an image is bit-identical in any batch; else the images of a batch may share
    products.
    """
    n, c, *_ = x.shape
    f, _, kh, kw = weights.shape
    oh, ow = out_size or output_size(x.shape, weights.shape, stride, padding, dilation)
    y = memory.empty((n, f, oh, ow), x.dtype)
    if groups == c and weights.shape[1] == 1:
        _depthwise(x, weights, y, stride, padding, dilation)
    elif winograd.suits(1 if batch_independent else n, weights.shape, (oh, ow), stride, dilation, groups):
        winograd.conv(x, weights, y, padding, batch_independent)
    else:
        _products(x, weights.reshape(groups, f // groups, -1), y, (kh, kw), stride, padding, dilation,
                  batch_independent)
    return y


def _products(x: np.ndarray, filters: np.ndarray, y: np.ndarray, size: Pair, stride: Pair, padding: Pair,
              dilation: int, batch_independent: bool) -> None:
    """Fill y; filters (groups, f / groups, c / groups kh kw)."""
    n, _, oh, ow = y.shape
    groups, count, taps = filters.shape
    pieces = list(_pieces(n, oh, ow, groups * taps, count, batch_independent))

    def piece(which: slice) -> None:
        for images, rows, some in pieces[which]:
            columns = _columns(x[images], rows, ow, size, stride, padding, dilation).reshape(groups, taps, -1)
            out = y[images].reshape(-1, groups, count, oh * ow)[:, :, some, rows.start * ow:rows.stop * ow]
            if len(out) == 1:
                np.matmul(filters[:, some], columns, out=out[0])
            else:
                product = np.matmul(filters[:, some], columns).reshape(groups, -1, len(out), out.shape[-1])
                out[...] = product.transpose(2, 0, 1, 3)
    parallel.for_blocks(piece, len(pieces), n * groups * taps * oh * ow // len(pieces))


def _pieces(n: int, oh: int, ow: int, taps: int, filters: int,
            batch_independent: bool) -> Iterator[tuple[slice, slice, slice]]:
    """The images, rows and filters of each piece; they follow from the shapes, never from the threads.

    The columns of a piece stay in the cache.  Small images share one, unless `batch_independent`.  A single piece is
    cut in two by its filters, though both copy the same columns: more parts would lose more than they share.
    """
    rows = min(oh, max(COLUMN_BLOCK // (taps * ow), -(-MIN_COLUMNS // ow), 1))
    rows = -(-oh // -(-oh // rows))
    together = max(1, MIN_COLUMNS // (oh * ow)) if rows == oh and not batch_independent else 1
    count = -(-n // together) * -(-oh // rows)
    parts = 2 if count == 1 and n * oh * ow * taps * filters > SPLIT_WORK and filters > 1 else 1
    some = -(-filters // parts)
    for image, top, first in itertools.product(range(0, n, together), range(0, oh, rows), range(0, filters, some)):
        yield (slice(image, min(image + together, n)), slice(top, min(top + rows, oh)),
               slice(first, min(first + some, filters)))


def conv2d_backward(dy: np.ndarray, x: np.ndarray, weights: np.ndarray, *, stride: Pair = (1, 1),
                    padding: Pair = (0, 0), dilation: int = 1, groups: int = 1,
                    need_dx: bool = True) -> tuple[np.ndarray | None, np.ndarray]:
    """dy (n, f, oh, ow) -> dx (n, c, h, w) or None, dweights."""
    if groups == x.shape[1] and weights.shape[1] == 1:
        return _depthwise_backward(dy, x, weights, memory.empty_like(x) if need_dx else None, stride, padding, dilation)
    dx = _data_gradient(dy, weights, x.shape, stride, padding, dilation, groups, False) if need_dx else None
    if winograd.suits(len(x), weights.shape, (dy.shape[2], dy.shape[3]), stride, dilation, groups):
        return dx, winograd.weight_gradient(dy, x, padding)
    return dx, _weight_gradient(dy, x, weights.shape, stride, padding, dilation, groups)


def _data_gradient(dy: np.ndarray, weights: np.ndarray, x_shape: tuple[int, ...], stride: Pair, padding: Pair,
                   dilation: int, groups: int, batch_independent: bool) -> np.ndarray:
    """dx: a convolution of dy with the filters flipped, channels and filters exchanged.

    At a stride of s, every s-th row of x has met every s-th row of the filter: each of those phases is a convolution
    of its own, and columns likewise.
    """
    f, per, kh, kw = weights.shape
    images = 1 if batch_independent else len(dy)
    if winograd.suits(images, weights.shape, (x_shape[2], x_shape[3]), stride, dilation, groups):
        dx = memory.empty(x_shape, dy.dtype)
        winograd.conv(dy, weights, dx, (2 - padding[0], 2 - padding[1]), batch_independent, flipped=True)
        return dx
    flipped = memory.empty((groups, per, f // groups, kh, kw), weights.dtype)

    def flip(i: slice) -> None:
        flipped[:, i] = weights.reshape(groups, f // groups, per, kh, kw).swapaxes(1, 2)[:, i, ..., ::-1, ::-1]
    parallel.for_blocks(flip, per, f * kh * kw)
    flipped = flipped.reshape(groups * per, f // groups, kh, kw)
    if dilation > 1 and stride != (1, 1):       # rare: dy with zeros between its rows and columns, at stride 1
        apart = memory.zeros((*dy.shape[:2], *((o - 1) * s + 1 for o, s in zip(dy.shape[2:], stride, strict=True))),
                             dy.dtype)
        apart[..., ::stride[0], ::stride[1]] = dy
        dy, stride = apart, (1, 1)
    if stride == (1, 1):
        return _shifted(dy, flipped, (dilation * (kh - 1) - padding[0], dilation * (kw - 1) - padding[1]),
                        x_shape[2:], dilation, groups, batch_independent)
    # a stride larger than the filter passes over rows or columns of x
    dx = (memory.zeros if stride[0] > kh or stride[1] > kw else memory.empty)(x_shape, dy.dtype)
    rows, columns = (_phases(*axis) for axis in zip((kh, kw), stride, padding, strict=True))
    for (first, tap, up), (left, other, back) in itertools.product(rows, columns):
        part = dx[:, :, first::stride[0], left::stride[1]]
        filters = flipped[:, :, tap::stride[0], other::stride[1]]
        if part.size:
            part[...] = _shifted(dy, filters, (up, back), part.shape[2:], 1, groups, batch_independent)
    return dx


def _phases(size: int, stride: int, padding: int) -> Iterator[tuple[int, int, int]]:
    """Along one axis, for each phase of x that meets the filter: its first row, the first tap of the flipped filter it
    has met, and the padding of dy that aligns them."""
    for tap in range(min(size, stride)):            # of the filter as it is: first + padding = y stride + tap
        first = (tap - padding) % stride
        count = len(range(tap, size, stride))
        yield first, (size - 1 - tap) % stride, count - 1 - (first + padding) // stride


def _shifted(dy: np.ndarray, filters: np.ndarray, padding: Pair, out: tuple[int, ...], dilation: int, groups: int,
             batch_independent: bool) -> np.ndarray:
    """conv2d where padding may be negative: that many rows or columns of dy are not read."""
    dy = dy[:, :, max(-padding[0], 0):, max(-padding[1], 0):]
    if not dy.size:
        return memory.zeros((len(dy), len(filters), *out), dy.dtype)
    return conv2d(dy, np.ascontiguousarray(filters), padding=(max(padding[0], 0), max(padding[1], 0)),
                  dilation=dilation, groups=groups, out_size=(out[0], out[1]), batch_independent=batch_independent)


def _weight_gradient(dy: np.ndarray, x: np.ndarray, shape: tuple[int, ...], stride: Pair, padding: Pair, dilation: int,
                     groups: int) -> np.ndarray:
    """dweights: the sum over all pixels of dy times the pixel's column.

    Cut by channels, so that no part has to be added to another, and by images only where the channels are few.
    """
    f, per, kh, kw = shape
    n, _, oh, ow = dy.shape
    filters = f // groups
    channels = min(per, max(1, COLUMN_BLOCK // (kh * kw * WGRAD_PIXELS)))
    pixels = max(1, min(COLUMN_BLOCK // (channels * kh * kw), n * oh * ow))
    together, rows = max(1, pixels // (oh * ow)), min(oh, max(1, pixels // ow))
    blocks = list(itertools.product(range(groups), range(0, per, channels)))
    cuts = max(1, min(-(-WGRAD_PIECES // len(blocks)), -(-n // together)))
    share = -(-n // cuts)
    parts = np.empty((-(-n // share), groups, filters, per, kh * kw), x.dtype)

    def piece(number: int) -> None:
        part, (group, first) = number // len(blocks), blocks[number % len(blocks)]
        ours, end = slice(group * filters, (group + 1) * filters), min(first + channels, per)
        seen = x[:, group * per + first:group * per + end]
        total = parts[part, group, :, first:end]
        total[...] = 0
        last = min((part + 1) * share, n)
        for image, top in itertools.product(range(part * share, last, together), range(0, oh, rows)):
            images, some = slice(image, min(image + together, last)), slice(top, min(top + rows, oh))
            columns = _columns(seen[images], some, ow, (kh, kw), stride, padding, dilation)
            grad = dy[images, ours, some].swapaxes(0, 1).reshape(filters, -1)
            total += np.matmul(grad, columns.reshape((end - first) * kh * kw, -1).T).reshape(total.shape)
    parallel.for_each(piece, len(parts) * len(blocks))
    total = parts[0]
    for part in parts[1:]:
        total += part
    return total.reshape(shape)


def conv2d_transpose(x: np.ndarray, weights: np.ndarray, *, stride: Pair = (1, 1),
                     padding: Pair = (0, 0)) -> np.ndarray:
    """Deconvolution: x (n, c, h, w), weights (c, f, kh, kw) -> y (n, f, oh, ow), oh = (h - 1) sy + kh - 2 py.

    It is the data gradient of a convolution from y to x.
    """
    shape = transposed_shape(x, weights, stride, padding)
    return _data_gradient(x, weights, shape, stride, padding, 1, 1, True)


def conv2d_transpose_backward(dy: np.ndarray, x: np.ndarray, weights: np.ndarray, *, stride: Pair = (1, 1),
                              padding: Pair = (0, 0), need_dx: bool = True) -> tuple[np.ndarray | None, np.ndarray]:
    """dy (n, f, oh, ow) -> dx (n, c, h, w) or None, dweights (c, f, kh, kw)."""
    dx = conv2d(dy, weights, stride=stride, padding=padding, out_size=x.shape[2:]) if need_dx else None
    _, dweights = conv2d_backward(x, dy, weights, stride=stride, padding=padding, need_dx=False)
    return dx, dweights


def transposed_shape(x: np.ndarray, weights: np.ndarray, stride: Pair, padding: Pair) -> tuple[int, ...]:
    """The shape of `conv2d_transpose`'s y."""
    n, _, h, w = x.shape
    _, f, kh, kw = weights.shape
    return n, f, (h - 1) * stride[0] + kh - 2 * padding[0], (w - 1) * stride[1] + kw - 2 * padding[1]


def _columns(x: np.ndarray, rows: slice, ow: int, size: Pair, stride: Pair, padding: Pair,
             dilation: int) -> np.ndarray:
    """x (n, c, h, w) -> (c, kh, kw, n, rows, ow), im2col: what each tap of the filter sees of some output rows."""
    n, c, _, w = x.shape
    count = rows.stop - rows.start
    tall, wide = _reach((count, ow), size, stride, dilation)
    seen = padded_part(x, rows.start * stride[0] - padding[0], -padding[1], tall, wide)
    sn, sc, sh, sw = seen.strides
    taps = as_strided(seen, (c, *size, n, count, ow),
                      (sc, sh * dilation, sw * dilation, sn, sh * stride[0], sw * stride[1]))
    if size == (1, 1) and n == 1 and stride == (1, 1) and ow == w and x.flags.c_contiguous:
        return taps         # the image is its own matrix of columns
    columns = memory.empty(taps.shape, x.dtype)
    columns[...] = taps
    return columns


def _reach(out: tuple[int, ...], size: tuple[int, ...], stride: Pair, dilation: int) -> Pair:
    """How many rows and columns of the input `out` windows see."""
    tall, wide = ((o - 1) * s + (k - 1) * dilation + 1 for o, s, k in zip(out, stride, size, strict=True))
    return tall, wide


def padded_part(x: np.ndarray, up: int, left: int, tall: int, wide: int) -> np.ndarray:
    """x[..., up:up + tall, left:left + wide] with zeros outside x; a view where nothing is outside."""
    h, w = x.shape[-2:]
    if up >= 0 and left >= 0 and up + tall <= h and left + wide <= w:
        return x[..., up:up + tall, left:left + wide]
    out = memory.zeros((*x.shape[:-2], tall, wide), x.dtype)
    top, bottom, start, stop = max(up, 0), min(up + tall, h), max(left, 0), min(left + wide, w)
    if top < bottom and start < stop:
        out[..., top - up:bottom - up, start - left:stop - left] = x[..., top:bottom, start:stop]
    return out


def _taps(size: Pair, stride: Pair, dilation: int, out: Pair) -> list[tuple[int, int, tuple[slice, slice]]]:
    """Each tap of the filter and the slice of the padded image it sees."""
    (kh, kw), (oh, ow) = size, out
    return [(i, j, (slice(i * dilation, i * dilation + (oh - 1) * stride[0] + 1, stride[0]),
                    slice(j * dilation, j * dilation + (ow - 1) * stride[1] + 1, stride[1])))
            for i in range(kh) for j in range(kw)]


def _depthwise(x: np.ndarray, weights: np.ndarray, y: np.ndarray, stride: Pair, padding: Pair, dilation: int) -> None:
    """One channel in, f / c channels out: a sum of shifted, scaled images."""
    c, size, out = x.shape[1], weights.shape[2:], y.shape[2:]
    filters = weights.reshape(c, -1, *size)
    tall, wide = _reach(out, size, stride, dilation)

    def block(i: slice) -> None:
        padded = padded_part(x[i], -padding[0], -padding[1], tall, wide)[:, :, None]
        total = y[i].reshape(-1, c, filters.shape[1], *out)
        total[...] = 0
        scratch = np.empty_like(total)
        for a, b, (rows, columns) in _taps(size, stride, dilation, out):
            np.multiply(padded[..., rows, columns], filters[:, :, a, b, None, None], out=scratch)
            total += scratch
    parallel.for_blocks(block, len(x), y[0].size)


def _depthwise_backward(dy: np.ndarray, x: np.ndarray, weights: np.ndarray, dx: np.ndarray | None, stride: Pair,
                        padding: Pair, dilation: int) -> tuple[np.ndarray | None, np.ndarray]:
    """The gradients of `_depthwise`; dx is filled where it is given."""
    n, c, h, w = x.shape
    size, out = weights.shape[2:], dy.shape[2:]
    filters = weights.reshape(c, -1, *size)
    parts = np.empty((n, *filters.shape), x.dtype)
    tall, wide = (max(reach, side + pad) for reach, side, pad
                  in zip(_reach(out, size, stride, dilation), (h, w), padding, strict=True))

    def block(i: slice) -> None:
        padded = padded_part(x[i], -padding[0], -padding[1], tall, wide)
        grad = dy[i].reshape(-1, c, filters.shape[1], *out)
        total = memory.zeros(padded.shape, x.dtype) if dx is not None else None
        for a, b, (rows, columns) in _taps(size, stride, dilation, out):
            parts[i, :, :, a, b] = (grad * padded[:, :, None, rows, columns]).sum(axis=(3, 4))
            if total is not None:
                total[..., rows, columns] += (grad * filters[:, :, a, b, None, None]).sum(axis=2)
        if dx is not None and total is not None:
            dx[i] = total[..., padding[0]:padding[0] + h, padding[1]:padding[1] + w]
    parallel.for_blocks(block, n, dy[0].size)
    return dx, parts.sum(axis=0).reshape(weights.shape)


def conv2d_workspace(n: int, w_shape: tuple[int, ...], out: Pair, stride: Pair, dilation: int, groups: int) -> int:
    """Values a training step holds of a convolution of n images, besides its arguments and its results."""
    if winograd.suits(n, w_shape, out, stride, dilation, groups):
        return (winograd.WGRAD_PARTS + parallel.threads()) * POINTS * w_shape[0] * w_shape[1]
    return (parallel.WAVE + 2) * math.prod(w_shape)
