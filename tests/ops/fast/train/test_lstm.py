"""The compiled LSTM cell against the reference."""
import functools

import numpy as np
import pytest

from runner import ops
from runner.ops import fast
from tests.ops.fast import helpers
from tests.ops.fast.helpers import close, same_bits

normal = functools.partial(helpers.normal, std=1)


def cell(kernels: dict, n: int, k: int, dtype: str = "float32") -> list[np.ndarray]:
    """h, the new cell, dz, the gradient of the last cell."""
    u, w, biases, c = (normal(seed, *shape).astype(dtype) for seed, shape in
                       enumerate(((n, 4, k), (n, 4, k), (4, k), (n, k))))
    h, dz = np.empty_like(c), np.empty_like(u)
    new, saved = kernels["lstm_cell"](u * 2, w, biases, c, h)
    before = kernels["lstm_cell_backward"](normal(7, n, k).astype(dtype), normal(8, n, k).astype(dtype), saved, dz)
    return [h, new, dz, before]


@pytest.mark.parametrize(("n", "k"), [(1, 1), (3, 17), (20, 400)])
def test_the_cell(n: int, k: int) -> None:
    wanted = cell(ops.REFERENCE, n, k)
    mixed = {**ops.REFERENCE, "lstm_cell": fast.lstm_cell}
    for kernels in (vars(fast), mixed):
        for got, want in zip(cell(kernels, n, k), wanted, strict=True):
            close(got, want, 1e-5)


def test_other_types_go_to_the_reference() -> None:
    assert all(array.dtype == np.float64 for array in cell(vars(fast), 2, 3, "float64"))


def test_bits_do_not_depend_on_threads() -> None:
    same_bits(lambda: cell(vars(fast), 20, 500))
