"""3 x 3 convolutions at stride 1 with a quarter of the multiplications: Winograd's F(4 x 4, 3 x 3).

A tile of 4 x 4 outputs depends on 6 x 6 inputs; winograd_matrices.py has the formula.  A transform along both axes is
one matrix, the Kronecker product of that along one with itself.  So all there is to do is matrix products: the tiles'
values times INPUT_TRANSFORM; for each of the 36 points, tiles and channels times channels and filters; and
OUTPUT_TRANSFORM.  The gradients are the same products the other way.

Inside, the channels come last: then a tile is made of long runs, however small the image.
"""
import itertools
import math
from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import as_strided

from runner.ops import memory, parallel
from runner.ops.winograd_matrices import FILTER_TRANSFORM, INPUT_TRANSFORM, OUTPUT_TRANSFORM, TILE

ROOM = 1 << 19      # values in the transformed tiles of one block
LEAST = 32          # channels and filters from which on the transforms are worth their time
FEWEST = 64         # tiles of one block all the same: with fewer, BLAS is busy copying the weights
TILES = 100         # of all images that are computed together: fewer do not repay transforming the weights
MANY = 128          # channels
PARTS = 4           # sums of the weights' gradient
Pair = tuple[int, int]


def fits(n: int, weights_shape: tuple[int, ...], out: Pair, stride: Pair, dilation: int, groups: int) -> bool:
    """Is this the way to compute it?  n: images that may be computed together."""
    f, c, *size = weights_shape
    th, tw = _tiles(out)
    useful = out[0] * out[1] / (th * tw * TILE ** 2)
    return (size == [3, 3] and stride == (1, 1) and dilation == groups == 1 and min(c, f) >= LEAST
            and n * th * tw >= TILES and useful > 0.6)


def conv(x: np.ndarray, weights: np.ndarray, y: np.ndarray, padding: Pair, alone: bool, turned: bool = False) -> None:
    """y (n, f, oh, ow) = x (n, c, h, w) convolved with weights (f, c, 3, 3); alone: images share no product.

    turned: with weights (c, f, 3, 3) turned round instead, as the gradient of the data wants it.
    """
    c, f, kind = x.shape[1], y.shape[1], x.dtype
    places = np.ascontiguousarray(FILTER_TRANSFORM[:, ::-1] if turned else FILTER_TRANSFORM, kind)
    # BLAS takes either order of many channels; few are put in the order of the product first, which is faster then
    ordered = not turned and c < MANY
    kernel = weights.swapaxes(0, 1) if ordered else weights
    u = memory.empty((36, *kernel.shape[:2]), kind)

    def transform(i: slice) -> None:
        part = slice(i.start * kernel.shape[1], i.stop * kernel.shape[1])
        np.matmul(places, kernel[i].reshape(-1, 9).T, out=u.reshape(36, -1)[:, part])
    parallel.for_blocks(transform, len(kernel), 36 * kernel.shape[1])
    if not turned and not ordered:
        u = u.swapaxes(1, 2)
    blocks = list(_blocks(len(x), y.shape[2:], max(c, f), alone))

    def block(number: int) -> None:
        images, rows = blocks[number]
        v = _transformed(x[images], padding, y.shape[2:], rows)
        products = memory.empty((36, v.shape[1], f), kind)
        np.matmul(v, u, out=products)
        tiles = np.matmul(OUTPUT_TRANSFORM.astype(kind), products.reshape(36, -1))
        out = y[images, :, rows.start * TILE:rows.stop * TILE]
        split = (*out.shape[:2], rows.stop - rows.start, TILE, _tiles(y.shape[2:])[1], TILE)
        exact = out.size == math.prod(split)        # else the last tiles reach beyond y
        whole = out if exact else memory.empty((*split[:2], split[2] * TILE, split[4] * TILE), kind)
        whole.reshape(split)[...] = tiles.reshape(TILE, TILE, *split[2:5:2], *split[:2]).transpose(4, 5, 2, 0, 3, 1)
        if not exact:
            out[...] = whole[:, :, :out.shape[2], :out.shape[3]]
    parallel.for_each(block, len(blocks))


