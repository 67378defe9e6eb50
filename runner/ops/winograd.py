"""3 x 3 convolutions at stride 1 with a quarter of the multiplications: Winograd's F(4 x 4, 3 x 3).

A tile of 4 x 4 outputs depends on 6 x 6 inputs; winograd_matrices.py has the formula.  A transform along both axes is
one matrix, the Kronecker product of that along one with itself.  So all there is to do is matrix products: the tiles'
values times INPUT_TRANSFORM; for each of the 36 points, tiles and channels times channels and filters; and
OUTPUT_TRANSFORM.  The gradients are the same products the other way.

Inside, the channels come last: so a tile is made of long runs even where the image is small.
"""
import itertools
import math
from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import as_strided

from runner.ops import memory, parallel
from runner.ops.winograd_matrices import (
    FILTER_TRANSFORM,
    IN_TILE,
    INPUT_TRANSFORM,
    OUTPUT_TRANSFORM,
    POINTS,
    TAPS,
    TILE,
    tile_grid,
    useful_share,
)

BLOCK_VALUES = 1 << 19      # transformed values of one block of tiles
BLOCK_MIN_TILES = 64        # tiles of a block all the same: with fewer, BLAS is busy copying the weights
MIN_CHANNELS = 32           # channels and filters from which on the transforms are worth their time
MIN_TILES = 100             # of all images that are computed together: fewer do not repay transforming the filters
MIN_USEFUL = .6             # share of the tiles' outputs that must be inside the output; more than the 0.5 of the
                            # compiled kernels (fast/tuning.py), whose transforms cost less
ANY_ORDER_CHANNELS = 128    # channels from which on BLAS takes filters as fast in either order
WGRAD_PARTS = 4             # sums of the weight gradient
Pair = tuple[int, int]


def suits(n: int, weights_shape: tuple[int, ...], out: Pair, stride: Pair, dilation: int, groups: int) -> bool:
    """Is this the fastest way?  n: images that may be computed together."""
    f, c, *size = weights_shape
    return (size == [TAPS, TAPS] and stride == (1, 1) and dilation == groups == 1 and min(c, f) >= MIN_CHANNELS
            and n * math.prod(tile_grid(out)) >= MIN_TILES and useful_share(out) > MIN_USEFUL)


def conv(x: np.ndarray, weights: np.ndarray, y: np.ndarray, padding: Pair, batch_independent: bool,
         flipped: bool = False) -> None:
    """y (n, f, oh, ow) = x (n, c, h, w) convolved with weights (f, c, 3, 3).  batch_independent: images share no
    product.

    flipped: with weights (c, f, 3, 3) rotated by 180 degrees, for the data gradient.
    """
    c, f, kind = x.shape[1], y.shape[1], x.dtype
    matrix = np.ascontiguousarray(FILTER_TRANSFORM[:, ::-1] if flipped else FILTER_TRANSFORM, kind)
    # few channels are put in the order of the product first, which is faster than having BLAS do it
    ordered = not flipped and c < ANY_ORDER_CHANNELS
    filters = weights.swapaxes(0, 1) if ordered else weights
    u = memory.empty((POINTS, *filters.shape[:2]), kind)

    def transform(i: slice) -> None:
        part = slice(i.start * filters.shape[1], i.stop * filters.shape[1])
        np.matmul(matrix, filters[i].reshape(-1, TAPS ** 2).T, out=u.reshape(POINTS, -1)[:, part])
    parallel.for_blocks(transform, len(filters), POINTS * filters.shape[1])
    if not flipped and not ordered:
        u = u.swapaxes(1, 2)
    blocks = list(_blocks(len(x), y.shape[2:], max(c, f), batch_independent))

    def block(number: int) -> None:
        images, rows = blocks[number]
        v = _transformed(x[images], padding, y.shape[2:], rows)
        products = memory.empty((POINTS, v.shape[1], f), kind)
        np.matmul(v, u, out=products)
        tiles = np.matmul(OUTPUT_TRANSFORM.astype(kind), products.reshape(POINTS, -1))
        out = y[images, :, rows.start * TILE:rows.stop * TILE]
        split = (*out.shape[:2], rows.stop - rows.start, TILE, tile_grid(y.shape[2:])[1], TILE)
        exact = out.size == math.prod(split)        # else the last tiles reach beyond y
        whole = out if exact else memory.empty((*split[:2], split[2] * TILE, split[4] * TILE), kind)
        whole.reshape(split)[...] = tiles.reshape(TILE, TILE, *split[2:5:2], *split[:2]).transpose(4, 5, 2, 0, 3, 1)
        if not exact:
            out[...] = whole[:, :, :out.shape[2], :out.shape[3]]
    parallel.for_each(block, len(blocks))


