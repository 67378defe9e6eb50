"""Non-maximum suppression  (src/box.c: do_nms_sort, do_nms_obj, diounms_sort)."""
from collections.abc import Callable

import numpy as np

from runner import ops
from runner.errors import UsageError, did_you_mean

# the values of nms_kind= in a cfg, and short forms
KINDS = {"default": "sort", "sort": "sort", "obj": "obj", "greedynms": "greedy", "greedy": "greedy",
         "diounms": "diou", "diou": "diou", "cornersnms": "corners", "corners": "corners"}


def suppress(boxes: np.ndarray, objectness: np.ndarray, probability: np.ndarray, thresh: float = 0.45,
             kind: str = "sort", beta: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """-> objectness (k,), probability (k, classes), with zeros for boxes that are suppressed by a better one.

    boxes (k, 4) centre x, y, w, h in any unit.  kind:
      sort, corners  class by class, by falling probability: a box whose IoU with a kept one is above thresh is
                     suppressed
      greedy         the same with DIoU (exponent 0.6), which darknet calls greedynms
      diou           the same with DIoU of exponent `beta`
      obj            by objectness, all classes of a box at once
    UsageError for another kind.
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
        suppressed = ~_kept(boxes, objectness, thresh, similar)
        objectness[suppressed] = 0
        probability[suppressed] = 0
        return objectness, probability
    for column in probability.T:
        alive = np.where(objectness != 0, column, 0)
        column[(alive > 0) & ~_kept(boxes, alive, thresh, similar)] = 0
    return objectness, probability


def _kept(boxes: np.ndarray, score: np.ndarray, thresh: float, similar: Callable) -> np.ndarray:
    """Which boxes (k,) are kept, by falling score; those with a score of 0 are not.

    Scores can be negative: the objectness of a [detection] head is unbounded.
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
