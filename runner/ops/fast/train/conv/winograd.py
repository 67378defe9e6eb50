"""3 x 3 convolution at stride 1 with a quarter of the multiplications: Winograd's F(4x4, 3x3), and its gradients.

y = A^T [V U] A with U = G g G^T and V = B^T d B (simd/transform.py).  Between the transforms are 36
products (tiles, c) (c, f).
The gradient of the data is such a convolution too, of dy with the kernels turned by 180 degrees.  The gradient of the
weights is the transpose: with Z = A dy A^T,

    dw = G^T [Z^T V] G

Two ways of sharing the work, for two kinds of layer:

- few channels: the transforms cost most.  Every thread takes strips of an image through all three steps, so small that
  they stay in its cache.
- many channels: the products cost most, and U is larger than any cache.  The transforms share out channels, and the
  products columns: U is made a piece at a time, just before all tiles of some images are multiplied with it.

The result is off by about 1e-5 of the largest value.
"""
from collections.abc import Callable, Iterator

import numpy as np

from runner.ops import memory, parallel
from runner.ops.fast.jit import compiled
from runner.ops.fast.simd.isa import LANES, MR
from runner.ops.fast.simd.math import f4
from runner.ops.fast.train.conv import winograd_transform
from runner.ops.fast.train.conv.implicit_gemm import scratch
from runner.ops.fast.train.conv.winograd_gemm import (
    BLOCK,
    DEEP,
    KERNELS,
    PANEL,
    multiply,
    multiply_turned,
    panel,
    panels,
)

STRIP = 1 << 18         # values of V and of the results of a strip, about a megabyte
GROUP = 1 << 21         # values of V of images that go through the products together
TOGETHER = 128          # tiles that are multiplied with a piece of U before it is made anew
FEW = 128 * 128         # channels times filters: up to here the transforms cost most
FEWER = 64 * 64         # the same where the gradient of the weights is summed up
HELD = 1 << 18          # values of results that may wait for the rest of their sum
DEPTH = 32              # rows of U made at a time
MOST = 4                # blocks of channels that go through a transform in one piece of work
LEAST = 24              # rows a product should have
SIDE = 4, 6             # blocks of filters and of channels whose weight gradient is summed up at a time


def fits(x_shape: tuple[int, ...], w_shape: tuple[int, ...], out: tuple[int, int], stride: tuple[int, int],
         padding: tuple[int, int], dilation: int, groups: int, alone: bool = False) -> bool:
    """Is this the way to compute it?  alone: images may not share a product."""
    n, c, h, w = x_shape
    f, _, kh, kw = w_shape
    if (kh, kw, stride, dilation, groups) != (3, 3, (1, 1), 1, 1) or max(padding) > 2 or c < 8 or f < 8:
        return False
    if out != (h + 2 * padding[0] - 2, w + 2 * padding[1] - 2):
        return False
    th, across = _tiles(out)
    useful = out[0] * out[1] / (16 * th * across)
    return th * across * (1 if alone else n) >= LEAST and useful > 0.5


