"""Matrix products of fully connected and recurrent layers, compiled.

Few rows meet a large matrix W: BLAS packs the matrix first, which costs more than the product.  Here W is read once, in
place, some rows of it (y = x W^T) or some columns (dx = dy W) against up to eight rows of x, all sums in registers; the
time is that of reading W.

Many rows, and the weight gradient, are products of blocks: both factors are packed into strips (of columns) and panels
(of rows) that stay in the cache, and multiplied by the GEMM microkernel of the convolutions.

The sum that makes a value has one order, wherever in the product the value is: threads may share the work in any way,
and the result of a row of x does not depend on the other rows (with `batch_independent`, nor on their number).
"""
from collections.abc import Callable

import numpy as np

from runner.ops import memory, parallel, planned
from runner.ops.dense import dense as reference
from runner.ops.dense import dense_input_gradient as reference_input_gradient
from runner.ops.dense import dense_weight_gradient as reference_weight_gradient
from runner.ops.fast import tuning
from runner.ops.fast.jit import compiled, inlined
from runner.ops.fast.simd.copy import copy, prefetch
from runner.ops.fast.simd.dot import DOT_OUTPUTS, row_dots, row_sums
from runner.ops.fast.simd.gemm import gemm_packed1, gemm_packed2, gemm_packed3
from runner.ops.fast.simd.isa import LANES, MR
from runner.ops.fast.simd.math import f4
from runner.ops.fast.simd.transpose import transpose
from runner.ops.fast.train.arrays import is_supported

Array = np.ndarray
STRIP = 3 * LANES       # columns of a strip: three vectors, as gemm_packed3 takes them
CACHED_WEIGHTS, SUM_ROWS, TERMS = tuning.DENSE_CACHED_WEIGHTS, tuning.DENSE_SUM_ROWS, tuning.DENSE_TERMS
STRIPS, PANELS, PREFETCH = tuning.DENSE_STRIPS, tuning.DENSE_PANELS, tuning.DENSE_PREFETCH_ROWS

dots8, dots4, dots2, dots1 = (row_dots(min(rows, MR)) for rows in (8, 4, 2, 1))
wide8, wide4, wide2, wide1 = (row_sums(min(rows, MR), 3) for rows in (8, 4, 2, 1))
slim8, slim4, slim2, slim1 = (row_sums(min(rows, MR), 1) for rows in (8, 4, 2, 1))


def dense(x: Array, weights: Array, batch_independent: bool = False) -> Array:
    if not is_supported(x, weights):
        return reference(x, weights, batch_independent)
    return _multiply(x, weights, memory.empty((len(x), len(weights)), f4), batch_independent)


def plan_dense_plain(weights: Array, biases: Array | None, activation: str) -> planned.Run:
    """`plan_dense` on plain arrays: the result of a row is bit-identical in any batch."""
    other = planned.plan_dense(weights, biases, activation)

    def run(x: Array, out: Array | None = None) -> Array:
        x = x.reshape(len(x), -1)
        if not is_supported(x, weights):
            return other(x, out)
        y = np.empty((len(x), len(weights)), f4) if out is None else out
        _multiply(x, weights, y, batch_independent=True)
        if biases is None and activation == "linear":
            return y
        return planned.finish(y, biases, activation, y)
    return run


def dense_input_gradient(dy: Array, weights: Array) -> Array:
    if not is_supported(dy, weights):
        return reference_input_gradient(dy, weights)
    dx = memory.empty((len(dy), weights.shape[1]), f4)
    work = dy.size * dx.shape[1]
    if len(dy) <= tuning.DENSE_GRADIENT_ROWS:
        _share(lambda first, last: _dx_in_place(dy, weights, dx, first, last), dx.shape[1], LANES, work)
    else:
        _share(lambda first, last: _dx_packed(dy, weights, dx, first, last), dx.shape[1], STRIP, work)
    return dx


