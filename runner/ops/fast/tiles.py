"""The transforms of Winograd's convolution F(4x4, 3x3), compiled (Lavin & Gray 2016; points 0, 1, -1, 2, -2, infinity).

An output is cut into tiles of 4 x 4; each needs 6 x 6 of the input.  With the matrices

    B^T = [4  0 -5  0  1  0]    G = [ 1/4     0     0]    A^T = [1  1  1  1  1  0]
          [0 -4 -4  1  1  0]        [-1/6  -1/6  -1/6]          [0  1 -1  2 -2  0]
          [0  4 -4 -1  1  0]        [-1/6   1/6  -1/6]          [0  1  1  4  4  0]
          [0 -2 -1  2  1  0]        [1/24  1/12   1/6]          [0  1 -1  8 -8  1]
          [0  2 -1 -2  1  0]        [1/24 -1/12   1/6]
          [0  4  0 -5  0  1]        [   0     0     1]

a tile of the output is A^T [(G g G^T) * (B^T d B)] A: 36 multiplications where the plain sum has 144.  Every function
here is one of these transforms or its transpose, which the gradients need.

Transformed arrays are (36, tiles, channels): 36 matrices, ready for products.  Channels lie side by side in them, and
in the buffers here, rounded up to whole vector registers by zeros; so every step fills its registers however small
the image is.  What comes from an image or goes to one is turned, LANES channels by LANES pixels at a time.
"""
import numpy as np

from runner.ops.fast.compiling import compiled
from runner.ops.fast.conv_tile import LANES
from runner.ops.fast.scalar import activate_run, f4
from runner.ops.fast.vectors import Vector, transform, turn


def _input(a0: Vector, a1: Vector, a2: Vector, a3: Vector, a4: Vector, a5: Vector) -> tuple[Vector, ...]:
    """B^T"""
    even, odd, twin, pair = a4 - 4 * a2, a3 - 4 * a1, a4 - a2, 2 * (a3 - a1)
    return 4 * a0 - 5 * a2 + a4, even + odd, even - odd, twin + pair, twin - pair, 4 * a1 - 5 * a3 + a5


def _input_transposed(a0: Vector, a1: Vector, a2: Vector, a3: Vector, a4: Vector, a5: Vector) -> tuple[Vector, ...]:
    """B"""
    p, d, r, s = a1 + a2, a2 - a1, a3 + a4, 2 * (a4 - a3)
    return (4 * a0, 4 * (d + a5) + s, -5 * a0 - 4 * p - r, -1 * (d + s) - 5 * a5, a0 + p + r, a5)


def _output(a0: Vector, a1: Vector, a2: Vector, a3: Vector, a4: Vector, a5: Vector) -> tuple[Vector, ...]:
    """A^T"""
    p, d, r, s = a1 + a2, a1 - a2, a3 + a4, a3 - a4
    return a0 + p + r, d + 2 * s, p + 4 * r, d + 8 * s + a5


def _output_transposed(a0: Vector, a1: Vector, a2: Vector, a3: Vector) -> tuple[Vector, ...]:
    """A"""
    even, odd, twin, pair = a0 + a2, a1 + a3, a0 + 4 * a2, 2 * a1 + 8 * a3
    return a0, even + odd, even - odd, twin + pair, twin - pair, a3


def _kernel(a0: Vector, a1: Vector, a2: Vector) -> tuple[Vector, ...]:
    """G"""
    outer, even, odd = (-1 / 6) * (a0 + a2), (1 / 24) * a0 + (1 / 6) * a2, (1 / 12) * a1
    return (1 / 4) * a0, outer - (1 / 6) * a1, outer + (1 / 6) * a1, even + odd, even - odd, a2


def _kernel_transposed(a0: Vector, a1: Vector, a2: Vector, a3: Vector, a4: Vector, a5: Vector) -> tuple[Vector, ...]:
    """G^T"""
    p, r = (1 / 6) * (a1 + a2), a3 + a4
    return ((1 / 4) * a0 - p + (1 / 24) * r, (1 / 6) * (a2 - a1) + (1 / 12) * (a3 - a4), (1 / 6) * r - p + a5)


