"""The detection heads: numbers computed by hand from darknet's formulas, and error messages."""
from typing import Any

import numpy as np
import pytest

from runner.compat import ALEXEYAB, PJREDDIE
from runner.errors import DataError, ShapeError
from runner.layers import Detection, Env, GaussianYolo, Progress, Region, Yolo

TRUTH = np.array([[[.7, .3, .5, .6, 1]]])


def values(start: float) -> np.ndarray:
    """7 maps of 2 x 2."""
    return (0.1 * (np.arange(28) % 7) + start).reshape(1, 7, 2, 2)


def train_once(layer: Any, x: np.ndarray, truth: np.ndarray) -> tuple[float, np.ndarray]:
    """-> cost and darknet's delta, a row for each map."""
    _, saved = layer.forward(x, train=True)
    cost, dx = layer.loss(saved, truth)
    return cost, -dx.reshape(dx.shape[1], -1)


def test_yolo_mse() -> None:
    layer = Yolo((7, 2, 2), classes=2, anchors=(1., 1.5), iou_normalizer=1)
    y = layer.forward(values(-.3))[0].reshape(7, 4)
    np.testing.assert_allclose(y[0], [.425557, .450166, .475021, .5], atol=1e-6)
    np.testing.assert_allclose(y[2], [-.2, -.1, 0, .1], atol=1e-6)
    cost, delta = train_once(layer, values(-.3), TRUTH)
    np.testing.assert_allclose(delta[:4, 1], [-.0852823, .0852822, .17, -.889344], atol=1e-6)
    np.testing.assert_allclose(delta[4], [-.475021, .5, -.524979, -.549834], atol=1e-6)
    np.testing.assert_allclose(delta[5:, 1], [-.425557, .475021], atol=1e-6)
    assert not delta[:4, [0, 2, 3]].any()
    assert cost == pytest.approx(2.29469, abs=1e-5)


def test_yolo_ciou() -> None:
    layer = Yolo((7, 2, 2), classes=2, anchors=(1., 1.5), iou_normalizer=1, iou_loss="ciou", scale_x_y=1.2)
    y = layer.forward(values(-.3))[0].reshape(7, 4)
    want = [[.410669, .440199, .470025, .5], [.529975, .559801, .589331, .410669]]
    np.testing.assert_allclose(y[:2], want, atol=1e-6)
    cost, delta = train_once(layer, values(-.3), TRUTH)
    np.testing.assert_allclose(delta[:4, 1], [-.0315302, .0315302, 1.38903, -1.40782], atol=1e-5)
    assert cost == pytest.approx(1.90243, abs=1e-5)


def test_yolo_new_coords() -> None:
    layer = Yolo((7, 2, 2), classes=2, anchors=(1., 1.5), iou_normalizer=.05, iou_loss="ciou", scale_x_y=2,
                 new_coords=True,
                 ignore_thresh=.7)
    cost, delta = train_once(layer, values(.2), TRUTH)
    np.testing.assert_allclose(delta[:4, 1], [.0516012, -.00375, .000856458, -.008999], atol=1e-6)
    np.testing.assert_allclose(delta[4], [-.4, .5, -.6, -.7], atol=1e-6)
    np.testing.assert_allclose(delta[5:, 1], [-.2, .4], atol=1e-6)
    assert cost == pytest.approx(1.49972, abs=1e-5)


def test_region_of_alexeyab() -> None:
    layer = Region((7, 2, 2), env=Env(compat=ALEXEYAB), classes=2, anchors=(.8, .9), softmax=True, bias_match=True,
                   thresh=.6, object_scale=5)
    y = layer.forward(values(-.3))[0].reshape(4, 7)     # cell by cell
    np.testing.assert_allclose(y[1], [-.2, .2, -.1, .3, .5, .401312, .598688], atol=1e-6)
    cost, delta = train_once(layer, values(-.3), TRUTH)
    np.testing.assert_allclose(delta[0], [.000181981, -.0124169, 6.22922e-05, 0], atol=1e-7)
    np.testing.assert_allclose(delta[2], [.002, .323144, 0, -.001], atol=1e-6)
    np.testing.assert_allclose(delta[4], [-.118459, .625, -.130917, -.136093], atol=1e-6)
    np.testing.assert_allclose(delta[5:, 1], [-.401312, .401312], atol=1e-6)
    assert cost == pytest.approx(.867325, abs=1e-6)


