"""The compiled kernels against the reference on random shapes, and the same bits for any number of threads."""
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from runner import ops
from runner.errors import MissingExtra, UsageError
from runner.ops import parallel

if importlib.util.find_spec("numba") is None:
    pytest.skip("the compiled kernels need numba: pip install -r requirements-fast.txt", allow_module_level=True)
pytest.importorskip("hypothesis", reason="random shapes need hypothesis: pip install -r requirements-dev.txt")
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.ops import fast
from runner.ops.fast.simd.math import COMPILED_ACTIVATIONS
from tests.paths import ROOT

few = settings(max_examples=40, deadline=None)      # the first example waits for the compiler
shapes = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 9), st.integers(1, 40))
seeds = st.integers(0, 2**32 - 1)
activations = st.sampled_from(sorted(COMPILED_ACTIVATIONS))


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3, shape).astype("float32")


def close(got: np.ndarray, want: np.ndarray, limit: float = 2e-6) -> None:
    assert got.dtype == want.dtype == np.float32 and got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=limit * max(np.abs(want).max(initial=0), 1))


def same_bits(compute: Callable[[], list[np.ndarray]]) -> None:
    """Does compute() give the same for 1, 2 and 4 threads?"""
    before, results = parallel.threads(), []
    try:
        for count in (1, 2, 4):
            parallel.set_threads(count)
            results.append(compute())
    finally:
        parallel.set_threads(before)
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    before = ops.backend()
    try:
        ops.use("fast")
        assert ops.backend() == ops.kernels() == "fast" and ops.activate is fast.activate
        ops.use("numpy")
        assert ops.backend() == "numpy" and ops.activate is ops.REFERENCE["activate"]
        with pytest.raises(UsageError, match="auto, numpy, fast"):
            ops.use("fats")
        assert ops.backend() == "numpy", "a mistake changes nothing"
        monkeypatch.setitem(sys.modules, "numba", None)
        with pytest.raises(MissingExtra, match="pip install -r requirements-fast"):
            ops.use("fast")
        ops.use("auto")
        assert ops.backend() == "numpy"
    finally:
        monkeypatch.undo()
        ops.use(before)


def test_the_first_network_chooses_the_default_backend() -> None:
    code = ("import runner; from runner import ops; assert ops.backend() == 'numpy'; runner.check('cfg/net.cfg'); "
            "assert ops.backend() == 'numpy'; runner.load('cfg/net.cfg'); assert ops.backend() == 'fast'")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert not done.returncode, done.stderr


def test_a_first_run_says_what_it_waits_for(tmp_path: Path) -> None:
    """... and a second one, with the kernels on disk, says nothing."""
    code = ("import sys; import numpy as np; from runner import ops; from runner.cli import common; "
            "common.choose_backend('fast'); ops.activate(np.ones(3, 'float32'), 'leaky')")
    words = [subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
                            env={"NUMBA_CACHE_DIR": str(tmp_path), "PATH": ""}).stderr for _ in range(2)]
    assert words[0].startswith("compiling kernels, once") and words[0].count("\n") == 1
    assert words[1] == ""


@few
@given(shapes, activations, seeds)
def test_activations(shape: tuple, name: str, seed: int) -> None:
    x, dy = normal(seed, *shape), normal(seed + 1, *shape)
    want, saved = ops.REFERENCE["activate"](x, name)
    got, kept = fast.activate(x, name)
    close(got, want)
    close(fast.activate_backward(dy, kept, name), ops.REFERENCE["activate_backward"](dy, saved, name), 1e-5)


@pytest.mark.parametrize("name", sorted(COMPILED_ACTIVATIONS))
def test_activations_at_the_ends(name: str) -> None:
    """Far out, at 0, and what is no number."""
    x = np.array([-1e30, -200, -90, -1e-30, 0, 1e-30, 90, 200, 1e30, np.nan], "float32")
    with np.errstate(all="ignore"):
        want, got = ops.REFERENCE["activate"](x, name)[0], fast.activate(x, name)[0]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)


def test_the_bits_of_activations() -> None:
    x = normal(1, 3, 17, 70, 130)
    same_bits(lambda: [array for name in ("leaky", "mish", "tanh") for y, saved in [fast.activate(x, name)]
                       for array in (y, fast.activate_backward(x, saved, name))])


