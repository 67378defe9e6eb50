"""Convolution and its two gradients, by matrix products over columns of shifted rows.

x (n, c, h, w), weights (f, c / groups, kh, kw), y (n, f, oh, ow).  stride and padding are (down, across); padding
is what is added on each side, and everything further out counts as zero too, so that `out_size` may ask for more.

How it is fast in plain NumPy: the work is split by image over the pool; an image is padded once; the columns of a
block of rows are built from long shifted slices of it, and a block stays in the cache between building and product.
"""
import numpy as np
from numpy.lib.stride_tricks import as_strided

from runner.ops import parallel

BLOCK = 1 << 18         # values in one block of columns, about a megabyte of float32
Pair = tuple[int, int]


def conv_out(length: int, size: int, stride: int, padding: int, dilation: int = 1) -> int:
    """Windows along one axis."""
    return (length + 2 * padding - dilation * (size - 1) - 1) // stride + 1


def conv2d(x: np.ndarray, weights: np.ndarray, *, stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: int = 1,
           groups: int = 1, out_size: Pair | None = None) -> np.ndarray:
    """-> y (n, f, oh, ow) = sum over c, i, j of weights[f, c, i, j] x[c, y sy + i d - py, x sx + j d - px]."""
    n, c, h, w = x.shape
    f, _, kh, kw = weights.shape
    oh, ow = out_size or (conv_out(h, kh, stride[0], padding[0], dilation), conv_out(w, kw, stride[1], padding[1], dilation))
    y = np.empty((n, f, oh, ow), x.dtype)
    if groups == c and weights.shape[1] == 1:
        _depthwise(x, weights, y, stride, padding, dilation)
        return y
    kernel = weights.reshape(groups, f // groups, -1)
    plain = _is_plain(kh, kw, stride, padding) and (oh, ow) == (h, w)

    def image(i: int) -> None:
        out = y[i].reshape(groups, f // groups, oh * ow)
        if plain:
            np.matmul(kernel, x[i].reshape(groups, c // groups, h * w), out=out)
            return
        padded = _pad(x[i], (oh, ow), (kh, kw), stride, padding, dilation)
        for top, bottom in _blocks(oh, c * kh * kw * ow):
            columns = _columns(padded, (top, bottom, ow), (kh, kw), stride, dilation)
            np.matmul(kernel, columns.reshape(groups, c // groups * kh * kw, -1), out=out[:, :, top * ow:bottom * ow])
    parallel.for_each(image, n)
    return y


def conv2d_backward(dy: np.ndarray, x: np.ndarray, weights: np.ndarray, *, stride: Pair = (1, 1),
                    padding: Pair = (0, 0), dilation: int = 1, groups: int = 1,
                    need_dx: bool = True) -> tuple[np.ndarray | None, np.ndarray]:
    """dy (n, f, oh, ow) -> dx (n, c, h, w) or None, dweights.

    Every image adds to a sum of its own; they are summed in order, so the threads do not show in the result.
    """
    n, c, h, w = x.shape
    f, _, kh, kw = weights.shape
    oh, ow = dy.shape[2:]
    dx = np.empty_like(x) if need_dx else None
    if groups == c and weights.shape[1] == 1:
        return _depthwise_backward(dy, x, weights, dx, stride, padding, dilation)
    kernel = weights.reshape(groups, f // groups, -1)
    turned = np.ascontiguousarray(kernel.swapaxes(1, 2))
    plain = _is_plain(kh, kw, stride, padding) and (oh, ow) == (h, w)
    parts = [np.zeros(0, x.dtype)] * n

    def image(i: int) -> None:
        grad = dy[i].reshape(groups, f // groups, oh * ow)
        if plain:
            flat = x[i].reshape(groups, c // groups, h * w)
            parts[i] = np.matmul(grad, flat.swapaxes(1, 2))
            if dx is not None:
                np.matmul(turned, grad, out=dx[i].reshape(groups, c // groups, h * w))
            return
        padded = _pad(x[i], (oh, ow), (kh, kw), stride, padding, dilation)
        spread = np.zeros_like(padded) if dx is not None else None
        total = np.zeros(kernel.shape, x.dtype)
        for top, bottom in _blocks(oh, c * kh * kw * ow):
            columns = _columns(padded, (top, bottom, ow), (kh, kw), stride, dilation).reshape(
                groups, c // groups * kh * kw, -1)
            block = grad[:, :, top * ow:bottom * ow]
            total += np.matmul(block, columns.swapaxes(1, 2))
            if spread is not None:
                np.matmul(turned, block, out=columns)       # the columns' own memory takes their gradient
                _add_columns(spread, columns.reshape(c, kh, kw, bottom - top, ow), top, stride, dilation)
        parts[i] = total
        if spread is not None:
            dx[i] = spread[:, padding[0]:padding[0] + h, padding[1]:padding[1] + w]
    parallel.for_each(image, n)
    dweights = parts[0]
    for part in parts[1:]:
        dweights += part
    return dx, dweights.reshape(weights.shape)


def conv2d_transpose(x: np.ndarray, weights: np.ndarray, *, stride: Pair = (1, 1), padding: Pair = (0, 0)) -> np.ndarray:
    """Deconvolution: x (n, c, h, w), weights (c, f, kh, kw) -> y (n, f, oh, ow), oh = (h - 1) sy + kh - 2 py.

    It is the data gradient of a convolution from y to x.
    """
    shape = _transposed_shape(x, weights, stride, padding)
    y, _ = conv2d_backward(x, np.zeros(shape, x.dtype), weights, stride=stride, padding=padding)
    assert y is not None
    return y


def conv2d_transpose_backward(dy: np.ndarray, x: np.ndarray, weights: np.ndarray, *, stride: Pair = (1, 1),
                              padding: Pair = (0, 0), need_dx: bool = True) -> tuple[np.ndarray | None, np.ndarray]:
    """dy (n, f, oh, ow) -> dx (n, c, h, w) or None, dweights (c, f, kh, kw)."""
    dx = conv2d(dy, weights, stride=stride, padding=padding, out_size=x.shape[2:]) if need_dx else None
    _, dweights = conv2d_backward(x, dy, weights, stride=stride, padding=padding, need_dx=False)
    return dx, dweights


def _transposed_shape(x: np.ndarray, weights: np.ndarray, stride: Pair, padding: Pair) -> tuple[int, ...]:
    n, _, h, w = x.shape
    _, f, kh, kw = weights.shape
    return n, f, (h - 1) * stride[0] + kh - 2 * padding[0], (w - 1) * stride[1] + kw - 2 * padding[1]


def _is_plain(kh: int, kw: int, stride: Pair, padding: Pair) -> bool:
    """1 x 1 at stride 1: the image is its own matrix of columns."""
    return kh == kw == 1 and stride == (1, 1) and padding == (0, 0)


def _blocks(rows: int, row_values: int) -> list[Pair]:
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
    padded = np.zeros((*front, tall, wide), image.dtype)
    padded[..., padding[0]:padding[0] + h, padding[1]:padding[1] + w] = image
    return padded


def _windows(padded: np.ndarray, block: tuple[int, int, int], size: Pair, stride: Pair, dilation: int) -> np.ndarray:
    """A view (c, kh, kw, rows, ow) of a block of output rows: what each tap of the kernel sees."""
    top, bottom, ow = block
    sc, sh, sw = padded.strides
    start = padded[:, top * stride[0]:]
    return as_strided(start, (len(padded), *size, bottom - top, ow),
                      (sc, sh * dilation, sw * dilation, sh * stride[0], sw * stride[1]))


def _columns(padded: np.ndarray, block: tuple[int, int, int], size: Pair, stride: Pair, dilation: int) -> np.ndarray:
    return np.ascontiguousarray(_windows(padded, block, size, stride, dilation))


def _add_columns(spread: np.ndarray, columns: np.ndarray, top: int, stride: Pair, dilation: int) -> None:
    """Add the gradient of a block of columns where its taps had looked; tap by tap, because windows overlap."""
    _, kh, kw, rows, ow = columns.shape
    for i in range(kh):
        for j in range(kw):
            y, x = top * stride[0] + i * dilation, j * dilation
            spread[:, y:y + (rows - 1) * stride[0] + 1:stride[0], x:x + (ow - 1) * stride[1] + 1:stride[1]] += columns[:, i, j]


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

    def image(i: int) -> None:
        padded = _pad(x[i], out, size, stride, padding, dilation)[:, None]
        total = y[i].reshape(c, -1, *out)
        total[...] = 0
        scratch = np.empty_like(total)
        for a, b, (rows, columns) in _taps(size, stride, dilation, out):
            np.multiply(padded[..., rows, columns], kernel[:, :, a, b, None, None], out=scratch)
            total += scratch
    parallel.for_each(image, len(x))


def _depthwise_backward(dy: np.ndarray, x: np.ndarray, weights: np.ndarray, dx: np.ndarray | None, stride: Pair,
                        padding: Pair, dilation: int) -> tuple[np.ndarray | None, np.ndarray]:
    n, c, h, w = x.shape
    size, out = weights.shape[2:], dy.shape[2:]
    kernel = weights.reshape(c, -1, *size)
    parts = np.empty((n, *kernel.shape), x.dtype)

    def image(i: int) -> None:
        padded = _pad(x[i], out, size, stride, padding, dilation)
        grad = dy[i].reshape(c, -1, *out)
        spread = np.zeros_like(padded) if dx is not None else None
        for a, b, (rows, columns) in _taps(size, stride, dilation, out):
            parts[i, :, :, a, b] = np.einsum("cmhw,chw->cm", grad, padded[:, rows, columns])
            if spread is not None:
                spread[:, rows, columns] += np.einsum("cmhw,cm->chw", grad, kernel[:, :, a, b])
        if dx is not None and spread is not None:
            dx[i] = spread[:, padding[0]:padding[0] + h, padding[1]:padding[1] + w]
    parallel.for_each(image, n)
    return dx, parts.sum(axis=0).reshape(weights.shape)
