"""im2col of a block of output points: what every tap sees of them, a row for each channel and tap."""
import numpy as np

from runner.ops.fast.jit import compiled, inlined
from runner.ops.fast.simd.copy import copy, copy_run
from runner.ops.fast.simd.isa import LANES
from runner.ops.fast.simd.math import f4
from runner.ops.fast.simd.transpose import deinterleave


@compiled
def runs_of(shape, q0, q1):
    """The output points q0 ... q1 of all images as runs along rows -> (runs, 4): image, y, x and length of each."""
    ow, size = shape.out_w, shape.out_h * shape.out_w
    runs = np.empty(((q1 - q0) // ow + (q1 - q0) // size + 3, 4), np.int64)
    count, q = 0, q0
    while q < q1:
        image, point = q // size, q % size
        length = min(ow - point % ow, q1 - q)
        runs[count, 0], runs[count, 1], runs[count, 2], runs[count, 3] = image, point // ow, point % ow, length
        count += 1
        q += length
    return runs[:count]


@compiled
def im2col(x, first, last, shape, runs, columns, pitch, scratch):
    """columns[(c - first) t + tap, point] = x[image, c, stride point + tap], 0 outside the image; rows `pitch` apart.

    x (n, c, h, w), of which the channels first ... last are taken; points: those of `runs`; scratch: floats as
    `im2col_scratch` counts them.  Zeros fill the last vector of a row.

    The rows of the image that a block of points sees are copied once for each channel, zeros around them and their
    pixels sorted by x modulo the stride (a phase).  So every tap sees a run of points as neighbours, and whole vectors
    are copied: what is too much is overwritten by the next run.
    """
    taps, sy, sx = shape.taps, shape.stride_y, shape.stride_x
    h, w = x.shape[2:]
    depth, y0, x0 = len(taps), taps[:, 0].min(), taps[:, 1].min()
    span, count = taps[:, 0].max() - y0 + 1, len(runs)
    from_x, width = (0, shape.out_w) if count > 1 else (runs[0, 2], runs[0, 3])
    line_pitch = width + (taps[:, 1].max() - x0) // sx      # pixels of one phase in a line
    total = 0
    for r in range(count):
        total += runs[r, 3]
    padded = (total + LANES - 1) // LANES * LANES
    if depth == 1 and sx == 1:
        flat, at = x.reshape(-1), 0
        for r in range(count):
            line, start, length = runs[r, 1] * sy + y0, runs[r, 2] + x0, runs[r, 3]
            left = min(length, max(0, -start))
            right = max(left, min(length, w - start))
            if line < 0 or line >= h:
                left = right = length
            for c in range(first, last):
                into, source = (c - first) * pitch + at, ((runs[r, 0] * x.shape[1] + c) * h + line) * w + start
                for i in range(left):
                    columns[into + i] = f4(0)
                copy_run(flat, source + left, columns, into + left, right - left)
                for i in range(right, length):
                    columns[into + i] = f4(0)
            at += length
        for c in range(first, last):
            for i in range((c - first) * pitch + at, (c - first) * pitch + padded):
                columns[i] = f4(0)
        return
    needed = np.empty((count * max(span, sy), 2), np.int64)     # image and row of every line
    begin, vectors = np.empty(count, np.int64), np.empty(count, np.int64)
    line = 0
    for r in range(count):
        known = 0                               # lines this run shares with the one before
        if r and runs[r, 0] == runs[r - 1, 0] and sy < span:
            known = span - sy
        for k in range(known, span):
            needed[line, 0], needed[line, 1] = runs[r, 0], runs[r, 1] * sy + y0 + k
            line += 1
        begin[r] = (line - span) * line_pitch * sx + runs[r, 2] - from_x
        vectors[r] = (runs[r, 3] + LANES - 1) // LANES
    edges = np.empty((sx, 3), np.int64)         # where the image begins and ends in a line, and the first pixel there
    for phase in range(sx):
        start = from_x * sx + x0 + phase
        left = min(line_pitch, max(0, (-start + sx - 1) // sx))
        edges[phase, 0], edges[phase, 2] = left, start + left * sx
        edges[phase, 1] = max(left, min(line_pitch, (w - start + sx - 1) // sx))
    shifts = np.empty(depth, np.int64)
    for t in range(depth):
        dx = taps[t, 1] - x0
        shifts[t] = (taps[t, 0] - y0) * line_pitch * sx + (dx % sx) * line_pitch + dx // sx
    row, flat = 0, x.reshape(-1)
    for c in range(first, last):
        for k in range(line):
            at, source = k * line_pitch * sx, needed[k, 1]
            if source < 0 or source >= h:
                for i in range(at, at + line_pitch * sx):
                    scratch[i] = f4(0)
            elif sx == 2:
                copy_two_phases(flat, ((needed[k, 0] * x.shape[1] + c) * h + source) * w, w, 2 * from_x + x0, scratch,
                                at, at + line_pitch, line_pitch)
            else:
                for phase in range(sx):
                    start = ((needed[k, 0] * x.shape[1] + c) * h + source) * w + edges[phase, 2]
                    copy_phase(flat, start, sx, scratch, at + phase * line_pitch, edges[phase, 0], edges[phase, 1],
                               line_pitch)
        for t in range(depth):
            at, shift = row * pitch, shifts[t]
            for r in range(count):
                copy(scratch, begin[r] + shift, columns, at, vectors[r])
                at += runs[r, 3]
            for i in range(at, row * pitch + padded):
                columns[i] = f4(0)
            row += 1


@inlined
def copy_phase(flat, start, sx, out, at, left, right, pitch):
    """out[at:at + pitch] = zeros below `left`, every sx-th value of flat[start:] below `right`, then zeros again."""
    for i in range(at, at + left):
        out[i] = f4(0)
    at += left
    count = right - left
    if sx == 1:
        copy_run(flat, start, out, at, count)
    else:
        for i in range(count):
            out[at + i] = flat[start + sx * i]
    for i in range(at + count, at + pitch - left):
        out[i] = f4(0)


@inlined
def copy_two_phases(flat, begin, w, start, out, even, odd, pitch):
    """Both phases at stride 2: of a row of w pixels at flat[begin:], out[even:] = pixels start, start + 2 ...,
    out[odd:] = pixels start + 1, start + 3 ..., `pitch` of each, 0 outside the row."""
    low = min(pitch, max(0, (1 - start) // 2))      # from here to `high` both are inside the row
    high = max(low, min(pitch, (w - start) // 2))
    for i in range(low):
        out[even + i] = f4(0)
        out[odd + i] = flat[begin + 2 * i + start + 1] if 0 <= 2 * i + start + 1 < w else f4(0)
    begin += start
    if high - low >= LANES:
        for q in range(low, high, LANES):
            at = min(q, high - LANES)
            deinterleave(flat, begin + 2 * at, out, even + at, odd + at)
    else:
        for i in range(low, high):
            out[even + i], out[odd + i] = flat[begin + 2 * i], flat[begin + 2 * i + 1]
    for i in range(high, pitch):
        out[even + i] = flat[begin + 2 * i] if 0 <= 2 * i + start < w else f4(0)
        out[odd + i] = f4(0)


@compiled
def im2col_scratch(shape, runs):
    """Floats of scratch that `im2col` needs for these points."""
    taps, sx = shape.taps, shape.stride_x
    span = taps[:, 0].max() - taps[:, 0].min() + 1
    width = shape.out_w if len(runs) > 1 else runs[0, 3]
    reach = (taps[:, 1].max() - taps[:, 1].min()) // sx + 1
    return len(runs) * max(span, shape.stride_y) * (width + reach) * sx + 2 * LANES
