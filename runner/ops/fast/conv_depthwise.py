"""Depthwise convolution, compiled: every output channel looks at one input channel.

There is little arithmetic to it, so what counts is that memory is read and written once and that vectors are full
however narrow the image: a channel is copied with zeros around it, its pixels sorted by what remains of (y, x) divided
by the stride, and then every tap is one shift of one long row.  The few results that belong to the zeros at the right
edge are computed too, and dropped.
"""
import numpy as np

from runner.ops import parallel
from runner.ops.fast.compiling import compiled
from runner.ops.fast.conv_gather import pixels
from runner.ops.fast.conv_product import NOTHING, Finish
from runner.ops.fast.conv_tile import LANES, WINDOW, window
from runner.ops.fast.scalar import activate_run, f4

Array = np.ndarray
STEP = WINDOW * LANES


def depthwise(x: Array, taps: Array, step: tuple[int, int], grid: tuple[int, int], weights: Array, y: Array,
              ostep: tuple[int, int] = (1, 1), origin: tuple[int, int] = (0, 0), finish: Finish = NOTHING) -> None:
    """y[n, f, point ostep + origin] = sum over taps t of weights[f, t] x[n, f c / filters, step point + t].

    x (n, c, h, w), y (n, filters, ...).  weights (filters, t); or, where x has more channels than y (the data gradient
    of a layer with several filters to a channel), (c, t), and the channels of a filter are added up.
    """
    n, c = x.shape[:2]
    filters = min(c, y.shape[1])        # channels at a time on the side that has fewer
    parallel.for_blocks(lambda i: _depthwise(x, taps, *step, *grid, weights, *finish, y, *ostep, *origin, i.start,
                                             i.stop), n * filters, grid[0] * grid[1] * max(c, y.shape[1]) // filters)


def weight_gradient(dy: Array, x: Array, taps: Array, step: tuple[int, int]) -> Array:
    """dy (n, f, oh, ow), x (n, c, h, w) -> dweights (f, t); a channel belongs to one thread."""
    dweights = np.empty((dy.shape[1], len(taps)), f4)
    parallel.for_blocks(lambda i: _weights(dy, x, taps, *step, dweights, i.start, i.stop), x.shape[1],
                        dy.size // x.shape[1])
    return dweights


@compiled
def _layout(taps, sy, sx, gh, gw):
    """Height and pitch of the parts of a sorted channel, and where in it each tap begins."""
    y0, x0 = taps[:, 0].min(), taps[:, 1].min()
    tall, pitch = gh + (taps[:, 0].max() - y0) // sy, gw + (taps[:, 1].max() - x0) // sx
    starts = np.empty(len(taps), np.int64)
    for t in range(len(taps)):
        dy, dx = taps[t, 0] - y0, taps[t, 1] - x0
        starts[t] = ((dy % sy * sx + dx % sx) * tall + dy // sy) * pitch + dx // sx
    return y0, x0, tall, pitch, starts


@compiled
def _sort(x, n, c, y0, x0, sy, sx, tall, pitch, sorted_):
    """sorted_[remainder y, remainder x, y, x] = x[n, c, ...] with zeros around it, all in one row."""
    h, w = x.shape[2:]
    flat, begin = x.reshape(-1), (n * x.shape[1] + c) * h * w
    for part in range(sy * sx):
        start = part % sx + x0
        left = min(pitch, max(0, (-start + sx - 1) // sx))
        right = max(left, min(pitch, (w - start + sx - 1) // sx))
        for row in range(tall):
            at, line = (part * tall + row) * pitch, row * sy + part // sx + y0
            if line < 0 or line >= h:
                sorted_[at:at + pitch] = f4(0)
                continue
            pixels(flat, begin + line * w + start + left * sx, sx, sorted_, at, left, right, pitch)


@compiled
def _depthwise(x, taps, sy, sx, gh, gw, weights, biases, code, low, high, y, oy, ox, ty, tx, first, last):
    c, filters, depth = x.shape[1], y.shape[1], len(taps)
    y0, x0, tall, pitch, starts = _layout(taps, sy, sx, gh, gw)
    points = ((gh - 1) * pitch + gw + STEP - 1) // STEP * STEP
    size = sy * sx * tall * pitch
    sorted_ = np.zeros(size + 2 * STEP, f4)
    sums, more, flat = np.empty(points, f4), np.empty(points, f4), weights.reshape(-1)
    side = min(c, filters)
    each, fan = max(1, filters // c), max(1, c // filters)
    for i in range(first, last):
        n, k = i // side, i % side
        for m in range(each):
            f = k * each + m
            for j in range(fan):
                channel = k * fan + j
                if m == 0 or fan > 1:
                    _sort(x, n, channel, y0, x0, sy, sx, tall, pitch, sorted_)
                row = max(channel, f)
                into = more if j else sums
                for q in range(0, points, STEP):
                    window(flat, row * depth, starts, depth, sorted_, q, into, q)
                if j:
                    for q in range(points):
                        sums[q] += more[q]
            done = sums
            if len(biases):
                for q in range(points):
                    more[q] = sums[q] + biases[f]
                activate_run(code, low, high, more, sums)
            for r in range(gh):
                line, source = y[n, f, r * oy + ty], done[r * pitch:r * pitch + gw]
                if ox == 1:
                    for q in range(gw):
                        line[tx + q] = source[q]
                else:
                    for q in range(gw):
                        line[tx + ox * q] = source[q]


@compiled
def _dot(a, b):
    total = f4(0)
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@compiled
def _weights(dy, x, taps, sy, sx, dweights, first, last):
    filters, gh, gw = dy.shape[1:]
    each = filters // x.shape[1]
    y0, x0, tall, pitch, starts = _layout(taps, sy, sx, gh, gw)
    points = (gh - 1) * pitch + gw
    sorted_, grad = np.empty(sy * sx * tall * pitch, f4), np.zeros(gh * pitch, f4)
    for c in range(first, last):
        dweights[c * each:(c + 1) * each] = 0
        for n in range(len(x)):
            _sort(x, n, c, y0, x0, sy, sx, tall, pitch, sorted_)
            for f in range(c * each, (c + 1) * each):
                for r in range(gh):
                    line, into = dy[n, f, r], grad[r * pitch:r * pitch + gw]
                    for q in range(gw):
                        into[q] = line[q]
                for t in range(len(taps)):
                    dweights[f, t] += _dot(grad[:points], sorted_[starts[t]:starts[t] + points])
