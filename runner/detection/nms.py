"""Non-maximum suppression  (src/box.c: do_nms_sort, do_nms_obj, diounms_sort)."""
from collections.abc import Callable

import numpy as np

from runner import ops
from runner.errors import UsageError, did_you_mean

# the values of nms_kind= in a cfg, what only options ask for, and short forms
KINDS = {"default": "sort", "sort": "sort", "iou": "sort", "obj": "obj", "greedynms": "greedy", "greedy": "greedy",
         "diounms": "diou", "diou": "diou", "cornersnms": "corners", "corners": "corners",
         "soft": "soft", "soft-linear": "soft-linear"}
SIGMA = 0.5             # of Gaussian soft-NMS, as in the paper
Similarity = Callable[[np.ndarray, np.ndarray], np.ndarray]


def suppress(boxes: np.ndarray, objectness: np.ndarray, probability: np.ndarray, thresh: float = 0.45,
             kind: str = "sort", beta: float = 0.6, *, agnostic: bool = False,
             lowest: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """-> objectness (k,), probability (k, classes), with zeros for boxes that are suppressed by a better one.

    boxes (k, 4) centre x, y, w, h in any unit.  kind:
      sort, iou, corners  class by class, by falling probability: a box whose IoU with a kept one is above thresh is
                     suppressed
      greedy         the same with DIoU (exponent 0.6), which darknet calls greedynms
      diou           the same with DIoU of exponent `beta` (Zheng et al. 2020, "Distance-IoU loss"; there it is 1)
      obj            by objectness, all classes of a box at once
      soft           no box is removed: each kept one multiplies the probability of the others of its class by
                     exp(-IoU^2 / 0.5); those below `lowest` are then left out (Bodla et al. 2017, "Soft-NMS")
      soft-linear    the same with the factor 1 - IoU, where the IoU is above thresh
    agnostic: a box keeps only its most probable class, and boxes of all classes suppress each other.
    UsageError for another kind.
    """
    kind = require_kind(kind)
    objectness, probability = objectness.copy(), probability.copy()
    if kind == "obj":
        suppressed = ~_kept(boxes, objectness, thresh, similarity(kind, beta))
        objectness[suppressed] = 0
        probability[suppressed] = 0
        return objectness, probability
    if agnostic and probability.size:
        best = probability.max(axis=1, keepdims=True)
        column = _suppressed_column(boxes, np.where(objectness != 0, best[:, 0], 0), thresh, kind, beta, lowest)
        first = np.arange(probability.shape[1]) == probability.argmax(axis=1)[:, None]
        return objectness, np.where(first, column[:, None], 0)
    for column in probability.T:
        alive = np.where(objectness != 0, column, 0)
        if kind.startswith("soft"):
            column[alive > 0] = _suppressed_column(boxes, alive, thresh, kind, beta, lowest)[alive > 0]
        else:
            column[(alive > 0) & ~_kept(boxes, alive, thresh, similarity(kind, beta))] = 0
    return objectness, probability


def require_kind(kind: str) -> str:
    """The kind that a name of KINDS means.  UsageError for another name."""
    if kind not in KINDS:
        raise UsageError(f"nms kind must be one of {', '.join(KINDS)}. Got {kind!r}{did_you_mean(str(kind), KINDS)}")
    return KINDS[kind]


def similarity(kind: str, beta: float) -> Similarity:
    """How a kind compares a box (4,) with others (k, 4) -> (k,)."""
    if kind == "diou":
        return lambda one, others: ops.diounms(others, one, beta)
    if kind == "greedy":
        return lambda one, others: ops.diou(others, one)
    return lambda one, others: ops.iou(others, one)


def soft_suppress(boxes: np.ndarray, score: np.ndarray, thresh: float = 0.45, *, linear: bool = False,
                  lowest: float = 0.0) -> np.ndarray:
    """Soft-NMS (Bodla et al. 2017) of boxes of one class: boxes (k, 4), score (k,) -> (k,), none higher than before.

    Each box, by falling score, multiplies the scores of those after it by exp(-IoU^2 / 0.5), or, linear, by 1 - IoU
    where the IoU is above thresh.  A score below `lowest` becomes 0.
    """
    result = np.where(score > 0, score, 0)
    left = np.flatnonzero(result > 0)
    while len(left):
        at = int(result[left].argmax())
        first, left = left[at], np.delete(left, at)
        overlap = ops.iou(boxes[left], boxes[first])
        decay = np.where(overlap > thresh, 1 - overlap, 1) if linear else np.exp(-overlap ** 2 / SIGMA)
        result[left] *= decay.astype(result.dtype)
        left = left[result[left] >= max(lowest, np.finfo(result.dtype).tiny)]
    result[result < lowest] = 0
    return result


def highest(probability: np.ndarray, count: int) -> np.ndarray:
    """probability (k, classes) with only its `count` highest values left, the others 0."""
    if np.count_nonzero(probability > 0) <= count:
        return probability
    order = np.argsort(-probability, axis=None, kind="stable")
    result = probability.copy()
    result.reshape(-1)[order[count:]] = 0
    return result


def _suppressed_column(boxes: np.ndarray, score: np.ndarray, thresh: float, kind: str, beta: float,
                       lowest: float) -> np.ndarray:
    """The scores (k,) of boxes that compete with each other, after suppression."""
    if kind.startswith("soft"):
        return soft_suppress(boxes, score, thresh, linear=kind == "soft-linear", lowest=lowest)
    return np.where(_kept(boxes, score, thresh, similarity(kind, beta)), score, 0)


def _kept(boxes: np.ndarray, score: np.ndarray, thresh: float, similar: Similarity) -> np.ndarray:
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
