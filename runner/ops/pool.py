"""Pooling in darknet's geometry.

`padding` is the *total* number of rows (and columns) added; padding // 2 of them are above (left of) the image.  A
window starts at oy * stride - padding // 2.  Cells outside the image are never a maximum and are not counted in a mean.
"""
import numpy as np

from runner.ops import memory, parallel
from runner.ops.windows import count_windows

Pair = tuple[int, int]


def output_size(x_shape: tuple[int, ...], size: int, stride: Pair, padding: int) -> Pair:
    """(oh, ow) of x (..., h, w) under windows of size x size."""
    oh, ow = (count_windows(length + padding, size, step) for length, step in zip(x_shape[-2:], stride, strict=True))
    return oh, ow


def maxpool2d(x: np.ndarray, size: int, stride: Pair, padding: int,
              need_index: bool = True) -> tuple[np.ndarray, np.ndarray | None]:
    """x (n, c, h, w) -> y (n, c, oh, ow), index: which cell of the window is the maximum, row * size + column.

    Of equal values the first in the window is taken, row by row.  Without need_index the index is None.
    """
    n, c, h, w = x.shape
    out = output_size(x.shape, size, stride, padding)
    y = memory.empty((n, c, *out), x.dtype)
    index = memory.zeros(y.shape, np.uint8 if size < 16 else np.uint16) if need_index else None
    planes, maxima = x.reshape(n * c, h, w), y.reshape(n * c, *out)
    cells = None if index is None else index.reshape(n * c, *out)

    def block(i: slice) -> None:
        padded = _pad(planes[i], out, size, stride, padding, -np.inf)
        if cells is None:
            np.copyto(maxima[i], _by_axis(padded, size, stride, out))
            return
        best, cell = maxima[i], cells[i]
        for tap, strided in enumerate(_taps(padded, size, stride, out)):
            values = np.ascontiguousarray(strided)
            if tap == 0:
                best[...] = values
            else:       # a later cell has the larger number; a masked copy would take ten times as long
                np.maximum(cell, (values > best) * cell.dtype.type(tap), out=cell)
                np.maximum(best, values, out=best)
    parallel.for_blocks(block, n * c, h * w)
    return y, index


def maxpool2d_backward(dy: np.ndarray, index: np.ndarray, x_shape: tuple[int, ...], size: int, stride: Pair,
                       padding: int) -> np.ndarray:
    """dy (n, c, oh, ow) -> dx (n, c, h, w): each value is added to the cell that was the maximum."""
    n, c, h, w = x_shape
    out, before = dy.shape[2:], padding // 2
    dx = memory.empty((n * c, h, w), dy.dtype)
    grads, cells = dy.reshape(n * c, *out), index.reshape(n * c, *out)

    def block(i: slice) -> None:
        padded = _pad(memory.zeros(dx[i].shape, dy.dtype), out, size, stride, padding, 0)
        for tap, values in enumerate(_taps(padded, size, stride, out)):
            if size <= min(stride):     # windows do not overlap
                np.multiply(grads[i], cells[i] == tap, out=values)
            else:
                values += grads[i] * (cells[i] == tap)
        dx[i] = padded[..., before:before + h, before:before + w]
    parallel.for_blocks(block, n * c, h * w)
    return dx.reshape(x_shape)


def maxpool_depth(x: np.ndarray, out_channels: int) -> tuple[np.ndarray, np.ndarray]:
    """x (n, c, h, w) -> y (n, out_channels, h, w), index: maxima over the channels g, g + out_channels, ..."""
    n, c, h, w = x.shape
    full = c // out_channels
    parts = x[:, :full * out_channels].reshape(n, full, out_channels, h, w)
    index = parts.argmax(axis=1)
    y = np.take_along_axis(parts, index[:, None], axis=1)[:, 0]
    for g in range(c - full * out_channels):        # the last round may be incomplete
        last = x[:, full * out_channels + g]
        index[:, g][last > y[:, g]] = full
        np.maximum(y[:, g], last, out=y[:, g])
    return y, index


