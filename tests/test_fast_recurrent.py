"""Compiled products of a few rows, and the cell of an LSTM: against the reference, and bits that stay."""
import importlib.util

import numpy as np
import pytest

from runner import ops
from runner.ops import parallel

if importlib.util.find_spec("numba") is None:
    pytest.skip("the compiled kernels need numba: pip install -r requirements-fast.txt", allow_module_level=True)

from runner.ops import fast


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape).astype("float32")


def close(got: np.ndarray, want: np.ndarray, limit: float = 3e-6) -> None:
    assert got.dtype == np.float32 and got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=limit * max(np.abs(want).max(), 1))


@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(1, 1, 1), (1, 37, 10), (3, 5, 7), (8, 300, 1030), (7, 64, 2),
                                                         (48, 33, 129), (49, 33, 129)])
def test_products(rows: int, inputs: int, outputs: int) -> None:
    x, w, b = normal(1, rows, inputs), normal(2, outputs, inputs), normal(3, outputs)
    want = x.astype(float) @ w.T.astype(float)
    for alone in (False, True):
        close(fast.dense(x, w, alone), want, 1e-5)
    close(fast.plan_dense(w, b, "leaky")(x), np.where(want + b > 0, want + b, .1 * (want + b)), 1e-5)
    out = np.empty((rows, outputs), "float32")
    assert fast.plan_dense(w, None, "linear")(x, out) is out
    close(out, want, 1e-5)


def test_a_row_has_the_same_bits_in_any_company() -> None:
    x, w = normal(1, 9, 517), normal(2, 331, 517)
    whole = fast.dense(x, w)
    for rows in (1, 2, 5, 8):
        assert np.array_equal(fast.dense(x[:rows], w), whole[:rows])
    assert np.array_equal(fast.dense(x[8:], w), whole[8:])


@pytest.mark.parametrize(("n", "k"), [(1, 1), (3, 17), (20, 400)])
def test_the_cell(n: int, k: int) -> None:
    z, c, dh, dc = normal(1, n, 4, k) * 3, normal(2, n, k), normal(3, n, k), normal(4, n, k)
    h, new, saved = fast.lstm_cell(z, c)
    want_h, want_new, kept = ops.REFERENCE["lstm_cell"](z, c)
    close(h, want_h)
    close(new, want_new)
    backward = ops.REFERENCE["lstm_cell_backward"]
    for either in (saved, kept):
        for got, want in zip(fast.lstm_cell_backward(dh, dc, either), backward(dh, dc, kept), strict=True):
            close(got, want, 1e-5)


def test_other_types_go_to_the_reference() -> None:
    x, w = normal(1, 3, 5).astype(float), normal(2, 4, 5).astype(float)
    assert fast.dense(x, w).dtype == np.float64
    z, c = normal(1, 2, 4, 3).astype(float), normal(2, 2, 3).astype(float)
    h, _, saved = fast.lstm_cell(z, c)
    assert h.dtype == np.float64 and fast.lstm_cell_backward(c, c, saved)[0].dtype == np.float64


def test_the_threads_do_not_show() -> None:
    x, w, z, c = normal(1, 8, 1024), normal(2, 1030, 1024), normal(3, 20, 4, 500), normal(4, 20, 500)
    before, results = parallel.threads(), []
    try:
        for threads in (1, 2, 4):
            parallel.set_threads(threads)
            h, new, saved = fast.lstm_cell(z, c)
            results.append([fast.dense(x, w), fast.plan_dense(w, None, "linear")(x), h, new,
                            *fast.lstm_cell_backward(c, c, saved)])
    finally:
        parallel.set_threads(before)
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))