def test_region_trains_towards_the_anchors_only_at_first() -> None:
    x, nothing = values(-.3), np.zeros((1, 1, 5))
    early, late = (train_once(Region((7, 2, 2), env=Env(progress=Progress(seen=seen)), classes=2), x, nothing)[1][:4]
                   for seen in (12799, 12800))
    assert early.any() and not late.any()


def test_region_without_compat_is_that_of_pjreddie() -> None:
    options: dict[str, Any] = dict(classes=2, anchors=(.8, .9), rescore=True, softmax=True)
    one, other = (train_once(Region((7, 2, 2), env=env, **options), values(-.3), TRUTH)
                  for env in (Env(), Env(compat=PJREDDIE)))
    assert one[0] == other[0] and np.array_equal(one[1], other[1])


def test_detection() -> None:
    layer = Detection((14 - 2,), side=1, num=2, coords=4, classes=2, sqrt=True, rescore=True, coord_scale=5,
                      noobject_scale=.5)
    x = np.array([[.2, .3, .6, .4, .5, .5, .7, .6, .1, .2, .3, .4]])
    want = [-.2, .7, -.174506, -.2, -.5, .5, .035534, .872983, 0, 0, 0, 0]
    flat = np.array([[1, 0, 1, .4, .6, .5, .6]])        # as darknet has it: objectness, one-hot class, box
    for truth in (flat, np.array([[[.4, .6, .5, .6, 1]]])):
        cost, delta = train_once(layer, x, truth)
        np.testing.assert_allclose(delta.ravel(), want, atol=1e-6)
        assert cost == pytest.approx(1.86382, abs=1e-5)


@pytest.mark.parametrize("cls", [Yolo, GaussianYolo, Region])
def test_truth_in_every_form_is_the_same(cls: Any) -> None:
    """Rows of 5 or 6 values, flat or not; the list ends at the first x = 0; rows without a size are ignored."""
    entries = 9 if cls is GaussianYolo else 5
    layer = cls((entries + 2, 4, 4), classes=2, max=4)
    x = np.random.default_rng(0).normal(size=(2, entries + 2, 4, 4))
    rows = np.zeros((2, 4, 6))
    rows[:, :2, :5] = [[.3, .4, .2, .3, 1], [.8, .1, .5, .1, 0]]
    more = rows.copy()
    more[0, 3] = [.5, .5, .5, .5, 1, 0]         # after the end of the list
    more[1, 2] = [.5, .5, 0, 0, 1, 0]           # without a size
    want = train_once(layer, x, rows)
    for truth in (rows[..., :5], rows.reshape(2, -1), rows[..., :5].reshape(2, -1), more):
        cost, delta = train_once(layer, x, truth)
        assert cost == want[0] and np.array_equal(delta, want[1])


def test_objects_at_the_far_border_belong_to_the_last_cell() -> None:
    edge = np.array([[[1., 1., .1, .1, 0]]])
    for cls, channels in ((Yolo, 6), (Region, 6), (GaussianYolo, 10)):
        _, delta = train_once(cls((channels, 3, 3), classes=1), np.zeros((1, channels, 3, 3)), edge)
        assert delta[channels - 2, 8] > 0 and (delta[channels - 2, :8] <= 0).all()


