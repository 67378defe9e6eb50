"""Compiled convolutions against the reference on random shapes."""
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.ops import conv, fast, planned
from runner.ops.fast import tuning
from tests.ops.fast import helpers

few = settings(max_examples=60, deadline=None)      # the first example waits for the compiler
sides = st.integers(1, 3)


@st.composite
def cases(draw: Callable) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """x, weights and the geometry of a convolution that has an output."""
    kh, kw = draw(st.sampled_from([(1, 1), (3, 3), (2, 2), (5, 5), (3, 1)]))
    dilation = draw(st.sampled_from([1, 1, 2]))
    padding = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    h, w = (draw(st.integers(max(1, dilation * (k - 1) + 1 - 2 * p), 21))
            for k, p in zip((kh, kw), padding, strict=True))
    kind = draw(st.sampled_from(["plain", "groups", "depthwise"]))
    groups = 1 if kind == "plain" else draw(st.integers(2, 9))
    c = groups * (1 if kind == "depthwise" else draw(st.sampled_from([1, 2, 3, 5, 33])))
    f = groups * draw(st.sampled_from([1, 2, 3, 8, 19]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.normal(size=(draw(sides), c, h, w)).astype("float32")
    weights = rng.normal(size=(f, c // groups, kh, kw)).astype("float32")
    return x, weights, dict(stride=(draw(sides), draw(sides)), padding=padding, dilation=dilation, groups=groups)


close = functools.partial(helpers.close, limit=2e-5)


@contextmanager
def without_small_images(off: bool) -> Iterator[None]:
    """Nearly all shapes here are small: the other algorithms should take them too."""
    before = tuning.SMALL_IMAGES
    tuning.SMALL_IMAGES = () if off else before
    try:
        yield
    finally:
        tuning.SMALL_IMAGES = before


@pytest.mark.parametrize("small", [True, False])
@few
@given(case=cases())
def test_convolution_and_gradients(small: bool, case: tuple) -> None:
    with without_small_images(not small):
        check_gradients(*case)


def check_gradients(x: np.ndarray, weights: np.ndarray, geometry: dict[str, Any]) -> None:
    y = conv.conv2d(x, weights, **geometry)
    close(fast.conv2d(x, weights, **geometry), y)
    dy = np.random.default_rng(1).normal(size=y.shape).astype("float32")
    for got, want in zip(fast.conv2d_backward(dy, x, weights, **geometry),
                         conv.conv2d_backward(dy, x, weights, **geometry), strict=True):
        assert got is not None and want is not None
        close(got, want)
    dx, dweights = fast.conv2d_backward(dy, x, weights, **geometry, need_dx=False)
    assert dx is None
    close(dweights, conv.conv2d_backward(dy, x, weights, **geometry, need_dx=False)[1])


@few
@given(cases(), st.sampled_from(["linear", "leaky", "relu", "mish", "logistic", "softplus", "normalize_channels"]),
       st.booleans())
def test_plan(case: tuple, activation: str, biased: bool) -> None:
    x, weights, geometry = case
    biases = np.random.default_rng(2).normal(size=len(weights)).astype("float32") if biased else None
    want = planned.plan_conv2d(weights, biases, activation, x.shape, **geometry)(x)
    run = fast.plan_conv2d(weights, biases, activation, x.shape, **geometry)
    close(run(x), want)
    out = np.full(want.shape, np.nan, "float32")
    assert run(x, out) is out
    close(out, want)


@few
@given(st.integers(1, 9), st.integers(1, 9), st.integers(2, 9), st.integers(2, 9), st.integers(1, 3), st.integers(1, 3))
def test_transposed(c: int, f: int, h: int, w: int, size: int, stride: int) -> None:
    rng = np.random.default_rng(c * f + h)
    x, weights = rng.normal(size=(2, c, h, w)).astype("float32"), rng.normal(size=(c, f, size, size)).astype("float32")
    geometry: dict[str, Any] = dict(stride=(stride, stride), padding=(size // 3, 0))
    y = conv.conv2d_transpose(x, weights, **geometry)
    close(fast.conv2d_transpose(x, weights, **geometry), y)
    for got, want in zip(fast.conv2d_transpose_backward(y, x, weights, **geometry),
                         conv.conv2d_transpose_backward(y, x, weights, **geometry), strict=True):
        assert got is not None and want is not None
        close(got, want)


def test_other_arrays_than_contiguous_float32() -> None:
    rng = np.random.default_rng(3)
    x, weights = rng.normal(size=(2, 6, 12, 10)), rng.normal(size=(4, 3, 3, 3))
    assert np.array_equal(fast.conv2d(x[:, ::2], weights), conv.conv2d(x[:, ::2], weights))
    x, weights = x.astype("float32"), weights.astype("float32")
    for strided in (x[:, ::2], x[:, :3, ::-1], x.transpose(0, 1, 3, 2)[:, :3]):
        y = conv.conv2d(strided, weights)
        close(fast.conv2d(strided, weights), y)
        close(fast.conv2d_backward(y, strided, weights)[1], conv.conv2d_backward(y, strided, weights)[1])


GEOMETRIES = [  # c, f, h, size, stride, groups
    (3, 16, 40, 3, 2, 1), (70, 90, 13, 3, 1, 1), (300, 40, 7, 1, 1, 1), (16, 32, 33, 3, 1, 2), (24, 24, 30, 3, 1, 24),
    (24, 24, 31, 5, 2, 24), (2, 8, 50, 5, 1, 1), (40, 60, 26, 3, 2, 1), (5, 10, 71, 3, 2, 5), (18, 24, 36, 1, 1, 1),
    (6, 20, 75, 3, 2, 2),
]


@pytest.mark.parametrize("c, f, h, size, stride, groups", GEOMETRIES)
def test_bits_do_not_depend_on_threads_or_batch(c: int, f: int, h: int, size: int, stride: int, groups: int) -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(5, c, h, h + 1)).astype("float32")
    weights = rng.normal(size=(f, c // groups, size, size)).astype("float32")
    geometry: dict[str, Any] = dict(stride=(stride, stride), padding=(size // 2,) * 2, groups=groups)
    run = fast.plan_conv2d(weights, np.ones(f, "float32"), "leaky", x[:1].shape, **geometry)

    def compute() -> list[np.ndarray]:
        y = fast.conv2d(x, weights, **geometry)
        dx, dweights = fast.conv2d_backward(y, x, weights, **geometry)
        assert dx is not None
        return [y, dx, dweights, run(x[4:])]
    y, dx, dweights, _ = helpers.same_bits(compute)
    close(y.astype(float), conv.conv2d(x.astype(float), weights.astype(float), **geometry))
    exact = conv.conv2d_backward(y.astype(float), x.astype(float), weights.astype(float), **geometry)
    for got, want in zip((dx, dweights), exact, strict=True):
        assert want is not None
        close(got.astype(float), want)
    assert np.array_equal(run(x)[4:], run(x[4:])), "an image gets different bits in a batch"
