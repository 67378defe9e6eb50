"""3 x 3 convolution at stride 1 with a quarter of the multiplications: Winograd's F(4x4, 3x3), and its gradients.

y = A^T [V U] A with U = G g G^T and V = B^T d B (winograd_matrices.py).  Between the transforms are 36 products
(tiles, c) (c, f).  The data gradient is such a convolution too, of dy with the filters rotated by 180 degrees.  The
weight gradient is the transpose: with Z = A dy A^T,

    dw = G^T [Z^T V] G

There are two schedules, for two kinds of layer:

- few channels: the transforms cost most.  Every thread takes strips of an image through all three steps, so small that
  they stay in its cache.
- many channels: the products cost most, and U is larger than any cache.  Transforms are shared out by channels and
  products by columns: U is made a block at a time, just before all tiles of some images are multiplied with it.

The result is off by about 1e-5 of the largest value.
"""
from collections.abc import Callable, Iterator

import numpy as np

from runner.ops import memory, parallel
from runner.ops.conv import Pair
from runner.ops.fast import tuning
from runner.ops.fast.jit import compiled
from runner.ops.fast.simd.isa import LANES, MR
from runner.ops.fast.simd.math import f4
from runner.ops.fast.train.conv.implicit_gemm import thread_scratch
from runner.ops.fast.train.conv.panels import panel_count, panel_range
from runner.ops.fast.train.conv.winograd_gemm import (
    K_BLOCK,
    TILE_BLOCK,
    U_BLOCK,
    U_PANEL,
    multiply,
    multiply_transposed,
)
from runner.ops.fast.train.conv.winograd_transform import (
    Tiles,
    transform_filters,
    transform_filters_backward,
    transform_input,
    transform_output,
    transform_output_backward,
)
from runner.ops.winograd_matrices import POINTS, TAPS, tile_grid, useful_share

Array = np.ndarray
U_ROWS = tuning.WINOGRAD_U_ROWS
assert U_ROWS % LANES == 0 and U_ROWS % K_BLOCK == 0


def suits(x_shape: tuple[int, ...], w_shape: tuple[int, ...], out: Pair, stride: Pair, padding: Pair, dilation: int,
          groups: int, batch_independent: bool = False) -> bool:
    """Is this the fastest way?  batch_independent: images may not share a product."""
    n, c, h, w = x_shape
    f, _, kh, kw = w_shape
    if (kh, kw, stride, dilation, groups) != (TAPS, TAPS, (1, 1), 1, 1) or max(padding) >= TAPS:
        return False
    if min(c, f) < tuning.WINOGRAD_MIN_CHANNELS or out != (h + 2 * padding[0] - 2, w + 2 * padding[1] - 2):
        return False
    tile_rows, tile_cols = tile_grid(out)
    return (tile_rows * tile_cols * (1 if batch_independent else n) >= tuning.WINOGRAD_MIN_TILES
            and useful_share(out) > tuning.WINOGRAD_MIN_USEFUL)