input_step, input_back, input_back_add = transform(_input, 6), transform(_input_transposed, 6), transform(
    _input_transposed, 6, add=True)
kernel_step, kernel_back = transform(_kernel, 3), transform(_kernel_transposed, 6)
output_step, output_back = transform(_output, 6), transform(_output_transposed, 4)


@compiled
def tiles_in(x, v, first, pad_y, pad_x, low, high, top, bottom, across):
    """x (c, h, w) -> B^T d B of the tile rows top..bottom of channels low..high: v[:, first:, low:]."""
    _, h, w = x.shape
    _, tiles, every = v.shape
    deep, wide = -(-(high - low) // LANES) * LANES, 4 * across + 2
    n, kept = deep // LANES, min(w, wide - pad_x)
    d, rows = np.zeros(6 * w * deep, f4), np.zeros(6 * wide * deep, f4)
    for ty in range(top, bottom):
        start = 0
        if ty > top:        # two rows of the last tiles are seen again
            d[:2 * w * deep] = d[4 * w * deep:]
            start = 2
        y0 = 4 * ty - pad_y
        above = min(max(start, -y0), 6)
        below = max(min(6, h - y0), above)
        d[start * w * deep:above * w * deep] = 0
        d[below * w * deep:] = 0
        if below > above:
            turn_rows(x, low, high, y0 + above, (below - above) * w, d, above * w * deep, deep)
        input_step(d, 0, w * deep, rows, pad_x * deep, wide * deep, kept * n)
        at = first + (ty - top) * across
        for i in range(6):
            for t in range(across):
                input_step(rows, (i * wide + 4 * t) * deep, deep, v, (6 * i * tiles + at + t) * every + low,
                           tiles * every, n)


@compiled
def tiles_out(m, first, y, biases, code, slope_low, slope_high, low, high, top, bottom, across):
    """m[:, first:, low:high] -> y (f, oh, ow): f(A^T m A + biases), the tile rows top..bottom of filters low..high."""
    _, oh, ow = y.shape
    _, tiles, every = m.shape
    deep, wide = -(-(high - low) // LANES) * LANES, 4 * across
    n, long = deep // LANES, -(-wide // LANES) * LANES
    half, full = np.empty(24 * across * deep, f4), np.empty(4 * long * deep, f4)
    turned, run = np.empty((LANES, long), f4), np.empty(ow, f4)
    for ty in range(top, bottom):
        at = first + (ty - top) * across
        for t in range(across):
            for j in range(6):
                output_step(m, (j * tiles + at + t) * every + low, 6 * tiles * every,
                            half, (j * across + t) * deep, 6 * across * deep, n)
        for i in range(min(4, oh - 4 * ty)):
            for t in range(across):
                output_step(half, (i * 6 * across + t) * deep, across * deep, full, 4 * t * deep, deep, n)
            for k in range(low, high, LANES):
                for q in range(0, wide, LANES):
                    turn(full, q * deep + k - low, deep, turned, q, long)
                for one in range(min(LANES, high - k)):
                    bias, line = biases[k + one], turned[one]
                    for q in range(ow):
                        run[q] = line[q] + bias
                    activate_run(code, slope_low, slope_high, run, y[k + one, 4 * ty + i])


@compiled
def tiles_out_transposed(dy, z, first, low, high, top, bottom, across):
    """dy (f, oh, ow) -> A dy A^T: z[:, first:, low:]."""
    _, oh, ow = dy.shape
    _, tiles, every = z.shape
    deep, wide = -(-(high - low) // LANES) * LANES, 4 * across
    n = deep // LANES
    d, rows = np.zeros(4 * ow * deep, f4), np.zeros(6 * wide * deep, f4)
    for ty in range(top, bottom):
        there = min(4, oh - 4 * ty)
        d[there * ow * deep:] = 0
        turn_rows(dy, low, high, 4 * ty, there * ow, d, 0, deep)
        output_back(d, 0, ow * deep, rows, 0, wide * deep, ow * n)
        at = first + (ty - top) * across
        for i in range(6):
            for t in range(across):
                output_back(rows, (i * wide + 4 * t) * deep, deep, z, (6 * i * tiles + at + t) * every + low,
                            tiles * every, n)


@compiled
def tiles_in_transposed(v, first, dx, pad_y, pad_x, low, high, top, bottom, across):
    """v[:, first:, low:high] -> B v B^T, added where the tiles lie in dx (c, h, w)."""
    _, h, w = dx.shape
    _, tiles, every = v.shape
    deep, wide = -(-(high - low) // LANES) * LANES, 4 * across + 2
    n, kept = deep // LANES, min(w, wide - pad_x)
    long = -(-kept // LANES) * LANES
    half = np.empty(36 * across * deep, f4)
    full, turned = np.zeros((6 * wide + LANES) * deep, f4), np.empty((LANES, long), f4)
    for ty in range(top, bottom):
        at = first + (ty - top) * across
        full[:2 * wide * deep] = full[4 * wide * deep:6 * wide * deep]      # begun by the tiles above
        full[2 * wide * deep:] = 0
        for t in range(across):
            for j in range(6):
                input_back(v, (j * tiles + at + t) * every + low, 6 * tiles * every,
                           half, (j * across + t) * deep, 6 * across * deep, n)
        for i in range(6):
            for t in range(across):
                input_back_add(half, (i * 6 * across + t) * deep, across * deep, full, (i * wide + 4 * t) * deep,
                               deep, n)
        for i in range(4 if ty < bottom - 1 else 6):
            y = 4 * ty + i - pad_y
            if y < 0 or y >= h:
                continue
            for k in range(low, high, LANES):
                for q in range(0, kept, LANES):
                    turn(full, (i * wide + pad_x + q) * deep + k - low, deep, turned, q, long)
                for one in range(min(LANES, high - k)):
                    line, into = turned[one], dx[k + one, y]
                    for q in range(kept):
                        into[q] += line[q]


@compiled
def turn_rows(x, low, high, y, pixels, d, start, deep):
    """x (c, h, w), `pixels` of it from row y on -> d[start:] as (pixels, deep): channels low..high side by side."""
    _, h, w = x.shape
    every, begin = h * w, y * w
    whole = pixels // LANES * LANES
    for k in range(low, high, LANES):
        there, done = min(LANES, high - k), 0
        if there == LANES:
            done = whole
            for q in range(0, whole, LANES):
                turn(x, k * every + begin + q, every, d, start + q * deep + k - low, deep)
        flat = x[k:k + there].reshape(-1)
        for one in range(there):
            for q in range(done, pixels):
                d[start + q * deep + k - low + one] = flat[one * every + begin + q]


@compiled
def kernels_in(w, u, low, high):
    """w (k, q, 3, 3) -> G g G^T of low..high: u (36, k, q)."""
    _, rows, deep = u.shape
    g, half = np.zeros(9 * deep, f4), np.empty(18 * deep, f4)
    for k in range(low, high):
        for q in range(w.shape[1]):
            for i in range(9):
                g[i * deep + q] = w[k, q, i // 3, i % 3]
        kernel_step(g, 0, 3 * deep, half, 0, 3 * deep, 3 * deep // LANES)
        for i in range(6):
            kernel_step(half, 3 * i * deep, deep, u, (6 * i * rows + k) * deep, rows * deep, deep // LANES)


@compiled
def kernels_in_transposed(du, dw, low, high):
    """du (36, f, c) -> G^T du G of filters low..high: dw (f, c, 3, 3)."""
    _, rows, deep = du.shape
    half, g = np.empty(18 * deep, f4), np.empty(9 * deep, f4)
    for k in range(low, high):
        for j in range(6):
            kernel_back(du, (j * rows + k) * deep, 6 * rows * deep, half, j * deep, 6 * deep, deep // LANES)
        for i in range(3):
            kernel_back(half, 6 * i * deep, deep, g, 3 * i * deep, deep, deep // LANES)
        for q in range(dw.shape[1]):
            for i in range(9):
                dw[k, q, i // 3, i % 3] = g[i * deep + q]
