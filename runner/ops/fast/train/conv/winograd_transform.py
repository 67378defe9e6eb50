"""The transforms of Winograd's convolution F(4x4, 3x3) in training, over images; their formulas: simd/transform.py.

An output is cut into tiles of 4 x 4; each depends on 6 x 6 inputs.  Every function here is one of the transforms of
winograd_matrices.py or its transpose, which the gradients need.

Transformed arrays are cut into blocks of MR tiles and LANES channels, see winograd_gemm.py; in the last blocks the
missing channels are zeros, and what is beyond the tiles is undefined.  Channels are consecutive in the buffers here
too, so every step fills its registers even where the image is small.  What comes from an image or goes to one is
transposed, LANES channels by LANES pixels at a time.
"""
from typing import NamedTuple

import numpy as np

from runner.ops.fast.jit import compiled, inlined
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
from runner.ops.fast.train.conv.winograd_gemm import K_BLOCK, POINT_BLOCK, TILE_BLOCK, U_BLOCK, U_PANEL
from runner.ops.winograd_matrices import IN_TILE, POINTS, TAPS, TILE

FILTER = TAPS * TAPS            # values of a filter
U_POINT = K_BLOCK * U_PANEL     # from one point of U to the next


class Tiles(NamedTuple):
    """The tile rows top ... bottom of an image, which are the tiles `first` ... of a transformed array."""
    first: int
    top: int
    bottom: int
    tile_cols: int              # tiles of a row


