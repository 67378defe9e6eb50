"""Batch norm and local response normalization against numbers recorded from darknet."""
import numpy as np
import pytest

from runner import ops

pytestmark = pytest.mark.usefixtures("backend")


def test_lrn_of_the_reference() -> None:
    x = np.arange(1, 9, dtype="float64").reshape(1, 8, 1, 1)
    y, norms = ops.lrn(x, 5, 0.1, 0.75, 2)
    np.testing.assert_allclose(norms.ravel(), [2.5, 4.1, 6.6, 10.1, 14.6, 20.1, 18.5, 16])
    np.testing.assert_allclose(y.ravel(), [.502973, .694132, .728557, .706023, .66943, .632054, .784728, 1], atol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 5, 8, 40])
def test_lrn_of_many_channels_needs_no_matrix_of_them(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    x, dy = rng.normal(size=(2, 12, 2, 3)), rng.normal(size=(2, 12, 2, 3))
    few, norms = ops.lrn(x, size, .1, .75, 2)
    gradient = ops.lrn_backward(dy, x, norms, size, .1, .75)
    monkeypatch.setattr("runner.ops.norm.MOST_CHANNELS", 11)
    np.testing.assert_allclose(ops.lrn(x, size, .1, .75, 2)[0], few, rtol=1e-12)
    np.testing.assert_allclose(ops.lrn_backward(dy, x, norms, size, .1, .75), gradient, rtol=1e-9, atol=1e-12)


def test_batch_norm_of_the_reference() -> None:
    """One image, a 1 x 1 convolution with weight 2, scale 1.5, shift .25 (docs: darknet's own numbers)."""
    z = 2 * np.array([1., 2, 4, -1]).reshape(1, 1, 2, 2)
    y, saved = ops.batchnorm_train(z, np.array([1.5]), np.array([.25]), 1e-5)
    assert saved.mean[0] == 3 and abs(saved.variance[0] - 17.3333) < 1e-4
    out = ops.activate(y, "leaky")[0]
    np.testing.assert_allclose(out.ravel(), [-.0110288, .610288, 2.05144, -.155144], rtol=1e-5)
    dz = ops.activate_backward(np.array([1, -1, .5, .25]).reshape(1, 1, 2, 2), out, "leaky")
    dx, dscales, dbiases = ops.batchnorm_backward(dz, saved, np.array([1.5]), rule="pjreddie")
    np.testing.assert_allclose([*dscales, *dbiases], [.306245, -.375], rtol=1e-5)
    np.testing.assert_allclose(dx.ravel(), [.076431, -.333137, .180794, .075912], rtol=1e-5)


@pytest.mark.parametrize("rule", ["exact", "pjreddie", "alexeyab"])
@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 2, 5)])
def test_the_statistics_of_a_batch_in_two_parts(shape: tuple[int, ...], rule: str) -> None:
    """Each part gets the output and the dx that it has in the whole; dscales and dbiases add up to the whole's."""
    rng = np.random.default_rng(2)
    x, dy = rng.normal(3, 1, shape), rng.normal(size=shape)
    scales, biases = rng.normal(size=3), rng.normal(size=3)
    y, saved = ops.batchnorm_train(x, scales, biases, 1e-5)
    dx, *grads = ops.batchnorm_backward(dy, saved, scales, rule=rule)
    halves = x[:3], x[3:]
    own = [(half.mean(axis=(0, *range(2, x.ndim))), half.var(axis=(0, *range(2, x.ndim))) * (half.size // 3))
           for half in halves]
    statistics = np.array([np.concatenate(pair) for pair in own])
    parts = [ops.batchnorm_train(half, scales, biases, 1e-5, stack=lambda one: statistics) for half in halves]
    np.testing.assert_allclose(np.concatenate([part for part, _ in parts]), y, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(parts[1][1].variance, saved.variance, rtol=1e-12)
    sums: list[np.ndarray] = []
    back: list[tuple[np.ndarray, ...]] = []
    for attempt in range(2):    # the first one collects what the parts have to tell each other
        back = []
        for number, (_, kept) in enumerate(parts):
            def stack(one: np.ndarray) -> np.ndarray:
                if len(sums) < 2:
                    sums.append(one)
                    return np.stack([one, one])
                return np.stack(sums)
            back.append(ops.batchnorm_backward(dy[3 * number:3 * number + 3], kept._replace(stack=stack), scales,
                                               rule=rule))
        assert len(sums) == 2 and attempt < 2
    np.testing.assert_allclose(np.concatenate([part[0] for part in back]), dx, rtol=1e-9, atol=1e-12)
    for k, whole in enumerate(grads, 1):
        np.testing.assert_allclose(back[0][k] + back[1][k], whole, rtol=1e-9)