@few
@given(shapes, activations, seeds)
def test_batch_norm_with_its_activation(shape: tuple, name: str, seed: int) -> None:
    x, dy = normal(seed, *shape) + 2, normal(seed + 1, *shape)
    scales, biases = normal(seed + 2, shape[1]), normal(seed + 3, shape[1])
    want, saved = ops.REFERENCE["batchnorm_activate"](x, scales, biases, 1e-2, name)
    before = x.copy()
    got, kept = fast.batchnorm_activate(x, scales, biases, 1e-2, name)
    assert np.array_equal(x, before), "what is kept must stay as it is"
    close(got, want, 1e-5)
    for mine, theirs in zip(kept[:3], saved[:3], strict=True):
        close(mine, theirs)
    # where a slope jumps, rounding decides: let no value lie there
    centred = (x - saved.mean[:, None, None]) * (scales * saved.inverse)[:, None, None] + biases[:, None, None]
    dy[np.min([abs(centred - jump) for jump in (0, 6, -1, 1, -2)], axis=0) < 1e-4] = 0
    for mine, theirs in zip(fast.batchnorm_activate_backward(dy, kept, scales, biases, name),
                            ops.REFERENCE["batchnorm_activate_backward"](dy, saved, scales, biases, name), strict=True):
        close(mine, theirs, 2e-5)


@few
@given(shapes, activations, seeds)
def test_bias_with_its_activation(shape: tuple, name: str, seed: int) -> None:
    x, dy, biases = normal(seed, *shape), normal(seed + 1, *shape), normal(seed + 2, shape[1])
    want, saved = ops.REFERENCE["bias_activate"](x.copy(), biases, name)
    got, kept = fast.bias_activate(x.copy(), biases, name)
    close(got, want)
    (dx, total), (want_dx, want_total) = (fast.bias_activate_backward(dy, kept, name),
                                          ops.REFERENCE["bias_activate_backward"](dy, saved, name))
    close(dx, want_dx, 1e-5)
    # a sum may cancel: what its terms are off by does not
    np.testing.assert_allclose(total, want_total, rtol=0, atol=1e-6 * max(1, np.abs(dy).sum(axis=(0, 2, 3)).max()))


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


def test_the_bits_of_fused_kernels() -> None:
    x, dy, v = normal(1, 5, 30, 40, 51), normal(2, 5, 30, 40, 51), normal(3, 30)

    def compute() -> list[np.ndarray]:
        results = []
        for name in ("leaky", "mish"):
            for functions in (vars(fast), ops.REFERENCE):
                y, saved = functions["batchnorm_activate"](x, v, v, 1e-5, name)
                results += [y, *functions["batchnorm_activate_backward"](dy, saved, v, v, name)]
                y, saved = functions["bias_activate"](x.copy(), v, name)
                results += [y, *functions["bias_activate_backward"](dy, saved, name)]
        return results
    same_bits(compute)


def test_one_pass_or_one_step_after_the_other() -> None:
    """The fused reference is batch norm, then the activation, and their derivatives."""
    x, dy, v = (normal(len(shape), *shape).astype("float64") for shape in ((3, 4, 5, 6), (3, 4, 5, 6), (4,)))
    for name in ("leaky", "mish", "linear"):
        y, saved = ops.REFERENCE["batchnorm_activate"](x, v, v, 1e-5, name)
        z, normed = ops.batchnorm_train(x, v, v, 1e-5)
        want, kept = ops.activate(z, name)
        np.testing.assert_allclose(y, want, atol=1e-12)
        dz = ops.activate_backward(dy, kept, name)
        for mine, theirs in zip(ops.REFERENCE["batchnorm_activate_backward"](dy, saved, v, v, name),
                                ops.batchnorm_backward(dz, normed, v, rule="exact"), strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-10)


