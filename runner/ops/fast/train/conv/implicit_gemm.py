"""Convolutions as matrix products whose columns are gathered a block at a time: any size, stride, dilation, groups.

A "gathered product" is y[n, f, point] = sum over channels c and taps t of A[f, c, t] x[n, c, step point + t].  A
convolution is one; its data gradient is one for each of the stride^2 phases of dx (the pixels a stride apart look at dy
through the same taps), so nothing is ever scattered and added.  A block of columns is gathered into the cache (a few
rows of it at a time), multiplied while it is there, and bias and activation are applied on the way out.
"""
import threading

import numpy as np

from runner.ops import parallel
from runner.ops.fast.jit import compiled
from runner.ops.fast.simd.copy import copy_run
from runner.ops.fast.simd.gemm import gemm_packed1, gemm_packed2, gemm_packed3
from runner.ops.fast.simd.isa import LANES, MR
from runner.ops.fast.simd.math import f4
from runner.ops.fast.simd.transpose import pack_rows
from runner.ops.fast.train.conv.im2col import gather, lines_size, runs_of

Array = np.ndarray
DEPTH = 256         # rows of columns gathered at a time
COLUMNS = 192       # columns of a block at least, where there are as many
WIDEST = 3072       # and at most
AREA = 1 << 16      # values of gathered columns and of results that lie in the cache at one time, about
FEW = 3             # panels of filters for which columns need not be gathered
FILTERS = 512       # filters a block is multiplied with before it is gathered anew

_own = threading.local()


def scratch(size: int) -> Array:
    """Memory of this thread for `size` floats; the next call may hand out the same."""
    buffer = getattr(_own, "buffer", None)
    if buffer is None or buffer.size < size:
        raw = np.empty(size + 16, f4)       # 64 bytes more, to begin where a line of the cache does
        start = -raw.ctypes.data % 64 // 4
        buffer = _own.buffer = raw[start:start + size]
    return buffer


