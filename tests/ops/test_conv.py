"""Convolutions against slow, obvious loops."""
from typing import Any

import numpy as np
import pytest

from runner import ops

pytestmark = pytest.mark.usefixtures("backend")

RNG = np.random.default_rng(4)


def slow_conv(x: np.ndarray, w: np.ndarray, stride: tuple, padding: tuple, dilation: int, groups: int,
              out: tuple) -> np.ndarray:
    n, c, h, wide = x.shape
    f, _, kh, kw = w.shape
    y = np.zeros((n, f, *out))
    for i in np.ndindex(n, f, *out, c // groups, kh, kw):
        image, filt, oy, ox, ch, ky, kx = i
        row, col = oy * stride[0] + ky * dilation - padding[0], ox * stride[1] + kx * dilation - padding[1]
        if 0 <= row < h and 0 <= col < wide:
            channel = filt // (f // groups) * (c // groups) + ch
            y[image, filt, oy, ox] += w[filt, ch, ky, kx] * x[image, channel, row, col]
    return y


GEOMETRIES = [  # c, f, size, stride, padding, dilation, groups
    (3, 4, 3, (1, 1), (1, 1), 1, 1), (2, 3, 3, (2, 2), (1, 1), 1, 1), (4, 6, 3, (1, 2), (0, 2), 1, 2),
    (3, 2, 1, (1, 1), (0, 0), 1, 1), (3, 2, 1, (2, 2), (0, 0), 1, 1), (2, 2, 3, (1, 1), (2, 2), 2, 1),
    (4, 4, 3, (1, 1), (1, 1), 1, 4), (3, 6, 3, (2, 1), (1, 1), 1, 3), (2, 3, 5, (1, 1), (2, 2), 1, 1),
    (1, 2, 2, (3, 3), (1, 1), 1, 1), (2, 3, 2, (100_000, 100_000), (1, 1), 1, 1), (2, 3, 3, (2, 9), (2, 1), 1, 1),
]


@pytest.mark.parametrize("c, f, size, stride, padding, dilation, groups", GEOMETRIES)
def test_convolution(c: int, f: int, size: int, stride: tuple, padding: tuple, dilation: int, groups: int,
                     monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = RNG.normal(size=(3, c, 7, 6)), RNG.normal(size=(f, c // groups, size, size))
    settings: dict[str, Any] = dict(stride=stride, padding=padding, dilation=dilation, groups=groups)
    y = ops.conv2d(x, w, **settings)
    want = slow_conv(x, w, stride, padding, dilation, groups, y.shape[2:])
    np.testing.assert_allclose(y, want, atol=1e-12)
    dy = RNG.normal(size=y.shape)
    dx, dw = ops.conv2d_backward(dy, x, w, **settings)
    assert dx is not None
    # both gradients of a product that is linear in x and in w
    d = RNG.normal(size=x.shape)
    np.testing.assert_allclose((dx * d).sum(), (dy * ops.conv2d(d, w, **settings)).sum(), rtol=1e-9)
    d = RNG.normal(size=w.shape)
    np.testing.assert_allclose((dw * d).sum(), (dy * ops.conv2d(x, d, **settings)).sum(), rtol=1e-9)
    # blocks of one row give the same
    monkeypatch.setattr("runner.ops.conv.COLUMN_BLOCK", 1)
    np.testing.assert_allclose(ops.conv2d(x, w, **settings), want, atol=1e-12)
    again, _ = ops.conv2d_backward(dy, x, w, **settings)
    assert again is not None
    np.testing.assert_allclose(again, dx, atol=1e-12)


@pytest.mark.parametrize("size, stride, padding", [(2, (2, 2), 0), (3, (2, 2), 2), (2, (2, 1), 0), (3, (3, 3), 1)])
def test_transposed_convolution_is_the_transpose(size: int, stride: tuple, padding: int) -> None:
    x, w = RNG.normal(size=(2, 3, 4, 5)), RNG.normal(size=(3, 2, size, size))
    pad = (padding // 2, padding // 2)
    y = ops.conv2d_transpose(x, w, stride=stride, padding=pad)
    assert y.shape[2:] == tuple((side - 1) * s + size - 2 * p for side, s, p in zip((4, 5), stride, pad, strict=True))
    d = RNG.normal(size=y.shape)
    np.testing.assert_allclose((y * d).sum(), (x * ops.conv2d(d, w, stride=stride, padding=pad)).sum(), rtol=1e-9)
    dx, dw = ops.conv2d_transpose_backward(d, x, w, stride=stride, padding=pad)
    assert dx is not None
    np.testing.assert_allclose((dx * x).sum(), (y * d).sum(), rtol=1e-9)
    np.testing.assert_allclose((dw * w).sum(), (y * d).sum(), rtol=1e-9)