@few
@given(shapes, st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(0, 4), st.booleans(), seeds)
def test_maxpool(shape: tuple, size: int, down: int, across: int, padding: int, ties: bool, seed: int) -> None:
    x = np.round(normal(seed, *shape)) if ties else normal(seed, *shape)
    sides = [(side + padding - size) // s + 1 for side, s in zip(shape[2:], (down, across), strict=True)]
    before = padding // 2
    if min(sides) < 1 or before >= size or any(
            (out - 1) * s - before >= side for out, s, side in zip(sides, (down, across), shape[2:], strict=True)):
        return      # a window with no pixel in it: [maxpool] does not take it
    want, index = ops.REFERENCE["maxpool2d"](x, size, (down, across), padding)
    got, won = fast.maxpool2d(x, size, (down, across), padding)
    assert index is not None and won is not None
    assert np.array_equal(got, want) and np.array_equal(won, index)
    assert np.array_equal(fast.maxpool2d(x, size, (down, across), padding, need_index=False)[0], want)
    dy = normal(seed + 1, *want.shape)
    close(fast.maxpool2d_backward(dy, won, x.shape, size, (down, across), padding),
          ops.REFERENCE["maxpool2d_backward"](dy, index, x.shape, size, (down, across), padding))


def test_a_maximum_that_is_no_number_stays_one() -> None:
    x = np.full((1, 1, 2, 4), np.nan, "float32")
    assert np.isnan(fast.maxpool2d(x, 2, (2, 2), 0)[0]).all() and np.isnan(fast.maxpool2d(x, 2, (1, 1), 1)[0]).all()


@few
@given(shapes, seeds)
def test_averages(shape: tuple, seed: int) -> None:
    x, dy = normal(seed, *shape), normal(seed, *shape[:2])
    close(fast.avgpool(x), ops.REFERENCE["avgpool"](x))
    close(fast.avgpool_backward(dy, shape), ops.REFERENCE["avgpool_backward"](dy, shape))


@few
@given(shapes, st.integers(1, 4), st.sampled_from([1., .5]), seeds)
def test_upsample(shape: tuple, stride: int, scale: float, seed: int) -> None:
    x = normal(seed, *shape)
    y = fast.upsample(x, stride, scale)
    close(y, ops.REFERENCE["upsample"](x, stride, scale))
    close(fast.upsample_backward(y, stride, scale), ops.REFERENCE["upsample_backward"](y, stride, scale))
    close(fast.downsample(x, stride, scale), ops.REFERENCE["downsample"](x, stride, scale))


@few
@given(shapes, st.integers(2, 3), activations, seeds)
def test_sums(shape: tuple, count: int, name: str, seed: int) -> None:
    xs = [normal(seed + k, *shape) for k in range(count)]
    want, saved = ops.REFERENCE["sum_activate"](xs, name)
    got, kept = fast.sum_activate(xs, name)
    close(got, want)
    np.testing.assert_allclose(want, ops.REFERENCE["activate"](np.sum(xs, axis=0), name)[0], atol=1e-5)
    close(fast.activate_backward(xs[0], kept, name), ops.REFERENCE["activate_backward"](xs[0], saved, name), 1e-5)


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


@pytest.mark.parametrize("kernels", [ops.REFERENCE, vars(fast)], ids=["numpy", "fast"])
def test_all_parameters_at_once(kernels: dict) -> None:
    """As one by one, with a decay and a rate for each; sizes around a piece of work, and one of another type."""
    decays, rates = [0., .01, .02, .03], [.1, .2, .3, .4]
    for last in ("float32", "float64"):
        sizes = (1, 1 << 14, 50_000, 7)
        groups = [[normal(10 * i + k, size).astype(last if i == 3 else "float32") for k in range(4)]
                  for i, size in enumerate(sizes)]
        for group in groups:
            np.abs(group[3], out=group[3])
        wanted = [[array.copy() for array in group] for group in groups]
        kernels["bind_sgd"]([(w, g, m) for w, g, m, _ in groups])(.9, decays, rates)
        for (w, g, m, _), decay, rate in zip(wanted, decays, rates, strict=True):
            ops.REFERENCE["sgd_update"](w, g, m, .9, decay, rate)
        for k, group in enumerate(groups):
            group[1][...] = wanted[k][1][...] = normal(k, len(group[1]))
        kernels["bind_adam"]([(w, g, m, v) for w, g, m, v in groups])(.9, .99, .01, rates, .5, 1e-3)
        for (w, g, m, v), rate in zip(wanted, rates, strict=True):
            ops.REFERENCE["adam_update"](w, g, m, v, .9, .99, .01, rate, .5, 1e-3)
        for group, want in zip(groups, wanted, strict=True):
            for a, b in zip(group, want, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernels", [ops.REFERENCE, vars(fast)], ids=["numpy", "fast"])
def test_what_is_no_number_is_found(kernels: dict) -> None:
    arrays = [normal(1, 3), normal(2, 40_000), np.full((2, 5), 3e38, "float32")]
    finite = kernels["bind_finite"]([(array,) for array in arrays])
    assert finite(), "a sum beyond the largest number is no fault of a value"
    for array, at in ((arrays[0], 2), (arrays[1], 39_999), (arrays[1], 0), (arrays[2].reshape(-1), 7)):
        for value in (np.nan, np.inf, -np.inf):
            kept, array[at] = array[at], value
            assert not finite()
            array[at] = kept
    assert finite() and kernels["bind_finite"]([])()


def test_the_bits_of_pooling_and_updates() -> None:
    x, w = normal(1, 3, 40, 64, 50), normal(2, 300_000)

    def compute() -> list[np.ndarray]:
        y, index = fast.maxpool2d(x, 3, (2, 2), 2)
        assert index is not None
        moved, grad, state = w.copy(), w[::-1].copy(), w.copy()
        fast.sgd_update(moved, grad, state, .9, .01, .1)
        fast.adam_update(moved, grad + x.reshape(-1)[:len(w)], state, abs(w), .9, .99, .01, .1, .5, 1e-3)
        return [y, index, fast.maxpool2d_backward(y, index, x.shape, 3, (2, 2), 2), fast.avgpool(x),
                fast.upsample(x, 2), fast.downsample(x, 2), fast.sum_activate((x, x), "mish")[0], moved, state]
    same_bits(compute)
