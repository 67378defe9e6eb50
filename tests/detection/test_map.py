"""Average precision on cases small enough to be counted by hand, and against COCO's own code where it is installed."""
import numpy as np
import pytest

from runner.detection import coco_precision, darknet_precision, recall_curves
from tests import pycoco

A, B = [.2, .2, .2, .2], [.7, .7, .2, .2]


def near(box: list[float], shift: float) -> list[float]:
    return [box[0] + shift * box[2], *box[1:]]


def found(*rows: tuple[int, float, list[float]]) -> np.ndarray:
    return np.array([[kind, p, *box] for kind, p, box in rows]).reshape(-1, 6)


def truth(*rows: tuple[list[float], int]) -> np.ndarray:
    return np.array([[*box, kind] for box, kind in rows]).reshape(-1, 5)


def test_all_found_is_one_and_nothing_found_is_nothing() -> None:
    boxes, rows = found((0, .9, A), (1, .8, B)), truth((A, 0), (B, 1))
    assert darknet_precision([boxes], [rows], 2).mean == 1 and coco_precision([boxes], [rows], 2).mean == 1
    empty = darknet_precision([found()], [rows], 2)
    assert empty.mean == 0 and empty.false_negatives == 2 and empty.f1 == 0
    assert coco_precision([found()], [rows], 2).mean == 0


def test_wrong_box_before_a_right_one() -> None:
    """Ranks: wrong, right, right of 3 truths -> precision 0, 1/2, 2/3 at recall 0, 1/3, 2/3."""
    far = [.5, .1, .1, .1]
    boxes, rows = found((0, .9, far), (0, .8, A), (0, .3, B)), truth((A, 0), (B, 0), ([.1, .9, .1, .1], 0))
    got = darknet_precision([boxes], [rows], 1, confidence=.5)
    np.testing.assert_allclose(got.per_class, 2 / 3 * 2 / 3)
    assert (got.true_positives, got.false_positives, got.false_negatives) == (1, 1, 2)
    assert got.mean_overlap == pytest.approx(.5) and got.best_threshold == .3
    assert got.precision == .5 and got.recall == pytest.approx(1 / 3) and got.f1 == pytest.approx(.4)
    # 11 points: recalls 0 to .6 are reached with precision 2/3
    assert darknet_precision([boxes], [rows], 1, points=11).mean == pytest.approx(7 / 11 * 2 / 3)
    assert coco_precision([boxes], [rows], 1).at_half == pytest.approx(67 / 101 * 2 / 3)


def test_area_under_the_curve() -> None:
    """Right, wrong, right of 2: half of the recall at precision 1, half at 2/3.  What follows the last right box, and
    truths never found, add nothing."""
    boxes, rows = found((0, .9, A), (0, .8, [.5, .1, .1, .1]), (0, .7, B)), truth((A, 0), (B, 0))
    assert darknet_precision([boxes], [rows], 1).mean == pytest.approx(.5 + .5 * 2 / 3)
    boxes = found((0, .9, A), (0, .7, B), (0, .6, [.5, .1, .1, .1]))
    rows = truth((A, 0), (B, 0), ([.1, .9, .1, .1], 0))
    assert darknet_precision([boxes], [rows], 1).mean == pytest.approx(2 / 3)


def test_recall_curves() -> None:
    """The ranks of test_wrong_box_before_a_right_one, and a class of which nothing was found."""
    boxes = found((0, .9, [.5, .1, .1, .1]), (0, .8, A), (0, .3, B))
    rows = truth((A, 0), (B, 0), ([.1, .9, .1, .1], 0), (A, 1))
    (recall, precision), (none, _) = recall_curves([boxes], [rows], 2)
    np.testing.assert_allclose(recall, [0, 1 / 3, 2 / 3])
    np.testing.assert_allclose(precision, [0, 1 / 2, 2 / 3])
    assert not len(none)


