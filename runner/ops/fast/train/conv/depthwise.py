"""Depthwise convolution, compiled: every output channel looks at one input channel.

There is little arithmetic to it, so what counts is that memory is read and written once and that vectors are full
however narrow the image: a channel is copied with zeros around it, its pixels sorted by what remains of (y, x) divided
by the stride, and then every tap is one shift of one long row.  The few results that belong to the zeros at the right
edge are computed too, and dropped.  The data gradient does the same with dy, for each remainder of (y, x) in dx.
"""
import numpy as np

from runner.ops import parallel
from runner.ops.fast.jit import compiled
from runner.ops.fast.simd.copy import copy_rows, copy_run
from runner.ops.fast.simd.direct import accumulate_taps
from runner.ops.fast.simd.dot import correlate1, correlate5, correlate9
from runner.ops.fast.simd.isa import LANES, TAP_VECTORS
from runner.ops.fast.simd.math import f4
from runner.ops.fast.simd.transpose import interleave
from runner.ops.fast.train.conv.im2col import pixel_pairs, pixels

Array = np.ndarray
STEP = TAP_VECTORS * LANES
FLUSH = 4096        # points summed up in vectors before their lanes are


def depthwise(x: Array, taps: Array, step: tuple[int, int], weights: Array, y: Array) -> None:
    """y[n, f, point] = sum over taps t of weights[f, t] x[n, f c / filters, step point + t].

    x (n, c, h, w), weights (filters, t), y (n, filters, oh, ow).
    """
    n, filters, oh, ow = y.shape
    parallel.for_blocks(lambda i: _depthwise(x, taps, *step, weights, y, i.start, i.stop), n * filters,
                        oh * ow)


