"""Pooling against slow, obvious loops."""
import numpy as np
import pytest

from runner import ops

pytestmark = pytest.mark.usefixtures("backend")

RNG = np.random.default_rng(4)


@pytest.mark.parametrize("size, stride, padding", [(2, (2, 2), 1), (3, (2, 2), 2), (5, (1, 1), 4), (3, (1, 2), 0)])
def test_maxpool(size: int, stride: tuple, padding: int) -> None:
    x = RNG.integers(0, 5, (2, 3, 7, 6)).astype("float32")      # many ties: the first must win
    y, index = ops.maxpool2d(x, size, stride, padding)
    assert index is not None
    dy = RNG.normal(size=y.shape).astype("float32")
    dx = np.zeros_like(x)
    for n, c, oy, ox in np.ndindex(y.shape):
        best, at = -np.inf, (0, 0)
        for ky, kx in np.ndindex(size, size):
            row, col = oy * stride[0] - padding // 2 + ky, ox * stride[1] - padding // 2 + kx
            if 0 <= row < 7 and 0 <= col < 6 and x[n, c, row, col] > best:
                best, at = x[n, c, row, col], (row, col)
        assert y[n, c, oy, ox] == best
        dx[n, c, at[0], at[1]] += dy[n, c, oy, ox]
    np.testing.assert_allclose(ops.maxpool2d_backward(dy, index, x.shape, size, stride, padding), dx, atol=1e-5)
    assert np.array_equal(ops.maxpool2d(x, size, stride, padding, need_index=False)[0], y)


def test_local_average_of_the_reference() -> None:
    x = np.arange(16, dtype="float32").reshape(1, 1, 4, 4)
    np.testing.assert_allclose(ops.local_avgpool2d(x, 3, (2, 2), 2).ravel(), [2.5, 4, 8.5, 10])