def transformed(weights: np.ndarray, turned: bool = False) -> np.ndarray:
    """weights (f, c, 3, 3) -> U in panels: turned, of filters, for conv, else of channels, for its gradient."""
    rows, vectors = (weights.shape[1], _blocks(len(weights))) if turned else (len(weights), _blocks(weights.shape[1]))
    count, size = panels(vectors), -(-rows // DEEP) * KERNELS
    u = memory.empty(count * size)

    def work(i: int) -> None:
        winograd_transform.kernels_in(weights, turned, *panel(vectors, i), 0, rows, u, i * size)
    parallel.for_each(work, count)
    return u


def forward(x: np.ndarray, weights: np.ndarray, y: np.ndarray, padding: tuple[int, int],
            turned: bool = True) -> None:
    """y = conv(x).  Not turned: y is the gradient of the data, x that of the result, the padding 2 - that of conv."""
    c, f = x.shape[1], y.shape[1]
    # with many channels the transformed weights are made a piece at a time
    u = transformed(weights, turned) if c * f <= FEW else np.empty(0, f4)
    deep, vectors = _blocks(c), _blocks(f)
    th, across = _tiles(y.shape[2:])

    def columns(v: np.ndarray, blocks: int, first: int, last: int, parts: list[tuple[int, int, int, int]]) -> None:
        """Panels first..last of the results of some tiles: products, and what is done with them."""
        start, stop = panel(vectors, first)[0], sum(panel(vectors, last - 1))
        m = scratch(blocks * (stop - start) * BLOCK + KERNELS * DEPTH // DEEP)
        _columns(v, blocks, deep, c, weights, turned, u, vectors, first, last, m)
        for image, top, bottom, at in parts:
            winograd_transform.tiles_out(m, at, y[image, start * LANES:stop * LANES], stop - start, top, bottom, across)

    def strip(image: int, top: int, bottom: int) -> None:
        blocks = -(-(bottom - top) * across // MR)
        v = memory.empty(blocks * deep * BLOCK)
        winograd_transform.tiles_in(x[image], v, 0, deep, *padding, 0, deep, top, bottom, across)
        for i in range(panels(vectors)):
            columns(v, blocks, i, i + 1, [(image, top, bottom, 0)])

    def group(images: range, top: int, bottom: int) -> None:
        size = (bottom - top) * across
        some = max(1, TOGETHER // size)
        blocks, chunks = -(-min(some, len(images)) * size // MR), -(-len(images) // some)
        v = memory.empty((chunks, blocks * deep * BLOCK))
        _each_part(len(images), deep, size, lambda i, low, high: winograd_transform.tiles_in(
            x[images[i]], v[i // some], i % some * size, deep, *padding, low, high, top, bottom, across))
        each = max(1, HELD // (blocks * PANEL // LANES * BLOCK))
        shares = -(-panels(vectors) // each)

        def work(i: int) -> None:
            chunk, share = divmod(i, shares)
            parts = [(image, top, bottom, place * size)
                     for place, image in enumerate(images[chunk * some:(chunk + 1) * some])]
            columns(v[chunk], blocks, share * each, min((share + 1) * each, panels(vectors)), parts)
        parallel.for_each(work, chunks * shares)

    if c * f <= FEW:
        jobs = [(image, *rows) for image in range(len(x)) for rows in _strips(th, 36 * (c + min(f, PANEL)) * across)]
        parallel.for_each(lambda j: strip(*jobs[j]), len(jobs))
    else:
        for job in _groups(len(x), th, across, 36 * c):
            group(*job)


def backward(dy: np.ndarray, x: np.ndarray, weights: np.ndarray, padding: tuple[int, int],
             need_dx: bool = True) -> tuple[np.ndarray | None, np.ndarray]:
    """dy (n, f, oh, ow) -> dx (n, c, h, w) or None, dweights (f, c, 3, 3)."""
    dx = None
    if need_dx:
        dx = memory.empty(x.shape)
        forward(dy, weights, dx, (2 - padding[0], 2 - padding[1]), turned=False)
    f, c = dy.shape[1], x.shape[1]
    dw = np.empty((f, c, 3, 3), f4)
    if c * f <= FEWER and len(x) > 1:
        deep = _blocks(c)
        du = parallel.sum_blocks(lambda i: _of_image(i.start, dy, x, padding), len(x), parallel.GRAIN)
        parallel.for_blocks(lambda i: winograd_transform.kernels_in_transposed(
            du, i.start * deep * 36 * LANES, i.stop - i.start, deep * 36 * LANES, dw, i.start, 0, deep), f, 36 * c)
    else:
        _of_groups(dy, x, dw, padding)
    return dx, dw


def _of_image(image: int, dy: np.ndarray, x: np.ndarray, padding: tuple[int, int]) -> np.ndarray:
    """-> dU of one image, strip after strip."""
    high, deep = _blocks(dy.shape[1]), _blocks(x.shape[1])
    th, across = _tiles(dy.shape[2:])
    du = memory.empty(high * LANES * deep * 36 * LANES)
    for top, bottom in _strips(th, 36 * (dy.shape[1] + x.shape[1]) * across):
        count = (bottom - top) * across
        blocks = -(-count // MR)
        both = scratch(blocks * (deep + high) * BLOCK)
        v, z = both[:blocks * deep * BLOCK], both[blocks * deep * BLOCK:]
        winograd_transform.tiles_in(x[image], v, 0, deep, *padding, 0, deep, top, bottom, across)
        winograd_transform.tiles_out_transposed(dy[image], z, 0, high, 0, high, top, bottom, across)
        multiply_turned(z, 0, high, v, 0, deep, count, high, deep, du, 0, deep * 36 * LANES, 1 if top else 0)
    return du


def _of_groups(dy: np.ndarray, x: np.ndarray, dw: np.ndarray, padding: tuple[int, int]) -> None:
    """The gradient of the weights: a part of the filters and channels at a time, summed over all tiles."""
    f, c = dy.shape[1], x.shape[1]
    high, deep = _blocks(f), _blocks(c)
    th, across = _tiles(dy.shape[2:])
    groups = list(_groups(len(x), th, across, 36 * (c + f), room=max(GROUP, 36 * c * f)))    # as large as the sums
    down, along = -(-high // SIDE[0]), -(-deep // SIDE[1])
    area = SIDE[0] * LANES * SIDE[1] * 36 * LANES
    du = memory.empty((down * along, area)) if len(groups) > 1 else None

    def group(images: range, top: int, bottom: int) -> None:
        size, first, last = (bottom - top) * across, images.start == top == 0, (images, top, bottom) == groups[-1]
        count = len(images) * size
        blocks = -(-count // MR)
        v, z = memory.empty(blocks * deep * BLOCK), memory.empty(blocks * high * BLOCK)
        _each_part(len(images), deep, size, lambda i, low, up: winograd_transform.tiles_in(
            x[images[i]], v, i * size, deep, *padding, low, up, top, bottom, across))
        _each_part(len(images), high, size, lambda i, low, up: winograd_transform.tiles_out_transposed(
            dy[images[i]], z, i * size, high, low, up, top, bottom, across))

        def work(i: int) -> None:
            row, column = i // along * SIDE[0], i % along * SIDE[1]
            rows, vectors = min(SIDE[0], high - row), min(SIDE[1], deep - column)
            part, pitch = scratch(area) if du is None else du[i], SIDE[1] * 36 * LANES
            multiply_turned(z, row * BLOCK, high, v, column * BLOCK, deep, count, rows, vectors, part, 0, pitch,
                            0 if first else 1)
            if last:
                winograd_transform.kernels_in_transposed(part, 0, min(rows * LANES, f - row * LANES), pitch, dw,
                                                         row * LANES, column, column + vectors)
        parallel.for_each(work, down * along)

    for job in groups:
        group(*job)


@compiled
def _columns(v, blocks, deep, c, weights, turned, u, vectors, first, last, m):
    """m = v u of panels first..last, for so many blocks of tiles; where there is no u it is made from the weights."""
    wide, start = 0, panel(vectors, first)[0]
    for p in range(first, last):
        wide += panel(vectors, p)[1]
    spare = m[blocks * wide * BLOCK:]
    step = c if len(u) else DEPTH
    for k in range(0, c, step):
        end = min(k + step, c)
        for p in range(first, last):
            column, count = panel(vectors, p)
            place = (column - start) * BLOCK
            if len(u):
                at = p * ((c + DEEP - 1) // DEEP) * KERNELS
                multiply(v, 0, blocks, deep, c, u, at, count, m, place, wide, 0)
            else:
                winograd_transform.kernels_in(weights, turned, column, count, k, end, spare, 0)
                multiply(v, k // LANES * BLOCK, blocks, deep, end - k, spare, 0, count, m, place, wide, 1 if k else 0)


def _blocks(channels: int) -> int:
    return -(-channels // LANES)


def _tiles(out: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of tiles."""
    return -(-out[0] // 4), -(-out[1] // 4)


def _strips(rows: int, values: int) -> Iterator[tuple[int, int]]:
    """Tile rows of `values` values in strips of about STRIP values, alike in size."""
    count = -(-rows // max(1, STRIP // values))
    each = -(-rows // count)
    for top in range(0, rows, each):
        yield top, min(top + each, rows)


def _groups(images: int, rows: int, across: int, values: int, room: int = 0) -> Iterator[tuple[range, int, int]]:
    """Images, and tile rows of them, whose transforms are held at one time."""
    room = max(1, (room or GROUP) // values)    # tiles
    each = max(1, min(rows, room // across))
    count = max(1, room // (rows * across)) if each == rows else 1
    for first in range(0, images, count):
        for top in range(0, rows, each):
            yield range(first, min(first + count, images)), top, min(top + each, rows)


def _each_part(images: int, blocks: int, tiles_each: int, function: Callable[[int, int, int], None]) -> None:
    """function(image, blocks of channels from and to), shared among the threads."""
    chunk = min(MOST, parallel.GRAIN // (36 * tiles_each * LANES) + 1)
    parts = [(image, k, min(k + chunk, blocks)) for image in range(images) for k in range(0, blocks, chunk)]
    parallel.for_each(lambda j: function(*parts[j]), len(parts))
