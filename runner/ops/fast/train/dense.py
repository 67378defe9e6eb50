"""Matrix products of fully connected and recurrent layers, compiled.

Few rows meet a large matrix W: BLAS packs the matrix first, which costs more than the product.  Here W is read once,
as it lies in memory, some rows of it (y = x W^T) or some columns (dx = dy W) against up to eight rows of x, all sums
in registers; the time is what it takes to fetch W.

Many rows, and the weights' gradient, are products of blocks: both factors are packed into panels that stay in the
cache, and multiplied by the tile of the convolutions.

The sum that makes a value has one order, wherever in the product the value lies: threads may share the work in any
way, and a row of x gives the same bits whatever rows come with it (with `alone` however many they are).
"""
from collections.abc import Callable

import numpy as np

from runner.ops import memory, parallel, planned
from runner.ops.dense import dense as reference
from runner.ops.dense import dense_input_gradient as reference_input_gradient
from runner.ops.dense import dense_weight_gradient as reference_weight_gradient
from runner.ops.fast.jit import compiled
from runner.ops.fast.simd.copy import copy, prefetch
from runner.ops.fast.simd.dot import DOT_OUTPUTS, row_dots, row_sums
from runner.ops.fast.simd.gemm import gemm_packed1, gemm_packed2, gemm_packed3
from runner.ops.fast.simd.isa import LANES, MR
from runner.ops.fast.simd.math import f4
from runner.ops.fast.simd.transpose import transpose

Array = np.ndarray
FEW = 32            # rows up to which W is not packed, going forward
FEW_BACK = 64       # and back
SMALL = 1 << 21     # multiplications one thread does before another has woken up
NEAR = 1 << 17      # values of W that stay in the cache while all rows of x meet them
DEPTH = 32          # rows of W whose columns are summed in registers
STRIP = 3 * LANES   # columns of a tile
LONG = 128          # terms of a sum of a tile
STRIPS = 6          # strips that are packed together
PANELS = 8          # panels a strip meets while it is in the cache
SOON = 8            # rows that are asked for before they are packed

dots8, dots4, dots2, dots1 = (row_dots(min(rows, MR)) for rows in (8, 4, 2, 1))
wide8, wide4, wide2, wide1 = (row_sums(min(rows, MR), 3) for rows in (8, 4, 2, 1))
slim8, slim4, slim2, slim1 = (row_sums(min(rows, MR), 1) for rows in (8, 4, 2, 1))


def dense(x: Array, weights: Array, alone: bool = False) -> Array:
    if not _fits(x, weights):
        return reference(x, weights, alone)
    return _outputs(x, weights, memory.empty((len(x), len(weights)), f4), alone)


def plan_dense_plain(weights: Array, biases: Array | None, activation: str) -> planned.Run:
    """`plan_dense` on plain arrays: a row gives the same bits in any batch."""
    other = planned.plan_dense(weights, biases, activation)

    def run(x: Array, out: Array | None = None) -> Array:
        x = x.reshape(len(x), -1)
        if not _fits(x, weights):
            return other(x, out)
        y = _outputs(x, weights, np.empty((len(x), len(weights)), f4) if out is None else out, alone=True)
        if biases is None and activation == "linear":
            return y
        return planned.finish(y, biases, activation, y)
    return run


def dense_input_gradient(dy: Array, weights: Array) -> Array:
    if not _fits(dy, weights):
        return reference_input_gradient(dy, weights)
    dx = memory.empty((len(dy), weights.shape[1]), f4)
    if len(dy) <= FEW_BACK:
        _share(lambda first, last: _sums(dy, weights, dx, first, last), dx.shape[1], LANES, dy.size * dx.shape[1])
    else:
        _share(lambda first, last: _back(dy, weights, dx, first, last), dx.shape[1], STRIP, dy.size * dx.shape[1])
    return dx


