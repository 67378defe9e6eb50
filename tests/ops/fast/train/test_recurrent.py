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
                                                         (32, 33, 129), (33, 33, 129)])
def test_products(rows: int, inputs: int, outputs: int) -> None:
    x, w, b = normal(1, rows, inputs), normal(2, outputs, inputs), normal(3, outputs)
    want = x.astype(float) @ w.T.astype(float)
    for batch_independent in (False, True):
        close(fast.dense(x, w, batch_independent), want, 1e-5)
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


@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(1, 1, 1), (1, 37, 10), (3, 5, 7), (8, 300, 1030), (7, 64, 2),
                                                         (64, 33, 129), (65, 33, 129), (77, 400, 50), (15, 48, 8)])
def test_gradients_of_products(rows: int, inputs: int, outputs: int) -> None:
    x, w, dy = normal(1, rows, inputs), normal(2, outputs, inputs), normal(3, rows, outputs)
    close(fast.dense_input_gradient(dy, w), dy.astype(float) @ w, 1e-5)
    want, total = dy.T.astype(float) @ x, normal(4, outputs, inputs)
    close(fast.dense_weight_gradient(dy, x), want, 1e-5)
    before = total.copy()
    assert fast.dense_weight_gradient(dy, x, total) is total
    close(total, before + want, 1e-5)


def test_many_rows_alone_have_the_bits_of_few() -> None:
    x, w = normal(1, 150, 100), normal(2, 40, 100)
    whole = fast.dense(x, w, batch_independent=True)
    assert np.array_equal(fast.plan_dense(w, None, "linear")(x), whole)
    for rows in (1, 8, 61):
        assert np.array_equal(fast.dense(x[:rows], w, batch_independent=True), whole[:rows])


def cell(kernels: dict, n: int, k: int, kind: str = "float32") -> list[np.ndarray]:
    """h, the new cell, dz, the gradient of the last cell."""
    u, w, biases, c = (normal(seed, *shape).astype(kind) for seed, shape in
                       enumerate(((n, 4, k), (n, 4, k), (4, k), (n, k))))
    h, dz = np.empty_like(c), np.empty_like(u)
    new, saved = kernels["lstm_cell"](u * 2, w, biases, c, h)
    before = kernels["lstm_cell_backward"](normal(7, n, k).astype(kind), normal(8, n, k).astype(kind), saved, dz)
    return [h, new, dz, before]


@pytest.mark.parametrize(("n", "k"), [(1, 1), (3, 17), (20, 400)])
def test_the_cell(n: int, k: int) -> None:
    wanted = cell(ops.REFERENCE, n, k)
    mixed = {**ops.REFERENCE, "lstm_cell": fast.lstm_cell}
    for kernels in (vars(fast), mixed):
        for got, want in zip(cell(kernels, n, k), wanted, strict=True):
            close(got, want, 1e-5)


def test_other_types_go_to_the_reference() -> None:
    x, w = normal(1, 3, 5).astype(float), normal(2, 4, 5).astype(float)
    assert fast.dense(x, w).dtype == np.float64
    assert fast.dense_input_gradient(x, w.T).dtype == fast.dense_weight_gradient(x, x).dtype == np.float64
    assert all(array.dtype == np.float64 for array in cell(vars(fast), 2, 3, "float64"))


def test_the_threads_do_not_show() -> None:
    x, w, many, dy = normal(1, 8, 1024), normal(2, 1030, 1024), normal(3, 130, 1024), normal(4, 130, 1030)
    before, results = parallel.threads(), []
    try:
        for threads in (1, 2, 4):
            parallel.set_threads(threads)
            results.append([fast.dense(x, w), fast.plan_dense(w, None, "linear")(x), fast.dense(many, w),
                            fast.dense(many, w, batch_independent=True), fast.dense_input_gradient(dy, w),
                            fast.dense_input_gradient(dy[:9], w), fast.dense_weight_gradient(dy, many),
                            *cell(vars(fast), 20, 500)])
    finally:
        parallel.set_threads(before)
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))