def forward(x: Array, weights: Array, y: Array, padding: Pair, flipped: bool = False) -> None:
    """y = conv2d(x).  flipped: y is the data gradient, x that of the result, the padding 2 - that of the
    convolution."""
    c, f = x.shape[1], y.shape[1]
    by_strips = c * f <= tuning.WINOGRAD_STRIPS_WEIGHTS
    # with many channels the transformed filters are made a block at a time
    u = _transformed_filters(weights, flipped) if by_strips else np.empty(0, f4)
    ic_blocks, oc_blocks = _blocks(c), _blocks(f)
    tile_rows, tile_cols = tile_grid(y.shape[2:])

    def columns(v: Array, blocks: int, first: int, last: int, parts: list[tuple[int, Tiles]]) -> None:
        """The panels first ... last of the results of some tiles: products, then the output transform."""
        start, stop = panel_range(oc_blocks, first)[0], sum(panel_range(oc_blocks, last - 1))
        m = thread_scratch(blocks * (stop - start) * TILE_BLOCK + U_BLOCK * U_ROWS // K_BLOCK)
        _multiply_panels(v, blocks, weights, flipped, u, first, last, m)
        for image, tiles in parts:
            transform_output(m, y[image, start * LANES:stop * LANES], tiles, stop - start)

    def strip(image: int, top: int, bottom: int) -> None:
        blocks, tiles = -(-(bottom - top) * tile_cols // MR), Tiles(0, top, bottom, tile_cols)
        v = memory.empty(blocks * ic_blocks * TILE_BLOCK)
        transform_input(x[image], v, tiles, padding, ic_blocks, 0, ic_blocks)
        for i in range(panel_count(oc_blocks)):
            columns(v, blocks, i, i + 1, [(image, tiles)])

    def group(images: range, top: int, bottom: int) -> None:
        size = (bottom - top) * tile_cols
        together = max(1, tuning.WINOGRAD_TILES_PER_U // size)
        blocks, chunks = -(-min(together, len(images)) * size // MR), -(-len(images) // together)
        v = memory.empty((chunks, blocks * ic_blocks * TILE_BLOCK))

        def tiles(i: int) -> Tiles:
            return Tiles(i % together * size, top, bottom, tile_cols)
        _for_each_part(len(images), ic_blocks, size, lambda i, low, high: transform_input(
            x[images[i]], v[i // together], tiles(i), padding, ic_blocks, low, high))
        each = max(1, tuning.WINOGRAD_RESULTS // (blocks * U_PANEL // LANES * TILE_BLOCK))
        shares = -(-panel_count(oc_blocks) // each)

        def work(i: int) -> None:
            chunk, share = divmod(i, shares)
            parts = [(images[k], tiles(k)) for k in range(chunk * together, min((chunk + 1) * together, len(images)))]
            columns(v[chunk], blocks, share * each, min((share + 1) * each, panel_count(oc_blocks)), parts)
        parallel.for_each(work, chunks * shares)

    if by_strips:
        strips = [(image, *rows) for image in range(len(x))
                  for rows in _strips(tile_rows, POINTS * (c + min(f, U_PANEL)) * tile_cols)]
        parallel.for_each(lambda j: strip(*strips[j]), len(strips))
    else:
        for some in _groups(len(x), tile_rows, tile_cols, POINTS * c):
            group(*some)


def backward(dy: Array, x: Array, weights: Array, padding: Pair, need_dx: bool = True) -> tuple[Array | None, Array]:
    """dy (n, f, oh, ow) -> dx (n, c, h, w) or None, dweights (f, c, 3, 3)."""
    dx = None
    if need_dx:
        dx = memory.empty(x.shape)
        forward(dy, weights, dx, (TAPS - 1 - padding[0], TAPS - 1 - padding[1]), flipped=True)
    f, c = dy.shape[1], x.shape[1]
    dw = np.empty((f, c, TAPS, TAPS), f4)
    if c * f <= tuning.WGRAD_STRIPS_WEIGHTS and len(x) > 1:
        ic_blocks = _blocks(c)
        pitch = ic_blocks * POINTS * LANES
        du = parallel.sum_blocks(lambda i: _sum_by_strips(i.start, dy, x, padding), len(x), parallel.GRAIN)
        parallel.for_blocks(lambda i: transform_filters_backward(
            du, i.start * pitch, i.stop - i.start, pitch, dw, i.start, 0, ic_blocks), f, POINTS * c)
    else:
        _sum_by_groups(dy, x, dw, padding)
    return dx, dw


def _transformed_filters(weights: Array, flipped: bool) -> Array:
    """weights (f, c, 3, 3) -> U in panels: of filters, or, flipped, of channels."""
    rows, columns = weights.shape[:2] if flipped else weights.shape[1::-1]
    vectors = _blocks(columns)
    count, size = panel_count(vectors), -(-rows // K_BLOCK) * U_BLOCK
    u = memory.empty(count * size)

    def work(i: int) -> None:
        transform_filters(weights, flipped, *panel_range(vectors, i), 0, rows, u, i * size)
    parallel.for_each(work, count)
    return u


def _sum_by_strips(image: int, dy: Array, x: Array, padding: Pair) -> Array:
    """-> dU of one image, strip by strip."""
    oc_blocks, ic_blocks = _blocks(dy.shape[1]), _blocks(x.shape[1])
    tile_rows, tile_cols = tile_grid(dy.shape[2:])
    pitch = ic_blocks * POINTS * LANES
    du = memory.empty(oc_blocks * LANES * pitch)
    for top, bottom in _strips(tile_rows, POINTS * (dy.shape[1] + x.shape[1]) * tile_cols):
        count, tiles = (bottom - top) * tile_cols, Tiles(0, top, bottom, tile_cols)
        blocks = -(-count // MR)
        both = thread_scratch(blocks * (ic_blocks + oc_blocks) * TILE_BLOCK)
        v, z = both[:blocks * ic_blocks * TILE_BLOCK], both[blocks * ic_blocks * TILE_BLOCK:]
        transform_input(x[image], v, tiles, padding, ic_blocks, 0, ic_blocks)
        transform_output_backward(dy[image], z, tiles, oc_blocks, 0, oc_blocks)
        multiply_transposed(z, 0, oc_blocks, v, 0, ic_blocks, count, oc_blocks, ic_blocks, du, 0, pitch,
                            1 if top else 0)
    return du


def _sum_by_groups(dy: Array, x: Array, dw: Array, padding: Pair) -> None:
    """dw (f, c, 3, 3): a part of the filters and channels at a time, summed over all tiles."""
    f, c = dy.shape[1], x.shape[1]
    oc_blocks, ic_blocks = _blocks(f), _blocks(c)
    tile_rows, tile_cols = tile_grid(dy.shape[2:])
    # the transformed arrays are as large as the sums
    groups = list(_groups(len(x), tile_rows, tile_cols, POINTS * (c + f),
                          budget=max(tuning.WINOGRAD_GROUP, POINTS * c * f)))
    part_rows, part_cols = tuning.WINOGRAD_WGRAD_BLOCKS
    down, across = -(-oc_blocks // part_rows), -(-ic_blocks // part_cols)
    pitch = part_cols * POINTS * LANES
    area = part_rows * LANES * pitch
    du = memory.empty((down * across, area)) if len(groups) > 1 else None

    def group(images: range, top: int, bottom: int) -> None:
        size, first, last = (bottom - top) * tile_cols, images.start == top == 0, (images, top, bottom) == groups[-1]
        count = len(images) * size
        blocks = -(-count // MR)
        v, z = memory.empty(blocks * ic_blocks * TILE_BLOCK), memory.empty(blocks * oc_blocks * TILE_BLOCK)

        def tiles(i: int) -> Tiles:
            return Tiles(i * size, top, bottom, tile_cols)
        _for_each_part(len(images), ic_blocks, size, lambda i, low, high: transform_input(
            x[images[i]], v, tiles(i), padding, ic_blocks, low, high))
        _for_each_part(len(images), oc_blocks, size, lambda i, low, high: transform_output_backward(
            dy[images[i]], z, tiles(i), oc_blocks, low, high))

        def work(i: int) -> None:
            row, column = i // across * part_rows, i % across * part_cols
            rows, vectors = min(part_rows, oc_blocks - row), min(part_cols, ic_blocks - column)
            part = thread_scratch(area) if du is None else du[i]
            multiply_transposed(z, row * TILE_BLOCK, oc_blocks, v, column * TILE_BLOCK, ic_blocks, count, rows,
                                vectors, part, 0, pitch, 0 if first else 1)
            if last:
                transform_filters_backward(part, 0, min(rows * LANES, f - row * LANES), pitch, dw, row * LANES,
                                           column, column + vectors)
        parallel.for_each(work, down * across)

    for some in groups:
        group(*some)


@compiled
def _multiply_panels(v, blocks, weights, flipped, u, first, last, m):
    """m = V U of the panels first ... last, for `blocks` blocks of tiles; where u is empty it is made from the weights,
    in what is left of m."""
    rows, columns = (weights.shape[0], weights.shape[1]) if flipped else (weights.shape[1], weights.shape[0])
    ic_blocks, vectors = (rows + LANES - 1) // LANES, (columns + LANES - 1) // LANES
    oc_blocks, start = 0, panel_range(vectors, first)[0]
    for p in range(first, last):
        oc_blocks += panel_range(vectors, p)[1]
    scratch = m[blocks * oc_blocks * TILE_BLOCK:]
    each = rows if len(u) else U_ROWS
    for k in range(0, rows, each):
        end = min(k + each, rows)
        for p in range(first, last):
            column, count = panel_range(vectors, p)
            place = (column - start) * TILE_BLOCK
            if len(u):
                at = p * ((rows + K_BLOCK - 1) // K_BLOCK) * U_BLOCK
                multiply(v, 0, blocks, ic_blocks, rows, u, at, count, m, place, oc_blocks, 0)
            else:
                transform_filters(weights, flipped, column, count, k, end, scratch, 0)
                multiply(v, k // LANES * TILE_BLOCK, blocks, ic_blocks, end - k, scratch, 0, count, m, place, oc_blocks,
                         1 if k else 0)


def _blocks(channels: int) -> int:
    return -(-channels // LANES)


def _strips(tile_rows: int, values: int) -> Iterator[tuple[int, int]]:
    """Tile rows of `values` transformed values each, in strips of about the same size."""
    count = -(-tile_rows // max(1, tuning.WINOGRAD_STRIP // values))
    each = -(-tile_rows // count)
    for top in range(0, tile_rows, each):
        yield top, min(top + each, tile_rows)


def _groups(images: int, tile_rows: int, tile_cols: int, values: int,
            budget: int | None = None) -> Iterator[tuple[range, int, int]]:
    """Images, and tile rows of them, that are transformed at a time; a tile has `values` transformed values, of which
    `budget` are held."""
    tiles = max(1, (tuning.WINOGRAD_GROUP if budget is None else budget) // values)
    each = max(1, min(tile_rows, tiles // tile_cols))
    count = max(1, tiles // (tile_rows * tile_cols)) if each == tile_rows else 1
    for first in range(0, images, count):
        for top in range(0, tile_rows, each):
            yield range(first, min(first + count, images)), top, min(top + each, tile_rows)


def _for_each_part(images: int, blocks: int, tiles: int, function: Callable[[int, int, int], None]) -> None:
    """function(image, first, last) for parts of the `blocks` blocks of channels of every image of `tiles` tiles."""
    each = min(tuning.WINOGRAD_TRANSFORM_BLOCKS, parallel.GRAIN // (POINTS * tiles * LANES) + 1)
    parts = [(image, k, min(k + each, blocks)) for image in range(images) for k in range(0, blocks, each)]
    parallel.for_each(lambda j: function(*parts[j]), len(parts))
