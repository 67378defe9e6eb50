"""The weight gradient of a convolution: a sum over the points of all images.

    dweights[f, c, t] = sum over images n and points of dy[n, f, point] x[n, c, stride point + t]

The columns are those of implicit_gemm.py.  They are multiplied with dy transposed, so that filters are consecutive, or,
where filters are too few to fill vectors, they meet rows of dy in dot products.  Points are summed up in ranges that
depend on the shapes and never on the threads.
"""
from typing import NamedTuple

import numpy as np

from runner.ops import memory, parallel
from runner.ops.fast import tuning
from runner.ops.fast.jit import compiled, inlined
from runner.ops.fast.simd.dot import dots
from runner.ops.fast.simd.gemm import gemm_strided1, gemm_strided2, gemm_strided3
from runner.ops.fast.simd.isa import DOT_COLUMNS, DOT_ROWS, LANES, MR
from runner.ops.fast.simd.math import f4
from runner.ops.fast.simd.transpose import transpose
from runner.ops.fast.train.conv.im2col import im2col, im2col_scratch, runs_of
from runner.ops.fast.train.conv.implicit_gemm import thread_scratch
from runner.ops.fast.train.conv.panels import panel_count, panel_range
from runner.ops.fast.train.conv.shape import ConvShape

Array = np.ndarray


class WgradPart(NamedTuple):
    """What one task sums up: some channels of one group over a range of points."""
    group: int
    filters: int        # of the group
    channel: int        # the first input channel of the group
    first: int          # its channels first ... last
    last: int
    start: int          # points start ... stop
    stop: int
    block: int          # points that im2col takes at a time


