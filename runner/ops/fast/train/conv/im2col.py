"""Columns of the gathered product (see conv_product.py): what every tap sees of a block of points, in rows."""
import numpy as np

from runner.ops.fast.jit import compiled, inlined
from runner.ops.fast.simd.copy import copy, copy_run
from runner.ops.fast.simd.isa import LANES
from runner.ops.fast.simd.math import f4
from runner.ops.fast.simd.transpose import deinterleave


@compiled
def runs_of(gh, gw, q0, q1):
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
        flat, at = x.reshape(-1), 0
        for r in range(count):
            line, start, length = runs[r, 1] * sy + y0, runs[r, 2] + x0, runs[r, 3]
            left = min(length, max(0, -start))
            right = max(left, min(length, w - start))
            if line < 0 or line >= h:
                left = right = length
            for c in range(first, last):
                into, source = (c - first) * ldb + at, ((runs[r, 0] * x.shape[1] + c) * h + line) * w + start
                for i in range(left):
                    b[into + i] = f4(0)
                copy_run(flat, source + left, b, into + left, right - left)
                for i in range(right, length):
                    b[into + i] = f4(0)
            at += length
        for c in range(first, last):
            for i in range((c - first) * ldb + at, (c - first) * ldb + ready):
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
    row, flat = 0, x.reshape(-1)
    for c in range(first, last):
        for k in range(line):
            at, source = k * pitch * sx, needed[k, 1]
            if source < 0 or source >= h:
                for i in range(at, at + pitch * sx):
                    lines[i] = f4(0)
            elif sx == 2:
                pixel_pairs(flat, ((needed[k, 0] * x.shape[1] + c) * h + source) * w, w, 2 * from_x + x0, lines, at,
                            at + pitch, pitch)
            else:
                for phase in range(sx):
                    start = ((needed[k, 0] * x.shape[1] + c) * h + source) * w + edges[phase, 2]
                    pixels(flat, start, sx, lines, at + phase * pitch, edges[phase, 0], edges[phase, 1], pitch)
        for t in range(depth):
            at, shift = row * ldb, shifts[t]
            for r in range(count):
                copy(lines, begin[r] + shift, b, at, vectors[r])
                at += runs[r, 3]
            for i in range(at, row * ldb + ready):
                b[i] = f4(0)
            row += 1


@inlined
def pixels(flat, start, sx, lines, at, left, right, pitch):
    """lines[at:] = zeros up to left, every sx-th of flat[start:] up to right, zeros up to pitch."""
    for i in range(at, at + left):
        lines[i] = f4(0)
    at += left
    count = right - left
    if sx == 1:
        copy_run(flat, start, lines, at, count)
    else:
        for i in range(count):
            lines[at + i] = flat[start + sx * i]
    for i in range(at + count, at + pitch - left):
        lines[i] = f4(0)


@inlined
def pixel_pairs(flat, begin, w, start, lines, even, odd, pitch):
    """The same for both remainders at stride 2: pixels start, start + 2 ... and start + 1 ... of a row of w pixels."""
    low = min(pitch, max(0, (1 - start) // 2))      # from here to high both lie in the row
    high = max(low, min(pitch, (w - start) // 2))
    for i in range(low):
        lines[even + i] = f4(0)
        lines[odd + i] = flat[begin + 2 * i + start + 1] if 0 <= 2 * i + start + 1 < w else f4(0)
    begin += start
    if high - low >= LANES:
        for q in range(low, high, LANES):
            at = min(q, high - LANES)
            deinterleave(flat, begin + 2 * at, lines, even + at, odd + at)
    else:
        for i in range(low, high):
            lines[even + i], lines[odd + i] = flat[begin + 2 * i], flat[begin + 2 * i + 1]
    for i in range(high, pitch):
        lines[even + i] = flat[begin + 2 * i] if 0 <= 2 * i + start < w else f4(0)
        lines[odd + i] = f4(0)


@compiled
def lines_size(taps, sy, sx, gw, runs):
    """Floats `gather` needs for the lines of the image."""
    span = taps[:, 0].max() - taps[:, 0].min() + 1
    across = gw if len(runs) > 1 else runs[0, 3]
    return len(runs) * max(span, sy) * (across + (taps[:, 1].max() - taps[:, 1].min()) // sx + 1) * sx + 2 * LANES