def dense_weight_gradient(dy: Array, x: Array, total: Array | None = None) -> Array:
    if not _fits(dy, x) or not (total is None or _fits(total)):
        return reference_weight_gradient(dy, x, total)
    add, (n, outputs), inputs = total is not None, dy.shape, x.shape[1]
    dw = memory.empty((outputs, inputs), f4) if total is None else total
    count = -(-outputs // MR)
    panels, strips = memory.empty((count, n, MR), f4), memory.empty((-(-inputs // STRIP), n, STRIP), f4)
    work = n * dw.size
    _share(lambda first, last: _pack_strips(x, strips, first, last), len(strips), 1, work if n > FEW_BACK else 0)
    _share(lambda first, last: _gradient(dy, panels, strips, dw, first, last, add), count, 1, work)
    return dw


def _fits(*arrays: Array) -> bool:
    for array in arrays:
        if array.dtype != f4 or not array.size or not array.flags.c_contiguous:
            return False
    return True


def _outputs(x: Array, weights: Array, y: Array, alone: bool) -> Array:
    """y = x W^T."""
    work = len(x) * weights.size
    if alone or len(x) <= FEW:
        _share(lambda first, last: _dots(x, weights, y, first, last), len(weights), DOT_OUTPUTS, work)
    else:
        _share(lambda first, last: _forward(x, weights, y, first, last), len(weights), STRIP, work)
    return y


def _share(function: Callable[[int, int], None], count: int, unit: int, work: int) -> None:
    """function(first, last) for parts of `count` that begin at a multiple of `unit`, or once for all where there is
    little to do.  How many parts there are does not show in the results."""
    if work <= SMALL or parallel.threads() == 1 or parallel.inside_worker():
        function(0, count)
        return
    units = max(1, count // unit)       # what is left over belongs to the last part
    parts = min(units, 2 * parallel.threads())
    ends = [units * k // parts * unit for k in range(parts)] + [count]
    parallel.for_each(lambda k: function(ends[k], ends[k + 1]), parts)


@compiled
def _dots(x, w, y, begin, end):
    """y[:, begin:end] = x w[begin:end]^T."""
    n, k = x.shape
    flat_x, flat_w, flat_y, vectors, every = x.reshape(-1), w.reshape(-1), y.reshape(-1), k // LANES, y.shape[1]
    near = max(1, NEAR // k // DOT_OUTPUTS) * DOT_OUTPUTS
    if vectors == 0 or end - begin < DOT_OUTPUTS:
        for r in range(n):
            for j in range(begin, end):
                y[r, j] = _dot(x[r], w[j])
        return
    for start in range(begin, end, near):
        stop = min(start + near, end)
        r = 0
        while r < n:
            left = n - r
            for place in range(start, stop, DOT_OUTPUTS):
                j = min(place, end - DOT_OUTPUTS)
                if left >= 8 and MR == 8:
                    dots8(flat_w, j * k, k, flat_x, r * k, k, vectors, flat_y, r * every + j, every)
                elif left >= 4:
                    dots4(flat_w, j * k, k, flat_x, r * k, k, vectors, flat_y, r * every + j, every)
                elif left >= 2:
                    dots2(flat_w, j * k, k, flat_x, r * k, k, vectors, flat_y, r * every + j, every)
                else:
                    dots1(flat_w, j * k, k, flat_x, r * k, k, vectors, flat_y, r * every + j, every)
            r += 8 if left >= 8 and MR == 8 else 4 if left >= 4 else 2 if left >= 2 else 1
        if vectors * LANES < k:
            for r in range(n):
                for j in range(min(start, end - DOT_OUTPUTS), stop):
                    y[r, j] += _dot(x[r, vectors * LANES:], w[j, vectors * LANES:])


@compiled
def _dot(a, b):
    total = f4(0)
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@compiled
def _sums(dy, w, dx, begin, end):
    """dx[:, begin:end] = dy w[:, begin:end]."""
    (n, outputs), k = dy.shape, w.shape[1]
    flat_y, flat_w, flat_x = dy.reshape(-1), w.reshape(-1), dx.reshape(-1)
    whole = begin + (end - begin) // LANES * LANES
    for o in range(0, outputs, DEPTH):
        depth, add = min(DEPTH, outputs - o), min(o, 1)
        r = 0
        while r < n:
            left, at = n - r, r * outputs + o
            for j in range(begin, whole - 2 * LANES, STRIP):
                if left >= 8 and MR == 8:
                    wide8(flat_y, at, outputs, flat_w, o * k + j, k, depth, flat_x, r * k + j, k, add)
                elif left >= 4:
                    wide4(flat_y, at, outputs, flat_w, o * k + j, k, depth, flat_x, r * k + j, k, add)
                elif left >= 2:
                    wide2(flat_y, at, outputs, flat_w, o * k + j, k, depth, flat_x, r * k + j, k, add)
                else:
                    wide1(flat_y, at, outputs, flat_w, o * k + j, k, depth, flat_x, r * k + j, k, add)
            for j in range(begin + (whole - begin) // STRIP * STRIP, whole, LANES):
                if left >= 8 and MR == 8:
                    slim8(flat_y, at, outputs, flat_w, o * k + j, k, depth, flat_x, r * k + j, k, add)
                elif left >= 4:
                    slim4(flat_y, at, outputs, flat_w, o * k + j, k, depth, flat_x, r * k + j, k, add)
                elif left >= 2:
                    slim2(flat_y, at, outputs, flat_w, o * k + j, k, depth, flat_x, r * k + j, k, add)
                else:
                    slim1(flat_y, at, outputs, flat_w, o * k + j, k, depth, flat_x, r * k + j, k, add)
            r += 8 if left >= 8 and MR == 8 else 4 if left >= 4 else 2 if left >= 2 else 1
    for r in range(n if whole < end else 0):
        rest = dx[r, whole:end]
        rest[:] = 0
        for o in range(outputs):
            factor, line = dy[r, o], w[o, whole:end]
            for j in range(rest.size):
                rest[j] += factor * line[j]


@compiled
def _forward(x, w, y, begin, end):
    """y[:, begin:end] = x w[begin:end]^T."""
    k = w.shape[1]
    strip, spare = np.empty(LONG * STRIP, f4), np.empty(MR * LANES, f4)
    for j in range(begin, end, STRIP):
        for i in range(0, k, LONG):
            long, columns = min(LONG, k - i), min(STRIP, end - j)
            _turned(w, j, columns, i, long, strip)
            _meet(x, i, strip, 0, long, y, j, columns, spare, i)


@compiled
def _meet(x, i, strip, at, long, y, j, columns, spare, add):
    """y[:, j:j + columns] = or, if add, += x[:, i:i + long] times a strip, which begins at `at`."""
    (n, ldx), ldy, flat_x, flat_y = x.shape, y.shape[1], x.reshape(-1), y.reshape(-1)
    r = 0
    while r < n:
        left, from_x, to_y, done = n - r, r * ldx + i, r * ldy + j, 0
        height = 8 if left >= 8 and MR == 8 else 4 if left >= 4 else 2 if left >= 2 else 1
        if columns == STRIP:
            done = STRIP
            if height == 8:
                wide8(flat_x, from_x, ldx, strip, at, STRIP, long, flat_y, to_y, ldy, add)
            elif height == 4:
                wide4(flat_x, from_x, ldx, strip, at, STRIP, long, flat_y, to_y, ldy, add)
            elif height == 2:
                wide2(flat_x, from_x, ldx, strip, at, STRIP, long, flat_y, to_y, ldy, add)
            else:
                wide1(flat_x, from_x, ldx, strip, at, STRIP, long, flat_y, to_y, ldy, add)
        while done < columns:
            whole = columns - done >= LANES
            into, place, every = (flat_y, to_y + done, ldy) if whole else (spare, 0, LANES)
            again = add if whole else 0
            if height == 8:
                slim8(flat_x, from_x, ldx, strip, at + done, STRIP, long, into, place, every, again)
            elif height == 4:
                slim4(flat_x, from_x, ldx, strip, at + done, STRIP, long, into, place, every, again)
            elif height == 2:
                slim2(flat_x, from_x, ldx, strip, at + done, STRIP, long, into, place, every, again)
            else:
                slim1(flat_x, from_x, ldx, strip, at + done, STRIP, long, into, place, every, again)
            if not whole:
                for m in range(height):
                    for c in range(columns - done):
                        value = spare[m * LANES + c]
                        y[r + m, j + done + c] = y[r + m, j + done + c] + value if add else value
            done += LANES
        r += height


@compiled
def _turned(w, j, columns, i, long, strip):
    """strip[q, c] = w[j + c, i + q]."""
    if columns == STRIP and long % LANES == 0:
        flat, k = w.reshape(-1), w.shape[1]
        for q in range(0, long, LANES):
            for c in range(0, STRIP, LANES):
                transpose(flat, (j + c) * k + i + q, k, strip, q * STRIP + c, STRIP)
        return
    strip[:] = 0
    for c in range(columns):
        for q in range(long):
            strip[q * STRIP + c] = w[j + c, i + q]


@compiled
def _back(dy, w, dx, begin, end):
    """dx[:, begin:end] = dy w[:, begin:end]."""
    (outputs, k), flat = w.shape, w.reshape(-1)
    strips, spare = np.empty(STRIPS * LONG * STRIP, f4), np.empty(MR * LANES, f4)
    for first in range(begin, end, STRIPS * STRIP):
        last = min(first + STRIPS * STRIP, end)
        vectors = (last - first + LANES - 1) // LANES
        for o in range(0, outputs, LONG):
            long = min(LONG, outputs - o)
            for q in range(long):
                prefetch(flat, min(o + q + SOON, outputs - 1) * k + first, vectors)
                _deal(flat, (o + q) * k + first, last - first, strips, q * STRIP, LONG * STRIP)
            for j in range(first, last, STRIP):
                _meet(dy, o, strips, (j - first) * LONG, long, dx, j, min(STRIP, last - j), spare, o)


@compiled
def _deal(a, a0, count, strips, at, every):
    """`count` values from a[a0] on, STRIP of them to each strip; zeros fill the last."""
    for first in range(0, count - STRIP + 1, STRIP):
        copy(a, a0 + first, strips, at, 3)
        at += every
    rest = count % STRIP
    if rest:
        strips[at:at + STRIP] = 0
        for c in range(rest):
            strips[at + c] = a[a0 + count - rest + c]


@compiled
def _pack_strips(x, strips, begin, end):
    """x (n, k) -> strips (k / STRIP, n, STRIP)."""
    (n, k), every, flat_x, flat = x.shape, strips[0].size, x.reshape(-1), strips.reshape(-1)
    count = min(end * STRIP, k) - begin * STRIP
    for i in range(n):
        _deal(flat_x, i * k + begin * STRIP, count, flat, begin * every + i * STRIP, every)


@compiled
def _gradient(dy, panels, strips, dw, begin, end, add):
    """dw = or += dy^T x, the panels begin ... end of it; x in strips, dy packed here (outputs / MR, n, MR)."""
    (n, outputs), inputs, flat_dw = dy.shape, dw.shape[1], dw.reshape(-1)
    flat, flat_strips, spare = panels.reshape(-1), strips.reshape(-1), np.empty(MR * STRIP, f4)
    for p in range(begin, end):
        first, rows, panel = p * MR, min(MR, outputs - p * MR), panels[p]
        for i in range(n if rows == MR else 0):
            for m in range(MR):
                panel[i, m] = dy[i, first + m]
        for i in range(n if rows < MR else 0):
            for m in range(MR):
                panel[i, m] = dy[i, first + m] if m < rows else f4(0)
    for block in range(begin, end, PANELS):
        stop = min(block + PANELS, end)
        for i in range(0, n, LONG):
            long = min(LONG, n - i)
            for s in range(len(strips)):
                columns = min(STRIP, inputs - s * STRIP)
                for p in range(block, stop):
                    rows, panel, strip = min(MR, outputs - p * MR), (p * n + i) * MR, (s * n + i) * STRIP
                    if rows < MR or columns < STRIP:
                        _tile(flat, panel, flat_strips, strip, long, dw, p * MR, rows, s * STRIP, columns, spare,
                              add or i > 0)
                        continue
                    place = p * MR * inputs + s * STRIP
                    for m in range(MR):       # what is added to comes from far away
                        prefetch(flat_dw, place + m * inputs, 3)
                    gemm_packed3(flat, panel, flat_strips, strip, STRIP, long, flat_dw, place, inputs,
                                 1 if add or i else 0)


@compiled
def _tile(a, a0, b, b0, k, c, row, rows, column, columns, spare, add):
    """c[row:, column:] (rows, columns) = or, if add, += the sum over k of a[k, row] b[k, column], at the edges of c."""
    flat, every, more = c.reshape(-1), c.shape[1], 1 if add else 0
    place = row * every + column
    if rows == MR and columns == 2 * LANES:
        gemm_packed2(a, a0, b, b0, STRIP, k, flat, place, every, more)
        return
    if rows == MR and columns == LANES:
        gemm_packed1(a, a0, b, b0, STRIP, k, flat, place, every, more)
        return
    gemm_packed3(a, a0, b, b0, STRIP, k, spare, 0, STRIP, 0)
    for m in range(rows):
        into, sums = c[row + m, column:column + columns], spare[m * STRIP:m * STRIP + columns]
        for j in range(columns):
            into[j] = into[j] + sums[j] if add else sums[j]
