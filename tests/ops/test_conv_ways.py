"""The ways in which plain NumPy convolves give one result; which one is taken follows from the shapes."""
from typing import Any

import numpy as np
import pytest

from runner.ops import conv, parallel, winograd

RNG = np.random.default_rng(4)
GEOMETRIES = [((1, 1), 0), ((0, 0), 0), ((2, 2), 0), ((7, 1), 0), ((1, 1), 9)]      # padding, more rows, columns of y


@pytest.mark.parametrize("n, c, f, h, w", [(1, 32, 40, 41, 46), (3, 33, 32, 26, 28), (12, 40, 32, 14, 13),
                                           (6, 130, 32, 18, 19)])
@pytest.mark.parametrize("padding, more", GEOMETRIES)
def test_winograd(n: int, c: int, f: int, h: int, w: int, padding: tuple, more: int,
                  monkeypatch: pytest.MonkeyPatch) -> None:
    x, weights = RNG.normal(size=(n, c, h, w)), RNG.normal(size=(f, c, 3, 3))
    size = (conv.output_length(h, 3, 1, padding[0]) + more, conv.output_length(w, 3, 1, padding[1]) + more)
    settings: dict[str, Any] = {"padding": padding, "out_size": size}
    dy = RNG.normal(size=(n, f, *size))
    assert winograd.suits(n, weights.shape, size, (1, 1), 1, 1)
    y, (dx, dw) = conv.conv2d(x, weights, **settings), conv.conv2d_backward(dy, x, weights, padding=padding)
    short = conv.conv2d(x.astype("float32"), weights.astype("float32"), **settings)
    monkeypatch.setattr(winograd, "MIN_TILES", 1 << 20)
    assert not winograd.suits(n, weights.shape, size, (1, 1), 1, 1)
    want = conv.conv2d(x, weights, **settings)
    np.testing.assert_allclose(y, want, atol=1e-10)
    np.testing.assert_allclose(short, want, atol=2e-5 * np.abs(want).max())
    for mine, theirs in zip((dx, dw), conv.conv2d_backward(dy, x, weights, padding=padding), strict=True):
        assert mine is not None and theirs is not None
        np.testing.assert_allclose(mine, theirs, atol=1e-10 * np.abs(theirs).max())


@pytest.mark.parametrize("stride", [(2, 2), (3, 1), (2, 5)])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("padding", [(0, 0), (1, 2), (3, 3)])
@pytest.mark.parametrize("dilation, groups", [(1, 1), (1, 2), (2, 1)])
def test_the_gradient_of_the_data_is_the_transpose(stride: tuple, size: int, padding: tuple, dilation: int,
                                                   groups: int) -> None:
    x, weights = RNG.normal(size=(2, 4, 11, 9)), RNG.normal(size=(6, 4 // groups, size, size))
    settings: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    y = conv.conv2d(x, weights, **settings)
    dy = RNG.normal(size=y.shape)
    dx, _ = conv.conv2d_backward(dy, x, weights, **settings)
    assert dx is not None
    np.testing.assert_allclose((dx * x).sum(), (dy * y).sum(), rtol=1e-9, atol=1e-9)
    other = RNG.normal(size=x.shape)
    np.testing.assert_allclose((dx * other).sum(), (dy * conv.conv2d(other, weights, **settings)).sum(), rtol=1e-9,
                               atol=1e-9)


@pytest.mark.parametrize("c, f, side, size, stride", [
    (40, 48, 40, 3, 1), (32, 64, 14, 3, 1), (256, 256, 13, 3, 1), (64, 128, 7, 1, 1), (3, 64, 33, 7, 2)])
def test_bits(c: int, f: int, side: int, size: int, stride: int) -> None:
    """Results depend neither on the number of threads nor, with batch_independent=True, on the batch."""
    x, weights = (RNG.normal(size=shape).astype("float32") for shape in ((5, c, side, side), (f, c, size, size)))
    settings: dict[str, Any] = {"padding": (size // 2, size // 2), "stride": (stride, stride)}
    before, results = parallel.threads(), []
    try:
        for threads in (1, 2, 4):
            parallel.set_threads(threads)
            y = conv.conv2d(x, weights, **settings)
            dx, dweights = conv.conv2d_backward(y, x, weights, **settings)
            assert dx is not None
            results.append([y, conv.conv2d(x, weights, batch_independent=True, **settings), dx, dweights])
    finally:
        parallel.set_threads(before)
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))
    np.testing.assert_array_equal(results[0][1][2:3], conv.conv2d(x[2:3], weights, batch_independent=True, **settings))
    np.testing.assert_array_equal(results[0][1][2:3], conv.conv2d(x[2:3], weights, **settings))
