"""Boxes against numbers recorded from darknet's src/box.c, and against what must hold for any boxes."""
import numpy as np
import pytest

from runner import ops

PRED = np.array([[.5, .5, .4, .3], [.5, .5, .4, .3]])
TRUTH = np.array([[.55, .45, .3, .4], [.2, .2, .1, .2]])

VALUES = {
    "iou": [0.6, 0],
    "giou": [0.5375, -0.53719],
    "diou": [0.517531, -0.483182],
    "ciou": [0.581912, -0.304503],
}
STEPS = {
    "iou": [[3.2, -3.2, 0.8, 0], [0.370248, 0.370248, -0.449587, -0.476033]],
    "giou": [[3.66875, -1.325, 0.331251, 3.125], [-0.991736, -0.991736, 1.32231, 1.98347]],
    "diou": [[3.55156, -3.5125, 0.819531, 0], [-1.53268, -1.53268, 0.270473, 0.270473]],
    "ciou": [[3.55156, -3.5125, 0.814325, 0.00694211], [-1.53268, -1.53268, 0.261284, 0.282726]],
}


def boxes(seed: int, count: int = 50) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.uniform(0, 1, (count, 2)), rng.uniform(0.05, 0.6, (count, 2))], axis=1)


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_of_darknet(kind, dtype):
    got = getattr(ops, kind)(PRED.astype(dtype), TRUTH.astype(dtype))
    np.testing.assert_allclose(got, VALUES[kind], rtol=2e-6, atol=1e-6)
    assert got.dtype == dtype


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steps_of_darknet(kind, dtype):
    got = ops.box_gradient(PRED.astype(dtype), TRUTH.astype(dtype), kind)
    np.testing.assert_allclose(got, STEPS[kind], rtol=5e-6, atol=3e-6)
    assert got.dtype == dtype


def test_diounms_is_diou_with_an_exponent_of_its_own():
    a, b = boxes(1), boxes(2)
    np.testing.assert_array_equal(ops.diounms(a, b, 0.6), ops.diou(a, b))
    gap = ((a[:, :2] - b[:, :2]) ** 2).sum(1)
    low = np.minimum(a[:, :2] - a[:, 2:] / 2, b[:, :2] - b[:, 2:] / 2)
    high = np.maximum(a[:, :2] + a[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2)
    np.testing.assert_allclose(ops.diounms(a, b, 1.0), ops.iou(a, b) - gap / ((high - low) ** 2).sum(1), rtol=1e-12)


@pytest.mark.parametrize("kind", VALUES)
def test_a_box_fits_itself_best_and_order_does_not_matter(kind):
    a, b = boxes(3), boxes(4)
    f = getattr(ops, kind)
    np.testing.assert_allclose(f(a, a), 1, rtol=1e-12)
    np.testing.assert_allclose(f(a, b), f(b, a), rtol=1e-12)
    assert (f(a, b) < 1).all()


@pytest.mark.parametrize("kind", VALUES)
def test_all_against_all_by_broadcasting(kind):
    a, b = boxes(5, 7), boxes(6, 3)
    f = getattr(ops, kind)
    table = f(a[:, None], b[None])
    assert table.shape == (7, 3)
    assert table[4, 2] == f(a[4], b[2])
    steps = ops.box_gradient(a[:, None], b[None], kind)
    assert steps.shape == (7, 3, 4)
    np.testing.assert_allclose(steps[4, 2], ops.box_gradient(a[4], b[2], kind), rtol=1e-12)


def numeric(f, x: np.ndarray) -> np.ndarray:
    steps = 1e-6 * np.eye(4)
    return np.stack([(f(x + s) - f(x - s)) / 2e-6 for s in steps], axis=-1)


@pytest.mark.parametrize("kind", ["iou", "giou"])
def test_step_is_the_derivative_with_width_and_height_doubled(kind):
    a, b = boxes(7, 400), boxes(8, 400)
    meet = ops.iou(a, b) > 0.01
    assert meet.sum() > 50
    a, b = a[meet], b[meet]
    true = numeric(lambda x: getattr(ops, kind)(x, b), a) * [1, 1, 2, 2]
    np.testing.assert_allclose(ops.box_gradient(a, b, kind), true, rtol=1e-5, atol=1e-6)


def test_ciou_step_adds_only_to_the_sides_of_diou():
    a = boxes(9)
    b = a + np.random.default_rng(10).uniform(0, 0.04, a.shape)     # all meet
    extra = ops.box_gradient(a, b, "ciou") - ops.box_gradient(a, b, "diou")
    assert not extra[:, :2].any()
    towards = np.sign(b[:, 2] / b[:, 3] - a[:, 2] / a[:, 3])
    assert (np.sign(extra[:, 2]) == towards).all() and (np.sign(extra[:, 3]) == -towards).all()


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.filterwarnings("error")
def test_boxes_without_area_give_numbers(kind):
    point = np.array([[.5, .5, 0, 0], [.5, .5, 0, .2]], np.float32)
    for other in (point, point + np.array([.1, 0, 0, 0], np.float32), PRED.astype(np.float32)):
        assert np.isfinite(getattr(ops, kind)(point, other)).all()
        assert np.isfinite(ops.box_gradient(point, other, kind)).all()
    assert ops.iou(point[0], point[0]) == 0


def test_touching_boxes_share_nothing():
    assert ops.iou(np.array([0.25, 0.5, 0.5, 1]), np.array([0.75, 0.5, 0.5, 1])) == 0


def test_rmse():
    assert ops.box_rmse(np.array([1.0, 2, 3, 4]), np.array([0.0, 0, 1, 0])) == 5


def test_unknown_kind_is_named():
    with pytest.raises(ValueError, match="iou, giou, diou, ciou, got 'eiou'"):
        ops.box_gradient(PRED, TRUTH, "eiou")
