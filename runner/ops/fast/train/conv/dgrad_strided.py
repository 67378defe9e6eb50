"""The data gradient of a convolution with a stride: all phases of dx at once.

A phase of dx is the pixels with one remainder of (y, x) divided by the stride; they see dy through the same taps of the
filter, and every tap belongs to one phase.  So im2col takes a block of dy once for all phases, every tap multiplies
what it sees of it into the results of its phase, and the phases are interleaved on their way out: dx is written once,
row by row.
"""
from typing import NamedTuple

import numpy as np

from runner.ops import parallel
from runner.ops.conv import Pair
from runner.ops.fast import tuning
from runner.ops.fast.jit import compiled
from runner.ops.fast.simd.isa import LANES, MR
from runner.ops.fast.simd.math import f4
from runner.ops.fast.simd.transpose import interleave
from runner.ops.fast.train.conv.im2col import im2col, im2col_scratch, runs_of
from runner.ops.fast.train.conv.implicit_gemm import multiply, thread_scratch
from runner.ops.fast.train.conv.shape import ConvShape

Array = np.ndarray


class DgradPart(NamedTuple):
    """What one task computes: some channels of one group, for a block of points of a phase."""
    filter: int         # the first filter of the group, and how many it has
    filters: int
    channel: int        # the first channel of the group, and how many it has
    channels: int
    first: int          # panels of MR channels first ... last
    last: int
    q0: int             # points q0 ... q1
    q1: int
    columns: int        # from one row of columns and results to the next
    together: int       # filters that im2col takes at a time


def data_gradient(dy: Array, dx: Array, weights: Array, stride: Pair, padding: Pair, dilation: int,
                  groups: int) -> None:
    """dx (n, c, h, w) = the data gradient of dy (n, f, oh, ow); weights (f, c / groups, kh, kw)."""
    (f, channels, kh, kw), (n, _, h, w) = weights.shape, dx.shape
    (sy, sx), filters, panels = stride, f // groups, -(-channels // MR)
    out_h, out_w = -(-h // sy), -(-w // sx)         # of a phase
    places = [(i * dilation - padding[0], j * dilation - padding[1]) for i in range(kh) for j in range(kw)]
    taps = np.array(sorted({(-(i // sy), -(j // sx)) for i, j in places}))
    shape = ConvShape(taps, 1, 1, out_h, out_w)
    number = {tuple(tap): k for k, tap in enumerate(taps.tolist())}
    # of every tap of the filter: the phase it belongs to, and which of `taps` it is
    phases = np.array([(i % sy * sx + j % sx, number[-(i // sy), -(j // sx)]) for i, j in places])
    packed = np.empty((groups, kh * kw, panels, filters, MR), f4)
    flat = weights.reshape(f, channels, kh * kw)
    parallel.for_each(lambda g: _pack_taps(flat, g, packed[g]), groups)
    points = n * out_h * out_w
    columns = min(tuning.DGRAD_COLUMNS, -(-points // LANES) * LANES)
    blocks = -(-points // columns)
    each = min(panels, max(1, tuning.DGRAD_RESULTS // (sy * sx * MR * columns)))
    if groups * blocks * -(-panels // each) < 4 * parallel.threads():
        each = max(1, each // 2)
    shares, together = -(-panels // each), max(1, tuning.DGRAD_ROWS // len(taps))

    def work(i: int) -> None:
        group, i = divmod(i, blocks * shares)
        block, share = divmod(i, shares)
        part = DgradPart(group * filters, filters, group * channels, channels, share * each,
                    min((share + 1) * each, panels), block * columns, min((block + 1) * columns, points), columns,
                    together)
        size = (together * len(taps) + sy * sx * each * MR) * columns + 3 * LANES
        _gradient(dy, shape, phases, part, packed[group], dx, sy, sx, thread_scratch(size))
    parallel.for_each(work, groups * blocks * shares)


@compiled
def _pack_taps(weights, group, packed):
    """packed[t, p, f, m] = weights[f, p MR + m, t] of the filters of a group; 0 beyond the channels."""
    taps, panels, filters, _ = packed.shape
    c = weights.shape[1]
    flat, out = weights.reshape(-1), packed.reshape(-1)
    for p in range(panels):
        for f in range(filters):
            start = ((group * filters + f) * c + p * MR) * taps
            for m in range(MR):
                for t in range(taps):
                    value = flat[start + m * taps + t] if p * MR + m < c else f4(0)
                    out[((t * panels + p) * filters + f) * MR + m] = value


@compiled
def _gradient(dy, shape, phases, part, packed, dx, sy, sx, scratch):
    """dx[c, stride point + phase] = the sum over the filters f and the taps t of the phase of
    packed[t, c, f] dy[f, point + t], for one part; phases (taps of the filter, 2), packed as _pack_taps() gives it."""
    runs, depth, flat, out = runs_of(shape, part.q0, part.q1), len(shape.taps), packed.reshape(-1), dx.reshape(-1)
    panels, h, w, ldb = packed.shape[1], dx.shape[2], dx.shape[3], part.columns
    filters, first, last = part.filters, part.first, part.last
    columns = part.together * depth * ldb + LANES
    b, c = scratch[:columns], scratch[columns:]
    lines, width = np.empty(im2col_scratch(shape, runs), f4), part.q1 - part.q0
    size = (last - first) * MR * ldb            # results of one phase
    begun = np.zeros(sy * sx, np.int64)
    for k in range(0, filters, part.together):
        end = min(k + part.together, filters)
        im2col(dy, part.filter + k, part.filter + end, shape, runs, b, ldb, lines)
        for t in range(len(phases)):
            phase = phases[t, 0]
            multiply(flat, ((t * panels + first) * filters + k) * MR, filters * MR, last - first, end - k, b,
                     phases[t, 1] * ldb, width, depth * ldb, c, phase * size, ldb, begun[phase])
            begun[phase] = 1
    for phase in range(sy * sx):
        if not begun[phase]:
            c[phase * size:(phase + 1) * size] = 0
    for channel in range(first * MR, min(last * MR, part.channels)):
        row = (channel - first * MR) * ldb
        for phase_y in range(sy):
            at = phase_y * sx * size + row
            for r in range(len(runs)):
                line, column, length = runs[r, 1] * sy + phase_y, runs[r, 2] * sx, runs[r, 3]
                into = ((runs[r, 0] * dx.shape[1] + part.channel + channel) * h + line) * w + column
                if line < h:
                    count = min(length * sx, w - column)
                    whole = 0
                    if sx == 2 and count >= 2 * LANES:
                        whole = count // 2
                        for q in range(0, whole, LANES):
                            i = min(q, whole - LANES)
                            interleave(c, at + i, at + size + i, out, into + 2 * i)
                    for q in range(whole * 2, count):
                        out[into + q] = c[at + q % sx * size + q // sx]
                at += length