def dense_weight_gradient(dy: Array, x: Array, total: Array | None = None) -> Array:
    if not is_supported(dy, x) or not (total is None or is_supported(total)):
        return reference_weight_gradient(dy, x, total)
    add, (n, outputs), inputs = total is not None, dy.shape, x.shape[1]
    dw = memory.empty((outputs, inputs), f4) if total is None else total
    count = -(-outputs // MR)
    panels, strips = memory.empty((count, n, MR), f4), memory.empty((-(-inputs // STRIP), n, STRIP), f4)
    work = n * dw.size
    _share(lambda first, last: _pack_strips(x, strips, first, last), len(strips), 1,
           work if n > tuning.DENSE_GRADIENT_ROWS else 0)
    _share(lambda first, last: _dw(dy, panels, strips, dw, first, last, add), count, 1, work)
    return dw


def _multiply(x: Array, weights: Array, y: Array, batch_independent: bool) -> Array:
    """y = x W^T."""
    work = len(x) * weights.size
    if batch_independent or len(x) <= tuning.DENSE_ROWS:
        _share(lambda first, last: _y_in_place(x, weights, y, first, last), len(weights), DOT_OUTPUTS, work)
    else:
        _share(lambda first, last: _y_packed(x, weights, y, first, last), len(weights), STRIP, work)
    return y


def _share(function: Callable[[int, int], None], count: int, unit: int, work: int) -> None:
    """function(first, last) for parts of `count` that begin at a multiple of `unit`, or once for all where `work`
    multiplications are not worth it.  The results do not depend on the number of parts."""
    if work <= tuning.DENSE_ONE_THREAD or parallel.threads() == 1 or parallel.inside_worker():
        function(0, count)
        return
    units = max(1, count // unit)       # what is left over belongs to the last part
    parts = min(units, 2 * parallel.threads())
    ends = [units * k // parts * unit for k in range(parts)] + [count]
    parallel.for_each(lambda k: function(ends[k], ends[k + 1]), parts)


@inlined
def _rows_at_once(left):
    """Rows that the microkernels take where `left` remain: 8, 4, 2 or 1."""
    return 8 if left >= 8 and MR == 8 else 4 if left >= 4 else 2 if left >= 2 else 1


@inlined        # the arguments of the microkernels, a product each: see simd/dot.py
def _row_dots(rows, w, w0, ldw, x, x0, ldx, k, y, y0, ldy):
    """y (rows, DOT_OUTPUTS) = x w^T over k vectors, rows as _rows_at_once() gives them."""
    if rows == 8:
        dots8(w, w0, ldw, x, x0, ldx, k, y, y0, ldy)
    elif rows == 4:
        dots4(w, w0, ldw, x, x0, ldx, k, y, y0, ldy)
    elif rows == 2:
        dots2(w, w0, ldw, x, x0, ldx, k, y, y0, ldy)
    else:
        dots1(w, w0, ldw, x, x0, ldx, k, y, y0, ldy)


@inlined        # the arguments of the microkernels
def _row_sums_wide(rows, x, x0, ldx, w, w0, ldw, k, y, y0, ldy, add):
    """y (rows, STRIP) = or, if add, += x (rows, k) w (k, STRIP)."""
    if rows == 8:
        wide8(x, x0, ldx, w, w0, ldw, k, y, y0, ldy, add)
    elif rows == 4:
        wide4(x, x0, ldx, w, w0, ldw, k, y, y0, ldy, add)
    elif rows == 2:
        wide2(x, x0, ldx, w, w0, ldw, k, y, y0, ldy, add)
    else:
        wide1(x, x0, ldx, w, w0, ldw, k, y, y0, ldy, add)


@inlined        # the arguments of the microkernels
def _row_sums_slim(rows, x, x0, ldx, w, w0, ldw, k, y, y0, ldy, add):
    """y (rows, LANES) = or, if add, += x (rows, k) w (k, LANES)."""
    if rows == 8:
        slim8(x, x0, ldx, w, w0, ldw, k, y, y0, ldy, add)
    elif rows == 4:
        slim4(x, x0, ldx, w, w0, ldw, k, y, y0, ldy, add)
    elif rows == 2:
        slim2(x, x0, ldx, w, w0, ldw, k, y, y0, ldy, add)
    else:
        slim1(x, x0, ldx, w, w0, ldw, k, y, y0, ldy, add)


@compiled
def _y_in_place(x, w, y, begin, end):
    """y[:, begin:end] = x w[begin:end]^T; x (n, k), w (outputs, k), y (n, outputs)."""
    n, k = x.shape
    flat_x, flat_w, flat_y, vectors, ldy = x.reshape(-1), w.reshape(-1), y.reshape(-1), k // LANES, y.shape[1]
    cached = max(1, CACHED_WEIGHTS // k // DOT_OUTPUTS) * DOT_OUTPUTS
    if vectors == 0 or end - begin < DOT_OUTPUTS:
        for r in range(n):
            for j in range(begin, end):
                y[r, j] = _dot(x[r], w[j])
        return
    for start in range(begin, end, cached):
        stop = min(start + cached, end)
        r = 0
        while r < n:
            rows = _rows_at_once(n - r)
            for place in range(start, stop, DOT_OUTPUTS):
                j = min(place, end - DOT_OUTPUTS)
                _row_dots(rows, flat_w, j * k, k, flat_x, r * k, k, vectors, flat_y, r * ldy + j, ldy)
            r += rows
        if vectors * LANES < k:
            for r in range(n):
                for j in range(min(start, end - DOT_OUTPUTS), stop):
                    y[r, j] += _dot(x[r, vectors * LANES:], w[j, vectors * LANES:])


@compiled
def _dot(a, b):
    """The sum of a[i] b[i]."""
    total = f4(0)
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@compiled
def _dx_in_place(dy, w, dx, begin, end):
    """dx[:, begin:end] = dy w[:, begin:end]; dy (n, outputs), w (outputs, k), dx (n, k)."""
    (n, outputs), k = dy.shape, w.shape[1]
    flat_y, flat_w, flat_x = dy.reshape(-1), w.reshape(-1), dx.reshape(-1)
    whole = begin + (end - begin) // LANES * LANES
    for o in range(0, outputs, SUM_ROWS):
        terms, add = min(SUM_ROWS, outputs - o), min(o, 1)
        r = 0
        while r < n:
            rows, at = _rows_at_once(n - r), r * outputs + o
            for j in range(begin, whole - 2 * LANES, STRIP):
                _row_sums_wide(rows, flat_y, at, outputs, flat_w, o * k + j, k, terms, flat_x, r * k + j, k, add)
            for j in range(begin + (whole - begin) // STRIP * STRIP, whole, LANES):
                _row_sums_slim(rows, flat_y, at, outputs, flat_w, o * k + j, k, terms, flat_x, r * k + j, k, add)
            r += rows
    for r in range(n if whole < end else 0):
        rest = dx[r, whole:end]
        rest[:] = 0
        for o in range(outputs):
            factor, line = dy[r, o], w[o, whole:end]
            for j in range(rest.size):
                rest[j] += factor * line[j]


@compiled
def _y_packed(x, w, y, begin, end):
    """y[:, begin:end] = x w[begin:end]^T; x (n, k), w (outputs, k), y (n, outputs)."""
    k = w.shape[1]
    strip, scratch = np.empty(TERMS * STRIP, f4), np.empty(MR * LANES, f4)
    for j in range(begin, end, STRIP):
        for i in range(0, k, TERMS):
            terms, columns = min(TERMS, k - i), min(STRIP, end - j)
            _transpose_strip(w, j, columns, i, terms, strip)
            _multiply_strip(x, i, strip, 0, terms, y, j, columns, scratch, i)


@compiled
def _multiply_strip(x, i, strip, at, terms, y, j, columns, scratch, add):
    """y[:, j:j + columns] = or, if add, += x[:, i:i + terms] strip; the strip (terms, STRIP) begins at `at`."""
    (n, ldx), ldy, flat_x, flat_y = x.shape, y.shape[1], x.reshape(-1), y.reshape(-1)
    r = 0
    while r < n:
        rows, from_x, to_y, done = _rows_at_once(n - r), r * ldx + i, r * ldy + j, 0
        if columns == STRIP:
            done = STRIP
            _row_sums_wide(rows, flat_x, from_x, ldx, strip, at, STRIP, terms, flat_y, to_y, ldy, add)
        while done < columns:
            whole = columns - done >= LANES
            out, place, ldo = (flat_y, to_y + done, ldy) if whole else (scratch, 0, LANES)
            _row_sums_slim(rows, flat_x, from_x, ldx, strip, at + done, STRIP, terms, out, place, ldo,
                           add if whole else 0)
            if not whole:
                for m in range(rows):
                    for c in range(columns - done):
                        value = scratch[m * LANES + c]
                        y[r + m, j + done + c] = y[r + m, j + done + c] + value if add else value
            done += LANES
        r += rows


@compiled
def _transpose_strip(w, j, columns, i, terms, strip):
    """strip[q, c] = w[j + c, i + q], for q below `terms`; 0 for c from `columns` on."""
    if columns == STRIP and terms % LANES == 0:
        flat, k = w.reshape(-1), w.shape[1]
        for q in range(0, terms, LANES):
            for c in range(0, STRIP, LANES):
                transpose(flat, (j + c) * k + i + q, k, strip, q * STRIP + c, STRIP)
        return
    strip[:] = 0
    for c in range(columns):
        for q in range(terms):
            strip[q * STRIP + c] = w[j + c, i + q]


@compiled
def _dx_packed(dy, w, dx, begin, end):
    """dx[:, begin:end] = dy w[:, begin:end]; dy (n, outputs), w (outputs, k), dx (n, k)."""
    (outputs, k), flat = w.shape, w.reshape(-1)
    strips, scratch = np.empty(STRIPS * TERMS * STRIP, f4), np.empty(MR * LANES, f4)
    for first in range(begin, end, STRIPS * STRIP):
        last = min(first + STRIPS * STRIP, end)
        vectors = (last - first + LANES - 1) // LANES
        for o in range(0, outputs, TERMS):
            terms = min(TERMS, outputs - o)
            for q in range(terms):
                prefetch(flat, min(o + q + PREFETCH, outputs - 1) * k + first, vectors)
                _split_row(flat, (o + q) * k + first, last - first, strips, q * STRIP, TERMS * STRIP)
            for j in range(first, last, STRIP):
                _multiply_strip(dy, o, strips, (j - first) * TERMS, terms, dx, j, min(STRIP, last - j), scratch, o)


@compiled
def _split_row(a, a0, count, strips, at, size):
    """The `count` values from a[a0] on, STRIP of them to each strip: the first to strips[at:], the next `size` further
    on; zeros fill the last."""
    for first in range(0, count - STRIP + 1, STRIP):
        copy(a, a0 + first, strips, at, 3)
        at += size
    rest = count % STRIP
    if rest:
        strips[at:at + STRIP] = 0
        for c in range(rest):
            strips[at + c] = a[a0 + count - rest + c]


@compiled
def _pack_strips(x, strips, begin, end):
    """strips[s, i, c] = x[i, s STRIP + c], for the strips begin ... end; x (n, k), strips (k / STRIP, n, STRIP)."""
    (n, k), size, flat_x, flat = x.shape, strips[0].size, x.reshape(-1), strips.reshape(-1)
    count = min(end * STRIP, k) - begin * STRIP
    for i in range(n):
        _split_row(flat_x, i * k + begin * STRIP, count, flat, begin * size + i * STRIP, size)


@compiled
def _dw(dy, panels, strips, dw, begin, end, add):
    """dw = or, if add, += dy^T x, the panels begin ... end of its rows.

    dy (n, outputs), packed here to panels (outputs / MR, n, MR); strips: x as _pack_strips() gives it; dw (outputs,
    inputs).
    """
    (n, outputs), inputs, flat_dw = dy.shape, dw.shape[1], dw.reshape(-1)
    flat, flat_strips, scratch = panels.reshape(-1), strips.reshape(-1), np.empty(MR * STRIP, f4)
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
        for i in range(0, n, TERMS):
            terms, more = min(TERMS, n - i), 1 if add or i else 0
            for s in range(len(strips)):
                columns = min(STRIP, inputs - s * STRIP)
                for p in range(block, stop):
                    rows, panel, strip = min(MR, outputs - p * MR), (p * n + i) * MR, (s * n + i) * STRIP
                    place = p * MR * inputs + s * STRIP
                    if rows < MR or columns < STRIP:
                        _edge_tile(flat, panel, flat_strips, strip, terms, flat_dw, place, inputs, rows, columns,
                                   scratch, more)
                        continue
                    for m in range(MR):       # rows of dw are far apart
                        prefetch(flat_dw, place + m * inputs, 3)
                    gemm_packed3(flat, panel, flat_strips, strip, STRIP, terms, flat_dw, place, inputs, more)


@compiled       # the arguments of a GEMM and the size of the tile
def _edge_tile(a, a0, b, b0, k, c, c0, ldc, rows, columns, scratch, add):
    """c (rows, columns) = or, if add, += the sum over k of a[k, row] b[k, column]: a tile at the edge of a matrix,
    smaller than (MR, STRIP)."""
    if rows == MR and columns == 2 * LANES:
        gemm_packed2(a, a0, b, b0, STRIP, k, c, c0, ldc, add)
        return
    if rows == MR and columns == LANES:
        gemm_packed1(a, a0, b, b0, STRIP, k, c, c0, ldc, add)
        return
    gemm_packed3(a, a0, b, b0, STRIP, k, scratch, 0, STRIP, 0)
    for m in range(rows):
        out, sums = c[c0 + m * ldc:c0 + m * ldc + columns], scratch[m * STRIP:m * STRIP + columns]
        for j in range(columns):
            out[j] = out[j] + sums[j] if add else sums[j]