def maxpool_depth_backward(dy: np.ndarray, index: np.ndarray, x_shape: tuple[int, ...]) -> np.ndarray:
    """dy (n, out_channels, h, w) -> dx (n, c, h, w)."""
    dx = memory.zeros(x_shape, dy.dtype)
    channel = index * dy.shape[1] + np.arange(dy.shape[1])[:, None, None]
    np.put_along_axis(dx, channel, dy, axis=1)
    return dx


def local_avgpool2d(x: np.ndarray, size: int, stride: Pair, padding: int) -> np.ndarray:
    """x (n, c, h, w) -> y (n, c, oh, ow): the sum of a window's cells inside the image divided by their number."""
    out = output_size(x.shape, size, stride, padding)
    padded = _pad(x, out, size, stride, padding, 0)
    total = sum(_taps(padded, size, stride, out))
    return total / _valid(x.shape, out, size, stride, padding).astype(x.dtype)


def local_avgpool2d_backward(dy: np.ndarray, x_shape: tuple[int, ...], size: int, stride: Pair, padding: int,
                             divide_by_valid: bool = True) -> np.ndarray:
    """dy (n, c, oh, ow) -> dx of x_shape.  Not divide_by_valid: divided by size^2 everywhere, as AlexeyAB's backward
    does."""
    out, before = dy.shape[2:], padding // 2
    count = _valid(x_shape, out, size, stride, padding) if divide_by_valid else np.array(size * size)
    share = dy / count.astype(dy.dtype)
    padded = _pad(np.zeros(x_shape, dy.dtype), out, size, stride, padding, 0)
    for cells in _taps(padded, size, stride, out):
        cells += share
    return np.ascontiguousarray(padded[..., before:before + x_shape[2], before:before + x_shape[3]])


def avgpool(x: np.ndarray) -> np.ndarray:
    """x (n, c, h, w) -> means (n, c)."""
    return x.mean(axis=(2, 3), dtype=x.dtype)


def avgpool_backward(dy: np.ndarray, x_shape: tuple[int, ...]) -> np.ndarray:
    """dy (n, c) -> dx of x_shape: equal shares."""
    share = dy / dy.dtype.type(x_shape[2] * x_shape[3])
    return np.ascontiguousarray(np.broadcast_to(share[:, :, None, None], x_shape))


def _pad(x: np.ndarray, out: Pair, size: int, stride: Pair, padding: int, value: float) -> np.ndarray:
    """x (..., h, w), or, where windows reach outside, a copy with `value` there."""
    *front, h, w = x.shape
    before = padding // 2
    tall, wide = (max((o - 1) * s + size, side + before) for o, s, side in zip(out, stride, (h, w), strict=True))
    if (tall, wide) == (h, w):
        return x
    padded = memory.empty((*front, tall, wide), x.dtype)
    padded.fill(value)
    padded[..., before:before + h, before:before + w] = x
    return padded


def _taps(padded: np.ndarray, size: int, stride: Pair, out: Pair) -> list[np.ndarray]:
    """For each cell of the window, row by row: a view (..., oh, ow) of the values it sees."""
    return [padded[..., i:i + (out[0] - 1) * stride[0] + 1:stride[0], j:j + (out[1] - 1) * stride[1] + 1:stride[1]]
            for i in range(size) for j in range(size)]


def _by_axis(padded: np.ndarray, size: int, stride: Pair, out: Pair) -> np.ndarray:
    """The maximum over rows, then over columns: 2 size operations instead of size^2."""
    rows = padded[..., :(out[0] - 1) * stride[0] + 1:stride[0], :].copy()
    for i in range(1, size):
        np.maximum(rows, padded[..., i:i + (out[0] - 1) * stride[0] + 1:stride[0], :], out=rows)
    y = rows[..., :(out[1] - 1) * stride[1] + 1:stride[1]].copy()
    for j in range(1, size):
        np.maximum(y, rows[..., j:j + (out[1] - 1) * stride[1] + 1:stride[1]], out=y)
    return y


def _valid(x_shape: tuple[int, ...], out: Pair, size: int, stride: Pair, padding: int) -> np.ndarray:
    """(oh, ow): the number of cells of each window that are inside the image."""
    counts = []
    for side, length, step in zip(x_shape[2:], out, stride, strict=True):
        start = np.arange(length) * step - padding // 2
        counts.append(np.minimum(start + size, side) - np.maximum(start, 0))
    return np.outer(*counts)
