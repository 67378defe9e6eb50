"""The microkernels compute what their docstrings say: against NumPy, at offsets and strides of their own."""
import numpy as np
import pytest

pytest.importorskip("numba")

import numba

from runner.ops import winograd_matrices
from runner.ops.fast.simd import copy, direct, dot, gemm, math, pool, transform, transpose
from runner.ops.fast.simd.isa import DOT_COLUMNS, DOT_ROWS, FLOAT_BYTES, LANES, MAX_PIXELS_STRIDED, MR

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("f4")


@numba.njit
def copy_run(a, a0, b, b0, length):
    copy.copy_run(a, a0, b, b0, length)


@numba.njit
def copy_rows(a, b, rows, length):
    copy.copy_rows(a, 3, 100, b, 5, 90, rows, length)


@numba.njit
def copies_of_whole_vectors(a, b):
    copy.prefetch(a, 1, 2)
    copy.copy(a, 1, b, 2, 2)


@pytest.mark.parametrize("length", range(1, 4 * LANES + 2))
def test_a_copy_writes_exactly_its_length(length: int) -> None:
    a, b = normal(100), np.zeros(100, "f4")
    copy_run(a, 7, b, 11, length)
    want = np.zeros(100, "f4")
    want[11:11 + length] = a[7:7 + length]
    np.testing.assert_array_equal(b, want)


def test_rows_and_vectors_are_copied() -> None:
    a, b = normal(300), np.zeros(300, "f4")
    copy_rows(a, b, 3, 33)
    want = np.zeros(300, "f4")
    for r in range(3):
        want[5 + 90 * r:38 + 90 * r] = a[3 + 100 * r:36 + 100 * r]
    np.testing.assert_array_equal(b, want)
    whole = np.zeros(100, "f4")
    copies_of_whole_vectors(a, whole)
    np.testing.assert_array_equal(whole[2:2 + 2 * LANES], a[1:1 + 2 * LANES])
    assert not whole[:2].any() and not whole[2 + 2 * LANES:].any()


@numba.njit
def transposes(a, square, packed, pairs, evens):
    transpose.transpose(a, 2, 40, square, 0, LANES)
    transpose.pack_rows(a, 2, 40, packed, 0)
    transpose.interleave(a, 2, 50, pairs, 0)
    transpose.deinterleave(pairs, 0, evens, 0, LANES)


def test_transposes() -> None:
    a = normal(40 * LANES)
    rows = np.stack([a[2 + 40 * m:2 + 40 * m + LANES] for m in range(LANES)])
    square, packed, pairs, evens = (np.zeros(size * LANES, "f4") for size in (LANES, MR, 2, 2))
    transposes(a, square, packed, pairs, evens)
    np.testing.assert_array_equal(square.reshape(LANES, LANES), rows.T)
    np.testing.assert_array_equal(packed.reshape(LANES, MR), rows[:MR].T)
    np.testing.assert_array_equal(pairs.reshape(LANES, 2), np.stack([a[2:2 + LANES], a[50:50 + LANES]], axis=1))
    np.testing.assert_array_equal(evens, np.concatenate([a[2:2 + LANES], a[50:50 + LANES]]))


@numba.njit
def products(packed, rows, b, c, k, add):
    gemm.gemm_packed3(packed, 0, b, 0, 3 * LANES, k, c, 0, 3 * LANES, add)
    gemm.gemm_strided2(rows, 0, k, b, 0, 3 * LANES, k, c, MR * 3 * LANES, 3 * LANES, add)


