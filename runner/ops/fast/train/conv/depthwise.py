"""Depthwise convolution, compiled: every output channel sees one input channel.

There is little arithmetic to it, so what counts is that memory is read and written once and that vectors are full
however narrow the image: a channel is copied with zeros around it, its pixels sorted by phase, the remainder of (y, x)
divided by the stride.  Then every tap is one shift of one long row.  The few results that belong to the zeros at the
right edge are computed too, and dropped.  The data gradient does the same with dy, for each phase of dx.
"""
from typing import NamedTuple

import numpy as np

from runner.ops import parallel
from runner.ops.conv import Pair
from runner.ops.fast import tuning
from runner.ops.fast.jit import compiled
from runner.ops.fast.simd.copy import copy_rows, copy_run
from runner.ops.fast.simd.direct import accumulate_taps
from runner.ops.fast.simd.dot import correlate1, correlate5, correlate9
from runner.ops.fast.simd.isa import LANES, TAP_VECTORS
from runner.ops.fast.simd.math import f4
from runner.ops.fast.simd.transpose import interleave
from runner.ops.fast.train.conv.im2col import copy_phase, copy_two_phases
from runner.ops.fast.train.conv.shape import ConvShape

Array = np.ndarray
CHUNK = TAP_VECTORS * LANES     # results that accumulate_taps computes in one call
SUM_LANES_AFTER = tuning.DEPTHWISE_SUM_LANES_AFTER


class SortedPlane(NamedTuple):
    """Where the pixels of a channel are once it is sorted by phase: [phase y, phase x, y, x], all in one row."""
    y0: int             # the image row and column that come first, often in the padding
    x0: int
    sy: int             # phases
    sx: int
    rows: int           # of each phase, and from one row to the next
    pitch: int


class Phases(NamedTuple):
    """The taps of dy that each phase of dx sees."""
    starts: Array       # (phases, taps): where in the sorted plane of dy a tap begins
    counts: Array       # (phases,): taps of a phase
    weights: Array      # flat (filters, phases, taps)


def depthwise(x: Array, shape: ConvShape, weights: Array, y: Array) -> None:
    """y[n, f, point] = sum over taps t of weights[f, t] x[n, f c / filters, stride point + t].

    x (n, c, h, w), weights (filters, t), y (n, filters, oh, ow).
    """
    n, filters, oh, ow = y.shape
    parallel.for_blocks(lambda i: _depthwise(x, shape, weights, y, i.start, i.stop), n * filters, oh * ow)


