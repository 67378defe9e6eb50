"""The weight gradient of the gathered product: a sum over the points of all images.

The same columns as in conv_product.py, times dy turned so that filters lie side by side, or dot products of long rows
where filters are too few to fill vectors.  Points are summed up in stretches that depend on the shapes alone.
"""
import numpy as np

from runner.ops import memory, parallel
from runner.ops.fast.jit import compiled, inlined
from runner.ops.fast.simd.dot import dots
from runner.ops.fast.simd.gemm import gemm_strided1, gemm_strided2, gemm_strided3
from runner.ops.fast.simd.isa import DOT_COLUMNS, DOT_ROWS, LANES, MR
from runner.ops.fast.simd.math import f4
from runner.ops.fast.simd.transpose import transpose
from runner.ops.fast.train.conv.im2col import gather, lines_size, runs_of
from runner.ops.fast.train.conv.implicit_gemm import scratch

Array = np.ndarray
LONG = 1536         # points gathered at a time for dot products
DEEP = 72           # and rows of them
POINTS = 512        # the same for tiles
TAPS = 144
SHARES = 8          # pieces the sum is cut into at least


def weight_gradient(dy: Array, x: Array, taps: Array, step: tuple[int, int], groups: int) -> Array:
    """dy (n, f, oh, ow), x (n, c, h, w) -> dweights (f, c / groups t): the sum over all points of dy x."""
    filters, channels, depth = dy.shape[1] // groups, x.shape[1] // groups, len(taps)
    points = len(x) * dy.shape[2] * dy.shape[3]
    dotted = filters <= LANES // 2
    each = min(channels, max(1, (DEEP if dotted else TAPS) // depth))
    shares = -(-channels // each)
    long = min(LONG if dotted else POINTS, -(-points // LANES) * LANES)
    blocks = -(-points // long)
    stretches = min(blocks, max(1, SHARES // (groups * shares)))      # of points; the threads have no say in it
    parts = np.zeros((stretches, dy.shape[1], channels * depth), f4)
    wide = -(-filters // LANES) * LANES
    if dotted:
        lines, filling = _rows(dy, points), each * depth + DOT_COLUMNS
        size = filling * (long + LANES) + LANES + filling * (filters + DOT_ROWS)
    else:
        lines = _turned(dy, groups, points) if shares > 1 else np.empty((groups, 0), f4)
        filling = each * depth + MR
        size = filling * (long + LANES) + LANES + (filling + long) * wide

    def work(i: int) -> None:
        stretch, i = divmod(i, groups * shares)
        group, share = divmod(i, shares)
        first, last = share * each, min((share + 1) * each, channels)
        start, stop = blocks * stretch // stretches * long, min(blocks * (stretch + 1) // stretches * long, points)
        where = group, filters, group * channels, first, last, taps, *step, *dy.shape[2:], start, stop, long
        if dotted:
            _weights_of_dots(lines, x, *where, parts[stretch], scratch(size))
        else:
            _weights(dy, lines, x, *where, parts[stretch], scratch(size))
    parallel.for_each(work, stretches * groups * shares)
    return parts.sum(axis=0) if stretches > 1 else parts[0]


def _rows(dy: Array, points: int) -> Array:
    """dy, all images of a filter in a row; there are rows too many, which take part in tiles and count for nothing."""
    rows = memory.empty((dy.shape[1] + DOT_ROWS, -(-points // LANES) * LANES + LANES))

    def gather_rows(i: slice) -> None:
        rows[i, :points].reshape(-1, len(dy), points // len(dy))[...] = (
            dy[:, i].reshape(len(dy), -1, points // len(dy)).swapaxes(0, 1))
        rows[i, points:] = 0
    parallel.for_blocks(gather_rows, dy.shape[1], points)
    return rows


def _turned(dy: Array, groups: int, points: int) -> Array:
    """dy -> for each group its panels of up to 3 vectors of filters: (points, filters), one after the other."""
    vectors = -(-dy.shape[1] // groups // LANES)
    lines = memory.empty((groups, vectors * LANES * points))
    parallel.for_blocks(lambda i: _turn_images(dy, lines, groups, vectors, i.start, i.stop), len(dy) * groups * vectors,
                        points // len(dy) * LANES)
    return lines


@inlined
def _panel(vectors, p):
    """Vectors in panels of up to 3, alike in size -> the first vector of panel p, and how many it has."""
    count = (vectors + 2) // 3
    each, more = vectors // count, vectors % count
    return p * each + min(p, more), each + (1 if p < more else 0)


@inlined
def _first(filters, vector):
    """Where a vector of filters begins: the last one is full too, and holds some of the one before it again."""
    return max(0, min(vector * LANES, filters - LANES))


@compiled
def _turn(dy, group, filters, vector, q0, q1, into, place, width):
    """into[place:] = the points q0..q1 of all images, each LANES filters of a group from `vector` on, rows of width."""
    first = _first(filters, vector)
    size, flat, there = dy.shape[2] * dy.shape[3], dy.reshape(-1), min(LANES, filters - first)
    q = q0
    while q < q1:
        image, point = q // size, q % size
        count = min(size - point, q1 - q)
        source, at = (image * dy.shape[1] + group * filters + first) * size + point, place + (q - q0) * width
        if there == LANES and count >= LANES:
            for i in range(0, count, LANES):
                i = min(i, count - LANES)
                transpose(flat, source + i, size, into, at + i * width, width)
        else:
            for i in range(count):
                for one in range(LANES):
                    into[at + i * width + one] = flat[source + one * size + i] if one < there else f4(0)
        q += count


@compiled
def _turn_images(dy, lines, groups, vectors, first, last):
    """Of (image, group, vector of filters) number first..last: dy turned into its place in a panel."""
    size, points = dy.shape[2] * dy.shape[3], dy.shape[0] * dy.shape[2] * dy.shape[3]
    for i in range(first, last):
        image, group, vector = i // (groups * vectors), i // vectors % groups, i % vectors
        p = 0
        start, count = _panel(vectors, 0)
        while start + count <= vector:
            p += 1
            start, count = _panel(vectors, p)
        width = count * LANES
        place = start * LANES * points + image * size * width + (vector - start) * LANES
        _turn(dy, group, dy.shape[1] // groups, vector, image * size, (image + 1) * size, lines[group], place, width)


@compiled
def _weights(dy, lines, x, group, filters, c0, first, last, taps, sy, sx, gh, gw, start, stop, long, dw, buffer):
    """dw[f, first t ... last t] of one group, summed over the points start..stop.

    lines: dy as _turned() gives it; where it is empty dy is turned here.
    """
    depth, ldb, there = len(taps), long + LANES, lines[group]
    points, vectors = len(x) * gh * gw, (filters + LANES - 1) // LANES
    width, wide = (last - first) * depth, vectors * LANES
    rows = (width + MR - 1) // MR * MR
    b, sums = buffer[:rows * ldb + LANES], buffer[rows * ldb + LANES:]
    own = sums[rows * wide:]
    sums[:rows * wide] = 0
    b[width * ldb:] = 0
    for q in range(start, stop, long):
        end = min(q + long, stop)
        runs = runs_of(gh, gw, q, end)
        edge = np.empty(lines_size(taps, sy, sx, gw, runs), f4)
        gather(x, c0 + first, c0 + last, taps, sy, sx, gw, runs, b, ldb, edge)
        for p in range((vectors + 2) // 3):
            vector, count = _panel(vectors, p)
            if len(there):
                turned, panel = there, vector * LANES * points + q * count * LANES
            else:
                turned, panel = own, 0
                for v in range(count):
                    _turn(dy, group, filters, vector + v, q, end, own, v * LANES, count * LANES)
            for r in range(0, rows, MR):
                place = r * wide + vector * LANES
                if count == 3:
                    gemm_strided3(b, r * ldb, ldb, turned, panel, 3 * LANES, end - q, sums, place, wide, 1)
                elif count == 2:
                    gemm_strided2(b, r * ldb, ldb, turned, panel, 2 * LANES, end - q, sums, place, wide, 1)
                else:
                    gemm_strided1(b, r * ldb, ldb, turned, panel, LANES, end - q, sums, place, wide, 1)
    for vector in range(vectors):
        start = _first(filters, vector)
        for f in range(start, min(start + LANES, filters)):
            out, at = dw[group * filters + f], vector * LANES + f - start
            for k in range(width):
                out[first * depth + k] = sums[k * wide + at]


@compiled
def _weights_of_dots(dy, x, group, filters, c0, first, last, taps, sy, sx, gh, gw, start, stop, long, dw, buffer):
    """The same; dy (f, points)."""
    f0 = group * filters
    depth, ldb, flat, lda = len(taps), long + LANES, dy.reshape(-1), dy.shape[1]
    width = (last - first) * depth
    rows = (width + DOT_COLUMNS - 1) // DOT_COLUMNS * DOT_COLUMNS
    after = rows * ldb + LANES          # what is moved too much must not meet what is kept
    b, sums = buffer[:after], buffer[after:]
    sums[:rows * (filters + DOT_ROWS)] = 0
    b[width * ldb:] = 0
    for q in range(start, stop, long):
        end = min(q + long, stop)
        runs = runs_of(gh, gw, q, end)
        lines = np.empty(lines_size(taps, sy, sx, gw, runs), f4)
        gather(x, c0 + first, c0 + last, taps, sy, sx, gw, runs, b, ldb, lines)
        steps = (end - q + LANES - 1) // LANES
        for f in range(0, filters, DOT_ROWS):
            for k in range(0, width, DOT_COLUMNS):
                dots(flat, (f0 + f) * lda + q, lda, b, k * ldb, ldb, steps, sums, f * rows + k, rows)
    for f in range(filters):
        for k in range(width):
            dw[f0 + f, first * depth + k] = sums[f * rows + k]
