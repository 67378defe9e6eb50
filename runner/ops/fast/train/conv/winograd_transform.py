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

Transformed arrays are cut into blocks of MR tiles and LANES channels, see winograd_gemm.py; in the last blocks the
channels that are missing are zeros, and what lies beyond the tiles is undefined.  Channels lie side by side in the
buffers here too, so every step fills its registers however small the image is.  What comes from an image or goes to
one is turned, LANES channels by LANES pixels at a time.
"""
import numpy as np

from runner.ops.fast.jit import compiled
from runner.ops.fast.simd.copy import copy
from runner.ops.fast.simd.isa import LANES, MR
from runner.ops.fast.simd.math import f4
from runner.ops.fast.simd.transform import (
    filter_transform,
    filter_transform_backward,
    input_transform,
    output_transform,
    output_transform_backward,
)
from runner.ops.fast.simd.transpose import transpose
from runner.ops.fast.train.conv.winograd_gemm import BLOCK, DEEP, KERNELS, PANEL, PIECE


@compiled
def tiles_in(x, v, first, deep, pad_y, pad_x, low, high, top, bottom, across):
    """x (c, h, w) -> B^T d B of the tile rows top..bottom: tiles first... of v, blocks low..high of its `deep`."""
    _, h, w = x.shape
    wide = 4 * across + 2
    kept = min(w, wide - pad_x)
    d, rows = np.empty(6 * w * LANES, f4), np.zeros(6 * wide * LANES, f4)
    for k in range(low, high):
        d[:] = 0
        for ty in range(top, bottom):
            start = 0
            if ty > top:        # two rows of the last tiles are seen again
                copy(d, 4 * w * LANES, d, 0, 2 * w)
                start = 2
            y0 = 4 * ty - pad_y
            above = min(max(start, -y0), 6)
            below = max(min(6, h - y0), above)
            d[start * w * LANES:above * w * LANES] = 0
            d[below * w * LANES:] = 0
            if below > above:
                turn_rows(x, k * LANES, y0 + above, (below - above) * w, d, above * w * LANES)
            input_transform(d, 0, w * LANES, rows, pad_x * LANES, wide * LANES, kept)
            for t in range(across):
                tile = first + (ty - top) * across + t
                at = (tile // MR * deep + k) * BLOCK + tile % MR * LANES
                for i in range(6):
                    input_transform(rows, (i * wide + 4 * t) * LANES, LANES, v, at + 6 * i * PIECE, PIECE, 1)


@compiled
def tiles_out(m, first, y, vectors, top, bottom, across):
    """Tiles first... of m -> y (f, oh, ow): A^T m A, the tile rows top..bottom; m: `vectors` blocks."""
    f, oh, ow = y.shape
    half, full = np.empty(24 * across * LANES, f4), np.empty((4 * max(ow, 4 * across) + LANES) * LANES, f4)
    flat = y.reshape(-1)
    for k in range(vectors):
        there = min(LANES, f - k * LANES)
        for ty in range(top, bottom):
            for t in range(across):
                tile = first + (ty - top) * across + t
                at = (tile // MR * vectors + k) * BLOCK + tile % MR * LANES
                for j in range(6):
                    output_transform(m, at + j * PIECE, 6 * PIECE, half, (24 * t + j) * LANES, 6 * LANES, 1)
            rows = min(4, oh - 4 * ty)
            for i in range(rows):       # what a row has too much is overwritten by the next
                for t in range(across):
                    output_transform(half, (24 * t + 6 * i) * LANES, LANES, full, (i * ow + 4 * t) * LANES, LANES, 1)
            pixels, start = rows * ow, (k * LANES * oh + 4 * ty) * ow
            if there == LANES and pixels >= LANES:
                for q in range(0, pixels, LANES):
                    at = min(q, pixels - LANES)
                    transpose(full, at * LANES, LANES, flat, start + at, oh * ow)
            else:
                for one in range(there):
                    for q in range(pixels):
                        flat[start + one * oh * ow + q] = full[q * LANES + one]


@compiled
def tiles_out_transposed(dy, z, first, deep, low, high, top, bottom, across):
    """dy (f, oh, ow) -> A dy A^T: tiles first... of z, blocks low..high of its `deep`."""
    _, oh, ow = dy.shape
    wide = 4 * across
    d, rows = np.empty(4 * ow * LANES, f4), np.zeros(6 * wide * LANES, f4)
    for k in range(low, high):
        d[:] = 0
        for ty in range(top, bottom):
            there = min(4, oh - 4 * ty)
            d[there * ow * LANES:] = 0
            turn_rows(dy, k * LANES, 4 * ty, there * ow, d, 0)
            output_transform_backward(d, 0, ow * LANES, rows, 0, wide * LANES, ow)
            for t in range(across):
                tile = first + (ty - top) * across + t
                at = (tile // MR * deep + k) * BLOCK + tile % MR * LANES
                for i in range(6):
                    output_transform_backward(rows, (i * wide + 4 * t) * LANES, LANES, z, at + 6 * i * PIECE, PIECE, 1)


@compiled
def turn_rows(x, k, y, pixels, d, start):
    """x (c, h, w), `pixels` of it from row y on -> d[start:] as (pixels, LANES): channels from k on side by side."""
    c, h, w = x.shape
    flat, every, there = x.reshape(-1), h * w, min(LANES, c - k)
    begin = k * every + y * w
    if there == LANES and pixels >= LANES:
        for q in range(0, pixels, LANES):
            at = min(q, pixels - LANES)
            transpose(flat, begin + at, every, d, start + at * LANES, LANES)
    else:
        for q in range(pixels):
            for one in range(there):
                d[start + q * LANES + one] = flat[begin + one * every + q]


@compiled
def kernels_in(w, turned, first, vectors, k0, k1, u, u0):
    """w (f, c, 3, 3) -> G g G^T, `vectors` vectors of a panel from vector `first` on, rows k0..k1: u from u0 on.

    turned: a row is a channel and filters lie side by side.  Else a row is a filter, channels lie side by side, and
    kernels are turned by 180 degrees, as the gradient of the data has them.
    """
    f, c = w.shape[:2]
    flat, half = w.reshape(-1), np.empty(18 * LANES, f4)
    count = 9 * (k1 - k0)
    g = np.empty((max(count, 9) + LANES) * LANES, f4)
    for vector in range(vectors):
        column = (first + vector) * LANES
        there = min(LANES, (f if turned else c) - column)
        if turned:
            start = (column * c + k0) * 9
            if there == LANES and count >= LANES:
                for q in range(0, count, LANES):
                    at = min(q, count - LANES)
                    transpose(flat, start + at, 9 * c, g, at * LANES, LANES)
            else:
                for one in range(there):
                    for q in range(count):
                        g[q * LANES + one] = flat[start + one * 9 * c + q]
        for k in range(k1 - k0):
            place = u0 + k // DEEP * KERNELS + k % DEEP * PANEL + vector * LANES
            if turned:
                filter_transform(g, 9 * k * LANES, 3 * LANES, half, 0, 3 * LANES, 3)
                for i in range(6):
                    filter_transform(half, 3 * i * LANES, LANES, u, place + 6 * i * DEEP * PANEL, DEEP * PANEL, 1)
                continue
            start = ((k0 + k) * c + column) * 9
            if there == LANES and start + 9 * LANES + LANES <= flat.size:
                for i in range(0, 9, LANES):
                    transpose(flat, start + i, 9, g, i * LANES, LANES)
            else:
                for one in range(there):
                    for i in range(9):
                        g[i * LANES + one] = flat[start + 9 * one + i]
            filter_transform(g, 6 * LANES, -3 * LANES, half, 0, 3 * LANES, 3)
            for i in range(6):
                filter_transform(half, (3 * i + 2) * LANES, -LANES, u, place + 6 * i * DEEP * PANEL, DEEP * PANEL, 1)


@compiled
def kernels_in_transposed(du, du0, rows, pitch, dw, low, first, last):
    """du (rows, channel blocks, 36, LANES) -> G^T du G: filters from `low` on, channel blocks first..last of dw."""
    c = dw.shape[1]
    half, g = np.empty(18 * LANES, f4), np.empty((9 + LANES) * LANES, f4)
    line = np.empty((last - first) * LANES * 9 + 2 * LANES, f4)
    start, count = first * LANES * 9, (min(last * LANES, c) - first * LANES) * 9
    for k in range(rows):
        out = dw[low + k].reshape(-1)
        for block in range(last - first):
            at = du0 + k * pitch + block * 36 * LANES
            filter_transform_backward(du, at, 6 * LANES, half, 0, 6 * LANES, 6)
            for i in range(3):
                filter_transform_backward(half, 6 * i * LANES, LANES, g, 3 * i * LANES, LANES, 1)
            if LANES > 9:       # of every channel a vector; what it has too much is overwritten by the next
                transpose(g, 0, LANES, line, block * LANES * 9, 9)
            else:
                for i in range(9):
                    for one in range(LANES):
                        line[(block * LANES + one) * 9 + i] = g[i * LANES + one]
        for q in range(count):
            out[start + q] = line[q]
