"""3 x 3 convolution at stride 1 with a quarter of the multiplications: Winograd's F(4x4, 3x3), and its gradients.

y = A^T [V U] A with U = G g G^T and V = B^T d B (tiles.py): between the transforms stand 36 products (tiles, c) (c, f).
Because all of it is linear, the gradients are the transposes: with Z = A dy A^T,

    dx = B [Z U^T] B^T          dw = G^T [Z^T V] G

Two ways of sharing the work, for two kinds of layer:

- few channels: the transforms cost most.  Every thread takes strips of an image through all three steps, so small that
  they stay in its cache.
- many channels: the products cost most, and reading U.  The transforms share out channels, the products are shared out
  as wholes, and images of small maps go through them together, since a product with few columns is slow.

The result is off by about 1e-5 of the largest value.
"""
from collections.abc import Callable, Iterator

import numpy as np

from runner.ops import memory, parallel
from runner.ops.fast import tiles
from runner.ops.fast.conv_product import NOTHING, Finish
from runner.ops.fast.conv_tile import LANES
from runner.ops.fast.scalar import f4

STRIP = 1 << 18         # values of U and V of a strip, about a megabyte
GROUP = 1 << 22         # the same of images that go through the products together
FEW = 128 * 128         # channels times filters: up to here the transforms cost most
MOST = 64               # channels that go through a transform together: its buffers stay in the cache
LEAST = 24              # rows a product should have


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
    """weights (f, c, 3, 3) -> U (36, f, c), both rounded up to whole registers by zeros; turned: (36, c, f)."""
    weights = np.ascontiguousarray(weights.swapaxes(0, 1) if turned else weights)
    rows, deep = weights.shape[:2]
    u = (memory.zeros if rows % LANES else memory.empty)((36, _whole(rows), _whole(deep)), f4)
    parallel.for_blocks(lambda i: tiles.kernels_in(weights, u, i.start, i.stop), rows, 36 * deep)
    return u


def conv(x: np.ndarray, u: np.ndarray, y: np.ndarray, padding: tuple[int, int], finish: Finish = NOTHING,
         alone: bool = False) -> None:
    """y = act(conv(x) + biases); u: transformed(weights, turned=True)."""
    f, c, wide = y.shape[1], x.shape[1], u.shape[1:]
    th, across = _tiles(y.shape[2:])
    if not len(finish.biases):
        finish = finish._replace(biases=np.zeros(f, f4))

    def strip(image: int, top: int, bottom: int) -> None:
        v, m = (memory.empty((36, (bottom - top) * across, k), f4) for k in wide)
        for k in range(0, c, MOST):
            tiles.tiles_in(x[image], v, 0, *padding, k, min(k + MOST, c), top, bottom, across)
        np.matmul(v, u, out=m)
        for k in range(0, f, MOST):
            tiles.tiles_out(m, 0, y[image], *finish, k, min(k + MOST, f), top, bottom, across)

    def group(images: range, top: int, bottom: int) -> None:
        size = (bottom - top) * across
        v, m = (memory.empty((36, len(images) * size, k), f4) for k in wide)
        _each_part(images, c, size, lambda i, low, high, at: tiles.tiles_in(
            x[i], v, at, *padding, low, high, top, bottom, across))
        parallel.for_each(lambda k: np.matmul(v[k], u[k], out=m[k]), 36)
        _each_part(images, f, size, lambda i, low, high, at: tiles.tiles_out(
            m, at, y[i], *finish, low, high, top, bottom, across))

    if c * f <= FEW:
        jobs = [(image, *rows) for image in range(len(x)) for rows in _strips(th, 36 * (c + f) * across)]
        parallel.for_each(lambda j: strip(*jobs[j]), len(jobs))
    else:
        for job in _groups(len(x), th, across, 36 * (c + f), alone):
            group(*job)


def backward(dy: np.ndarray, x: np.ndarray, u: np.ndarray, padding: tuple[int, int],
             need_dx: bool = True) -> tuple[np.ndarray | None, np.ndarray]:
    """dy (n, f, oh, ow) -> dx (n, c, h, w) or None, dweights (f, c, 3, 3); u: transformed(weights)."""
    dx = memory.zeros(x.shape, f4) if need_dx else None
    f, c = dy.shape[1], x.shape[1]
    if c * f <= FEW and len(x) > 1:
        du = parallel.sum_blocks(lambda i: _of_image(i.start, dy, x, u, dx, padding), len(x), parallel.GRAIN)
    else:
        du = _of_groups(dy, x, u, dx, padding)
    dw = np.empty((f, c, 3, 3), f4)
    parallel.for_blocks(lambda i: tiles.kernels_in_transposed(du, dw, i.start, i.stop), f, 36 * c)
    return dx, dw


