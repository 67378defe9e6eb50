"""Moving pixels: enlarging, summing blocks, and the rearrangements between space and channels."""
import numpy as np

from runner.ops import memory


def upsample(x: np.ndarray, stride: int, scale: float = 1.0) -> np.ndarray:
    """x (n, c, h, w) -> (n, c, h stride, w stride): every pixel a block of equal ones, times scale."""
    n, c, h, w = x.shape
    y = memory.empty((n, c, h, stride, w, stride), x.dtype)
    y[...] = (x if scale == 1 else x * x.dtype.type(scale))[:, :, :, None, :, None]
    return y.reshape(n, c, h * stride, w * stride)


def upsample_backward(dy: np.ndarray, stride: int, scale: float = 1.0) -> np.ndarray:
    """dy (n, c, h stride, w stride) -> dx (n, c, h, w): the sum of each block."""
    return downsample(dy, stride, scale)


def downsample(x: np.ndarray, stride: int, scale: float = 1.0) -> np.ndarray:
    """x (n, c, h, w) -> (n, c, h // stride, w // stride): the sum of each block, times scale; a rest is left out."""
    n, c, h, w = x.shape
    h, w = h // stride, w // stride
    y = memory.zeros((n, c, h, w), x.dtype)
    for i in range(stride):
        for j in range(stride):
            y += x[:, :, i:h * stride:stride, j:w * stride:stride]
    return y if scale == 1 else y * x.dtype.type(scale)


def downsample_backward(dy: np.ndarray, stride: int, scale: float, x_shape: tuple[int, ...]) -> np.ndarray:
    """dy (n, c, h // stride, w // stride) -> dx of x_shape."""
    spread = upsample(dy, stride, scale)
    if spread.shape == x_shape:
        return spread
    dx = memory.zeros(x_shape, dy.dtype)
    dx[:, :, :spread.shape[2], :spread.shape[3]] = spread
    return dx


def space_to_depth(x: np.ndarray, stride: int) -> np.ndarray:
    """x (n, c, h, w) -> (n, s s c, h / s, w / s), out channel (dy s + dx) c + k; darknet's [reorg3d]."""
    n, c, h, w = x.shape
    s = stride
    return np.ascontiguousarray(x.reshape(n, c, h // s, s, w // s, s).transpose(0, 3, 5, 1, 2, 4)).reshape(
        n, s * s * c, h // s, w // s)


def depth_to_space(x: np.ndarray, stride: int) -> np.ndarray:
    """The inverse of space_to_depth: x (n, c, h, w) -> (n, c / (s s), h s, w s); darknet's [reorg] reverse=1.

    NumPyNet's [shuffler] too, with its first axis of an image taken for rows.
    """
    n, c, h, w = x.shape
    s = stride
    return np.ascontiguousarray(x.reshape(n, s, s, c // (s * s), h, w).transpose(0, 3, 4, 1, 5, 2)).reshape(
        n, c // (s * s), h * s, w * s)


def reorg(x: np.ndarray, stride: int) -> np.ndarray:
    """x (n, c, h, w) -> (n, s s c, h / s, w / s), scrambled as darknet's [reorg] does it.

    The same walk as depth_to_space's inverse, but over a virtual image of c / (s s) channels and s times the sides
    that lies over the same memory.  YOLOv2's weights were trained with it (src/blas.c:reorg_cpu).
    """
    n, c, h, w = x.shape
    s = stride
    virtual = x.reshape(n, c // (s * s), h * s, w * s)
    return space_to_depth(virtual, s).reshape(n, c * s * s, h // s, w // s)


def reorg_inverse(x: np.ndarray, stride: int) -> np.ndarray:
    """Undo reorg: x (n, c, h, w) -> (n, c / (s s), h s, w s); darknet's [reorg3d] reverse=1."""
    n, c, h, w = x.shape
    s = stride
    return depth_to_space(x.reshape(n, c // (s * s), h * s, w * s), s).reshape(n, c // (s * s), h * s, w * s)


def channels_last(x: np.ndarray) -> np.ndarray:
    """x (n, c, h, w) -> (n, h, w, c), in memory too; what darknet's [reorg] flatten=1 writes."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def channels_first(x: np.ndarray) -> np.ndarray:
    """The inverse of channels_last: x (n, h, w, c) -> (n, c, h, w); darknet's flatten=1 reverse=1."""
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))
