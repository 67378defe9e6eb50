"""The operations of inference plans: both backends against the plain operations, writing into a given array."""
from collections.abc import Iterator

import numpy as np
import pytest

from runner import ops
from runner.errors import MissingExtra
from runner.ops import parallel

RNG = np.random.default_rng(0)


@pytest.fixture(params=["numpy", "fast"], autouse=True)
def backend(request: pytest.FixtureRequest) -> Iterator[None]:
    before = ops.backend()
    try:
        ops.use(request.param)
    except MissingExtra as missing:
        pytest.skip(str(missing))
    yield
    ops.use(before)


def normal(*shape: int, dtype: str = "f4") -> np.ndarray:
    return RNG.normal(size=shape).astype(dtype)


def nothing(*shape: int, dtype: str = "f4") -> np.ndarray:
    return np.full(shape, np.nan, dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("activation", ["linear", "leaky", "mish", "normalize_channels"])
@pytest.mark.parametrize("n, c, f, size, more", [
    (1, 3, 8, 3, {"padding": (1, 1)}), (2, 4, 6, 3, {"padding": (1, 1), "groups": 2}), (1, 8, 5, 1, {}),
    (1, 4, 4, 3, {"groups": 4, "stride": (2, 2)}), (3, 2, 7, 5, {"stride": (2, 1), "padding": (2, 2), "dilation": 2,
                                                                "out_size": (7, 12)})])
def test_convolutions(n: int, c: int, f: int, size: int, more: dict, activation: str, dtype: str) -> None:
    x, weights = normal(n, c, 14, 13, dtype=dtype), normal(f, c // more.get("groups", 1), size, size, dtype=dtype)
    for biases in (normal(f, dtype=dtype), None):
        plain = ops.REFERENCE["conv2d"](x, weights, **more)
        want = ops.REFERENCE["activate"](plain if biases is None else plain + biases[:, None, None], activation)[0]
        run = ops.plan_conv2d(weights, biases, activation, x.shape, **more)
        for out in (None, nothing(*want.shape, dtype=dtype)):
            y = run(x, out)
            assert (out is None or y is out) and y.shape == want.shape and y.dtype == want.dtype
            np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("outputs", [5, 900])       # few, and more than one thread's share
def test_products(n: int, outputs: int) -> None:
    x, weights, biases = normal(n, 600), normal(outputs, 600), normal(outputs)
    want = np.maximum(x @ weights.T + biases, 0)
    y = ops.plan_dense(weights, biases, "relu")(x, nothing(n, outputs))
    np.testing.assert_allclose(y, want, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(ops.plan_dense(weights, None, "linear")(x), x @ weights.T, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("activation", ["linear", "leaky", "mish", "logistic", "stair", "normalize_channels",
                                        "normalize_channels_softmax_maxval"])
@pytest.mark.parametrize("over", [False, True], ids=["apart", "over its input"])
@pytest.mark.parametrize("count", [2, 3])
def test_sums(activation: str, over: bool, count: int, dtype: str) -> None:
    xs = [normal(1, 5, 267, 131, dtype=dtype) for _ in range(count)]
    want = ops.REFERENCE["activate"](sum(xs[1:], xs[0]), activation)[0]
    out = xs[0] if over else nothing(*xs[0].shape, dtype=dtype)
    ops.plan_add(activation)(*xs, out)
    np.testing.assert_allclose(out, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("size, stride, padding", [(2, (2, 2), 1), (2, (2, 2), 0), (3, (1, 1), 2), (3, (2, 1), 2),
                                                   (5, (1, 1), 4), (2, (1, 1), 1)])
@pytest.mark.parametrize("side", [(13, 12), (300, 301)])
def test_pooling(size: int, stride: tuple[int, int], padding: int, side: tuple[int, int], dtype: str) -> None:
    x = normal(2, 3, *side, dtype=dtype)
    want, _ = ops.REFERENCE["maxpool2d"](x, size, stride, padding)
    out = nothing(*want.shape, dtype=dtype)
    assert ops.plan_maxpool2d(size, stride, padding)(x, out) is out
    np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("stride, scale", [(2, 1.0), (3, 0.5)])
def test_enlarging(stride: int, scale: float, dtype: str) -> None:
    x = normal(2, 3, 50, 61, dtype=dtype)
    want = ops.REFERENCE["upsample"](x, stride, scale)
    out = nothing(*want.shape, dtype=dtype)
    assert ops.plan_upsample(stride, scale)(x, out) is out
    np.testing.assert_array_equal(out, want)


def test_threads_do_not_show() -> None:
    x, weights = normal(1, 16, 40, 41), normal(24, 16, 3, 3)
    flat, wide = normal(1, 2000), normal(700, 2000)
    answers, before = [], parallel.threads()
    for threads in (1, 2, 4):
        parallel.set_threads(threads)
        answers.append((ops.plan_conv2d(weights, None, "mish", x.shape, padding=(1, 1))(x).tobytes(),
                        ops.plan_dense(wide, None, "tanh")(flat).tobytes()))
    parallel.set_threads(before)
    assert len(set(answers)) == 1


def test_logistic_of_some_channels() -> None:
    """As a [yolo] wants it: a sigmoid on some channels, some scaled, the others as they are."""
    x, sigmoid = normal(2, 20, 5, 7), RNG.random(20) < .5
    factors, offsets = np.where(RNG.random(20) < .5, 1, RNG.normal(size=20)), np.where(RNG.random(20) < .5, 0, -.1)
    want = np.where(sigmoid[:, None, None], 1 / (1 + np.exp(-x)), x) * factors[:, None, None] + offsets[:, None, None]
    out = nothing(2, 20, 5, 7)
    assert ops.plan_logistic(sigmoid, factors, offsets)(x, out) is out
    np.testing.assert_allclose(out, want, rtol=1e-5, atol=1e-6)


def test_means_and_probabilities() -> None:
    x, out = normal(3, 21, 4, 6), nothing(3, 21, 1, 1)
    np.testing.assert_allclose(ops.plan_avgpool()(x, out), x.mean(axis=(2, 3), keepdims=True), rtol=1e-4, atol=1e-6)
    logits, p = normal(2, 3, 10), nothing(2, 30)
    e = np.exp(logits / 2)
    ops.plan_softmax(3, 2.0)(logits.reshape(2, 30), p)
    np.testing.assert_allclose(p.reshape(2, 3, 10), e / e.sum(axis=2, keepdims=True), rtol=1e-5, atol=1e-7)
