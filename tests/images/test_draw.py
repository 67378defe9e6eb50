"""Boxes and labels drawn on images."""
import numpy as np

from runner.images.draw import colour, draw_boxes


def test_labels_stay_within_the_image() -> None:
    image = draw_boxes(np.zeros((3, 30, 50), np.float32), [("a long name", 0, 1.0, (-20, -20, 70, 60))])
    assert image.size == (50, 30) and np.asarray(image).any()


def test_labels_do_not_cover_one_another() -> None:
    """Two boxes in one place: both labels can be read, that is, both colours fill a label's area."""
    grey = np.full((3, 120, 160), .5, "f4")
    both = np.asarray(draw_boxes(grey, [("cat", 0, .9, (20, 40, 90, 100)), ("dog", 1, .8, (20, 40, 90, 100))]))
    areas = [int((both == colour(kind)).all(axis=-1).sum()) for kind in (0, 1)]
    single = np.asarray(draw_boxes(grey, [("cat", 0, .9, (20, 40, 90, 100))]))
    assert min(areas) > .6 * (single == colour(0)).all(axis=-1).sum()
