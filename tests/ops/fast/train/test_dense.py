"""Compiled products of fully connected and recurrent layers against sums in float64."""
import functools

import numpy as np
import pytest

from runner.ops import fast
from tests.ops.fast import helpers
from tests.ops.fast.helpers import same_bits

normal = functools.partial(helpers.normal, std=1)


def close(got: np.ndarray, exact: np.ndarray) -> None:
    """Is `got` float32, and near a result in float64?"""
    helpers.close(got, exact.astype("float32"), 1e-5)


@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(1, 1, 1), (1, 37, 10), (3, 5, 7), (8, 300, 1030), (7, 64, 2),
                                                         (32, 33, 129), (33, 33, 129)])
def test_products(rows: int, inputs: int, outputs: int) -> None:
    x, w, b = normal(1, rows, inputs), normal(2, outputs, inputs), normal(3, outputs)
    want = x.astype(float) @ w.T.astype(float)
    for batch_independent in (False, True):
        close(fast.dense(x, w, batch_independent), want)
    close(fast.plan_dense(w, b, "leaky")(x), np.where(want + b > 0, want + b, .1 * (want + b)))
    out = np.empty((rows, outputs), "float32")
    assert fast.plan_dense(w, None, "linear")(x, out) is out
    close(out, want)


def test_a_row_has_the_same_bits_in_any_batch_of_few() -> None:
    x, w = normal(1, 9, 517), normal(2, 331, 517)
    whole = fast.dense(x, w)
    for rows in (1, 2, 5, 8):
        assert np.array_equal(fast.dense(x[:rows], w), whole[:rows])
    assert np.array_equal(fast.dense(x[8:], w), whole[8:])


@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(1, 1, 1), (1, 37, 10), (3, 5, 7), (8, 300, 1030), (7, 64, 2),
                                                         (64, 33, 129), (65, 33, 129), (77, 400, 50), (15, 48, 8)])
def test_gradients_of_products(rows: int, inputs: int, outputs: int) -> None:
    x, w, dy = normal(1, rows, inputs), normal(2, outputs, inputs), normal(3, rows, outputs)
    close(fast.dense_input_gradient(dy, w), dy.astype(float) @ w)
    want, total = dy.T.astype(float) @ x, normal(4, outputs, inputs)
    close(fast.dense_weight_gradient(dy, x), want)
    before = total.copy()
    assert fast.dense_weight_gradient(dy, x, total) is total
    close(total, before + want)


def test_a_row_has_the_same_bits_in_any_batch_if_asked_for() -> None:
    x, w = normal(1, 150, 100), normal(2, 40, 100)
    whole = fast.dense(x, w, batch_independent=True)
    assert np.array_equal(fast.plan_dense(w, None, "linear")(x), whole)
    for rows in (1, 8, 61):
        assert np.array_equal(fast.dense(x[:rows], w, batch_independent=True), whole[:rows])


def test_other_types_go_to_the_reference() -> None:
    x, w = normal(1, 3, 5).astype(float), normal(2, 4, 5).astype(float)
    assert fast.dense(x, w).dtype == np.float64
    assert fast.dense_input_gradient(x, w.T).dtype == fast.dense_weight_gradient(x, x).dtype == np.float64


def test_bits_do_not_depend_on_threads() -> None:
    x, w, many, dy = normal(1, 8, 1024), normal(2, 1030, 1024), normal(3, 130, 1024), normal(4, 130, 1030)
    same_bits(lambda: [fast.dense(x, w), fast.plan_dense(w, None, "linear")(x), fast.dense(many, w),
                       fast.dense(many, w, batch_independent=True), fast.dense_input_gradient(dy, w),
                       fast.dense_input_gradient(dy[:9], w), fast.dense_weight_gradient(dy, many)])