@inlined
def _place(tiles, row, column, blocks, k):
    """Where block k of channels of a tile is in a transformed array of `blocks` blocks of channels."""
    tile = tiles.first + (row - tiles.top) * tiles.tile_cols + column
    return (tile // MR * blocks + k) * TILE_BLOCK + tile % MR * LANES


@compiled
def transform_input(x, v, tiles, padding, ic_blocks, low, high):
    """x (c, h, w) -> B^T d B of some tiles, for the blocks low ... high of the `ic_blocks` of v."""
    _, h, w = x.shape
    pad_y, pad_x = padding
    width = TILE * tiles.tile_cols + IN_TILE - TILE
    kept = min(w, width - pad_x)
    d, rows = np.empty(IN_TILE * w * LANES, f4), np.zeros(IN_TILE * width * LANES, f4)
    for k in range(low, high):
        d[:] = 0
        for ty in range(tiles.top, tiles.bottom):
            start = 0
            if ty > tiles.top:      # the last rows of the tiles above are the first of these
                start = IN_TILE - TILE
                copy(d, TILE * w * LANES, d, 0, start * w)
            y0 = TILE * ty - pad_y
            above = min(max(start, -y0), IN_TILE)
            below = max(min(IN_TILE, h - y0), above)
            d[start * w * LANES:above * w * LANES] = 0
            d[below * w * LANES:] = 0
            if below > above:
                _transpose_rows(x, k * LANES, y0 + above, (below - above) * w, d, above * w * LANES)
            input_transform(d, 0, w * LANES, rows, pad_x * LANES, width * LANES, kept)
            for t in range(tiles.tile_cols):
                at = _place(tiles, ty, t, ic_blocks, k)
                for i in range(IN_TILE):
                    input_transform(rows, (i * width + TILE * t) * LANES, LANES, v, at + IN_TILE * i * POINT_BLOCK,
                                    POINT_BLOCK, 1)


@compiled
def transform_output(m, y, tiles, oc_blocks):
    """Some tiles of m, of `oc_blocks` blocks of channels -> A^T m A = y (f, oh, ow)."""
    f, oh, ow = y.shape
    size = IN_TILE * TILE           # of a tile once its columns are transformed
    half = np.empty(size * tiles.tile_cols * LANES, f4)
    full, flat = np.empty((TILE * max(ow, TILE * tiles.tile_cols) + LANES) * LANES, f4), y.reshape(-1)
    for k in range(oc_blocks):
        lanes = min(LANES, f - k * LANES)
        for ty in range(tiles.top, tiles.bottom):
            for t in range(tiles.tile_cols):
                at = _place(tiles, ty, t, oc_blocks, k)
                for j in range(IN_TILE):
                    output_transform(m, at + j * POINT_BLOCK, IN_TILE * POINT_BLOCK, half, (size * t + j) * LANES,
                                     IN_TILE * LANES, 1)
            rows = min(TILE, oh - TILE * ty)
            for i in range(rows):       # what a row has too much is overwritten by the next
                for t in range(tiles.tile_cols):
                    output_transform(half, (size * t + IN_TILE * i) * LANES, LANES, full, (i * ow + TILE * t) * LANES,
                                     LANES, 1)
            pixels, start = rows * ow, (k * LANES * oh + TILE * ty) * ow
            if lanes == LANES and pixels >= LANES:
                for q in range(0, pixels, LANES):
                    at = min(q, pixels - LANES)
                    transpose(full, at * LANES, LANES, flat, start + at, oh * ow)
            else:
                for one in range(lanes):
                    for q in range(pixels):
                        flat[start + one * oh * ow + q] = full[q * LANES + one]


@compiled
def transform_output_backward(dy, z, tiles, oc_blocks, low, high):
    """dy (f, oh, ow) -> A dy A^T of some tiles, for the blocks low ... high of the `oc_blocks` of z."""
    _, oh, ow = dy.shape
    width = TILE * tiles.tile_cols
    d, rows = np.empty(TILE * ow * LANES, f4), np.zeros(IN_TILE * width * LANES, f4)
    for k in range(low, high):
        d[:] = 0
        for ty in range(tiles.top, tiles.bottom):
            there = min(TILE, oh - TILE * ty)
            d[there * ow * LANES:] = 0
            _transpose_rows(dy, k * LANES, TILE * ty, there * ow, d, 0)
            output_transform_backward(d, 0, ow * LANES, rows, 0, width * LANES, ow)
            for t in range(tiles.tile_cols):
                at = _place(tiles, ty, t, oc_blocks, k)
                for i in range(IN_TILE):
                    output_transform_backward(rows, (i * width + TILE * t) * LANES, LANES, z,
                                              at + IN_TILE * i * POINT_BLOCK, POINT_BLOCK, 1)


@compiled
def _transpose_rows(x, k, y, pixels, d, start):
    """x (c, h, w), `pixels` of it from row y on -> d[start:] (pixels, LANES): the channels from k on."""
    c, h, w = x.shape
    flat, plane, lanes = x.reshape(-1), h * w, min(LANES, c - k)
    begin = k * plane + y * w
    if lanes == LANES and pixels >= LANES:
        for q in range(0, pixels, LANES):
            at = min(q, pixels - LANES)
            transpose(flat, begin + at, plane, d, start + at * LANES, LANES)
    else:
        for q in range(pixels):
            for one in range(lanes):
                d[start + q * LANES + one] = flat[begin + one * plane + q]


@compiled
def transform_filters(w, flipped, first, vectors, k0, k1, u, u0):
    """w (f, c, 3, 3) -> G g G^T: rows k0 ... k1 of the `vectors` vectors of a panel of U, from vector `first` on;
    written to u[u0:].

    Rows are channels and columns filters; flipped, for the data gradient: rows are filters, columns channels, and the
    filters rotated by 180 degrees.
    """
    f, c = w.shape[:2]
    flat, half = w.reshape(-1), np.empty(IN_TILE * TAPS * LANES, f4)
    count = FILTER * (k1 - k0)
    g = np.empty((max(count, FILTER) + LANES) * LANES, f4)
    for vector in range(vectors):
        column = (first + vector) * LANES
        lanes = min(LANES, (c if flipped else f) - column)
        if not flipped:
            start = (column * c + k0) * FILTER
            if lanes == LANES and count >= LANES:
                for q in range(0, count, LANES):
                    at = min(q, count - LANES)
                    transpose(flat, start + at, FILTER * c, g, at * LANES, LANES)
            else:
                for one in range(lanes):
                    for q in range(count):
                        g[q * LANES + one] = flat[start + one * FILTER * c + q]
        for k in range(k1 - k0):
            place = u0 + k // K_BLOCK * U_BLOCK + k % K_BLOCK * U_PANEL + vector * LANES
            if not flipped:
                filter_transform(g, FILTER * k * LANES, TAPS * LANES, half, 0, TAPS * LANES, TAPS)
                for i in range(IN_TILE):
                    filter_transform(half, TAPS * i * LANES, LANES, u, place + IN_TILE * i * U_POINT, U_POINT, 1)
                continue
            start = ((k0 + k) * c + column) * FILTER
            if lanes == LANES and start + FILTER * LANES + LANES <= flat.size:
                for i in range(0, FILTER, LANES):
                    transpose(flat, start + i, FILTER, g, i * LANES, LANES)
            else:
                for one in range(lanes):
                    for i in range(FILTER):
                        g[i * LANES + one] = flat[start + FILTER * one + i]
            # read from the last row and the last column on
            filter_transform(g, 2 * TAPS * LANES, -TAPS * LANES, half, 0, TAPS * LANES, TAPS)
            for i in range(IN_TILE):
                filter_transform(half, (TAPS * i + 2) * LANES, -LANES, u, place + IN_TILE * i * U_POINT, U_POINT, 1)


@compiled
def transform_filters_backward(du, du0, rows, pitch, dw, low, first, last):
    """du (rows, channel blocks, POINTS, LANES), rows `pitch` apart -> G^T du G: the filters from `low` on and the
    channel blocks first ... last of dw (f, c, 3, 3)."""
    c = dw.shape[1]
    half, g = np.empty(IN_TILE * TAPS * LANES, f4), np.empty((FILTER + LANES) * LANES, f4)
    line = np.empty((last - first) * LANES * FILTER + 2 * LANES, f4)
    start, count = first * LANES * FILTER, (min(last * LANES, c) - first * LANES) * FILTER
    for k in range(rows):
        out = dw[low + k].reshape(-1)
        for block in range(last - first):
            at = du0 + k * pitch + block * POINTS * LANES
            filter_transform_backward(du, at, IN_TILE * LANES, half, 0, IN_TILE * LANES, IN_TILE)
            for i in range(TAPS):
                filter_transform_backward(half, IN_TILE * i * LANES, LANES, g, TAPS * i * LANES, LANES, 1)
            if LANES > FILTER:      # of every channel a vector; what it has too much is overwritten by the next
                transpose(g, 0, LANES, line, block * LANES * FILTER, FILTER)
            else:
                for i in range(FILTER):
                    for one in range(LANES):
                        line[(block * LANES + one) * FILTER + i] = g[i * LANES + one]
        for q in range(count):
            out[start + q] = line[q]
