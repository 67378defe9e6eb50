"""Correct, wrong and missed boxes on cases that are counted by hand, and against the counts of average precision."""
import numpy as np
import pytest

from runner.detection import confusion_matrix, darknet_precision, f1_curves, match_boxes
from tests.detection.test_map import A, B, found, near, truth

FAR = [.5, .1, .1, .1]


def test_correct_wrong_and_missed() -> None:
    """A cat that is found twice, a dog that is called a cat, a box on background, a bird without a box."""
    boxes = found((0, .7, near(A, .1)), (0, .9, A), (0, .8, B), (1, .6, FAR), (2, .1, FAR))
    rows = truth((A, 0), (B, 1), ([.1, .9, .1, .1], 2))
    one = match_boxes(boxes, rows)
    assert one.boxes[:, 1].tolist() == [.9, .8, .7, .6] and one.objects.tolist() == [0, 1, -1, -1]
    assert one.correct.tolist() == [True, False, False, False] and one.wrong.tolist() == [False, True, True, True]
    assert one.missed.tolist() == [False, True, True] and one.unseen.tolist() == [False, False, True]
    assert one.duplicates(.5)[0].tolist() == [-1, -1, 0, -1] and one.duplicates(.5)[1][2] == pytest.approx(.9 / 1.1)
    assert one.overlap.tolist() == pytest.approx([1, 1, 0, 0])
    assert confusion_matrix([one], 3).tolist() == [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [1, 1, 0, 0]]


def test_a_crowd_and_an_empty_image() -> None:
    one = match_boxes(found((0, .9, A), (1, .8, A)), truth(), truth((A, 0)))
    assert one.ignored.tolist() == [True, False] and one.wrong.tolist() == [False, True]
    empty = match_boxes(found(), truth())
    assert confusion_matrix([one, empty, match_boxes(found(), truth((A, 1)))], 2).tolist() == [
        [0, 0, 0], [0, 0, 1], [0, 1, 0]]


def test_a_box_of_a_class_that_the_data_does_not_have() -> None:
    """The object is one without a box of a known class."""
    one = match_boxes(found((5, .9, A)), truth((A, 0)))
    assert one.wrong.all() and confusion_matrix([one], 2).tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("seed", range(4))
def test_it_counts_as_average_precision_does(seed: int) -> None:
    """Random boxes in crowded images: the same number of correct, wrong and missed ones, and sums of rows and columns
    that are those of the objects and the boxes."""
    rng, classes = np.random.default_rng(seed), 3
    images = []
    for _ in range(12):
        objects = np.column_stack([rng.uniform(.2, .8, (6, 2)), rng.uniform(.2, .5, (6, 2)),
                                   rng.integers(0, classes, 6)])
        boxes = np.column_stack([rng.integers(0, classes, 9), rng.random(9),
                                 objects[rng.integers(0, 6, 9), :4] + rng.normal(0, .03, (9, 4))])
        crowd = np.column_stack([rng.uniform(.2, .8, (2, 2)), rng.uniform(.2, .5, (2, 2)), [0, 1]])
        images.append((boxes, objects, crowd))
    all_boxes, all_objects, crowds = zip(*images, strict=True)
    for overlap, confidence in ((.5, .25), (.3, .6)):
        matches = [match_boxes(*image, overlap=overlap, confidence=confidence) for image in images]
        want = darknet_precision(all_boxes, all_objects, classes, overlap=overlap, confidence=confidence,
                                 crowds=crowds)
        matrix = confusion_matrix(matches, classes)
        assert sum(int(one.correct.sum()) for one in matches) == np.trace(matrix) == want.true_positives > 0
        assert sum(int(one.wrong.sum()) for one in matches) == want.false_positives
        assert sum(int(one.missed.sum()) for one in matches) == want.false_negatives
        assert matrix[:-1].sum(axis=1).tolist() == want.truths.tolist()
        assert matrix[:, :-1].sum() == want.true_positives + want.false_positives
        assert matrix[0, 1] + matrix[1, 0] > 0, "no confusion in the example"
        confidences, f1 = f1_curves(all_boxes, all_objects, classes, overlap=overlap, crowds=crowds)
        place = int(np.argmin(abs(confidences - confidence)))
        assert f1[-1, place] == pytest.approx(want.f1)
        tp, n, k = np.diag(matrix)[:-1], matrix[:, :-1].sum(axis=0), matrix[:-1].sum(axis=1)
        np.testing.assert_allclose(f1[:-1, place], 2 * tp / (n + k))
