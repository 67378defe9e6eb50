"""Convolutions as matrix products whose columns are gathered a block at a time: any size, stride, dilation, groups.

A "gathered product" is y[n, f, point] = sum over channels c and taps t of A[f, c, t] x[n, c, step point + t].  A
convolution is one; its data gradient is one for each of the stride^2 phases of dx (the pixels a stride apart look at dy
through the same taps), so nothing is ever scattered and added.  A block of columns is gathered into the cache (a few
rows of it at a time), multiplied while it is there, and bias and activation are applied on the way out.

The weight gradient sums over pixels instead: the same columns, and dot products of long rows.
"""
import threading
from typing import NamedTuple

import numpy as np

from runner.ops import parallel
from runner.ops.fast.compiling import compiled
from runner.ops.fast.conv_tile import DOT_COLUMNS, DOT_ROWS, LANES, ROWS, dots, tile1, tile2, tile3
from runner.ops.fast.scalar import activate_run, f4

Array = np.ndarray
DEPTH = 256         # rows of columns gathered at a time
COLUMNS = 192       # columns of a block
FILTERS = 256       # filters a block is multiplied with before it is gathered anew
LONG = 768          # columns of a block where the sum is over pixels
DEEP = 96           # and its rows
SHARES = 8          # pieces the weight gradient is cut into at least

_own = threading.local()


class Finish(NamedTuple):
    """What is done to a sum on its way out: a bias is added, then the activation of this code."""
    biases: Array
    code: int = 0
    low: np.float32 = f4(1)
    high: np.float32 = f4(0)


NOTHING = Finish(np.empty(0, f4))


def scratch(size: int) -> Array:
    """Memory of this thread for `size` floats; the next call may hand out the same."""
    buffer = getattr(_own, "buffer", None)
    if buffer is None or buffer.size < size:
        raw = np.empty(size + LANES, f4)
        start = -raw.ctypes.data % 64 // 4
        buffer = _own.buffer = raw[start:start + size]
    return buffer