def weight_gradient(dy: np.ndarray, x: np.ndarray, padding: Pair) -> np.ndarray:
    """dweights (f, c, 3, 3) for dy (n, f, oh, ow): the transposed filter transform of the
    sum over all tiles of the transposed output transform of dy times the input transform of d."""
    f, c, kind, out = dy.shape[1], x.shape[1], x.dtype, dy.shape[2:]
    blocks = list(_blocks(len(x), out, max(c, f), False))
    share = -(-len(blocks) // PARTS)
    starts = range(0, len(blocks), share)
    parts = memory.empty((len(starts), 36, f, c), kind)

    def part(number: int) -> None:
        total, product = parts[number], memory.empty(parts[0].shape, kind)
        for step, (images, rows) in enumerate(blocks[starts[number]:starts[number] + share]):
            v = _transformed(x[images], padding, out, rows)
            tiles = _gathered(dy[images], (rows.start * TILE, 0), (rows.stop - rows.start, _tiles(out)[1]), TILE)
            m = np.matmul(OUTPUT_TRANSFORM.T.astype(kind), tiles).reshape(36, -1, f).swapaxes(1, 2)
            np.matmul(m, v, out=product if step else total)
            if step:
                total += product
    parallel.for_each(part, len(parts))
    total = parts[0]
    for more in parts[1:]:
        total += more
    return np.matmul(total.reshape(36, -1).T, FILTER_TRANSFORM.astype(kind)).reshape(f, c, 3, 3)


def _transformed(x: np.ndarray, padding: Pair, out: tuple[int, ...], rows: slice) -> np.ndarray:
    """INPUT_TRANSFORM d (36, tiles, c) of some rows of tiles; the tiles of all images, across, then down."""
    count, across = rows.stop - rows.start, _tiles(out)[1]
    tiles = _gathered(x, (rows.start * TILE - padding[0], -padding[1]), (count, across), TILE + 2)
    v = memory.empty(tiles.shape, x.dtype)
    np.matmul(INPUT_TRANSFORM.astype(x.dtype), tiles, out=v)
    return v.reshape(36, -1, x.shape[1])


def _gathered(x: np.ndarray, corner: Pair, count: Pair, size: int) -> np.ndarray:
    """x (n, c, h, w) -> (size size, count n c): what tiles of size x size see, one every 4 pixels from `corner` on;
    zeros outside x."""
    n, c, h, w = x.shape
    up, left = corner
    tall, wide = ((many - 1) * TILE + size for many in count)
    framed = memory.zeros((tall, wide, n, c), x.dtype)
    top, start = max(up, 0), max(left, 0)
    bottom, stop = max(top, min(up + tall, h)), max(start, min(left + wide, w))
    framed[top - up:bottom - up, start - left:stop - left] = x[:, :, top:bottom, start:stop].transpose(2, 3, 0, 1)
    down, right = framed.strides[:2]
    tiles = memory.empty((size, size, *count, n * c), x.dtype)
    tiles[...] = as_strided(framed, tiles.shape, (down, right, TILE * down, TILE * right, x.itemsize))
    return tiles.reshape(size * size, -1)


def _tiles(out: tuple[int, ...]) -> Pair:
    return -(-out[0] // TILE), -(-out[1] // TILE)


def _blocks(n: int, out: tuple[int, ...], channels: int, alone: bool) -> Iterator[tuple[slice, slice]]:
    """The images and rows of tiles of each block: its tiles stay in the cache, and there are two blocks or more, so
    that two threads have work."""
    th, tw = _tiles(out)
    most = max(1, min(max(ROOM // (36 * channels), FEWEST), n * th * tw // 2))
    parts = -(-th // max(1, most // tw))
    rows = -(-th // parts)
    together = 1 if alone or rows < th else max(1, most // (th * tw))
    for image, top in itertools.product(range(0, n, together), range(0, th, rows)):
        yield slice(image, min(image + together, n)), slice(top, min(top + rows, th))
