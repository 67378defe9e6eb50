"""Convolution and its two gradients, by matrix products over columns of shifted rows.

x (n, c, h, w), weights (f, c / groups, kh, kw), y (n, f, oh, ow).  stride and padding are (down, across); padding
is what is added on each side, and everything further out counts as zero too, so that `out_size` may ask for more.

How it is fast in plain NumPy: the work is split by image over the pool; an image is padded once; the columns of a
block of rows are built from long shifted slices of it, and a block stays in the cache between building and product.
"""
import numpy as np
from numpy.lib.stride_tricks import as_strided

from runner.ops import memory, parallel

BLOCK = 1 << 18         # values in one block of columns, about a megabyte of float32
Pair = tuple[int, int]


def conv_out(length: int, size: int, stride: int, padding: int, dilation: int = 1) -> int:
    """Windows along one axis."""
    return (length + 2 * padding - dilation * (size - 1) - 1) // stride + 1


def conv2d(x: np.ndarray, weights: np.ndarray, *, stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: int = 1,
           groups: int = 1, out_size: Pair | None = None, alone: bool = False) -> np.ndarray:
    """-> y (n, f, oh, ow) = sum over c, i, j of weights[f, c, i, j] x[c, y sy + i d - py, x sx + j d - px].

    alone: an image gets the same bits in any batch.  Here it always does; a faster kernel may let the images of a
    batch share products where that is not asked for.
    """
    n, c, h, w = x.shape
    f, _, kh, kw = weights.shape
    oh, ow = out_size or (conv_out(h, kh, stride[0], padding[0], dilation),
                          conv_out(w, kw, stride[1], padding[1], dilation))
    y = memory.empty((n, f, oh, ow), x.dtype)
    if groups == c and weights.shape[1] == 1:
        _depthwise(x, weights, y, stride, padding, dilation)
        return y
    kernel = weights.reshape(groups, f // groups, -1)
    plain = _is_plain(kh, kw, stride, padding) and (oh, ow) == (h, w)
    taps = c // groups * kh * kw

    def block(i: slice) -> None:
        out = y[i].reshape(-1, groups, f // groups, oh * ow)
        if plain:
            np.matmul(kernel, x[i].reshape(-1, groups, c // groups, h * w), out=out)
            return
        padded = _pad(x[i], (oh, ow), (kh, kw), stride, padding, dilation)
        for top, bottom in _row_blocks(oh, c * kh * kw * ow):
            columns = _columns(padded, (top, bottom, ow), (kh, kw), stride, dilation)
            np.matmul(kernel, columns.reshape(len(out), groups, taps, -1), out=out[..., top * ow:bottom * ow])
    parallel.for_blocks(block, n, c * kh * kw * oh * ow)
    return y


def conv2d_backward(dy: np.ndarray, x: np.ndarray, weights: np.ndarray, *, stride: Pair = (1, 1),
                    padding: Pair = (0, 0), dilation: int = 1, groups: int = 1,
                    need_dx: bool = True) -> tuple[np.ndarray | None, np.ndarray]:
    """dy (n, f, oh, ow) -> dx (n, c, h, w) or None, dweights.

    Fixed blocks of images have sums of their own, added in order: the threads do not show in the result.
    """
    n, c, h, w = x.shape
    f, _, kh, kw = weights.shape
    oh, ow = dy.shape[2:]
    dx = memory.empty_like(x) if need_dx else None
    if groups == c and weights.shape[1] == 1:
        return _depthwise_backward(dy, x, weights, dx, stride, padding, dilation)
    kernel = weights.reshape(groups, f // groups, -1)
    turned = np.ascontiguousarray(kernel.swapaxes(1, 2))
    plain = _is_plain(kh, kw, stride, padding) and (oh, ow) == (h, w)

    def block(i: slice) -> np.ndarray:
        grad = dy[i].reshape(-1, groups, f // groups, oh * ow)
        if plain:
            flat = x[i].reshape(-1, groups, c // groups, h * w)
            if dx is not None:
                np.matmul(turned, grad, out=dx[i].reshape(-1, groups, c // groups, h * w))
            return np.matmul(grad, flat.swapaxes(2, 3)).sum(axis=0)
        padded = _pad(x[i], (oh, ow), (kh, kw), stride, padding, dilation)
        spread = memory.zeros(padded.shape, x.dtype) if dx is not None else None
        total = np.zeros(kernel.shape, x.dtype)
        for top, bottom in _row_blocks(oh, c * kh * kw * ow):
            shaped = _columns(padded, (top, bottom, ow), (kh, kw), stride, dilation)
            columns = shaped.reshape(len(grad), groups, c // groups * kh * kw, -1)
            rows = grad[..., top * ow:bottom * ow]
            total += np.matmul(rows, columns.swapaxes(2, 3)).sum(axis=0)
            if spread is not None:
                np.matmul(turned, rows, out=columns)        # the columns' own memory takes their gradient
                _add_columns(spread, shaped, top, stride, dilation)
        if dx is not None and spread is not None:
            dx[i] = spread[..., padding[0]:padding[0] + h, padding[1]:padding[1] + w]
        return total
    return dx, parallel.sum_blocks(block, n, c * kh * kw * oh * ow).reshape(weights.shape)


def conv2d_transpose(x: np.ndarray, weights: np.ndarray, *, stride: Pair = (1, 1),
                     padding: Pair = (0, 0)) -> np.ndarray:
    """Deconvolution: x (n, c, h, w), weights (c, f, kh, kw) -> y (n, f, oh, ow), oh = (h - 1) sy + kh - 2 py.

    It is the data gradient of a convolution from y to x.
    """
    shape = transposed_shape(x, weights, stride, padding)
    y, _ = conv2d_backward(x, np.zeros(shape, x.dtype), weights, stride=stride, padding=padding)
    assert y is not None
    return y


def conv2d_transpose_backward(dy: np.ndarray, x: np.ndarray, weights: np.ndarray, *, stride: Pair = (1, 1),
                              padding: Pair = (0, 0), need_dx: bool = True) -> tuple[np.ndarray | None, np.ndarray]:
    """dy (n, f, oh, ow) -> dx (n, c, h, w) or None, dweights (c, f, kh, kw)."""
    dx = conv2d(dy, weights, stride=stride, padding=padding, out_size=x.shape[2:]) if need_dx else None
    _, dweights = conv2d_backward(x, dy, weights, stride=stride, padding=padding, need_dx=False)
    return dx, dweights


def transposed_shape(x: np.ndarray, weights: np.ndarray, stride: Pair, padding: Pair) -> tuple[int, ...]:
    n, _, h, w = x.shape
    _, f, kh, kw = weights.shape
    return n, f, (h - 1) * stride[0] + kh - 2 * padding[0], (w - 1) * stride[1] + kw - 2 * padding[1]


def _is_plain(kh: int, kw: int, stride: Pair, padding: Pair) -> bool:
    """1 x 1 at stride 1: the image is its own matrix of columns."""
    return kh == kw == 1 and stride == (1, 1) and padding == (0, 0)


def _row_blocks(rows: int, row_values: int) -> list[Pair]:
    """Rows of the output in blocks whose columns stay in the cache; the same for any number of threads."""
    each = max(1, BLOCK // max(row_values, 1))
    return [(top, min(top + each, rows)) for top in range(0, rows, each)]


def _pad(image: np.ndarray, out: Pair, size: Pair, stride: Pair, padding: Pair, dilation: int) -> np.ndarray:
    """image (..., h, w) with zeros wherever a window may look."""
    *front, h, w = image.shape
    reach = [(o - 1) * s + (k - 1) * dilation + 1 for o, s, k in zip(out, stride, size, strict=True)]
    tall, wide = max(reach[0], h + padding[0]), max(reach[1], w + padding[1])
    if (tall, wide) == (h, w):
        return image
    padded = memory.zeros((*front, tall, wide), image.dtype)
    padded[..., padding[0]:padding[0] + h, padding[1]:padding[1] + w] = image
    return padded


def _columns(padded: np.ndarray, block: tuple[int, int, int], size: Pair, stride: Pair, dilation: int) -> np.ndarray:
    """padded (n, c, h, w) -> (n, c, kh, kw, rows, ow): what each tap of the kernel sees of a block of output rows."""
    top, bottom, ow = block
    sn, sc, sh, sw = padded.strides
    start = padded[:, :, top * stride[0]:]
    return np.ascontiguousarray(as_strided(start, (*padded.shape[:2], *size, bottom - top, ow),
                                           (sn, sc, sh * dilation, sw * dilation, sh * stride[0], sw * stride[1])))


def _add_columns(spread: np.ndarray, columns: np.ndarray, top: int, stride: Pair, dilation: int) -> None:
    """Add the gradient of a block of columns where its taps had looked; tap by tap, because windows overlap."""
    _, _, kh, kw, rows, ow = columns.shape
    for i in range(kh):
        for j in range(kw):
            y, x = top * stride[0] + i * dilation, j * dilation
            spread[:, :, y:y + (rows - 1) * stride[0] + 1:stride[0],
                   x:x + (ow - 1) * stride[1] + 1:stride[1]] += columns[:, :, i, j]


def _taps(size: Pair, stride: Pair, dilation: int, out: Pair) -> list[tuple[int, int, tuple[slice, slice]]]:
    """Each tap of the kernel and the slice of the padded image it sees."""
    (kh, kw), (oh, ow) = size, out
    return [(i, j, (slice(i * dilation, i * dilation + (oh - 1) * stride[0] + 1, stride[0]),
                    slice(j * dilation, j * dilation + (ow - 1) * stride[1] + 1, stride[1])))
            for i in range(kh) for j in range(kw)]


def _depthwise(x: np.ndarray, weights: np.ndarray, y: np.ndarray, stride: Pair, padding: Pair, dilation: int) -> None:
    """One channel in, f / c channels out: a sum of shifted, scaled images."""
    c, size, out = x.shape[1], weights.shape[2:], y.shape[2:]
    kernel = weights.reshape(c, -1, *size)

    def block(i: slice) -> None:
        padded = _pad(x[i], out, size, stride, padding, dilation)[:, :, None]
        total = y[i].reshape(-1, c, kernel.shape[1], *out)
        total[...] = 0
        scratch = np.empty_like(total)
        for a, b, (rows, columns) in _taps(size, stride, dilation, out):
            np.multiply(padded[..., rows, columns], kernel[:, :, a, b, None, None], out=scratch)
            total += scratch
    parallel.for_blocks(block, len(x), y[0].size)


def _depthwise_backward(dy: np.ndarray, x: np.ndarray, weights: np.ndarray, dx: np.ndarray | None, stride: Pair,
                        padding: Pair, dilation: int) -> tuple[np.ndarray | None, np.ndarray]:
    n, c, h, w = x.shape
    size, out = weights.shape[2:], dy.shape[2:]
    kernel = weights.reshape(c, -1, *size)
    parts = np.empty((n, *kernel.shape), x.dtype)

    def block(i: slice) -> None:
        padded = _pad(x[i], out, size, stride, padding, dilation)
        grad = dy[i].reshape(-1, c, kernel.shape[1], *out)
        spread = memory.zeros(padded.shape, x.dtype) if dx is not None else None
        for a, b, (rows, columns) in _taps(size, stride, dilation, out):
            parts[i, :, :, a, b] = (grad * padded[:, :, None, rows, columns]).sum(axis=(3, 4))
            if spread is not None:
                spread[..., rows, columns] += (grad * kernel[:, :, a, b, None, None]).sum(axis=2)
        if dx is not None and spread is not None:
            dx[i] = spread[..., padding[0]:padding[0] + h, padding[1]:padding[1] + w]
    parallel.for_blocks(block, n, dy[0].size)
    return dx, parts.sum(axis=0).reshape(weights.shape)
