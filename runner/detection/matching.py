"""Which boxes of an image are correct, and what the others are instead: one by one, and as a confusion matrix.

Correct boxes are those that `darknet_precision` counts.  Each wrong box is then paired with a missed object of another
class that it overlaps, if there is one, the pairs with the highest IoU first; without one, it is on background.

Boxes, truth and crowds are rows as in runner.detection.map.
"""
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from runner.detection.map import of_each_class, overlap_table


@dataclass(frozen=True)
class BoxMatches:
    """The m boxes of an image above a confidence, by falling confidence, and its k objects.

    boxes    (m, 6) rows class, confidence, x, y, w, h
    truth    (k, 5) rows x, y, w, h, class
    objects  (m,) the object of each box, -1: none; a box of another class than its object is wrong
    overlap  (m,) IoU with that object; 0 without one
    ignored  (m,) bool: boxes that do not count, in a crowd
    """
    boxes: np.ndarray
    truth: np.ndarray
    objects: np.ndarray
    overlap: np.ndarray
    ignored: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        """(m,) bool: boxes with an object of their class."""
        return (self.objects >= 0) & (self.boxes[:, 0] == self._classes_of_objects())

    @property
    def wrong(self) -> np.ndarray:
        """(m,) bool: boxes that count and are not correct."""
        return ~self.correct & ~self.ignored

    @property
    def missed(self) -> np.ndarray:
        """(k,) bool: objects without a correct box."""
        missed = np.ones(len(self.truth), bool)
        missed[self.objects[self.correct]] = False
        return missed

    @property
    def unseen(self) -> np.ndarray:
        """(k,) bool: objects without any box, of any class."""
        unseen = np.ones(len(self.truth), bool)
        unseen[self.objects[self.objects >= 0]] = False
        return unseen

    def duplicates(self, overlap: float) -> tuple[np.ndarray, np.ndarray]:
        """Wrong boxes on background that are close to an object, which has a box already -> for each box that object,
        -1: not such a box, and their IoU (m,)."""
        table = np.append(overlap_table(self.boxes, self.truth), np.zeros((len(self.boxes), 1)), axis=1)
        near, iou = table.argmax(axis=1), table.max(axis=1)
        chosen = self.wrong & (self.objects < 0) & (iou > overlap)
        return np.where(chosen, near, -1), np.where(chosen, iou, 0)

    def _classes_of_objects(self) -> np.ndarray:
        """(m,) the class of the object of each box; -1 without one."""
        return np.append(self.truth[:, 4], -1)[self.objects]


def match_boxes(boxes: np.ndarray, truth: np.ndarray, crowd: np.ndarray | None = None, *, overlap: float = 0.5,
                confidence: float = 0.25) -> BoxMatches:
    """The boxes of an image above the confidence, with the objects they are on."""
    boxes = boxes[boxes[:, 1] > confidence]
    boxes = boxes[np.argsort(-boxes[:, 1], kind="stable")]
    crowd = np.zeros((0, 5)) if crowd is None else crowd
    objects, close_by = np.full(len(boxes), -1), np.zeros(len(boxes))
    ignored = np.zeros(len(boxes), bool)
    for index, mine, theirs, many in of_each_class(boxes, truth, crowd):
        places, goals = np.flatnonzero(boxes[:, 0] == index), np.flatnonzero(truth[:, 4] == index)
        near = np.zeros(len(mine), bool)
        if len(goals):
            table = overlap_table(mine, theirs)
            goal, best = table.argmax(axis=1), table.max(axis=1)
            near = best > overlap
            first = np.flatnonzero(near)[np.unique(goal[near], return_index=True)[1]]
            objects[places[first]], close_by[places[first]] = goals[goal[first]], best[first]
        ignored[places] = ~near & (overlap_table(mine, many) > overlap).any(axis=1)
    _pair_others(boxes, truth, objects, close_by, ignored, overlap)
    return BoxMatches(boxes, truth, objects, close_by, ignored)


def _pair_others(boxes: np.ndarray, truth: np.ndarray, objects: np.ndarray, close_by: np.ndarray, ignored: np.ndarray,
                 overlap: float) -> None:
    """Pair the wrong boxes with missed objects of other classes: fills in objects and close_by."""
    left = np.flatnonzero((objects < 0) & ~ignored)
    missed = np.setdiff1d(np.arange(len(truth)), objects)
    if not len(left) or not len(missed):
        return
    table = overlap_table(boxes[left], truth[missed])
    table[boxes[left, 0][:, None] == truth[missed, 4]] = 0
    while table.max() > overlap:
        box, goal = np.unravel_index(table.argmax(), table.shape)
        objects[left[box]], close_by[left[box]] = missed[goal], table[box, goal]
        table[box], table[:, goal] = 0, 0


def confusion_matrix(matches: Iterable[BoxMatches], classes: int) -> np.ndarray:
    """(classes + 1, classes + 1): [i, j] counts objects of class i with a box of class j.  The last column counts the
    objects without a box, the last row the boxes on background; these include further boxes of a found object.

    The diagonal counts the correct boxes.  A row adds up to the objects of its class, a column to the boxes of its
    class that count.
    """
    counts = np.zeros((classes + 1, classes + 1), int)
    for one in matches:
        kept = ~one.ignored
        truth = np.append(one.truth[:, 4], classes).astype(int)
        actual, predicted = truth[one.objects[kept]], one.boxes[kept, 0].astype(int)
        known = predicted < classes
        np.add.at(counts, (actual[known], predicted[known]), 1)
        missed = one.unseen.copy()
        missed[one.objects[kept][~known & (one.objects[kept] >= 0)]] = True   # its box is of a class without a column
        np.add.at(counts, (one.truth[missed, 4].astype(int), classes), 1)
    return counts
