"""What tests of the compiled backend share."""
from collections.abc import Callable, Sequence

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from runner.ops import parallel
from runner.ops.fast.simd.math import COMPILED_ACTIVATIONS

few = settings(max_examples=40, deadline=None)      # the first example waits for the compiler
shapes = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 9), st.integers(1, 40))     # (n, c, h, w)
seeds = st.integers(0, 2**32 - 1)
activations = st.sampled_from(sorted(COMPILED_ACTIVATIONS))


def normal(seed: int, *shape: int, std: float = 3) -> np.ndarray:
    """Normally distributed float32 values."""
    return np.random.default_rng(seed).normal(0, std, shape).astype("float32")


def close(got: np.ndarray, want: np.ndarray, limit: float = 2e-6) -> None:
    """Assert that arrays of one shape and type differ by at most `limit` of the largest value, or of 1."""
    assert got.dtype == want.dtype and got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=limit * max(np.abs(want).max(initial=0), 1))


def same_bits(compute: Callable[[], Sequence[np.ndarray]]) -> Sequence[np.ndarray]:
    """Assert that compute() gives the same arrays with 1, 2 and 4 threads -> these arrays."""
    before, results = parallel.threads(), []
    try:
        for count in (1, 2, 4):
            parallel.set_threads(count)
            results.append(compute())
    finally:
        parallel.set_threads(before)
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))
    return results[0]
