"""Winograd's convolution and its gradients against direct sums in float64."""
from typing import Any

import numpy as np
import pytest

from runner.ops import conv, fast
from runner.ops.fast import tuning
from runner.ops.fast.train.conv import winograd
from runner.ops.winograd_matrices import POINTS
from tests.ops.fast.helpers import same_bits

SHAPES = [  # images, channels, filters, height, width, zeros on each side
    (2, 9, 11, 13, 17, 1), (3, 16, 8, 18, 18, 0), (2, 8, 24, 30, 5, 1), (2, 70, 50, 26, 26, 1), (4, 8, 8, 6, 14, 2),
    (1, 130, 140, 22, 21, 1),
]


@pytest.fixture(params=["strips", "groups"])
def schedule(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    for limit in ("WINOGRAD_STRIPS_WEIGHTS", "WGRAD_STRIPS_WEIGHTS"):
        monkeypatch.setattr(tuning, limit, 0 if request.param == "groups" else 1 << 30)
    monkeypatch.setattr(tuning, "WINOGRAD_GROUP", POINTS * 200 * 40)       # several groups, of images and of rows
    monkeypatch.setattr(tuning, "WINOGRAD_STRIP", POINTS * 100 * 8)
    return request.param


def arrays(n: int, c: int, f: int, h: int, w: int, pad: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(c * f)
    x, weights = rng.standard_normal((n, c, h, w), "float32"), rng.standard_normal((f, c, 3, 3), "float32")
    return x, weights, rng.standard_normal((n, f, h + 2 * pad - 2, w + 2 * pad - 2), "float32")


def close(got: np.ndarray, want: np.ndarray) -> None:
    assert np.abs(got - want).max() <= 1e-5 * np.abs(want).max()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_against_direct_sums(shape: tuple[int, ...], schedule: str) -> None:
    x, weights, dy = arrays(*shape)
    pad = (shape[5],) * 2
    y = np.full_like(dy, np.nan)
    winograd.forward(x, weights, y, pad)
    close(y, conv.conv2d(x.astype(float), weights.astype(float), padding=pad))
    dx, dweights = winograd.backward(dy, x, weights, pad)
    for got, exact in zip((dx, dweights), conv.conv2d_backward(dy.astype(float), x.astype(float),
                                                               weights.astype(float), padding=pad), strict=True):
        assert got is not None and exact is not None
        close(got, exact)
    none, again = winograd.backward(dy, x, weights, pad, need_dx=False)
    assert none is None and np.array_equal(again, dweights)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bits_do_not_depend_on_threads_or_batch(shape: tuple[int, ...], schedule: str) -> None:
    x, weights, dy = arrays(*shape)
    geometry: dict[str, Any] = dict(padding=(shape[5],) * 2)

    def compute() -> list[np.ndarray]:
        dx, dweights = fast.conv2d_backward(dy, x, weights, **geometry)
        assert dx is not None
        return [fast.conv2d(x, weights, **geometry), dx, dweights]
    same_bits(compute)
    together = fast.conv2d(x, weights, **geometry, batch_independent=True)
    assert all(np.array_equal(fast.conv2d(x[i:i + 1], weights, **geometry, batch_independent=True), together[i:i + 1])
               for i in range(len(x)))


def test_it_is_chosen_for_large_images_only() -> None:
    def fits(n: int, side: int, **more: Any) -> bool:
        return winograd.suits((n, 32, side, side), (64, 32, 3, 3), (side, side), (1, 1), (1, 1), 1, 1, **more)
    assert fits(1, 52) and fits(8, 13) and not fits(1, 13) and not fits(8, 13, batch_independent=True)
    assert not winograd.suits((1, 3, 52, 52), (64, 3, 3, 3), (52, 52), (1, 1), (1, 1), 1, 1)
    assert not winograd.suits((1, 32, 52, 52), (64, 32, 3, 3), (26, 26), (2, 2), (1, 1), 1, 1)
