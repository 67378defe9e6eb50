"""Implicit GEMM: convolutions as matrix products whose columns are made a block at a time; any size, stride, dilation.

    y[n, f, point] = sum over channels c and taps t of A[f, c, t] x[n, c, stride point + t]

A convolution is such a product, and so is its data gradient at stride 1, with the filters flipped.  A block of columns
is made by im2col in the cache, a few rows of it at a time, and multiplied while it is there.
"""
import threading
from typing import NamedTuple

import numpy as np

from runner.ops import parallel
from runner.ops.fast import tuning
from runner.ops.fast.jit import compiled
from runner.ops.fast.simd.copy import copy_run
from runner.ops.fast.simd.gemm import gemm_packed1, gemm_packed2, gemm_packed3
from runner.ops.fast.simd.isa import LANES, MR
from runner.ops.fast.simd.math import f4
from runner.ops.fast.simd.transpose import pack_rows
from runner.ops.fast.train.conv.im2col import im2col, im2col_scratch, runs_of
from runner.ops.fast.train.conv.shape import ConvShape
from runner.ops.memory import ALIGN

Array = np.ndarray
DIRECT_PANELS = tuning.GEMM_DIRECT_PANELS

_own = threading.local()


class GemmPart(NamedTuple):
    """What one task computes: some filters of one group."""
    channel: int        # the first input channel of the group, and how many it has
    channels: int
    filter: int         # the first filter of the group, and how many it has
    filters: int
    first: int          # panels of MR filters first ... last
    last: int


class Blocking(NamedTuple):
    """How the columns (c t, points) are cut."""
    points: int         # columns of all images
    columns: int        # of a block
    rows: int           # made by im2col at a time: whole channels


