"""Non-maximum suppression: the soft variants against their formulas, and what is kept of all boxes."""
import math
from collections.abc import Sequence

import numpy as np
import pytest

import runner
from runner import ops
from runner.cli.boxes import NMS_KINDS
from runner.detection import (
    NmsOptions,
    PredictedBoxes,
    chosen_classes,
    detection_heads,
    predict_boxes,
    suppress,
)
from runner.detection.nms import KINDS, highest, soft_suppress
from runner.errors import UsageError
from tests.paths import ROOT

# two boxes with IoU 1/3, one far away
BOXES = np.array([[.3, .5, .2, .2], [.4, .5, .2, .2], [.8, .5, .2, .2]])
ONES = np.ones(3)


def column(*values: float) -> np.ndarray:
    return np.array(values)[:, None]


def test_soft_suppression_lowers_what_overlaps() -> None:
    for kind, factor in (("soft", math.exp(-(1 / 3) ** 2 / .5)), ("soft-linear", 2 / 3)):
        _, p = suppress(BOXES, ONES, column(.6, .9, .5), thresh=.3, kind=kind)
        np.testing.assert_allclose(p[:, 0], [.6 * factor, .9, .5], rtol=1e-6)
    _, p = suppress(BOXES, ONES, column(.6, .9, .5), thresh=.4, kind="soft-linear")
    np.testing.assert_array_equal(p[:, 0], [.6, .9, .5])     # below the threshold nothing changes
    _, p = suppress(BOXES, ONES, column(.6, .9, .5), kind="soft", lowest=.5)
    np.testing.assert_array_equal(p[:, 0], [0, .9, .5])


def test_soft_suppression_is_the_paper_s_algorithm() -> None:
    """Figure 2 of the paper, written as it is there: B loses its best, and the others decay, until it is empty."""
    rng = np.random.default_rng(0)
    boxes = np.concatenate([rng.random((30, 2)), .1 + .3 * rng.random((30, 2))], axis=1)
    scores = rng.random(30).astype(np.float32)
    for linear in (False, True):
        s, b = scores.astype(float), set(range(30))
        while b:
            m = max(b, key=lambda i: s[i])
            b.remove(m)
            for i in b:
                overlap = float(ops.iou(boxes[i], boxes[m]))
                s[i] *= (1 - overlap if overlap > .45 else 1) if linear else math.exp(-overlap ** 2 / .5)
        np.testing.assert_allclose(soft_suppress(boxes, scores, .45, linear=linear), s, rtol=1e-5)


def test_no_kind_changes_its_input() -> None:
    p = column(.6, .9, .5).astype(np.float32)
    for kind in KINDS:
        for agnostic in (False, True):
            before = p.copy()
            _, after = suppress(BOXES, ONES, p, kind=kind, agnostic=agnostic)
            np.testing.assert_array_equal(p, before)
            assert (after <= p).all() and after.dtype == p.dtype


@pytest.mark.parametrize("kind", ["iou", "soft", "diounms"])
def test_agnostic_suppression_leaves_one_class_for_an_object(kind: str) -> None:
    same = np.array([[.3, .5, .2, .2], [.3, .5, .2, .2], [.8, .5, .2, .2]])
    p = np.array([[.9, .8], [.1, .7], [.3, .4]])
    _, alone = suppress(same, ONES, p, kind=kind, lowest=.25)
    assert (alone > 0).sum() == 4           # each class has its best box, and both are seen in the one far away
    _, agnostic = suppress(same, ONES, p, kind=kind, agnostic=True, lowest=.25)
    np.testing.assert_array_equal(agnostic, [[.9, 0], [0, 0], [0, .4]])


def test_agnostic_suppression_without_boxes() -> None:
    _, p = suppress(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 3)), agnostic=True)
    assert p.shape == (0, 3)


def test_the_highest() -> None:
    p = np.array([[.9, .2], [.5, .7]])
    np.testing.assert_array_equal(highest(p, 2), [[.9, 0], [0, .7]])
    assert highest(p, 4) is p and (PredictedBoxes(BOXES[:2], ONES[:2], highest(p, 1)).rows()[:, 1] == [.9]).all()


def test_the_options_of_the_command_line_are_kinds() -> None:
    assert set(NMS_KINDS) < set(KINDS)


def test_options_that_are_not_allowed() -> None:
    with pytest.raises(UsageError, match="did you mean 'diounms'"):
        NmsOptions(nms_kind="diou-nms")
    for count in (0, 1.5, "3", True):
        with pytest.raises(UsageError, match="max_det must be an integer, at least 1"):
            NmsOptions(max_det=count)       # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"nms kind must be one of .* Got 3"):
        NmsOptions(nms_kind=3)      # type: ignore[arg-type]


@pytest.mark.parametrize(("keep", "drop", "chosen"), [
    ([], [], None), (["dog"], [], (1,)), ([2, "0"], [], (0, 2)), ([], ["dog"], (0, 2)), (["cat", "dog"], [1], (0,))])
def test_the_classes_to_keep(keep: Sequence[str | int], drop: Sequence[str | int],
                             chosen: tuple[int, ...] | None) -> None:
    assert chosen_classes(keep, drop, ["cat", "dog", "owl"], 3) == chosen


def test_a_name_of_several_classes_means_all_of_them() -> None:
    names = ["cat", "dog", "cat", "7"]
    assert chosen_classes(["cat"], [], names, 4) == (0, 2) and chosen_classes([], ["cat", 3], names, 4) == (1,)
    assert chosen_classes(["7"], [], names, 9) == (3,) and chosen_classes([7], [], names, 9) == (7,)
    with pytest.raises(UsageError, match="there is no class 'cat'"):
        chosen_classes(["cat"], [], ["dog", "cat"], 1)


@pytest.mark.parametrize(("keep", "drop", "said"), [
    (["dgo"], [], r"no class 'dgo' \(did you mean 'dog'\?\)"), ([], [3], "no class 3: the numbers are 0 to 2"),
    (["dog"], ["1"], "no class is left"), ([], ["-1"], "no class '-1'")])
def test_classes_that_do_not_exist(keep: Sequence[str | int], drop: Sequence[str | int], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        chosen_classes(keep, drop, ["cat", "dog", "owl"], 3)


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_box_that_is_not_finite_is_left_out() -> None:
    net = runner.load(ROOT / "cfg/scenes.cfg")
    heads = detection_heads(net.layers)
    outputs = {index: np.full((1, *net.layers[index].out_shape), .9, np.float32) for index in heads}
    count = len(predict_boxes(net.layers, outputs, (96, 96), nms=0).rows())
    outputs[heads[0]][0, 2, 0, 0] = 1000        # log of a width
    rows = predict_boxes(net.layers, outputs, (96, 96), nms=0).rows()
    assert np.isfinite(rows).all() and len(rows) == count - 10      # classes
