"""The data gradient of a convolution with a stride: all remainders of a place in dx divided by the stride at once.

Pixels of dx that are a stride apart see dy through the same taps of the kernel, and every tap belongs to one of these
remainders.  So a block of dy is gathered once, for all of them, every tap multiplies what it sees of it into the
results of its remainder, and these are joined on their way out: dx is written once, line by line.
"""
import numpy as np

from runner.ops import parallel
from runner.ops.fast.jit import compiled
from runner.ops.fast.simd.isa import LANES, MR
from runner.ops.fast.simd.math import f4
from runner.ops.fast.simd.transpose import interleave
from runner.ops.fast.train.conv.im2col import gather, lines_size, runs_of
from runner.ops.fast.train.conv.implicit_gemm import multiply, scratch

Array = np.ndarray
COLUMNS = 192       # points of dy in a block
DEPTH = 256         # rows of them gathered at a time
RESULTS = 1 << 17   # values of results of a block


def data_gradient(dy: Array, dx: Array, weights: Array, stride: tuple[int, int], padding: tuple[int, int],
                  dilation: int, groups: int) -> None:
    """dy (n, f, oh, ow), weights (f, c / groups, kh, kw) -> dx (n, c, h, w)."""
    (f, channels, kh, kw), (n, _, h, w) = weights.shape, dx.shape
    (sy, sx), filters, panels = stride, f // groups, -(-channels // MR)
    grid = -(-h // sy), -(-w // sx)
    places = [(i * dilation - padding[0], j * dilation - padding[1]) for i in range(kh) for j in range(kw)]
    taps = np.array(sorted({(-(i // sy), -(j // sx)) for i, j in places}))
    number = {tuple(tap): k for k, tap in enumerate(taps.tolist())}
    # of every tap of the kernel: the remainder it belongs to, and which of `taps` it is
    plan = np.array([(i % sy * sx + j % sx, number[-(i // sy), -(j // sx)]) for i, j in places])
    packed = np.empty((groups, kh * kw, panels, filters, MR), f4)
    flat = weights.reshape(f, channels, kh * kw)
    parallel.for_each(lambda g: _pack(flat, g, packed[g]), groups)
    points = n * grid[0] * grid[1]
    columns = min(COLUMNS, -(-points // LANES) * LANES)
    blocks = -(-points // columns)
    each = min(panels, max(1, RESULTS // (sy * sx * MR * columns)))
    if groups * blocks * -(-panels // each) < 4 * parallel.threads():
        each = max(1, each // 2)
    shares, some = -(-panels // each), max(1, DEPTH // len(taps))

    def work(i: int) -> None:
        group, i = divmod(i, blocks * shares)
        block, share = divmod(i, shares)
        first, last = share * each, min((share + 1) * each, panels)
        size = (some * len(taps) + sy * sx * each * MR) * columns + 3 * LANES
        _gradient(dy, group * filters, filters, taps, plan, *grid, block * columns,
                  min((block + 1) * columns, points), columns, some, packed[group], first, last, channels,
                  group * channels, dx, sy, sx, scratch(size))
    parallel.for_each(work, groups * blocks * shares)


@compiled
def _pack(weights, group, packed):
    """weights (f, c, t) -> packed (t, panels of c, f of a group, MR)."""
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
def _gradient(dy, f0, filters, taps, plan, gh, gw, q0, q1, ldb, some, packed, first, last, channels, c0, dx, sy, sx,
              buffer):
    """Panels first..last of one group, for the points q0..q1."""
    runs, depth, flat, out = runs_of(gh, gw, q0, q1), len(taps), packed.reshape(-1), dx.reshape(-1)
    panels, h, w = packed.shape[1], dx.shape[2], dx.shape[3]
    b, c = buffer[:some * depth * ldb + LANES], buffer[some * depth * ldb + LANES:]
    lines, width = np.empty(lines_size(taps, 1, 1, gw, runs), f4), q1 - q0
    part = (last - first) * MR * ldb
    begun = np.zeros(sy * sx, np.int64)
    for k in range(0, filters, some):
        end = min(k + some, filters)
        gather(dy, f0 + k, f0 + end, taps, 1, 1, gw, runs, b, ldb, lines)
        for t in range(len(plan)):
            phase = plan[t, 0]
            multiply(flat, ((t * panels + first) * filters + k) * MR, filters * MR, last - first, end - k, b,
                     plan[t, 1] * ldb, width, depth * ldb, c, phase * part, ldb, begun[phase])
            begun[phase] = 1
    for phase in range(sy * sx):
        if not begun[phase]:
            c[phase * part:(phase + 1) * part] = 0
    for channel in range(first * MR, min(last * MR, channels)):
        row = (channel - first * MR) * ldb
        for down in range(sy):
            at = down * sx * part + row
            for r in range(len(runs)):
                line, column, length = runs[r, 1] * sy + down, runs[r, 2] * sx, runs[r, 3]
                into = ((runs[r, 0] * dx.shape[1] + c0 + channel) * h + line) * w + column
                if line < h:
                    count = min(length * sx, w - column)
                    whole = 0
                    if sx == 2 and count >= 2 * LANES:
                        whole = count // 2
                        for q in range(0, whole, LANES):
                            i = min(q, whole - LANES)
                            interleave(c, at + i, at + part + i, out, into + 2 * i)
                    for q in range(whole * 2, count):
                        out[into + q] = c[at + q % sx * part + q // sx]
                at += length
