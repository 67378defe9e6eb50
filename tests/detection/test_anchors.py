"""k-means over the sizes of boxes."""
import numpy as np
import pytest

from runner.detection import kmeans_anchors, shape_iou
from runner.errors import DataError
from runner.training.suggest_anchors import rounded


def cloud(rng: np.random.Generator, *centres: tuple[float, float], each: int = 60) -> np.ndarray:
    return np.concatenate([np.array(centre) * rng.uniform(.9, 1.1, (each, 2)) for centre in centres])


def test_it_finds_the_groups_there_are() -> None:
    boxes = cloud(np.random.default_rng(0), (100, 50), (10, 12), (30, 90))
    found = kmeans_anchors(boxes, 3)
    np.testing.assert_allclose(found.sizes, [boxes[60:120].mean(0), boxes[120:].mean(0), boxes[:60].mean(0)])
    assert (found.members == np.repeat([2, 0, 1], 60)).all()
    assert found.overlap == pytest.approx(shape_iou(boxes, found.sizes).max(axis=1).mean())


def test_shape_iou_by_hand() -> None:
    np.testing.assert_allclose(shape_iou(np.array([[2., 4.]]), np.array([[2., 2.], [4., 4.], [2., 4.]])), [[.5, .5, 1]])


def test_the_same_seed_the_same_anchors_and_more_of_them_fit_better() -> None:
    boxes = np.random.default_rng(3).lognormal(3, .6, (400, 2))
    one, again = kmeans_anchors(boxes, 5, seed=2), kmeans_anchors(boxes, 5, seed=2)
    np.testing.assert_array_equal(one.sizes, again.sizes)
    assert kmeans_anchors(boxes, 9).overlap > one.overlap > kmeans_anchors(boxes, 2).overlap
    assert (np.diff(one.sizes.prod(axis=1)) > 0).all()
    # each anchor is the mean of the boxes nearest to it, and no other start did better by much
    for k in range(5):
        np.testing.assert_allclose(one.sizes[k], boxes[one.members == k].mean(axis=0))
    assert kmeans_anchors(boxes, 5, seed=9).overlap == pytest.approx(one.overlap, abs=.01)


def test_too_few_sizes() -> None:
    with pytest.raises(DataError, match=r"4 clusters .* There are 6 boxes of 2 sizes"):
        kmeans_anchors(np.array([[1., 2], [3, 4]] * 3), 4)
    assert kmeans_anchors(np.array([[1., 2], [3, 4]] * 3), 2).overlap == 1


def test_one_box() -> None:
    with pytest.raises(DataError, match=r"2 clusters .* There is 1 box of 1 size: use 1$"):
        kmeans_anchors(np.ones((1, 2)), 2)


def test_anchors_are_never_rounded_to_0() -> None:
    sizes = np.array([[.0312, .001], [.04, .27], [.96, 9.96], [10.4, 33.5]])
    assert rounded(sizes).tolist() == [[.03, .001], [.04, .3], [1, 10], [10, 34]]