def weight_gradient(dy: np.ndarray, x: np.ndarray, padding: Pair) -> np.ndarray:
    """dweights (f, c, 3, 3) of dy (n, f, oh, ow): FILTER_TRANSFORM^T of the sum over all tiles of
    (OUTPUT_TRANSFORM^T dy) times (INPUT_TRANSFORM d)."""
    f, c, kind, out = dy.shape[1], x.shape[1], x.dtype, dy.shape[2:]
    blocks = list(_blocks(len(x), out, max(c, f), False))
    share = -(-len(blocks) // WGRAD_PARTS)
    starts = range(0, len(blocks), share)
    parts = memory.empty((len(starts), POINTS, f, c), kind)

    def part(number: int) -> None:
        total, product = parts[number], memory.empty(parts[0].shape, kind)
        for step, (images, rows) in enumerate(blocks[starts[number]:starts[number] + share]):
            v = _transformed(x[images], padding, out, rows)
            tiles = _tiles_of(dy[images], (rows.start * TILE, 0), (rows.stop - rows.start, tile_grid(out)[1]), TILE)
            m = np.matmul(OUTPUT_TRANSFORM.T.astype(kind), tiles).reshape(POINTS, -1, f).swapaxes(1, 2)
            np.matmul(m, v, out=product if step else total)
            if step:
                total += product
    parallel.for_each(part, len(parts))
    total = parts[0]
    for more in parts[1:]:
        total += more
    return np.matmul(total.reshape(POINTS, -1).T, FILTER_TRANSFORM.astype(kind)).reshape(f, c, TAPS, TAPS)


def _transformed(x: np.ndarray, padding: Pair, out: tuple[int, ...], rows: slice) -> np.ndarray:
    """INPUT_TRANSFORM d (36, tiles, c) of some rows of tiles; the tiles of all images, row by row."""
    count, tile_cols = rows.stop - rows.start, tile_grid(out)[1]
    tiles = _tiles_of(x, (rows.start * TILE - padding[0], -padding[1]), (count, tile_cols), IN_TILE)
    v = memory.empty(tiles.shape, x.dtype)
    np.matmul(INPUT_TRANSFORM.astype(x.dtype), tiles, out=v)
    return v.reshape(POINTS, -1, x.shape[1])


def _tiles_of(x: np.ndarray, corner: Pair, count: Pair, size: int) -> np.ndarray:
    """x (n, c, h, w) -> (size size, count n c): what tiles of size x size see, one every 4 pixels from `corner` on;
    zeros outside x."""
    n, c, h, w = x.shape
    up, left = corner
    tall, wide = ((many - 1) * TILE + size for many in count)
    padded = memory.zeros((tall, wide, n, c), x.dtype)
    top, start = max(up, 0), max(left, 0)
    bottom, stop = max(top, min(up + tall, h)), max(start, min(left + wide, w))
    padded[top - up:bottom - up, start - left:stop - left] = x[:, :, top:bottom, start:stop].transpose(2, 3, 0, 1)
    down, right = padded.strides[:2]
    tiles = memory.empty((size, size, *count, n * c), x.dtype)
    tiles[...] = as_strided(padded, tiles.shape, (down, right, TILE * down, TILE * right, x.itemsize))
    return tiles.reshape(size * size, -1)


def _blocks(n: int, out: tuple[int, ...], channels: int,
            batch_independent: bool) -> Iterator[tuple[slice, slice]]:
    """The images and rows of tiles of each block: its tiles stay in the cache, and there are two blocks or more, so
    that two threads have work."""
    tile_rows, tile_cols = tile_grid(out)
    most = max(1, min(max(BLOCK_VALUES // (POINTS * channels), BLOCK_MIN_TILES), n * tile_rows * tile_cols // 2))
    parts = -(-tile_rows // max(1, most // tile_cols))
    rows = -(-tile_rows // parts)
    together = 1 if batch_independent or rows < tile_rows else max(1, most // (tile_rows * tile_cols))
    for image, top in itertools.product(range(0, n, together), range(0, tile_rows, rows)):
        yield slice(image, min(image + together, n)), slice(top, min(top + rows, tile_rows))
