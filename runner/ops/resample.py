"""Upsampling, downsampling, and rearrangements between space and channels."""
import numpy as np

from runner.ops import memory


def upsample(x: np.ndarray, stride: int, scale: float = 1.0) -> np.ndarray:
    """x (n, c, h, w) -> (n, c, h stride, w stride): every pixel repeated in a block, times scale."""
    n, c, h, w = x.shape
    y = memory.empty((n, c, h, stride, w, stride), x.dtype)
    y[...] = (x if scale == 1 else x * x.dtype.type(scale))[:, :, :, None, :, None]
    return y.reshape(n, c, h * stride, w * stride)


def upsample_backward(dy: np.ndarray, stride: int, scale: float = 1.0) -> np.ndarray:
    """dy (n, c, h stride, w stride) -> dx (n, c, h, w): the sum of each block."""
    return downsample(dy, stride, scale)


def downsample(x: np.ndarray, stride: int, scale: float = 1.0) -> np.ndarray:
    """x (n, c, h, w) -> (n, c, h // stride, w // stride): the sum of each complete block, times scale."""
    n, c, h, w = x.shape
    h, w = h // stride, w // stride
    y = memory.zeros((n, c, h, w), x.dtype)
    for i in range(stride):
        for j in range(stride):
            y += x[:, :, i:h * stride:stride, j:w * stride:stride]
    return y if scale == 1 else y * x.dtype.type(scale)


def downsample_backward(dy: np.ndarray, stride: int, scale: float, x_shape: tuple[int, ...]) -> np.ndarray:
    """dy (n, c, h // stride, w // stride) -> dx of x_shape."""
    blocks = upsample(dy, stride, scale)
    if blocks.shape == x_shape:
        return blocks
    dx = memory.zeros(x_shape, dy.dtype)
    dx[:, :, :blocks.shape[2], :blocks.shape[3]] = blocks
    return dx


def channel_shuffle(x: np.ndarray, groups: int) -> np.ndarray:
    """x (n, c, h, w) -> the same shape, channel k of group g at k groups + g (ShuffleNet); c / groups
    undoes it."""
    n, c, h, w = x.shape
    return np.ascontiguousarray(x.reshape(n, groups, c // groups, h, w).swapaxes(1, 2)).reshape(n, c, h, w)


def space_to_depth(x: np.ndarray, stride: int) -> np.ndarray:
    """x (n, c, h, w) -> (n, s s c, h / s, w / s), output channel (dy s + dx) c + k; darknet's [reorg3d]."""
    n, c, h, w = x.shape
    s = stride
    return np.ascontiguousarray(x.reshape(n, c, h // s, s, w // s, s).transpose(0, 3, 5, 1, 2, 4)).reshape(
        n, s * s * c, h // s, w // s)


def depth_to_space(x: np.ndarray, stride: int) -> np.ndarray:
    """The inverse of space_to_depth: x (n, c, h, w) -> (n, c / (s s), h s, w s); darknet's [reorg] reverse=1.

    Also NumPyNet's [shuffler], whose images have rows as their first axis.
    """
    n, c, h, w = x.shape
    s = stride
    return np.ascontiguousarray(x.reshape(n, s, s, c // (s * s), h, w).transpose(0, 3, 4, 1, 5, 2)).reshape(
        n, c // (s * s), h * s, w * s)


def reorg(x: np.ndarray, stride: int) -> np.ndarray:
    """x (n, c, h, w) -> (n, s s c, h / s, w / s), in the scrambled order of darknet's [reorg].

    space_to_depth of the same memory seen as an image of c / (s s) channels and s times the sides.
    YOLOv2's weights were trained with it (src/blas.c:reorg_cpu).
    """
    n, c, h, w = x.shape
    s = stride
    virtual = x.reshape(n, c // (s * s), h * s, w * s)
    return space_to_depth(virtual, s).reshape(n, c * s * s, h // s, w // s)


def reorg_inverse(x: np.ndarray, stride: int) -> np.ndarray:
    """The inverse of reorg: x (n, c, h, w) -> (n, c / (s s), h s, w s); darknet's [reorg3d] reverse=1."""
    n, c, h, w = x.shape
    s = stride
    return depth_to_space(x.reshape(n, c // (s * s), h * s, w * s), s).reshape(n, c // (s * s), h * s, w * s)
