"""Compiled softmax against the reference in float64."""
import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from runner import ops
from runner.ops import fast
from tests.ops.fast.helpers import few, normal, same_bits, seeds


@few
@given(st.integers(0, 5), st.integers(1, 4), st.integers(1, 40), st.sampled_from([.1, 1., 3.]), seeds)
@example(1, 2, 38, .1, 197669)      # logits of 1605.0 and 1607.1, which float32 has to four decimals
def test_softmax(rows: int, groups: int, size: int, temperature: float, seed: int) -> None:
    """A logit z is rounded to float32, so a probability may be off by p (1 - p) <= 1/4 of what two logits are."""
    x = normal(seed, rows, groups * size) * 30
    got, factor = fast.softmax(x, groups, temperature), np.float32(1 / temperature)
    exact = ops.REFERENCE["softmax"](x.astype("f8"), groups, 1 / float(factor))
    rounding = np.finfo("f4").eps / 2 * np.abs(x * factor).max(initial=0)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, exact, rtol=0, atol=1e-6 + 2 * rounding / 4)
    same_bits(lambda: [fast.softmax(np.tile(x, (300, 1)), groups, temperature)])