def data_gradient(dy: Array, weights: Array, dx: Array, step: tuple[int, int], padding: tuple[int, int],
                  dilation: int) -> None:
    """dy (n, f, oh, ow), weights (f, 1, kh, kw) -> dx (n, c, h, w)."""
    kh, kw = weights.shape[2:]
    n, c, h, w = dx.shape
    phases = step[0] * step[1]
    points = [np.empty((0, 2), int)] * phases
    chosen = np.zeros((len(weights), phases, kh * kw), f4)
    for p in range(phases):         # the taps a pixel of dx sees, by what remains of its place divided by the stride
        row, column = p // step[1] + padding[0], p % step[1] + padding[1]
        seen = [(i, j) for i in range(kh) for j in range(kw)
                if (row - i * dilation) % step[0] == 0 == (column - j * dilation) % step[1]]
        if seen:
            points[p] = np.array([((row - i * dilation) // step[0], (column - j * dilation) // step[1])
                                  for i, j in seen])
            chosen[:, p, :len(seen)] = weights[:, 0, [i for i, _ in seen], [j for _, j in seen]]
    every = np.concatenate(points)
    (y0, x0), (y1, x1) = every.min(axis=0), every.max(axis=0)
    tall, pitch = -(-h // step[0]) + y1 - y0, -(-w // step[1]) + x1 - x0
    starts = np.zeros((phases, kh * kw), np.int64)
    for p, seen_from in enumerate(points):
        starts[p, :len(seen_from)] = (seen_from[:, 0] - y0) * pitch + seen_from[:, 1] - x0
    counts = np.array([len(p) for p in points])
    parallel.for_blocks(lambda i: _gradient(dy, starts, counts, y0, x0, tall, pitch, chosen.reshape(-1), dx, *step,
                                            i.start, i.stop), n * c, max(h * w, dy[0].size // c))


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
    """sorted_[remainder y, remainder x, y, x] = x[n, c, ...], all in one row; the zeros around it were there before."""
    h, w = x.shape[2:]
    flat, begin, part = x.reshape(-1), (n * x.shape[1] + c) * h * w, tall * pitch
    first = max(0, -x0)
    if sx == sy == 1:
        low, high = max(0, -y0), min(tall, h - y0)
        copy_rows(flat, begin + (low + y0) * w + x0 + first, w, sorted_, low * pitch + first, pitch, high - low,
                  min(pitch - first, w - x0 - first))
        return
    for down in range(sy):
        for row in range(tall):
            at, line = (down * sx * tall + row) * pitch, row * sy + down + y0
            if line < 0 or line >= h:
                continue
            if sx == 2:
                pixel_pairs(flat, begin + line * w, w, x0, sorted_, at, at + part, pitch)
            else:
                for across in range(sx):
                    start = across + x0
                    left = min(pitch, max(0, (-start + sx - 1) // sx))
                    right = max(left, min(pitch, (w - start + sx - 1) // sx))
                    pixels(flat, begin + line * w + start + left * sx, sx, sorted_, at + across * part, left, right,
                           pitch)


@compiled
def _whole(points):
    return (points + STEP - 1) // STEP * STEP


@compiled
def _depthwise(x, taps, sy, sx, weights, y, first, last):
    _, filters, gh, gw = y.shape
    each, depth = filters // x.shape[1], len(taps)
    y0, x0, tall, pitch, starts = _layout(taps, sy, sx, gh, gw)
    points = _whole((gh - 1) * pitch + gw)
    sorted_, sums = np.zeros(sy * sx * tall * pitch + 2 * STEP, f4), np.empty(points, f4)
    flat, out = weights.reshape(-1), y.reshape(-1)
    for i in range(first, last):
        n, f = i // filters, i % filters
        if f % each == 0 or i == first:
            _sort(x, n, f // each, y0, x0, sy, sx, tall, pitch, sorted_)
        for q in range(0, points, STEP):
            accumulate_taps(flat, f * depth, starts, depth, sorted_, q, sums, q)
        copy_rows(sums, 0, pitch, out, i * gh * gw, gw, gh, gw)


@compiled
def _gradient(dy, starts, counts, y0, x0, tall, pitch, weights, dx, sy, sx, first, last):
    c, h, w = dx.shape[1:]
    phases, depth = starts.shape
    fan = dy.shape[1] // c
    points = _whole(((h + sy - 1) // sy - 1) * pitch + (w + sx - 1) // sx)
    sorted_, sums, more = np.zeros(tall * pitch + 2 * STEP, f4), np.zeros(phases * points, f4), np.empty(STEP, f4)
    out = dx.reshape(-1)
    for i in range(first, last):
        n, k = i // c, i % c
        for f in range(k * fan, (k + 1) * fan):
            _sort(dy, n, f, y0, x0, 1, 1, tall, pitch, sorted_)
            for p in range(phases):
                shifts, count, row = starts[p], counts[p], (f * phases + p) * depth
                if count == 0:
                    continue
                for q in range(0, points, STEP):
                    if f == k * fan:
                        accumulate_taps(weights, row, shifts, count, sorted_, q, sums, p * points + q)
                        continue
                    accumulate_taps(weights, row, shifts, count, sorted_, q, more, 0)
                    for j in range(STEP):
                        sums[p * points + q + j] += more[j]
        for r in range(h):
            into, source = (i * h + r) * w, r % sy * sx * points + r // sy * pitch
            if sx == 1:
                copy_run(sums, source, out, into, w)
            elif sx == 2 and w >= 2 * LANES:
                for q in range(0, w // 2, LANES):
                    at = min(q, w // 2 - LANES)
                    interleave(sums, source + at, source + points + at, out, into + 2 * at)
                if w % 2:
                    out[into + w - 1] = sums[source + w // 2]
            else:
                for q in range(w):
                    out[into + q] = sums[source + q % sx * points + q // sx]


@compiled
def _weights(dy, x, taps, sy, sx, dweights, first, last):
    filters, gh, gw = dy.shape[1:]
    each, depth, flat = filters // x.shape[1], len(taps), dy.reshape(-1)
    y0, x0, tall, pitch, starts = _layout(taps, sy, sx, gh, gw)
    vectors = ((gh - 1) * pitch + gw + LANES - 1) // LANES
    # what is beyond the points, and between the rows of grad, is zeros and stays so
    sorted_, grad = np.zeros(sy * sx * tall * pitch + LANES, f4), np.zeros(gh * pitch + LANES, f4)
    sums, waiting = np.zeros((each, depth * LANES), f4), 0
    for c in range(first, last):
        dweights[c * each:(c + 1) * each] = 0
        for n in range(len(x)):
            _sort(x, n, c, y0, x0, sy, sx, tall, pitch, sorted_)
            for m in range(each):
                part = sums[m]
                copy_rows(flat, (n * filters + c * each + m) * gh * gw, gw, grad, 0, pitch, gh, gw)
                t = 0
                while t < depth:
                    if t + 9 <= depth and depth != 25:
                        correlate9(grad, 0, starts, t, sorted_, 0, vectors, part, t * LANES)
                        t += 9
                    elif t + 5 <= depth:
                        correlate5(grad, 0, starts, t, sorted_, 0, vectors, part, t * LANES)
                        t += 5
                    else:
                        correlate1(grad, 0, starts, t, sorted_, 0, vectors, part, t * LANES)
                        t += 1
            waiting += vectors * LANES
            if waiting >= FLUSH or n == len(x) - 1:
                for m in range(each):
                    for t in range(depth):
                        total = f4(0)
                        for j in range(LANES):
                            total += sums[m, t * LANES + j]
                        dweights[c * each + m, t] += total
                sums[:] = 0
                waiting = 0