def _of_image(image: int, dy: np.ndarray, x: np.ndarray, u: np.ndarray, dx: np.ndarray | None,
              padding: tuple[int, int]) -> np.ndarray:
    """-> dU of one image, strip after strip; adds to dx."""
    f, c, wide = dy.shape[1], x.shape[1], u.shape[1:][::-1]
    th, across = _tiles(dy.shape[2:])
    du, part = memory.zeros(u.shape, f4), memory.empty(u.shape, f4)
    for top, bottom in _strips(th, 36 * (c + f) * across):
        v, z = (memory.empty((36, (bottom - top) * across, k), f4) for k in wide)
        for k in range(0, c, MOST):
            tiles.tiles_in(x[image], v, 0, *padding, k, min(k + MOST, c), top, bottom, across)
        for k in range(0, f, MOST):
            tiles.tiles_out_transposed(dy[image], z, 0, k, min(k + MOST, f), top, bottom, across)
        du += np.matmul(z.swapaxes(1, 2), v, out=part)
        if dx is not None:
            np.matmul(z, u, out=v)      # v has done its work; its place takes its gradient
            for k in range(0, c, MOST):
                tiles.tiles_in_transposed(v, 0, dx[image], *padding, k, min(k + MOST, c), top, bottom, across)
    return du


def _of_groups(dy: np.ndarray, x: np.ndarray, u: np.ndarray, dx: np.ndarray | None,
               padding: tuple[int, int]) -> np.ndarray:
    """-> dU; adds to dx."""
    f, c, wide = dy.shape[1], x.shape[1], u.shape[1:][::-1]
    th, across = _tiles(dy.shape[2:])
    du = memory.empty(u.shape, f4)

    def group(images: range, top: int, bottom: int) -> None:
        size, first = (bottom - top) * across, images.start == top == 0
        v, z = (memory.empty((36, len(images) * size, k), f4) for k in wide)
        _each_part(images, c, size, lambda i, low, high, at: tiles.tiles_in(
            x[i], v, at, *padding, low, high, top, bottom, across))
        _each_part(images, f, size, lambda i, low, high, at: tiles.tiles_out_transposed(
            dy[i], z, at, low, high, top, bottom, across))

        def product(k: int) -> None:
            if first:
                np.matmul(z[k].T, v[k], out=du[k])
            else:
                du[k] += np.matmul(z[k].T, v[k])
            if dx is not None:
                np.matmul(z[k], u[k], out=v[k])
        parallel.for_each(product, 36)
        if dx is not None:
            _each_part(images, c, size, lambda i, low, high, at: tiles.tiles_in_transposed(
                v, at, dx[i], *padding, low, high, top, bottom, across))

    for job in _groups(len(x), th, across, 36 * (c + f)):
        group(*job)
    return du


def _whole(channels: int) -> int:
    return -(-channels // LANES) * LANES


def _tiles(out: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of tiles."""
    return -(-out[0] // 4), -(-out[1] // 4)


def _strips(rows: int, values: int) -> Iterator[tuple[int, int]]:
    """Tile rows of `values` values in strips of about STRIP values, alike in size."""
    count = -(-rows // max(1, STRIP // values))
    each = -(-rows // count)
    for top in range(0, rows, each):
        yield top, min(top + each, rows)


def _groups(images: int, rows: int, across: int, values: int,
            alone: bool = False) -> Iterator[tuple[range, int, int]]:
    """Images, and tile rows of them, whose transforms are held at one time."""
    room = max(1, GROUP // values)      # tiles
    each = max(1, min(rows, room // across))
    count = max(1, room // (rows * across)) if each == rows and not alone else 1
    for first in range(0, images, count):
        for top in range(0, rows, each):
            yield range(first, min(first + count, images)), top, min(top + each, rows)


def _each_part(images: range, channels: int, tiles_each: int,
               function: Callable[[int, int, int, int], None]) -> None:
    """function(image, channels from and to, where its tiles begin), shared among the threads."""
    chunk = min(MOST, _whole(parallel.GRAIN // (36 * tiles_each) + 1))
    parts = [(image, k, min(k + chunk, channels), place * tiles_each)
             for place, image in enumerate(images) for k in range(0, channels, chunk)]
    parallel.for_each(lambda j: function(*parts[j]), len(parts))