def test_second_box_of_one_truth_is_wrong() -> None:
    boxes, rows = found((0, .9, A), (0, .8, near(A, .05))), truth((A, 0), (B, 0))
    got = darknet_precision([boxes], [rows], 1)
    assert (got.true_positives, got.false_positives, got.false_negatives) == (1, 1, 1)
    # darknet matches a truth with the most confident box only; COCO lets the second try another truth, but none is near
    assert coco_precision([boxes], [rows], 1).at_half == pytest.approx(51 / 101)


def test_overlap_decides_by_steps_in_coco() -> None:
    """A shift by x of the width has IoU (1 - x) / (1 + x): .1 -> .818, right at .5 to .8 only."""
    got = coco_precision([found((0, .9, near(A, .1)))], [truth((A, 0))], 1)
    np.testing.assert_array_equal(got.per_class[0], [1] * 7 + [0] * 3)
    assert darknet_precision([found((0, .9, near(A, .1)))], [truth((A, 0))], 1, overlap=.85).mean == 0


def test_a_class_that_never_occurs() -> None:
    """Darknet counts it as 0, COCO leaves it out."""
    boxes, rows = [found((0, .9, A), (1, .4, A))], [truth((A, 0))]
    assert darknet_precision(boxes, rows, 3).mean == pytest.approx(1 / 3)
    assert coco_precision(boxes, rows, 3).mean == 1


def test_pictures_do_not_share_truths_and_their_order_does_not_matter() -> None:
    boxes = [found((0, .9, A)), found((0, .8, A), (0, .7, B)), found()]
    rows = [truth((A, 0)), truth((B, 0)), truth((A, 0))]
    one, other = (darknet_precision(boxes[::s], rows[::s], 1) for s in (1, -1))
    assert one.mean == other.mean and one.true_positives == 2


@pytest.mark.parametrize("crowded", [False, True])
def test_as_pycocotools(crowded: bool) -> None:
    rng = np.random.default_rng(0)
    rows = [np.concatenate([rng.uniform(20, 80, (n, 2)), rng.uniform(5, 40, (n, 2)), rng.integers(0, 3, (n, 1))], 1)
            for n in rng.integers(0, 6, 12)]
    boxes = []
    for each in rows:
        again = np.repeat(each, 3, axis=0)
        again[:, :4] += rng.normal(0, 1.5, (len(again), 4)).clip(-4, 4)
        boxes.append(np.concatenate([again[:, 4:], rng.uniform(0, 1, (len(again), 1)), again[:, :4]], axis=1))
    crowds = [each[:1] * [1, 1, 1.5, 1.5, 1] for each in rows] if crowded else []
    if crowded:     # the first object of every image is a crowd, larger than the boxes inside it
        rows = [each[1:] for each in rows]
    ours = coco_precision(boxes, rows, 3, crowds)
    mean, half = pycoco.stats(boxes, rows, 3, crowds)
    assert ours.mean == pytest.approx(mean, abs=1e-9) and ours.at_half == pytest.approx(half, abs=1e-9)


def test_what_lies_in_a_crowd_is_not_counted() -> None:
    """A box on nothing but a crowd is neither right nor wrong; one on a truth is right, crowd or not."""
    far = [.5, .1, .1, .1]
    boxes, rows = found((0, .9, far), (0, .8, A)), truth((A, 0))
    wrong, left_out = darknet_precision([boxes], [rows], 1), darknet_precision([boxes], [rows], 1,
                                                                               crowds=[truth((far, 0), (A, 0))])
    assert (wrong.mean, wrong.false_positives) == (.5, 1)
    assert (left_out.mean, left_out.true_positives, left_out.false_positives) == (1, 1, 0)
    assert darknet_precision([boxes], [rows], 2, crowds=[truth((far, 1))]).false_positives == 1, "of another class"
    assert coco_precision([boxes], [rows], 1).at_half == pytest.approx(.5)
    # COCO: a crowd may be much larger than the box inside it
    assert coco_precision([boxes], [rows], 1, [truth(([.5, .2, .6, .4], 0))]).at_half == 1
    assert coco_precision([boxes], [rows], 1, [truth(([.6, .1, .1, .1], 0))]).at_half == pytest.approx(.5)
