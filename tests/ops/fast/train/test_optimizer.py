"""Weight updates, compiled and in NumPy: one array, all parameters at once, and the search for non-finite values."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import ops
from runner.ops import fast
from tests.ops.fast.helpers import close, few, normal, same_bits, seeds


@few
@given(st.integers(1, 3000), st.sampled_from([0., .01]), seeds)
def test_updates(size: int, decay: float, seed: int) -> None:
    w, g, m, v = (normal(seed + k, size) for k in range(4))
    for name, state, numbers in (("sgd_update", [m], (.9, decay, .1)),
                                 ("adam_update", [m, abs(v)], (.9, .99, decay, .1, .5, 1e-3))):
        mine, theirs = ([w.copy(), g.copy(), *(s.copy() for s in state)] for _ in range(2))
        getattr(fast, name)(*mine, *numbers)
        ops.REFERENCE[name](*theirs, *numbers)
        for a, b in zip(mine, theirs, strict=True):
            close(a, b)
        assert not mine[1].any() and not theirs[1].any(), "the gradient is used up"


@pytest.mark.parametrize("backend", [ops.REFERENCE, vars(fast)], ids=["numpy", "fast"])
def test_all_parameters_at_once(backend: dict) -> None:
    """As one by one, with a decay and a rate for each; sizes around UPDATE_PIECE, and an array of another type."""
    decays, rates = [0., .01, .02, .03], [.1, .2, .3, .4]
    for last in ("float32", "float64"):
        sizes = (1, 1 << 14, 50_000, 7)
        groups = [[normal(10 * i + k, size).astype(last if i == 3 else "float32") for k in range(4)]
                  for i, size in enumerate(sizes)]
        for group in groups:
            np.abs(group[3], out=group[3])
        wanted = [[array.copy() for array in group] for group in groups]
        backend["bind_sgd"]([(w, g, m) for w, g, m, _ in groups])(.9, decays, rates)
        for (w, g, m, _), decay, rate in zip(wanted, decays, rates, strict=True):
            ops.REFERENCE["sgd_update"](w, g, m, .9, decay, rate)
        for k, group in enumerate(groups):
            group[1][...] = wanted[k][1][...] = normal(k, len(group[1]))
        backend["bind_adam"]([(w, g, m, v) for w, g, m, v in groups])(.9, .99, .01, rates, .5, 1e-3)
        for (w, g, m, v), rate in zip(wanted, rates, strict=True):
            ops.REFERENCE["adam_update"](w, g, m, v, .9, .99, .01, rate, .5, 1e-3)
        for group, want in zip(groups, wanted, strict=True):
            for a, b in zip(group, want, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", [ops.REFERENCE, vars(fast)], ids=["numpy", "fast"])
def test_non_finite_values_are_found(backend: dict) -> None:
    arrays = [normal(1, 3), normal(2, 40_000), np.full((2, 5), 3e38, "float32")]
    finite = backend["bind_finite"]([(array,) for array in arrays])
    assert finite(), "a sum may overflow: its values are finite"
    for array, at in ((arrays[0], 2), (arrays[1], 39_999), (arrays[1], 0), (arrays[2].reshape(-1), 7)):
        for value in (np.nan, np.inf, -np.inf):
            kept, array[at] = array[at], value
            assert not finite()
            array[at] = kept
    assert finite() and backend["bind_finite"]([])()


def test_bits_do_not_depend_on_threads() -> None:
    w, noise = normal(2, 300_000), normal(1, 300_000)

    def compute() -> list[np.ndarray]:
        moved, grad, state = w.copy(), w[::-1].copy(), w.copy()
        fast.sgd_update(moved, grad, state, .9, .01, .1)
        fast.adam_update(moved, grad + noise, state, abs(w), .9, .99, .01, .1, .5, 1e-3)
        return [moved, state]
    same_bits(compute)