def data_gradient(dy: Array, weights: Array, dx: Array, stride: Pair, padding: Pair, dilation: int) -> None:
    """dx (n, c, h, w) = the data gradient of dy (n, f, oh, ow); weights (f, 1, kh, kw)."""
    kh, kw = weights.shape[2:]
    n, c, h, w = dx.shape
    count = stride[0] * stride[1]
    points = [np.empty((0, 2), int)] * count
    chosen = np.zeros((len(weights), count, kh * kw), f4)
    for p in range(count):
        row, column = p // stride[1] + padding[0], p % stride[1] + padding[1]
        seen = [(i, j) for i in range(kh) for j in range(kw)
                if (row - i * dilation) % stride[0] == 0 == (column - j * dilation) % stride[1]]
        if seen:
            points[p] = np.array([((row - i * dilation) // stride[0], (column - j * dilation) // stride[1])
                                  for i, j in seen])
            chosen[:, p, :len(seen)] = weights[:, 0, [i for i, _ in seen], [j for _, j in seen]]
    every = np.concatenate(points)
    (y0, x0), (y1, x1) = every.min(axis=0).tolist(), every.max(axis=0).tolist()
    plane = SortedPlane(y0, x0, 1, 1, -(-h // stride[0]) + y1 - y0, -(-w // stride[1]) + x1 - x0)
    starts = np.zeros((count, kh * kw), np.int64)
    for p, seen_from in enumerate(points):
        starts[p, :len(seen_from)] = (seen_from[:, 0] - y0) * plane.pitch + seen_from[:, 1] - x0
    phases = Phases(starts, np.array([len(p) for p in points]), chosen.reshape(-1))
    parallel.for_blocks(lambda i: _gradient(dy, plane, phases, dx, *stride, i.start, i.stop), n * c,
                        max(h * w, dy[0].size // c))


def weight_gradient(dy: Array, x: Array, shape: ConvShape) -> Array:
    """dy (n, f, oh, ow), x (n, c, h, w) -> dweights (f, t); a channel belongs to one thread."""
    dweights = np.empty((dy.shape[1], len(shape.taps)), f4)
    parallel.for_blocks(lambda i: _weight_gradient(dy, x, shape, dweights, i.start, i.stop), x.shape[1],
                        dy.size // x.shape[1])
    return dweights


@compiled
def _sorted_plane(shape):
    """-> the layout of a sorted input channel, and where in it each tap begins (t,)."""
    taps, sy, sx = shape.taps, shape.stride_y, shape.stride_x
    y0, x0 = taps[:, 0].min(), taps[:, 1].min()
    rows, pitch = shape.out_h + (taps[:, 0].max() - y0) // sy, shape.out_w + (taps[:, 1].max() - x0) // sx
    starts = np.empty(len(taps), np.int64)
    for t in range(len(taps)):
        dy, dx = taps[t, 0] - y0, taps[t, 1] - x0
        starts[t] = ((dy % sy * sx + dx % sx) * rows + dy // sy) * pitch + dx // sx
    return SortedPlane(y0, x0, sy, sx, rows, pitch), starts


@compiled
def _sort(x, n, c, plane, out):
    """out[phase y, phase x, row, column] = x[n, c, row sy + phase y + y0, column sx + phase x + x0], flat; values
    outside the image are not written: `out` is zeros before."""
    h, w = x.shape[2:]
    y0, x0, sy, sx, pitch = plane.y0, plane.x0, plane.sy, plane.sx, plane.pitch
    flat, begin, size = x.reshape(-1), (n * x.shape[1] + c) * h * w, plane.rows * pitch
    first = max(0, -x0)
    if sx == sy == 1:
        low, high = max(0, -y0), min(plane.rows, h - y0)
        copy_rows(flat, begin + (low + y0) * w + x0 + first, w, out, low * pitch + first, pitch, high - low,
                  min(pitch - first, w - x0 - first))
        return
    for phase_y in range(sy):
        for row in range(plane.rows):
            at, line = (phase_y * sx * plane.rows + row) * pitch, row * sy + phase_y + y0
            if line < 0 or line >= h:
                continue
            if sx == 2:
                copy_two_phases(flat, begin + line * w, w, x0, out, at, at + size, pitch)
            else:
                for phase_x in range(sx):
                    start = phase_x + x0
                    left = min(pitch, max(0, (-start + sx - 1) // sx))
                    right = max(left, min(pitch, (w - start + sx - 1) // sx))
                    copy_phase(flat, begin + line * w + start + left * sx, sx, out, at + phase_x * size, left, right,
                               pitch)


@compiled
def _whole_chunks(points):
    """Points rounded up to whole chunks of accumulate_taps."""
    return (points + CHUNK - 1) // CHUNK * CHUNK


@compiled
def _depthwise(x, shape, weights, y, first, last):
    """`depthwise` of the planes (n, f) numbered first ... last."""
    _, filters, oh, ow = y.shape
    each, depth = filters // x.shape[1], len(shape.taps)
    plane, starts = _sorted_plane(shape)
    points = _whole_chunks((oh - 1) * plane.pitch + ow)
    pixels = np.zeros(plane.sy * plane.sx * plane.rows * plane.pitch + 2 * CHUNK, f4)
    sums = np.empty(points, f4)
    flat, out = weights.reshape(-1), y.reshape(-1)
    for i in range(first, last):
        n, f = i // filters, i % filters
        if f % each == 0 or i == first:
            _sort(x, n, f // each, plane, pixels)
        for q in range(0, points, CHUNK):
            accumulate_taps(flat, f * depth, starts, depth, pixels, q, sums, q)
        copy_rows(sums, 0, plane.pitch, out, i * oh * ow, ow, oh, ow)


@compiled
def _gradient(dy, plane, phases, dx, sy, sx, first, last):
    """dx[n, c, stride point + phase] = sum over the taps t of the phase of weights[f, t] dy[n, f, point + t], summed
    over the filters f of c, for the planes (n, c) numbered first ... last; plane: of dy."""
    c, h, w = dx.shape[1:]
    count, depth = phases.starts.shape
    each = dy.shape[1] // c
    points = _whole_chunks(((h + sy - 1) // sy - 1) * plane.pitch + (w + sx - 1) // sx)
    pixels, sums = np.zeros(plane.rows * plane.pitch + 2 * CHUNK, f4), np.zeros(count * points, f4)
    chunk, out, weights = np.empty(CHUNK, f4), dx.reshape(-1), phases.weights
    for i in range(first, last):
        n, k = i // c, i % c
        for f in range(k * each, (k + 1) * each):
            _sort(dy, n, f, plane, pixels)
            for p in range(count):
                shifts, taps, row = phases.starts[p], phases.counts[p], (f * count + p) * depth
                if taps == 0:
                    continue
                for q in range(0, points, CHUNK):
                    if f == k * each:
                        accumulate_taps(weights, row, shifts, taps, pixels, q, sums, p * points + q)
                        continue
                    accumulate_taps(weights, row, shifts, taps, pixels, q, chunk, 0)
                    for j in range(CHUNK):
                        sums[p * points + q + j] += chunk[j]
        for r in range(h):
            into, source = (i * h + r) * w, r % sy * sx * points + r // sy * plane.pitch
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
def _weight_gradient(dy, x, shape, dweights, first, last):
    """dweights[f, t] = the sum over n and points of dy[n, f, point] x[n, c, stride point + t], for the filters f of the
    channels first ... last."""
    filters, oh, ow = dy.shape[1:]
    each, depth, flat = filters // x.shape[1], len(shape.taps), dy.reshape(-1)
    plane, starts = _sorted_plane(shape)
    pitch = plane.pitch
    vectors = ((oh - 1) * pitch + ow + LANES - 1) // LANES
    # what is beyond the points, and between the rows of grad, is zeros and stays so
    pixels, grad = np.zeros(plane.sy * plane.sx * plane.rows * pitch + LANES, f4), np.zeros(oh * pitch + LANES, f4)
    sums, waiting = np.zeros((each, depth * LANES), f4), 0
    for c in range(first, last):
        dweights[c * each:(c + 1) * each] = 0
        for n in range(len(x)):
            _sort(x, n, c, plane, pixels)
            for m in range(each):
                part = sums[m]
                copy_rows(flat, (n * filters + c * each + m) * oh * ow, ow, grad, 0, pitch, oh, ow)
                t = 0
                while t < depth:
                    if t + 9 <= depth and depth != 5 * 5:   # 5 x 5 is five calls of 5, not 9 + 9 + 5 + 1 + 1
                        correlate9(grad, 0, starts, t, pixels, 0, vectors, part, t * LANES)
                        t += 9
                    elif t + 5 <= depth:
                        correlate5(grad, 0, starts, t, pixels, 0, vectors, part, t * LANES)
                        t += 5
                    else:
                        correlate1(grad, 0, starts, t, pixels, 0, vectors, part, t * LANES)
                        t += 1
            waiting += vectors * LANES
            if waiting >= SUM_LANES_AFTER or n == len(x) - 1:
                for m in range(each):
                    for t in range(depth):
                        total = f4(0)
                        for j in range(LANES):
                            total += sums[m, t * LANES + j]
                        dweights[c * each + m, t] += total
                sums[:] = 0
                waiting = 0
