"""Suppression of boxes that say the same thing twice  (src/box.c: do_nms_sort, do_nms_obj, diounms_sort)."""
from collections.abc import Callable

import numpy as np

from runner import ops
from runner.errors import UsageError, did_you_mean

# the words of a cfg's nms_kind=, and shorter ones
KINDS = {"default": "sort", "sort": "sort", "obj": "obj", "greedynms": "greedy", "greedy": "greedy",
         "diounms": "diou", "diou": "diou", "cornersnms": "corners", "corners": "corners"}


def suppress(boxes: np.ndarray, objectness: np.ndarray, probability: np.ndarray, thresh: float = 0.45,
             kind: str = "sort", beta: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """-> objectness (k,), probability (k, classes), with zeros where a better box was too similar.

    boxes (k, 4) centre x, y, w, h in any one unit.  kind:
      sort, corners  class by class, from the most probable down: IoU above thresh with a kept box goes
      greedy         the same with DIoU (exponent 0.6), which darknet calls greedynms
      diou           the same with DIoU of exponent `beta`
      obj            by objectness, all classes of a box at once
    """
    if kind not in KINDS:
        raise UsageError(f"nms kind must be one of {', '.join(KINDS)}. Got {kind!r}{did_you_mean(kind, KINDS)}")
    kind = KINDS[kind]
    objectness, probability = objectness.copy(), probability.copy()

    def similar(one: np.ndarray, others: np.ndarray) -> np.ndarray:
        if kind == "diou":
            return ops.diounms(others, one, beta)
        return ops.diou(others, one) if kind == "greedy" else ops.iou(others, one)

    if kind == "obj":
        gone = ~_kept(boxes, objectness, thresh, similar)
        objectness[gone] = 0
        probability[gone] = 0
        return objectness, probability
    for column in probability.T:
        alive = np.where(objectness != 0, column, 0)
        column[(alive > 0) & ~_kept(boxes, alive, thresh, similar)] = 0
    return objectness, probability


def _kept(boxes: np.ndarray, score: np.ndarray, thresh: float, similar: Callable) -> np.ndarray:
    """Which boxes (k,) survive, taken from the highest score down; those of score 0 do not.

    Scores can be negative: the objectness of a [detection] head is any number.
    """
    order = np.argsort(-score, kind="stable")
    order = order[score[order] != 0]
    kept = np.zeros(len(boxes), bool)
    while len(order):
        first, order = order[0], order[1:]
        kept[first] = True
        if len(order):
            order = order[similar(boxes[first], boxes[order]) <= thresh]
    return kept
