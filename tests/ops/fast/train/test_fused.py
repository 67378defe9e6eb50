"""Batch norm, bias and sum fused with an activation against the reference, and the reference against two operations."""
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from runner import ops
from runner.ops import fast
from tests.ops.fast.helpers import activations, close, few, normal, same_bits, seeds, shapes


@few
@given(shapes, activations, seeds)
def test_batch_norm_with_its_activation(shape: tuple, name: str, seed: int) -> None:
    x, dy = normal(seed, *shape) + 2, normal(seed + 1, *shape)
    scales, biases = normal(seed + 2, shape[1]), normal(seed + 3, shape[1])
    want, saved = ops.REFERENCE["batchnorm_activate"](x, scales, biases, 1e-2, name)
    before = x.copy()
    got, kept = fast.batchnorm_activate(x, scales, biases, 1e-2, name)
    assert np.array_equal(x, before), "x is saved and must not change"
    close(got, want, 1e-5)
    for mine, theirs in zip(kept[:3], saved[:3], strict=True):
        close(mine, theirs)
    # at a jump of the slope rounding decides: no gradient there
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
    # a sum may cancel, the errors of its terms do not
    np.testing.assert_allclose(total, want_total, rtol=0, atol=1e-6 * max(1, np.abs(dy).sum(axis=(0, 2, 3)).max()))


@few
@given(shapes, st.integers(2, 3), activations, seeds)
def test_sums(shape: tuple, count: int, name: str, seed: int) -> None:
    xs = [normal(seed + k, *shape) for k in range(count)]
    want, saved = ops.REFERENCE["sum_activate"](xs, name)
    got, kept = fast.sum_activate(xs, name)
    close(got, want)
    np.testing.assert_allclose(want, ops.REFERENCE["activate"](np.sum(xs, axis=0), name)[0], atol=1e-5)
    close(fast.activate_backward(xs[0], kept, name), ops.REFERENCE["activate_backward"](xs[0], saved, name), 1e-5)


def test_bits_of_batch_norm_and_bias_do_not_depend_on_threads() -> None:
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


def test_bits_of_sums_do_not_depend_on_threads() -> None:
    x = normal(1, 3, 40, 64, 50)
    same_bits(lambda: [fast.sum_activate((x, x), "mish")[0]])


def test_the_reference_is_two_operations() -> None:
    """Batch norm, then the activation, and their derivatives."""
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