def pack(matrix: Array) -> Array:
    """(f, k) -> (panels, k, MR): what `multiply` takes; zeros fill the last panel."""
    f, k = matrix.shape
    panels = np.empty((-(-f // MR), k, MR), f4)
    parallel.for_blocks(lambda i: _pack(matrix, panels, i.start, i.stop), len(panels), k * MR)
    return panels


def pack_turned(weights: Array, group: int, groups: int, chosen: Array) -> Array:
    """weights (f, c, t) -> the panels of (c, f t) of one group and the chosen taps: what the data gradient takes."""
    filters, c, _ = weights.shape
    panels = np.empty((-(-c // MR), filters // groups * len(chosen), MR), f4)
    parallel.for_blocks(lambda i: _pack_turned(weights, group, groups, chosen, panels, i.start, i.stop), len(panels),
                        panels[0].size)
    return panels


def product(x: Array, taps: Array, step: tuple[int, int], grid: tuple[int, int], weights: list[Array],
            y: Array) -> None:
    """y[n, f, point] = the gathered product, for the points (down, across) of a grid.

    x (n, c, h, w), taps (t, 2), y (n, f, *grid); weights: for each group pack() of (f / groups, c / groups t).
    """
    groups, filters, channels = len(weights), y.shape[1] // len(weights), x.shape[1] // len(weights)
    points, threads = len(x) * grid[0] * grid[1], parallel.threads()
    panels, k = weights[0].shape[:2]
    each = min(panels, FILTERS // MR)
    rows = min(max(1, DEPTH // len(taps)) * len(taps), k)
    columns = min(max(COLUMNS, AREA // (rows + each * MR) // COLUMNS * COLUMNS), WIDEST, -(-points // LANES) * LANES)
    if groups * points < 4 * threads * columns:     # few blocks: smaller ones, so that all threads have work
        columns = min(columns, COLUMNS)
    blocks, shares = -(-points // columns), -(-panels // each)
    if groups * blocks * shares < 4 * threads:      # still few: they share the filters
        each = max(1, -(-each // max(1, -(-4 * threads // (groups * blocks * shares)))))
        shares = -(-panels // each)
    some = max(1, min(parallel.GRAIN * 4 // ((k + filters) * columns), groups * blocks * shares // (4 * threads)))
    pieces = -(-blocks // some)

    def work(i: int) -> None:
        group, i = divmod(i, pieces * shares)
        piece, share = divmod(i, shares)
        first, last = share * each, min((share + 1) * each, panels)
        _products(x, group * channels, channels, taps, *step, *grid, piece * some, min((piece + 1) * some, blocks),
                  columns, points, rows, weights[group], first, last, filters, group * filters, y,
                  scratch((rows + each * MR) * columns + 2 * LANES))
    parallel.for_each(work, groups * pieces * shares)


@compiled
def _pack(matrix, panels, first, last):
    f, k = matrix.shape
    flat, out = matrix.reshape(-1), panels.reshape(-1)
    for p in range(first, last):
        there, done = min(MR, f - p * MR), 0
        if there == MR:
            done = k // LANES * LANES
            for i in range(0, done, LANES):
                pack_rows(flat, p * MR * k + i, k, out, (p * k + i) * MR)
        for i in range(done, k):
            for m in range(MR):
                panels[p, i, m] = matrix[p * MR + m, i] if m < there else f4(0)


@compiled
def _pack_turned(weights, group, groups, chosen, panels, first, last):
    """Panels first..last of the transpose, of the chosen taps of a group: rows are channels, columns filters x taps."""
    filters, c, depth = weights.shape[0] // groups, weights.shape[1], weights.shape[2]
    flat, out = weights.reshape(-1), panels.reshape(-1)
    for p in range(first, last):
        there, at = min(MR, c - p * MR), p * MR * filters * len(chosen)
        for f in range(filters):
            start = ((group * filters + f) * c + p * MR) * depth
            for tap in chosen:
                for m in range(there):
                    out[at + m] = flat[start + m * depth + tap]
                for m in range(there, MR):
                    out[at + m] = f4(0)
                at += MR


@compiled
def multiply(a, a0, lda, panels, k, b, b0, columns, ldb, c, c0, ldc, add):
    """c (panels MR, columns) = or += A b; A's panels lie lda apart; columns are rounded up to whole vectors."""
    for j in range(0, columns, 3 * LANES):
        left = columns - j
        for p in range(panels):
            place, panel = c0 + p * MR * ldc + j, a0 + p * lda
            if left > 2 * LANES:
                gemm_packed3(a, panel, b, b0 + j, ldb, k, c, place, ldc, add)
            elif left > LANES:
                gemm_packed2(a, panel, b, b0 + j, ldb, k, c, place, ldc, add)
            else:
                gemm_packed1(a, panel, b, b0 + j, ldb, k, c, place, ldc, add)


@compiled
def _products(x, c0, channels, taps, sy, sx, gh, gw, begin, end, columns, points, rows, a, first, last, filters, f0,
              y, buffer):
    """Panels first..last of one group, for blocks begin..end of so many columns."""
    for block in range(begin, end):
        _product(x, c0, channels, taps, sy, sx, gh, gw, block * columns, min((block + 1) * columns, points), columns,
                 rows, a, first, last, filters, f0, y, buffer)


@compiled
def _product(x, c0, channels, taps, sy, sx, gh, gw, q0, q1, ldb, rows, a, first, last, filters, f0, y, buffer):
    """Panels first..last of one group, for the points q0..q1."""
    runs, depth, flat, out = runs_of(gh, gw, q0, q1), len(taps), a.reshape(-1), y.reshape(-1)
    b, c = buffer[:rows * ldb + LANES], buffer[rows * ldb + LANES:]
    each, width = rows // depth, q1 - q0
    lines = np.empty(lines_size(taps, sy, sx, gw, runs), f4)
    # results go straight to their place if that is one run of whole vectors, and of whole panels
    at_once = len(runs) == 1 and width % LANES == 0 and last * MR <= filters
    target, start, pitch = c, 0, ldb
    if at_once:
        place = ((runs[0, 0] * y.shape[1] + f0 + first * MR) * gh + runs[0, 1]) * gw
        target, start, pitch = out, place + runs[0, 2], gh * gw
    # columns are taken from the image as they lie there if they are looked at only a few times
    h, w = x.shape[2:]
    straight = depth == sy == sx == 1 and not taps.any() and len(runs) == 1 and (gh, gw) == (h, w)
    straight = straight and width % LANES == 0 and last - first <= FEW
    for k in range(0, channels, each):
        end, panel, more = min(k + each, channels), (first * a.shape[1] + k * depth) * MR, 1 if k else 0
        if straight:
            source = (runs[0, 0] * x.shape[1] + c0 + k) * h * w + runs[0, 1] * w + runs[0, 2]
            multiply(flat, panel, a.shape[1] * MR, last - first, end - k, x.reshape(-1), source, width, h * w,
                     target, start, pitch, more)
            continue
        gather(x, c0 + k, c0 + end, taps, sy, sx, gw, runs, b, ldb, lines)
        multiply(flat, panel, a.shape[1] * MR, last - first, (end - k) * depth, b, 0, width, ldb, target, start,
                 pitch, more)
    if at_once:
        return
    for f in range(first * MR, min(last * MR, filters)):
        at = start + (f - first * MR) * pitch
        for r in range(len(runs)):
            length = runs[r, 3]
            copy_run(c, at, out, ((runs[r, 0] * y.shape[1] + f0 + f) * gh + runs[r, 1]) * gw + runs[r, 2], length)
            at += length
