"""Kernels against slow, obvious loops, and the same bits for any number of threads."""
from typing import Any

import numpy as np
import pytest

from runner import ops
from runner.ops import parallel

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
    (1, 2, 2, (3, 3), (1, 1), 1, 1),
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
    monkeypatch.setattr("runner.ops.conv.BLOCK", 1)
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


def test_lrn_of_the_reference() -> None:
    x = np.arange(1, 9, dtype="float64").reshape(1, 8, 1, 1)
    y, norms = ops.lrn(x, 5, 0.1, 0.75, 2)
    np.testing.assert_allclose(norms.ravel(), [2.5, 4.1, 6.6, 10.1, 14.6, 20.1, 18.5, 16])
    np.testing.assert_allclose(y.ravel(), [.502973, .694132, .728557, .706023, .66943, .632054, .784728, 1], atol=1e-6)


def test_batch_norm_of_the_reference() -> None:
    """One image, a 1 x 1 convolution with weight 2, scale 1.5, shift .25 (docs: darknet's own numbers)."""
    z = 2 * np.array([1., 2, 4, -1]).reshape(1, 1, 2, 2)
    y, saved = ops.batchnorm_train(z, np.array([1.5]), np.array([.25]), 1e-5)
    assert saved.mean[0] == 3 and abs(saved.variance[0] - 17.3333) < 1e-4
    out = ops.activate(y, "leaky")[0]
    np.testing.assert_allclose(out.ravel(), [-.0110288, .610288, 2.05144, -.155144], rtol=1e-5)
    dz = ops.activate_backward(np.array([1, -1, .5, .25]).reshape(1, 1, 2, 2), out, "leaky")
    dx, dscales, dbiases = ops.batchnorm_backward(dz, saved, np.array([1.5]), rule="pjreddie")
    np.testing.assert_allclose([*dscales, *dbiases], [.306245, -.375], rtol=1e-5)
    np.testing.assert_allclose(dx.ravel(), [.076431, -.333137, .180794, .075912], rtol=1e-5)


@pytest.fixture
def restore_threads():
    before = parallel.threads()
    yield
    parallel.set_threads(before)


def test_any_number_of_threads_gives_the_same_bits(restore_threads: None) -> None:
    x = RNG.normal(size=(6, 8, 24, 24)).astype("float32")
    w = RNG.normal(size=(12, 8, 3, 3)).astype("float32")
    scales = np.ones(12, "float32")
    results = []
    for count in (1, 2, 4):
        parallel.set_threads(count)
        y = ops.conv2d(x, w, padding=(1, 1))
        normed, saved = ops.batchnorm_train(y, scales, scales, 1e-5)
        dy, dscales, _ = ops.batchnorm_backward(normed, saved, scales, rule="exact")
        dx, dw = ops.conv2d_backward(dy, x, w, padding=(1, 1))
        assert dx is not None
        results.append([y, normed, dscales, dx, dw, ops.maxpool2d(y, 2, (2, 2), 1)[0]])
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_an_exception_in_a_worker_reaches_the_caller(restore_threads: None) -> None:
    parallel.set_threads(2)

    def work(i: int) -> None:
        if i == 3:
            raise ValueError("three")
    with pytest.raises(ValueError, match="three"):
        parallel.for_each(work, 5)


def test_a_module_as_backend(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wrong_backend.py").write_text("def dense(x, weights, alone=False):\n    return x @ weights.T + 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TypeError, match="has another signature"):
        ops.use("wrong_backend")      # its arguments are not annotated as the reference's are
    ops.use()
    (tmp_path / "right_backend.py").write_text(
        "import numpy as np\ndef dense(x: np.ndarray, weights: np.ndarray, alone: bool = False) -> np.ndarray:\n"
        "    return x @ weights.T + 1\n")
    x, w = np.ones((1, 2)), np.ones((1, 2))
    ops.use("right_backend")
    try:
        assert ops.dense(x, w)[0, 0] == 3
    finally:
        ops.use()
    assert ops.dense(x, w)[0, 0] == 2
