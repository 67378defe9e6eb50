"""Compiled activations against the reference."""
import numpy as np
import pytest
from hypothesis import given

from runner import ops
from runner.ops import fast
from runner.ops.fast.simd.math import COMPILED_ACTIVATIONS
from tests.ops.fast.helpers import activations, close, few, normal, same_bits, seeds, shapes


@few
@given(shapes, activations, seeds)
def test_activations(shape: tuple, name: str, seed: int) -> None:
    x, dy = normal(seed, *shape), normal(seed + 1, *shape)
    want, saved = ops.REFERENCE["activate"](x, name)
    got, kept = fast.activate(x, name)
    close(got, want)
    close(fast.activate_backward(dy, kept, name), ops.REFERENCE["activate_backward"](dy, saved, name), 1e-5)


@pytest.mark.parametrize("name", sorted(COMPILED_ACTIVATIONS))
def test_extreme_values(name: str) -> None:
    """Very large values, 0 and NaN."""
    x = np.array([-1e30, -200, -90, -1e-30, 0, 1e-30, 90, 200, 1e30, np.nan], "float32")
    with np.errstate(all="ignore"):
        want, got = ops.REFERENCE["activate"](x, name)[0], fast.activate(x, name)[0]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)


def test_bits_do_not_depend_on_threads() -> None:
    x = normal(1, 3, 17, 70, 130)
    same_bits(lambda: [array for name in ("leaky", "mish", "tanh") for y, saved in [fast.activate(x, name)]
                       for array in (y, fast.activate_backward(x, saved, name))])
