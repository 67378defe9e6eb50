"""Operations prepared once for fixed weights and shapes: what an inference plan is made of.

plan_name(weights ..., shape) -> run(x, out): writes into `out` (C-contiguous; a new array for out=None) and returns it.
`run` is thread-safe, as it keeps nothing of a call.  The result of an image is bit-identical in any batch.
"""
from collections.abc import Callable

import numpy as np

from runner.ops import memory, parallel
from runner.ops.activation import ACTIVATIONS, activate
from runner.ops.conv import Pair, conv2d, output_size
from runner.ops.pool import avgpool, maxpool2d
from runner.ops.softmax import softmax

Run = Callable[..., np.ndarray]


def plan_conv2d(weights: np.ndarray, biases: np.ndarray | None, activation: str, in_shape: tuple[int, ...], *,
                stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: int = 1, groups: int = 1,
                out_size: Pair | None = None) -> Run:
    """act(conv2d(x) + biases) for x of in_shape (n, c, h, w); weights (f, c / groups, kh, kw), biases (f,) or None."""
    size = out_size or output_size(in_shape, weights.shape, stride, padding, dilation)

    def run(x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        y = conv2d(x, weights, stride=stride, padding=padding, dilation=dilation, groups=groups, out_size=size)
        return finish(y, biases, activation, out)
    return run


def plan_dense(weights: np.ndarray, biases: np.ndarray | None, activation: str) -> Run:
    """act(x W^T + biases) for x (n, i), or (n, c, h, w) of i values; weights (o, i), biases (o,) or None.

    Several rows are one product: the bits of a row then depend on their number.
    """
    parallel.limit_blas()

    def run(x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        x = x.reshape(len(x), -1)
        y = np.empty((len(x), len(weights)), x.dtype) if out is None else out

        def block(i: slice) -> None:
            if len(x) == 1:
                np.matmul(weights[i], x[0], out=y[0, i])
            else:
                y[:, i] = x @ weights[i].T
        parallel.for_blocks(block, len(weights), x.size)
        return finish(y, biases, activation, y)
    return run


def plan_maxpool2d(size: int, stride: Pair, padding: int) -> Run:
    """The maxima of `maxpool2d` for x (n, c, h, w)."""
    def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
        planes, into = x.reshape(-1, 1, *x.shape[2:]), out.reshape(-1, 1, *out.shape[2:])

        def block(i: slice) -> None:
            np.copyto(into[i], maxpool2d(planes[i], size, stride, padding, need_index=False)[0])
        parallel.for_blocks(block, len(planes), planes[0].size)
        return out
    return run


def plan_avgpool() -> Run:
    """The means of `avgpool` for x (n, c, h, w): run(x, out), out (n, c, 1, 1)."""
    def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
        out[...] = avgpool(x).reshape(out.shape)
        return out
    return run


def plan_logistic(sigmoid: np.ndarray, factors: np.ndarray, offsets: np.ndarray) -> Run:
    """factors f(x) + offsets, each (c,), for x (n, c, h, w); f: logistic where `sigmoid`, else nothing."""
    ends = np.flatnonzero(np.diff(np.concatenate([[False], sigmoid, [False]])))
    scaled = np.flatnonzero((factors != 1) | (offsets != 0))

    def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
        np.copyto(out, x.reshape(out.shape))
        for image in out:
            for first, last in ends.reshape(-1, 2):
                finish(image[None, first:last], None, "logistic")
            for c in scaled:
                image[c] = factors[c] * image[c] + offsets[c]
        return out
    return run


def plan_softmax(groups: int, temperature: float) -> Run:
    """`softmax` for x (n, ...) of as many values as out (n, k)."""
    def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
        np.copyto(out, softmax(x.reshape(out.shape), groups, temperature))
        return out
    return run


def finish(y: np.ndarray, biases: np.ndarray | None, activation: str, out: np.ndarray | None = None) -> np.ndarray:
    """act(y + biases) into out, or into y itself; y (n, c, ...) is used up."""
    out = y if out is None else out
    n, c = y.shape[:2]
    if ACTIVATIONS[activation].mixes_channels:
        if biases is not None:
            y += biases.reshape(-1, *[1] * (y.ndim - 2))
        np.copyto(out, activate(y, activation)[0].reshape(out.shape))
        return out
    flat, into = y.reshape(n * c, -1), out.reshape(n * c, -1)

    def block(i: slice) -> None:
        part = into[i]
        if biases is None:
            np.copyto(part, flat[i])
        else:
            np.add(flat[i], np.take(biases, range(i.start, i.stop), mode="wrap")[:, None], out=part)
        active = activate(part, activation, inplace=True)[0]
        if active is not part:
            np.copyto(part, active)
    parallel.for_blocks(block, n * c, flat.shape[1])
    return out


def plan_add(activation: str) -> Run:
    """act(x + others) for arrays of one shape: run(x, *others, out); out may be x."""
    def run(*arrays: np.ndarray) -> np.ndarray:
        if ACTIVATIONS[activation].mixes_channels:
            *xs, y = arrays
            total = xs[0] + xs[1]
            for x in xs[2:]:
                total += x
            return finish(total, None, activation, y)
        first, second, *more, out = (array.reshape(-1) for array in arrays)

        def block(i: slice) -> None:
            part = np.add(first[i], second[i], out=out[i])
            for x in more:
                part += x[i]
            active = activate(part, activation, inplace=True)[0]
            if active is not part:
                np.copyto(part, active)
        parallel.for_blocks(block, out.size, 1)
        return arrays[-1]
    return run


def plan_upsample(stride: int, scale: float) -> Run:
    """`upsample` for x (n, c, h, w)."""
    def run(x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        n, c, h, w = x.shape
        y = memory.empty((n, c, h * stride, w * stride), x.dtype) if out is None else out
        blocks = y.reshape(n * c, h, stride, w, stride)
        flat = x.reshape(n * c, h, w)

        def block(i: slice) -> None:
            part = flat[i] if scale == 1 else flat[i] * x.dtype.type(scale)
            wide = blocks[i, :, 0]
            wide[...] = part[..., None]
            for k in range(1, stride):
                blocks[i, :, k] = wide
        parallel.for_blocks(block, n * c, h * w * stride * stride)
        return y
    return run