@pytest.mark.parametrize("k", [1, 7])
def test_a_tile_of_a_product_is_stored_or_added(k: int) -> None:
    a, b, before = normal(MR, k), normal(k, 3 * LANES), normal(2, MR, 3 * LANES)
    for add in (0, 1):
        c = before.copy()
        products(a.T.copy().reshape(-1), a.reshape(-1), b.reshape(-1), c.reshape(-1), k, add)
        np.testing.assert_allclose(c[0], a @ b + add * before[0], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(c[1, :, :2 * LANES], (a @ b + add * before[1])[:, :2 * LANES], rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(c[1, :, 2 * LANES:], before[1, :, 2 * LANES:])


two_rows, sums_of_two = dot.row_dots(2), dot.row_sums(2, 1)


@numba.njit
def dots(a, b, c, y, z, k):
    size = k * LANES
    dot.dots(a, 0, size, b, 0, size, k, c, 0, DOT_COLUMNS)
    two_rows(b, 0, size, a, 0, size, k, y, 0, 3)
    sums_of_two(a, 0, size, b, 0, LANES, 5, z, 0, LANES, 0)


def test_dot_products() -> None:
    k = 3
    a, b, c = normal(DOT_ROWS, k * LANES), normal(10, k * LANES), np.ones((DOT_ROWS, DOT_COLUMNS), "f4")
    y, z = np.zeros((2, 3), "f4"), np.zeros((2, LANES), "f4")
    dots(a.reshape(-1), b.reshape(-1), c.reshape(-1), y.reshape(-1), z.reshape(-1), k)
    np.testing.assert_allclose(c, 1 + a @ b[:DOT_COLUMNS].T, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(y, a[:2] @ b[:3].T, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(z, a[:2, :5] @ b.reshape(-1, LANES)[:5], rtol=1e-4, atol=1e-4)


@numba.njit
def pools(x, y, index, dx):
    pool.maxpool_2x2_indexed(x, 0, 2 * LANES, y, index, 0)
    pool.maxpool_2x2_backward(y, index, 0, dx, 0, 2 * LANES)


def test_pooling_takes_the_first_maximum_and_nan() -> None:
    x = RNG.integers(0, 3, (2, 2 * LANES)).astype("f4")      # many are equal
    x[1, 3] = np.nan
    y, index, dx = np.zeros(LANES, "f4"), np.zeros(LANES, np.uint8), np.ones_like(x)
    pools(x.reshape(-1), y, index, dx.reshape(-1))
    corners = x.reshape(2, LANES, 2).swapaxes(0, 1).reshape(LANES, 4)
    np.testing.assert_array_equal(y, corners.max(axis=1))
    np.testing.assert_array_equal(index, np.where(np.isnan(corners).any(axis=1), 3, corners.argmax(axis=1)))
    want = np.zeros_like(corners)
    want[np.arange(LANES), index] = y
    np.testing.assert_array_equal(dx.reshape(2, LANES, 2).swapaxes(0, 1).reshape(LANES, 4), want)


MATRICES = {"input_transform": winograd_matrices.B_T, "output_transform": winograd_matrices.A_T,
            "output_transform_backward": winograd_matrices.A_T.T, "filter_transform": winograd_matrices.G,
            "filter_transform_backward": winograd_matrices.G.T}


@pytest.mark.parametrize("name", MATRICES)
def test_the_transforms_are_the_matrices_of_winograd(name: str) -> None:
    kernel, matrix, count = getattr(transform, name), MATRICES[name], 3

    @numba.njit
    def apply(a, b):
        kernel(a, 0, count * LANES, b, 0, count * LANES, count)
    a, b = normal(matrix.shape[1], count * LANES), np.zeros((matrix.shape[0], count * LANES), "f4")
    apply(a.reshape(-1), b.reshape(-1))
    np.testing.assert_allclose(b, matrix @ a, rtol=1e-5, atol=1e-5)


@numba.njit
def run_row(operation, taps, start, slope, pixels, x, y):
    row = direct.Row(operation, 1, LANES, taps.ctypes.data, len(taps), 1, start.ctypes.data, start.ctypes.data, slope,
                     LANES, 0)
    direct.run_row(row, pixels, MAX_PIXELS_STRIDED, x.ctypes.data, y.ctypes.data)


@pytest.mark.parametrize("pixels", [1, MAX_PIXELS_STRIDED, 2 * MAX_PIXELS_STRIDED + 3])
def test_a_row_of_tiles_has_each_pixel_once(pixels: int) -> None:
    x, start, y = normal(pixels + 1, LANES), normal(LANES), np.full((pixels + 1, LANES), np.nan, "f4")
    run_row(direct.address(direct.add), np.array([0, LANES]), start, np.float32(.5), pixels, x, y)
    want = start + x[:-1] + x[1:]
    np.testing.assert_allclose(y[:-1], np.where(want > 0, want, want / 2), rtol=1e-5, atol=1e-6)
    assert np.isnan(y[-1]).all() and y.strides[1] == FLOAT_BYTES


@pytest.mark.parametrize("name, exact, low, high", [
    ("exp", np.exp, -87, 88), ("expm1", np.expm1, -87, 88), ("tanh", np.tanh, -12, 12),
    ("logistic", lambda x: 1 / (1 + np.exp(-x)), -30, 30)])
def test_functions_are_within_units_of_the_last_digit(name: str, exact, low: float, high: float) -> None:
    f = getattr(math, name)
    x = np.concatenate([np.linspace(low, high, 999), [0, 1e-6, -1e-6, 1e-3, -1e-3]]).astype("f4")
    got, want = np.array([f(v) for v in x], "f4"), exact(x.astype("f8"))
    assert (np.abs(got - want) <= 5 * np.spacing(np.abs(want).astype("f4"))).all()
