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

from runner.ops import memory, parallel
from runner.ops.fast.compiling import compiled
from runner.ops.fast.conv_tile import DOT_COLUMNS, DOT_ROWS, LANES, ROWS, dots, move, tile1, tile2, tile3
from runner.ops.fast.scalar import activate_run, f4

Array = np.ndarray
DEPTH = 256         # rows of columns gathered at a time
COLUMNS = 192       # columns of a block
FILTERS = 512       # filters a block is multiplied with before it is gathered anew
LONG = 1536         # columns of a block where the sum is over pixels
DEEP = 72           # and its rows
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
                 scratch((rows + each * ROWS) * columns + 2 * LANES))
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
    # dy, all images of a filter in a row; there are rows too many, which take part in tiles and count for nothing
    rows = memory.empty((dy.shape[1] + DOT_ROWS, -(-points // LANES) * LANES + LANES))

    def turn(i: slice) -> None:
        rows[i, :points].reshape(-1, len(x), oh * ow)[...] = dy[:, i].reshape(len(x), -1, oh * ow).swapaxes(0, 1)
        rows[i, points:] = 0
    parallel.for_blocks(turn, dy.shape[1], points)
    parts = np.zeros((stretches, dy.shape[1], channels * depth), f4)

    def work(i: int) -> None:
        stretch, i = divmod(i, groups * shares)
        group, share = divmod(i, shares)
        first, last = share * each, min((share + 1) * each, channels)
        start, stop = blocks * stretch // stretches * long, min(blocks * (stretch + 1) // stretches * long, points)
        width, tall = -(-each * depth // DOT_COLUMNS) * DOT_COLUMNS, -(-filters // DOT_ROWS) * DOT_ROWS
        _weights(rows, x, group * filters, filters, group * channels, first, last, taps, *step, oh, ow, start, stop,
                 long, parts[stretch], scratch(width * (long + LANES) + LANES + width * tall))
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
    runs = np.empty(((q1 - q0) // gw + (q1 - q0) // (gh * gw) + 3, 4), np.int64)
    count, q = 0, q0
    while q < q1:
        image, point = q // (gh * gw), q % (gh * gw)
        length = min(gw - point % gw, q1 - q)
        runs[count, 0], runs[count, 1], runs[count, 2], runs[count, 3] = image, point // gw, point % gw, length
        count += 1
        q += length
    return runs[:count]


@compiled
def gather(x, first, last, taps, sy, sx, gw, runs, b, ldb, lines):
    """b[c t, point] = x[image, first + c, sy y + tap, sx x + tap], zero outside the image.

    Zeros fill the last vector of a row.  The lines of the image that a block of points sees are copied once for each
    channel, zeros around them and their pixels sorted by what remains when x is divided by sx.  So every tap sees a
    run of points as neighbours, and whole vectors are moved: what is too much is overwritten by the next run.
    """
    h, w = x.shape[2:]
    depth, y0, x0 = len(taps), taps[:, 0].min(), taps[:, 1].min()
    span, count = taps[:, 0].max() - y0 + 1, len(runs)
    from_x, across = (0, gw) if count > 1 else (runs[0, 2], runs[0, 3])
    pitch = across + (taps[:, 1].max() - x0) // sx          # points of one remainder in a line
    total = 0
    for r in range(count):
        total += runs[r, 3]
    ready = (total + LANES - 1) // LANES * LANES
    if depth == 1 and sx == 1:
        for c in range(first, last):
            at = (c - first) * ldb
            for r in range(count):
                _straight(x, runs[r], c, taps[0, 0], taps[0, 1], sy, b, at)
                at += runs[r, 3]
            for i in range(at, (c - first) * ldb + ready):
                b[i] = f4(0)
        return
    needed = np.empty((count * max(span, sy), 2), np.int64)     # image and row of every line
    begin, vectors = np.empty(count, np.int64), np.empty(count, np.int64)
    line = 0
    for r in range(count):
        fresh = 0                               # of the lines this run sees, how many are there already
        if r and runs[r, 0] == runs[r - 1, 0] and sy < span:
            fresh = span - sy
        for k in range(fresh, span):
            needed[line, 0], needed[line, 1] = runs[r, 0], runs[r, 1] * sy + y0 + k
            line += 1
        begin[r] = (line - span) * pitch * sx + runs[r, 2] - from_x
        vectors[r] = (runs[r, 3] + LANES - 1) // LANES
    edges = np.empty((sx, 3), np.int64)         # where the image begins and ends in a line, and the first pixel there
    for phase in range(sx):
        start = from_x * sx + x0 + phase
        left = min(pitch, max(0, (-start + sx - 1) // sx))
        edges[phase, 0], edges[phase, 2] = left, start + left * sx
        edges[phase, 1] = max(left, min(pitch, (w - start + sx - 1) // sx))
    shifts = np.empty(depth, np.int64)
    for t in range(depth):
        dx = taps[t, 1] - x0
        shifts[t] = (taps[t, 0] - y0) * pitch * sx + (dx % sx) * pitch + dx // sx
    row = 0
    for c in range(first, last):
        for k in range(line):
            at, source = k * pitch * sx, needed[k, 1]
            if source < 0 or source >= h:
                for i in range(at, at + pitch * sx):
                    lines[i] = f4(0)
            else:
                for phase in range(sx):
                    pixels(x[needed[k, 0], c, source], edges[phase, 2], sx, lines, at + phase * pitch,
                          edges[phase, 0], edges[phase, 1], pitch)
        for t in range(depth):
            at, shift = row * ldb, shifts[t]
            for r in range(count):
                move(lines, begin[r] + shift, b, at, vectors[r])
                at += runs[r, 3]
            for i in range(at, row * ldb + ready):
                b[i] = f4(0)
            row += 1


@compiled
def pixels(source, start, sx, lines, at, left, right, pitch):
    """lines[at:] = zeros up to left, every sx-th pixel from start on up to right, zeros up to pitch."""
    for i in range(left):
        lines[at + i] = f4(0)
    into = lines[at + left:at + right]
    if sx == 1:
        for i in range(right - left):
            into[i] = source[start + i]
    elif sx == 2:
        for i in range(right - left):
            into[i] = source[start + 2 * i]
    else:
        for i in range(right - left):
            into[i] = source[start + sx * i]
    for i in range(right, pitch):
        lines[at + i] = f4(0)


@compiled
def _straight(x, run, c, dy, dx, sy, b, at):
    """What a single tap sees of a run, at stride 1 across."""
    h, w = x.shape[2:]
    line, start, length = run[1] * sy + dy, run[2] + dx, run[3]
    left = min(length, max(0, -start))
    right = max(left, min(length, w - start))
    if line < 0 or line >= h:
        left = right = length
    for i in range(left):
        b[at + i] = f4(0)
    if right > left:
        source, into = x[run[0], c, line, start + left:start + right], b[at + left:at + right]
        for i in range(right - left):
            into[i] = source[i]
    for i in range(right, length):
        b[at + i] = f4(0)


@compiled
def lines_size(taps, sy, sx, gw, runs):
    """Floats `gather` needs for the lines of the image."""
    span = taps[:, 0].max() - taps[:, 0].min() + 1
    across = gw if len(runs) > 1 else runs[0, 3]
    return len(runs) * max(span, sy) * (across + (taps[:, 1].max() - taps[:, 1].min()) // sx + 1) * sx + 2 * LANES


@compiled
def _product(x, c0, channels, taps, sy, sx, gh, gw, q0, q1, ldb, rows, a, first, last, filters, f0, biases, code, low,
             high, y, oy, ox, y0, x0, buffer):
    """Panels first ... last of one group, for the points q0 ... q1."""
    runs, depth, flat = _runs(gh, gw, q0, q1), len(taps), a.reshape(-1)
    b, c = buffer[:rows * ldb + LANES], buffer[rows * ldb + LANES:]
    each = rows // depth
    lines = np.empty(lines_size(taps, sy, sx, gw, runs), f4)
    for k in range(0, channels, each):
        end = min(k + each, channels)
        gather(x, c0 + k, c0 + end, taps, sy, sx, gw, runs, b, ldb, lines)
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
def _weights(dy, x, f0, filters, c0, first, last, taps, sy, sx, gh, gw, start, stop, long, dw, buffer):
    """dw[f, first t ... last t] of one group, summed over the points start ... stop; dy (f, points)."""
    depth, ldb, flat, lda = len(taps), long + LANES, dy.reshape(-1), dy.shape[1]
    width = (last - first) * depth
    rows = (width + DOT_COLUMNS - 1) // DOT_COLUMNS * DOT_COLUMNS
    after = rows * ldb + LANES          # what is moved too much must not meet what is kept
    b, sums = buffer[:after], buffer[after:]
    sums[:rows * (filters + DOT_ROWS)] = 0
    b[width * ldb:] = 0
    for q in range(start, stop, long):
        end = min(q + long, stop)
        runs = _runs(gh, gw, q, end)
        lines = np.empty(lines_size(taps, sy, sx, gw, runs), f4)
        gather(x, c0 + first, c0 + last, taps, sy, sx, gw, runs, b, ldb, lines)
        steps = (end - q + LANES - 1) // LANES
        for f in range(0, filters, DOT_ROWS):
            for k in range(0, width, DOT_COLUMNS):
                dots(flat, (f0 + f) * lda + q, lda, b, k * ldb, ldb, steps, sums, f * rows + k, rows)
    for f in range(filters):
        for k in range(width):
            dw[f0 + f, first * depth + k] = sums[f * rows + k]