def weight_gradient(dy: Array, x: Array, shape: ConvShape, groups: int) -> Array:
    """dy (n, f, oh, ow), x (n, c, h, w) -> dweights (f, c / groups t)."""
    filters, channels, depth = dy.shape[1] // groups, x.shape[1] // groups, len(shape.taps)
    points = len(x) * dy.shape[2] * dy.shape[3]
    by_dots = filters <= LANES // 2
    each = min(channels, max(1, (tuning.WGRAD_DOT_ROWS if by_dots else tuning.WGRAD_GEMM_ROWS) // depth))
    shares = -(-channels // each)
    block = min(tuning.WGRAD_DOT_POINTS if by_dots else tuning.WGRAD_GEMM_POINTS, -(-points // LANES) * LANES)
    blocks = -(-points // block)
    ranges = min(blocks, max(1, tuning.WGRAD_MIN_PARTS // (groups * shares)))
    sums = np.zeros((ranges, dy.shape[1], channels * depth), f4)
    width = -(-filters // LANES) * LANES
    if by_dots:
        lines, rows = _rows(dy, points), each * depth + DOT_COLUMNS
        size = rows * (block + LANES) + LANES + rows * (filters + DOT_ROWS)
    else:
        lines = _transposed(dy, groups, points) if shares > 1 else np.empty((groups, 0), f4)
        rows = each * depth + MR
        size = rows * (block + LANES) + LANES + (rows + block) * width

    def work(i: int) -> None:
        which, i = divmod(i, groups * shares)
        group, share = divmod(i, shares)
        part = WgradPart(group, filters, group * channels, share * each, min((share + 1) * each, channels),
                         blocks * which // ranges * block, min(blocks * (which + 1) // ranges * block, points), block)
        if by_dots:
            _sum_by_dots(lines, x, shape, part, sums[which], thread_scratch(size))
        else:
            _sum_by_gemm(dy, lines, x, shape, part, sums[which], thread_scratch(size))
    parallel.for_each(work, ranges * groups * shares)
    return sums.sum(axis=0) if ranges > 1 else sums[0]


def _rows(dy: Array, points: int) -> Array:
    """dy (n, f, oh, ow) -> (f + DOT_ROWS, points rounded up): rows below f are undefined, they fill tiles only."""
    rows = memory.empty((dy.shape[1] + DOT_ROWS, -(-points // LANES) * LANES + LANES))

    def copy_rows(i: slice) -> None:
        rows[i, :points].reshape(-1, len(dy), points // len(dy))[...] = (
            dy[:, i].reshape(len(dy), -1, points // len(dy)).swapaxes(0, 1))
        rows[i, points:] = 0
    parallel.for_blocks(copy_rows, dy.shape[1], points)
    return rows


def _transposed(dy: Array, groups: int, points: int) -> Array:
    """dy -> for each group its panels of filters one after another, each (points, filters of the panel)."""
    vectors = -(-dy.shape[1] // groups // LANES)
    lines = memory.empty((groups, vectors * LANES * points))
    parallel.for_blocks(lambda i: _transpose_images(dy, lines, groups, vectors, i.start, i.stop),
                        len(dy) * groups * vectors, points // len(dy) * LANES)
    return lines


@inlined
def _first_filter(filters, vector):
    """Where a vector of filters begins: the last one is full too, and repeats some of the one before it."""
    return max(0, min(vector * LANES, filters - LANES))


@compiled
def _transpose_points(dy, group, filters, vector, q0, q1, out, place, pitch):
    """out[place + (q - q0) pitch + lane] = dy at point q (of all images) of a vector of filters, q0 ... q1."""
    first = _first_filter(filters, vector)
    size, flat, count = dy.shape[2] * dy.shape[3], dy.reshape(-1), min(LANES, filters - first)
    q = q0
    while q < q1:
        image, point = q // size, q % size
        length = min(size - point, q1 - q)
        source, at = (image * dy.shape[1] + group * filters + first) * size + point, place + (q - q0) * pitch
        if count == LANES and length >= LANES:
            for i in range(0, length, LANES):
                i = min(i, length - LANES)
                transpose(flat, source + i, size, out, at + i * pitch, pitch)
        else:
            for i in range(length):
                for lane in range(LANES):
                    out[at + i * pitch + lane] = flat[source + lane * size + i] if lane < count else f4(0)
        q += length


@compiled
def _transpose_images(dy, lines, groups, vectors, first, last):
    """lines of `_transposed`, of the (image, group, vector of filters) numbered first ... last."""
    size, points = dy.shape[2] * dy.shape[3], dy.shape[0] * dy.shape[2] * dy.shape[3]
    for i in range(first, last):
        image, group, vector = i // (groups * vectors), i // vectors % groups, i % vectors
        p = 0
        start, count = panel_range(vectors, 0)
        while start + count <= vector:
            p += 1
            start, count = panel_range(vectors, p)
        pitch = count * LANES
        place = start * LANES * points + image * size * pitch + (vector - start) * LANES
        _transpose_points(dy, group, dy.shape[1] // groups, vector, image * size, (image + 1) * size, lines[group],
                          place, pitch)


@compiled
def _sum_by_gemm(dy, lines, x, shape, part, dweights, scratch):
    """dweights[f, (c, t)] of one part = the sum over its points of dy[f] columns[(c, t)].

    lines: dy as _transposed() gives it; where it is empty dy is transposed here, a block of points at a time.
    """
    filters, first, last = part.filters, part.first, part.last
    depth, ldb, panels = len(shape.taps), part.block + LANES, lines[part.group]
    points, vectors = len(x) * shape.out_h * shape.out_w, (filters + LANES - 1) // LANES
    width, ldc = (last - first) * depth, vectors * LANES
    rows = (width + MR - 1) // MR * MR
    b, sums = scratch[:rows * ldb + LANES], scratch[rows * ldb + LANES:]
    own = sums[rows * ldc:]
    sums[:rows * ldc] = 0
    b[width * ldb:] = 0
    for q in range(part.start, part.stop, part.block):
        end = min(q + part.block, part.stop)
        runs = runs_of(shape, q, end)
        edge = np.empty(im2col_scratch(shape, runs), f4)
        im2col(x, part.channel + first, part.channel + last, shape, runs, b, ldb, edge)
        for p in range(panel_count(vectors)):
            vector, count = panel_range(vectors, p)
            if len(panels):
                a, panel = panels, vector * LANES * points + q * count * LANES
            else:
                a, panel = own, 0
                for v in range(count):
                    _transpose_points(dy, part.group, filters, vector + v, q, end, own, v * LANES, count * LANES)
            for r in range(0, rows, MR):
                place = r * ldc + vector * LANES
                if count == 3:
                    gemm_strided3(b, r * ldb, ldb, a, panel, 3 * LANES, end - q, sums, place, ldc, 1)
                elif count == 2:
                    gemm_strided2(b, r * ldb, ldb, a, panel, 2 * LANES, end - q, sums, place, ldc, 1)
                else:
                    gemm_strided1(b, r * ldb, ldb, a, panel, LANES, end - q, sums, place, ldc, 1)
    for vector in range(vectors):
        start = _first_filter(filters, vector)
        for f in range(start, min(start + LANES, filters)):
            out, at = dweights[part.group * filters + f], vector * LANES + f - start
            for k in range(width):
                out[first * depth + k] = sums[k * ldc + at]


@compiled
def _sum_by_dots(dy, x, shape, part, dweights, scratch):
    """The same by dot products; dy (f, points) as _rows() gives it."""
    filters, first, last = part.filters, part.first, part.last
    f0, depth, ldb, flat, lda = part.group * filters, len(shape.taps), part.block + LANES, dy.reshape(-1), dy.shape[1]
    width = (last - first) * depth
    rows = (width + DOT_COLUMNS - 1) // DOT_COLUMNS * DOT_COLUMNS
    columns = rows * ldb + LANES        # im2col copies whole vectors: the sums begin a vector further on
    b, sums = scratch[:columns], scratch[columns:]
    sums[:rows * (filters + DOT_ROWS)] = 0
    b[width * ldb:] = 0
    for q in range(part.start, part.stop, part.block):
        end = min(q + part.block, part.stop)
        runs = runs_of(shape, q, end)
        edge = np.empty(im2col_scratch(shape, runs), f4)
        im2col(x, part.channel + first, part.channel + last, shape, runs, b, ldb, edge)
        vectors = (end - q + LANES - 1) // LANES
        for f in range(0, filters, DOT_ROWS):
            for k in range(0, width, DOT_COLUMNS):
                dots(flat, (f0 + f) * lda + q, lda, b, k * ldb, ldb, vectors, sums, f * rows + k, rows)
    for f in range(filters):
        for k in range(width):
            dweights[f0 + f, first * depth + k] = sums[f * rows + k]