@pytest.mark.parametrize("cls", [Yolo, GaussianYolo, Region])
def test_gradient_descent_finds_the_box(cls: Any) -> None:
    """Gradient descent on the outputs: the most confident box converges to the truth."""
    entries = 9 if cls is GaussianYolo else 5
    layer = cls((2 * (entries + 3), 4, 4), classes=3, num=2, env=Env(progress=Progress(seen=50000)),
                 anchors=(1., 1., 2., 2.))
    x = np.zeros((1, 2 * (entries + 3), 4, 4))
    truth = np.array([[[.4, .6, .5, .3, 2]]])
    for _ in range(600):
        _, saved = layer.forward(x, train=True)
        x -= 0.1 * layer.loss(saved, truth)[1]
    found = layer.boxes(layer.forward(x)[0][0], .1)
    best = found.objectness.argmax()
    np.testing.assert_allclose(found.boxes[best], truth[0, 0, :4], atol=.05 if cls is GaussianYolo else .02)
    assert found.probability[best].argmax() == 2 and found.objectness[best] > .8


def test_wrong_channels_are_reported_with_the_right_number() -> None:
    says = r"expects 18 channels, 3 anchors x \(1 class \+ 5\): set filters=18 in the \[convolutional\] before it"
    with pytest.raises(ShapeError, match=says):
        Yolo((255, 4, 4), classes=1, num=3)
    with pytest.raises(ShapeError, match="filters=30 "):
        GaussianYolo((18, 4, 4), classes=1, num=3)
    with pytest.raises(ShapeError, match="filters=125 "):
        Region((30, 4, 4), num=5)
    with pytest.raises(ShapeError, match="output=1470 "):
        Detection((1000,), side=7, num=2, coords=4, classes=20)


def test_other_errors() -> None:
    with pytest.raises(ShapeError, match="mask must hold indices of anchors, 0 to 2"):
        Yolo((7, 4, 4), classes=2, num=3, mask=(3,))
    with pytest.raises(ShapeError, match="one number for each of the 2 classes"):
        Yolo((7, 4, 4), classes=2, counters_per_class=(1., 2., 3.))
    layer = Yolo((7, 4, 4), classes=2, map="nowhere.map")
    with pytest.raises(DataError, match=r"nowhere\.map"):
        train_once(layer, np.zeros((1, 7, 4, 4)), TRUTH)
    with pytest.raises(DataError, match="rows of 5 or 6 values"):
        train_once(Yolo((7, 4, 4), classes=2), np.zeros((1, 7, 4, 4)), np.zeros((1, 7)))


TREE = "tests/golden/softmax_tree_P/labels.tree"      # roots 0 1 2; 3 4 5 under 0; 6 7 under 1; 8 9 under 6


def test_the_tree_is_followed_while_the_class_is_probable() -> None:
    x = np.full((1, 15, 1, 1), -9.)
    x[0, 4] = 2                         # objectness .88
    x[0, 5 + np.array([1, 6, 8])] = 9   # the root, its child and its grandchild, each almost 1
    layer = Region((15, 1, 1), classes=10, tree=TREE)
    assert layer.boxes(layer.forward(x)[0][0], .1).probability[0].argmax() == 8
    x[0, 5 + 9] = 9                     # the two grandchildren are alike
    found = layer.boxes(layer.forward(x)[0][0], .1)
    assert found.probability[0].argmax() == 6 and found.probability[0, 6] == pytest.approx(.880797, abs=1e-6)
    assert (found.probability[0] > 0).sum() == 1


def test_a_truth_without_a_box_trains_a_class_and_its_ancestors() -> None:
    layer = Region((30, 2, 2), classes=10, num=2, tree=TREE)
    x = np.random.default_rng(1).normal(size=(1, 30, 2, 2))
    _, delta = train_once(layer, x, np.array([[[999999., 999999, 999999, 999999, 8]]]))
    classes = delta.reshape(2, 15, 4)[:, 5:]
    trained = np.argwhere(classes.any(axis=1))
    assert len(trained) == 1, "one box is trained"
    mine = classes[trained[0, 0], :, trained[0, 1]]
    assert sorted(np.flatnonzero(mine > 0)) == [1, 6, 8] and sorted(np.flatnonzero(mine < 0)) == [0, 2, 7, 9]
    assert not delta.reshape(2, 15, 4)[:, :4].any()
