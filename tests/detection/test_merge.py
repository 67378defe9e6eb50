"""Boxes of several views become one list: what is cut, what another tile sees better, what belongs together."""
import numpy as np
import pytest

from runner.detection.merge import MERGES, cut_sides, merge_boxes, seen_better
from runner.errors import UsageError
from runner.images.box_format import convert

SIZE = np.array([300, 100])
TILES = np.array([[0, 0, 120, 100], [90, 0, 210, 100], [180, 0, 300, 100]])
MARGIN = np.array([3, 3])


def rows(*boxes: tuple[float, ...]) -> np.ndarray:
    """class, confidence, left, top, right, bottom -> rows as PredictedBoxes has them."""
    table = np.array(boxes, float)
    return np.concatenate([table[:, :2], convert(table[:, 2:], "xyxy", "cxcywh")], axis=1)


def corners(found: np.ndarray) -> list[list[float]]:
    boxes: list[list[float]] = np.round(convert(found[:, 2:], "cxcywh", "xyxy"), 6).tolist()
    return boxes


def sides(*names: str) -> np.ndarray:
    return np.array([[letter in name for letter in "ltrb"] for name in names])


def test_what_is_cut() -> None:
    boxes = np.array([[10, 10, 50, 50], [100, 0, 118, 50], [-2, 40, 125, 100]])
    np.testing.assert_array_equal(cut_sides(boxes, TILES[0], SIZE, MARGIN), sides("", "r", "r"))
    moved = boxes + np.array([82, 0, 82, 0])
    np.testing.assert_array_equal(cut_sides(moved, TILES[1], SIZE, MARGIN), sides("l", "", "lr"))


def test_what_another_tile_sees_better() -> None:
    """Both end at the right edge of the first tile; the second tile has all of the first box, not of the second."""
    boxes = np.array([[100, 20, 120, 50], [80, 20, 120, 50], [100, 20, 110, 50]])
    cut = cut_sides(boxes, TILES[0], SIZE, MARGIN)
    np.testing.assert_array_equal(cut, sides("r", "r", ""))
    np.testing.assert_array_equal(seen_better(boxes, cut, 0, TILES, SIZE, MARGIN), [True, False, False])


def test_a_box_that_is_cut_in_both_tiles_is_kept() -> None:
    """It fills the strip that both have: neither sees all of it."""
    for own, box in ((0, [88, 20, 122, 50]), (1, [88, 20, 121, 50])):
        boxes = np.array([box])
        cut = cut_sides(boxes, TILES[own], SIZE, MARGIN)
        assert cut.any() and not seen_better(boxes, cut, own, TILES, SIZE, MARGIN).any()


@pytest.mark.parametrize("merge", MERGES)
def test_a_part_belongs_to_the_whole_object(merge: str) -> None:
    """The part has a higher confidence, which the object gets; its IoU with the whole is .3."""
    found = merge_boxes(rows((1, .9, 100, 20, 120, 60), (1, .6, 100, 20, 166, 60)), sides("r", ""), np.array([1, 2]),
                        merge=merge)
    assert corners(found) == [[100, 20, 166, 60]] and found[0, :2].tolist() == [1, .9]


def test_parts_become_the_object() -> None:
    """A bar over three tiles: the parts share 30 pixels of 40, 120 and 40; and an object in the middle of it."""
    parts = rows((0, .7, 80, 20, 120, 60), (0, .8, 90, 20, 210, 60), (0, .9, 180, 20, 220, 60),
                 (0, .5, 140, 30, 160, 50))
    cut, views = sides("r", "lr", "l", ""), np.array([1, 2, 3, 2])
    found = merge_boxes(parts, cut, views, merge="nmm")
    # the small object comes first, being whole, and is of the tile of the middle part
    assert corners(found) == [[80, 20, 220, 60], [140, 30, 160, 50]] and found[:, 1].tolist() == [.9, .5]
    assert len(merge_boxes(parts[:3], cut[:3], views[:3], merge="nms")) == 2      # the best part, and what is left
    assert corners(merge_boxes(parts[:3], cut[:3], views[:3], merge="wbf")) == [[80, 20, 220, 60]]


def test_parts_beyond_the_edge_are_joined_where_they_cover_little_of_each_other() -> None:
    """100 pixels each, of which they share 30; what lies elsewhere along the edge, or is cut there too, is not."""
    def count(box: tuple[float, ...], cut: str) -> int:
        return len(merge_boxes(rows((0, .9, 20, 20, 120, 60), (0, .8, *box)), sides("r", cut), np.array([1, 2])))
    assert count((90, 22, 190, 64), "l") == 1
    assert count((90, 50, 190, 92), "l") == 2       # a quarter of its height beside the other
    assert count((90, 22, 190, 64), "r") == 2
    assert count((121, 22, 190, 64), "l") == 2      # they do not meet


def test_whole_objects_are_compared_by_iou() -> None:
    large, inside, same = (0, .9, 10, 10, 90, 90), (0, .8, 20, 20, 60, 60), (0, .7, 12, 10, 92, 90)
    found = merge_boxes(rows(large, inside, same), sides("", "", ""), np.array([0, 1, 2]))
    assert found[:, 1].tolist() == [.9, .8]
    assert len(merge_boxes(rows(large, same), sides("", ""), np.array([1, 1]))) == 2      # of one view
    assert len(merge_boxes(rows(large, same), sides("", ""), np.array([0, 1]), nms=.99)) == 2


def test_weighted_boxes() -> None:
    found = merge_boxes(rows((0, .9, 10, 10, 50, 50), (0, .3, 14, 10, 54, 50), (0, .8, 10, 10, 49, 50)),
                        sides("", "", "r"), np.array([0, 1, 2]), merge="wbf")
    assert corners(found) == [[11, 10, 51, 50]] and found[0, 1] == .9       # the cut box has no weight


def test_classes() -> None:
    boxes = rows((2, .9, 10, 10, 50, 50), (1, .8, 11, 10, 50, 50), (1, .7, 70, 10, 90, 50))
    found = merge_boxes(boxes, sides("", "", ""), np.array([0, 1, 0]))
    assert found[:, :2].tolist() == [[1, .8], [1, .7], [2, .9]]
    found = merge_boxes(boxes, sides("", "", ""), np.array([0, 1, 0]), agnostic=True)
    assert found[:, :2].tolist() == [[1, .7], [2, .9]]


def test_nothing_and_nonsense() -> None:
    empty = np.zeros((0, 6)), np.zeros((0, 4), bool), np.zeros(0, int)
    assert merge_boxes(*empty).shape == (0, 6)
    with pytest.raises(UsageError, match=r"merge must be one of nmm, nms, wbf\. Got 'wfb' "):
        merge_boxes(*empty, merge="wfb")
