"""Pooling, compiled, a plane (one channel of one image) at a time: it is read once, and intermediate maxima stay in the
cache."""
import numpy as np

from runner.ops import memory, parallel
from runner.ops import pool as reference
from runner.ops.fast import tuning
from runner.ops.fast.jit import compiled
from runner.ops.fast.simd.isa import LANES
from runner.ops.fast.simd.math import f4
from runner.ops.fast.simd.pool import maxpool_2x2, maxpool_2x2_backward, maxpool_2x2_indexed
from runner.ops.fast.train.arrays import is_supported
from runner.ops.pool import Pair, output_size

RUN = tuning.RUN
MAX_SIZE = 15       # of a window: its cells are numbered in a byte


def maxpool2d(x: np.ndarray, size: int, stride: Pair, padding: int,
              need_index: bool = True) -> tuple[np.ndarray, np.ndarray | None]:
    n, c, h, w = x.shape
    adjacent = size == 2 and stride == (2, 2) and padding < 2       # windows side by side
    if size > MAX_SIZE or not is_supported(x) or not (need_index or adjacent):
        return reference.maxpool2d(x, size, stride, padding, need_index)
    out = output_size(x.shape, size, stride, padding)
    y = memory.empty((n, c, *out))
    index = memory.empty(y.shape, np.uint8) if need_index else np.empty((n, c, out[0], 0), np.uint8)
    planes, outs, winners = x.reshape(-1, h, w), y.reshape(-1, *out), index.reshape(n * c, *index.shape[2:])
    parallel.for_blocks(lambda k: _maxpool(planes[k], outs[k], winners[k], need_index, size, *stride,
                                                 padding // 2), n * c, h * w)
    return y, index if need_index else None


def maxpool2d_backward(dy: np.ndarray, index: np.ndarray, x_shape: tuple[int, ...], size: int, stride: Pair,
                       padding: int) -> np.ndarray:
    if index.dtype != np.uint8 or not is_supported(dy):
        return reference.maxpool2d_backward(dy, index, x_shape, size, stride, padding)
    n, c, h, w = x_shape
    dx = memory.empty(x_shape)
    grads, winners, planes = (a.reshape(-1, *a.shape[2:]) for a in (dy, index, dx))
    parallel.for_blocks(lambda k: _maxpool_backward(grads[k], winners[k], planes[k], size, *stride, padding // 2),
                        n * c, h * w)
    return dx


def avgpool(x: np.ndarray) -> np.ndarray:
    if not is_supported(x):
        return reference.avgpool(x)
    y = np.empty(x.shape[:2], f4)
    planes, out = x.reshape(y.size, -1), y.reshape(-1)
    parallel.for_blocks(lambda k: _means(planes[k], out[k]), y.size, planes.shape[1])
    return y


def avgpool_backward(dy: np.ndarray, x_shape: tuple[int, ...]) -> np.ndarray:
    if dy.dtype != f4:
        return reference.avgpool_backward(dy, x_shape)
    dx = memory.empty(x_shape)
    planes, shares = dx.reshape(dy.size, -1), (dy / f4(x_shape[2] * x_shape[3])).reshape(-1, 1)
    parallel.for_blocks(lambda k: np.copyto(planes[k], shares[k]), dy.size, planes.shape[1])
    return dx


@compiled
def _maxpool(x, y, index, indexed, size, stride_y, stride_x, before):
    """y[p, i, j] = the maximum of the `size` rows and columns from x[p, stride_y i - before, stride_x j - before] on;
    index[p, i, j] = its cell, row size + column, if `indexed`; x (p, h, w), y and index (p, oh, ow).

    Of equal values the first is kept.  `not v <= best` propagates NaN, where `v > best` would lose it.
    """
    _, h, w = x.shape
    _, oh, ow = y.shape
    if size == stride_y == stride_x == 2 and before == 0 and h >= 2 * oh and w >= 2 * ow:
        _maxpool_2x2(x, y, index, indexed)
        return
    # maxima over the windows of a row, then over `size` such rows, kept for all the windows that share them
    rows, cells = np.empty((size, ow), f4), np.empty((size, ow), np.int32)
    best, cell = np.empty(ow, f4), np.empty(ow, np.int32)
    for p in range(x.shape[0]):
        ready = 0
        for o in range(oh):
            top = o * stride_y - before
            stop = min(top + size, h)
            for i in range(max(ready, top, 0), stop):
                _row_maxima(x[p, i], rows[i % size], cells[i % size], size, stride_x, before)
            ready = max(ready, stop)
            best[:] = -np.inf
            cell[:] = 0
            for i in range(max(top, 0), stop):
                row, where, line = rows[i % size], cells[i % size], np.int32((i - top) * size)
                for j in range(ow):
                    v, b = row[j], best[j]
                    stays = v <= b
                    best[j] = b if stays else v
                    cell[j] = cell[j] if stays else line + where[j]
            y[p, o] = best
            if indexed:
                for j in range(ow):
                    index[p, o, j] = cell[j]


@compiled
def _maxpool_2x2(x, y, index, indexed):
    """The same for windows of 2 x 2 side by side.  Vectors may reach into the rows below, which are written later."""
    planes, h, w = x.shape
    _, oh, ow = y.shape
    flat, out, winners = x.reshape(-1), y.reshape(-1), index.reshape(-1)
    for row in range(planes * oh):
        upper = (row // oh * h + 2 * (row % oh)) * w
        lower = upper + w
        for q in range(0, ow, LANES):
            at = row * ow + q
            if lower + 2 * q + 2 * LANES <= flat.size and at + LANES <= out.size:
                if indexed:
                    maxpool_2x2_indexed(flat, upper + 2 * q, lower + 2 * q, out, winners, at)
                else:
                    maxpool_2x2(flat, upper + 2 * q, lower + 2 * q, out, winners, at)
                continue
            for j in range(q, min(q + LANES, ow)):
                best, cell = flat[upper + 2 * j], 0
                for k in range(1, 4):
                    v = flat[(lower if k > 1 else upper) + 2 * j + k % 2]
                    if not v <= best:
                        best, cell = v, k
                out[row * ow + j] = best
                if indexed:
                    winners[row * ow + j] = cell


@compiled
def _row_maxima(row, best, cell, size, stride, before):
    """best[j], cell[j] = the maximum of row[stride j - before:] below `size` cells, and which cell it is; row (w,)."""
    best[:] = -np.inf
    cell[:] = 0
    for k in range(size):
        # the windows whose k-th cell is inside the image
        first = max(0, (before - k + stride - 1) // stride)
        stop = max(first, min(best.size, (row.size - 1 - k + before) // stride + 1))
        values, at = row[max(first * stride + k - before, 0):], np.int32(k)
        b, where = best[first:stop], cell[first:stop]
        if stride == 1:     # usual strides are written out, for the loops to be vectorised
            for o in range(b.size):
                v, old = values[o], b[o]
                stays = v <= old
                b[o] = old if stays else v
                where[o] = where[o] if stays else at
        elif stride == 2:
            for o in range(b.size):
                v, old = values[2 * o], b[o]
                stays = v <= old
                b[o] = old if stays else v
                where[o] = where[o] if stays else at
        else:
            for o in range(b.size):
                v, old = values[stride * o], b[o]
                stays = v <= old
                b[o] = old if stays else v
                where[o] = where[o] if stays else at


@compiled
def _maxpool_backward(dy, index, dx, size, stride_y, stride_x, before):
    """dx[p, ...] = the sum of dy[p, i, j] over the windows whose maximum is there; dy, index (p, oh, ow), dx (p, h, w).
    """
    _, oh, ow = dy.shape
    _, h, w = dx.shape
    if size == stride_y == stride_x == 2 and before == 0 and h == 2 * oh and w == 2 * ow:
        # windows side by side: every pixel is written once, but by vectors that reach into the rows below
        grads, winners, out = dy.reshape(-1), index.reshape(-1), dx.reshape(-1)
        for row in range(dy.shape[0] * oh):
            for q in range(0, ow, LANES):
                at, upper = row * ow + q, 2 * (2 * row * ow + q)
                lower = upper + 2 * ow
                if lower + 2 * LANES <= out.size and at + LANES <= grads.size:
                    maxpool_2x2_backward(grads, winners, at, out, upper, lower)
                    continue
                for j in range(min(LANES, ow - q)):
                    for k in range(4):
                        place = (lower if k > 1 else upper) + 2 * j + k % 2
                        out[place] = grads[at + j] if winners[at + j] == k else f4(0)
        return
    places = np.empty(size * size, np.int64)
    for k in range(size * size):
        places[k] = k // size * w + k % size
    for p in range(dy.shape[0]):
        plane = dx[p].reshape(-1)
        plane[:] = 0
        for o in range(oh):
            start = (o * stride_y - before) * w - before
            for j in range(ow):
                plane[start + j * stride_x + places[index[p, o, j]]] += dy[p, o, j]


@compiled
def _means(x, y):
    """y[k] = the mean of x[k]; x (k, size)."""
    for k in range(x.shape[0]):
        total = 0.
        for at in range(0, x.shape[1], RUN):
            part, run = f4(0), x[k, at:at + RUN]
            for j in range(run.size):
                part += run[j]
            total += part
        y[k] = f4(total / x.shape[1])