def thread_scratch(size: int) -> Array:
    """Memory of this thread for `size` floats, aligned to a cache line; the next call may return the same."""
    buffer = getattr(_own, "buffer", None)
    if buffer is None or buffer.size < size:
        raw = np.empty(size + ALIGN // f4().itemsize, f4)
        start = -raw.ctypes.data % ALIGN // f4().itemsize
        buffer = _own.buffer = raw[start:start + size]
    return buffer


def pack(matrix: Array) -> Array:
    """(f, k) -> (panels, k, MR), as `multiply` reads it; zeros fill the last panel."""
    f, k = matrix.shape
    panels = np.empty((-(-f // MR), k, MR), f4)
    parallel.for_blocks(lambda i: _pack(matrix, panels, i.start, i.stop), len(panels), k * MR)
    return panels


def pack_transposed(weights: Array, group: int, groups: int, taps: Array) -> Array:
    """weights (f, c, t) -> the panels of (c, f t) of one group and the given taps, for the data gradient."""
    filters, c, _ = weights.shape
    panels = np.empty((-(-c // MR), filters // groups * len(taps), MR), f4)
    parallel.for_blocks(lambda i: _pack_transposed(weights, group, groups, taps, panels, i.start, i.stop), len(panels),
                        panels[0].size)
    return panels


def implicit_gemm(x: Array, shape: ConvShape, weights: list[Array], y: Array) -> None:
    """y (n, f, oh, ow) = the product above of x (n, c, h, w); weights: for each group pack() of (f / groups,
    c / groups t)."""
    groups, filters, channels = len(weights), y.shape[1] // len(weights), x.shape[1] // len(weights)
    points, threads = len(x) * shape.out_h * shape.out_w, parallel.threads()
    panels, k = weights[0].shape[:2]
    each = min(panels, tuning.GEMM_FILTERS // MR)
    rows = min(max(1, tuning.GEMM_ROWS // len(shape.taps)) * len(shape.taps), k)
    least = tuning.GEMM_MIN_COLUMNS
    columns = min(max(least, tuning.GEMM_CACHE // (rows + each * MR) // least * least), tuning.GEMM_MAX_COLUMNS,
                  -(-points // LANES) * LANES)
    if groups * points < 4 * threads * columns:     # few blocks: smaller ones, so that all threads have work
        columns = min(columns, least)
    blocks, shares = -(-points // columns), -(-panels // each)
    if groups * blocks * shares < 4 * threads:      # still few: they share the filters
        each = max(1, -(-each // max(1, -(-4 * threads // (groups * blocks * shares)))))
        shares = -(-panels // each)
    together = max(1, min(parallel.GRAIN * 4 // ((k + filters) * columns), groups * blocks * shares // (4 * threads)))
    tasks, blocking = -(-blocks // together), Blocking(points, columns, rows)

    def work(i: int) -> None:
        group, i = divmod(i, tasks * shares)
        task, share = divmod(i, shares)
        part = GemmPart(group * channels, channels, group * filters, filters, share * each,
                    min((share + 1) * each, panels))
        _multiply_blocks(x, shape, part, blocking, task * together, min((task + 1) * together, blocks), weights[group],
                         y, thread_scratch((rows + each * MR) * columns + 2 * LANES))
    parallel.for_each(work, groups * tasks * shares)


@compiled
def _pack(matrix, panels, first, last):
    """panels[p, i, m] = matrix[p MR + m, i], for the panels first ... last; 0 below the matrix."""
    f, k = matrix.shape
    flat, out = matrix.reshape(-1), panels.reshape(-1)
    for p in range(first, last):
        count, done = min(MR, f - p * MR), 0
        if count == MR:
            done = k // LANES * LANES
            for i in range(0, done, LANES):
                pack_rows(flat, p * MR * k + i, k, out, (p * k + i) * MR)
        for i in range(done, k):
            for m in range(MR):
                panels[p, i, m] = matrix[p * MR + m, i] if m < count else f4(0)


@compiled
def _pack_transposed(weights, group, groups, taps, panels, first, last):
    """panels[p, (f, t), m] = weights[f, p MR + m, taps[t]] of the filters of a group, for the panels first ... last."""
    filters, c, depth = weights.shape[0] // groups, weights.shape[1], weights.shape[2]
    flat, out = weights.reshape(-1), panels.reshape(-1)
    for p in range(first, last):
        count, at = min(MR, c - p * MR), p * MR * filters * len(taps)
        for f in range(filters):
            start = ((group * filters + f) * c + p * MR) * depth
            for tap in taps:
                for m in range(count):
                    out[at + m] = flat[start + m * depth + tap]
                for m in range(count, MR):
                    out[at + m] = f4(0)
                at += MR


@compiled       # the arguments of a GEMM, which callers vary one by one in their loops
def multiply(a, a0, lda, panels, k, b, b0, columns, ldb, c, c0, ldc, add):
    """c (panels MR, columns) = or += A b (k, columns); A's panels (k, MR) are lda apart.  Columns are rounded up to
    whole vectors."""
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
def _multiply_blocks(x, shape, part, blocking, begin, end, a, y, scratch):
    """The blocks begin ... end of columns, for one part of the filters."""
    for block in range(begin, end):
        _multiply_block(x, shape, part, blocking, block * blocking.columns,
                        min((block + 1) * blocking.columns, blocking.points), a, y, scratch)


@compiled
def _multiply_block(x, shape, part, blocking, q0, q1, a, y, scratch):
    """y of the points q0 ... q1, for one part of the filters; a (panels, c t, MR), scratch: columns and results."""
    runs, depth, flat, out = runs_of(shape, q0, q1), len(shape.taps), a.reshape(-1), y.reshape(-1)
    oh, ow, ldb, lda = shape.out_h, shape.out_w, blocking.columns, a.shape[1] * MR
    first, last, panels = part.first, part.last, part.last - part.first
    b, c = scratch[:blocking.rows * ldb + LANES], scratch[blocking.rows * ldb + LANES:]
    each, width = blocking.rows // depth, q1 - q0
    lines = np.empty(im2col_scratch(shape, runs), f4)
    # results are written to y at once if that is one run of whole vectors, and of whole panels
    direct = len(runs) == 1 and width % LANES == 0 and last * MR <= part.filters
    target, start, pitch = c, 0, ldb
    if direct:
        place = ((runs[0, 0] * y.shape[1] + part.filter + first * MR) * oh + runs[0, 1]) * ow
        target, start, pitch = out, place + runs[0, 2], oh * ow
    # a pointwise convolution reads x in place if its columns are read only a few times
    h, w = x.shape[2:]
    in_place = depth == shape.stride_y == shape.stride_x == 1 and not shape.taps.any() and len(runs) == 1
    in_place = in_place and (oh, ow) == (h, w) and width % LANES == 0 and panels <= DIRECT_PANELS
    for k in range(0, part.channels, each):
        end, panel, add = min(k + each, part.channels), first * lda + k * depth * MR, 1 if k else 0
        if in_place:
            source = (runs[0, 0] * x.shape[1] + part.channel + k) * h * w + runs[0, 1] * w + runs[0, 2]
            multiply(flat, panel, lda, panels, end - k, x.reshape(-1), source, width, h * w, target, start, pitch, add)
            continue
        im2col(x, part.channel + k, part.channel + end, shape, runs, b, ldb, lines)
        multiply(flat, panel, lda, panels, (end - k) * depth, b, 0, width, ldb, target, start, pitch, add)
    if direct:
        return
    for f in range(first * MR, min(last * MR, part.filters)):
        at = start + (f - first * MR) * pitch
        for r in range(len(runs)):
            length = runs[r, 3]
            into = ((runs[r, 0] * y.shape[1] + part.filter + f) * oh + runs[r, 1]) * ow + runs[r, 2]
            copy_run(c, at, out, into, length)
            at += length