def pack(matrix: Array) -> Array:
    """(f, k) -> (panels, k, ROWS): what `multiply` takes; zeros fill the last panel."""
    f, k = matrix.shape
    panels = np.empty((-(-f // ROWS), k, ROWS), f4)
    parallel.for_blocks(lambda i: _pack(matrix, panels, i.start, i.stop), len(panels), k * ROWS)
    return panels


def product(x: Array, taps: Array, step: tuple[int, int], grid: tuple[int, int], weights: list[Array], y: Array,
            ostep: tuple[int, int] = (1, 1), origin: tuple[int, int] = (0, 0), finish: Finish = NOTHING) -> None:
    """y[n, f, point ostep + origin] = the gathered product, for the points (down, across) of a grid.

    x (n, c, h, w), taps (t, 2), y (n, f, ...); weights: for each group pack() of (f / groups, c / groups t).
    """
    groups, filters, channels = len(weights), y.shape[1] // len(weights), x.shape[1] // len(weights)
    points, threads = len(x) * grid[0] * grid[1], parallel.threads()
    panels = weights[0].shape[0]
    columns = min(COLUMNS, -(-points // LANES) * LANES)
    each = min(panels, FILTERS // ROWS)
    blocks, shares = -(-points // columns), -(-panels // each)
    if groups * blocks * shares < 4 * threads:      # few blocks: smaller ones, so that all threads have work
        each = max(1, -(-each // max(1, -(-4 * threads // (groups * blocks * shares)))))
        shares = -(-panels // each)
    rows = max(1, DEPTH // len(taps)) * len(taps)

    def work(i: int) -> None:
        group, i = divmod(i, blocks * shares)
        block, share = divmod(i, shares)
        first, last = share * each, min((share + 1) * each, panels)
        _product(x, group * channels, channels, taps, *step, *grid, block * columns, min((block + 1) * columns, points),
                 columns, rows, weights[group], first, last, filters, group * filters, *finish, y, *ostep, *origin,
                 scratch((rows + each * ROWS + 1) * columns))
    parallel.for_each(work, groups * blocks * shares)


def weight_gradient(dy: Array, x: Array, taps: Array, step: tuple[int, int], groups: int) -> Array:
    """dy (n, f, oh, ow), x (n, c, h, w) -> dweights (f, c / groups t): the sum over all points of dy x."""
    filters, channels = dy.shape[1] // groups, x.shape[1] // groups
    oh, ow = dy.shape[2:]
    points, depth = len(x) * oh * ow, len(taps)
    each = min(channels, max(1, DEEP // depth))
    shares = -(-channels // each)
    long = min(LONG, -(-points // LANES) * LANES)
    blocks = -(-points // long)
    stretches = min(blocks, max(1, SHARES // (groups * shares)))      # of points; the threads have no say in it
    parts = np.zeros((stretches, dy.shape[1], channels * depth), f4)

    def work(i: int) -> None:
        stretch, i = divmod(i, groups * shares)
        group, share = divmod(i, shares)
        first, last = share * each, min((share + 1) * each, channels)
        start, stop = blocks * stretch // stretches * long, min(blocks * (stretch + 1) // stretches * long, points)
        rows, wide = -(-each * depth // DOT_COLUMNS) * DOT_COLUMNS, -(-filters // DOT_ROWS) * DOT_ROWS
        _weights(dy, x, group * filters, filters, group * channels, first, last, taps, *step, start, stop, long,
                 parts[stretch], scratch((rows + wide) * long + rows * wide))
    parallel.for_each(work, stretches * groups * shares)
    return parts.sum(axis=0) if stretches > 1 else parts[0]


@compiled
def _pack(matrix, panels, first, last):
    f, k = matrix.shape
    for p in range(first, last):
        for m in range(ROWS):
            row = p * ROWS + m
            for i in range(k):
                panels[p, i, m] = matrix[row, i] if row < f else f4(0)


@compiled
def multiply(a, a0, lda, panels, k, b, b0, columns, ldb, c, c0, ldc, add):
    """c (panels ROWS, columns) = or += A b; A's panels lie lda apart; columns are rounded up to whole vectors."""
    for j in range(0, columns, 3 * LANES):
        left = columns - j
        for p in range(panels):
            place, panel = c0 + p * ROWS * ldc + j, a0 + p * lda
            if left > 2 * LANES:
                tile3(a, panel, b, b0 + j, ldb, k, c, place, ldc, add)
            elif left > LANES:
                tile2(a, panel, b, b0 + j, ldb, k, c, place, ldc, add)
            else:
                tile1(a, panel, b, b0 + j, ldb, k, c, place, ldc, add)


@compiled
def _runs(gh, gw, q0, q1):
    """The points q0 ... q1 of all images as runs along rows: image, y, x, length of each."""
    runs = np.empty(((q1 - q0) // gw + 2, 4), np.int64)
    count, q = 0, q0
    while q < q1:
        image, point = q // (gh * gw), q % (gh * gw)
        length = min(gw - point % gw, q1 - q)
        runs[count, 0], runs[count, 1], runs[count, 2], runs[count, 3] = image, point // gw, point % gw, length
        count += 1
        q += length
    return runs[:count]


@compiled
def gather(x, first, last, taps, sy, sx, runs, b, ldb):
    """b[c t, point] = x[image, first + c, sy y + tap, sx x + tap], zero outside the image and after the last point."""
    h, w = x.shape[2:]
    row = 0
    for c in range(first, last):
        for t in range(len(taps)):
            at, end = row * ldb, (row + 1) * ldb
            for r in range(len(runs)):
                length, line = runs[r, 3], runs[r, 1] * sy + taps[t, 0]
                left = runs[r, 2] * sx + taps[t, 1]
                low, high = 0, 0
                if 0 <= line < h:
                    low = min(length, (-left + sx - 1) // sx if left < 0 else 0)
                    high = max(low, min(length, (w - left + sx - 1) // sx if left < w else 0))
                for i in range(low):
                    b[at + i] = f4(0)
                if high > low:
                    source, into = x[runs[r, 0], c, line], b[at + low:at + high]
                    start = left + low * sx
                    if sx == 1:
                        for i in range(high - low):
                            into[i] = source[start + i]
                    elif sx == 2:
                        for i in range(high - low):
                            into[i] = source[start + 2 * i]
                    else:
                        for i in range(high - low):
                            into[i] = source[start + sx * i]
                for i in range(high, length):
                    b[at + i] = f4(0)
                at += length
            for i in range(at, end):
                b[i] = f4(0)
            row += 1


@compiled
def _product(x, c0, channels, taps, sy, sx, gh, gw, q0, q1, ldb, rows, a, first, last, filters, f0, biases, code, low,
             high, y, oy, ox, y0, x0, buffer):
    """Panels first ... last of one group, for the points q0 ... q1."""
    runs, depth, flat = _runs(gh, gw, q0, q1), len(taps), a.reshape(-1)
    b, c = buffer[:rows * ldb], buffer[rows * ldb:]
    each = rows // depth
    for k in range(0, channels, each):
        end = min(k + each, channels)
        gather(x, c0 + k, c0 + end, taps, sy, sx, runs, b, ldb)
        multiply(flat, (first * a.shape[1] + k * depth) * ROWS, a.shape[1] * ROWS, last - first, (end - k) * depth,
                 b, 0, q1 - q0, ldb, c, 0, ldb, 1 if k else 0)
    spare = b[:q1 - q0]
    for f in range(first * ROWS, min(last * ROWS, filters)):
        done = c[(f - first * ROWS) * ldb:(f - first * ROWS) * ldb + q1 - q0]
        if len(biases):
            bias = biases[f0 + f]
            for i in range(len(done)):
                spare[i] = done[i] + bias
            activate_run(code, low, high, spare, done)
        at = 0
        for r in range(len(runs)):
            line, start, length = y[runs[r, 0], f0 + f, runs[r, 1] * oy + y0], runs[r, 2] * ox + x0, runs[r, 3]
            if ox == 1:
                for i in range(length):
                    line[start + i] = done[at + i]
            else:
                for i in range(length):
                    line[start + ox * i] = done[at + i]
            at += length


@compiled
def _weights(dy, x, f0, filters, c0, first, last, taps, sy, sx, start, stop, long, dw, buffer):
    """dw[f, first t ... last t] of one group, summed over the points start ... stop."""
    gh, gw, depth = dy.shape[2], dy.shape[3], len(taps)
    width = (last - first) * depth
    rows, wide = -(-width // DOT_COLUMNS) * DOT_COLUMNS, -(-filters // DOT_ROWS) * DOT_ROWS
    b, a, sums = buffer[:rows * long], buffer[rows * long:(rows + wide) * long], buffer[(rows + wide) * long:]
    here = np.zeros((1, 2), np.int64)
    sums[:rows * wide] = 0
    b[width * long:] = 0
    a[filters * long:] = 0
    for q in range(start, stop, long):
        end = min(q + long, stop)
        runs = _runs(gh, gw, q, end)
        gather(x, c0 + first, c0 + last, taps, sy, sx, runs, b, long)
        gather(dy, f0, f0 + filters, here, 1, 1, runs, a, long)
        steps = -(-(end - q) // LANES)
        for f in range(0, filters, DOT_ROWS):
            for k in range(0, width, DOT_COLUMNS):
                dots(a, f * long, long, b, k * long, long, steps, sums, f * rows + k, rows)
    for f in range(filters):
        for k in range(width):
            dw[f0 + f, first * depth + k] = sums[f * rows + k]
