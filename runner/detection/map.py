"""Average precision of detections, as in AlexeyAB's `detector map`, and as defined by COCO.

Both take lists with one entry per image:
  found   (m, 6) rows class, probability, x, y, w, h          (PredictedBoxes.rows())
  truth   (k, 5) rows x, y, w, h, class                       (as in a dataset)
  crowds  like truth: objects that need not be found, and whose detections are not wrong (VOC's difficult, COCO's
          iscrowd); optional
with the centre x, y and in any unit.
"""
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from runner import ops
from runner.images.box_format import convert

COCO_OVERLAPS = np.linspace(.5, .95, 10)
COCO_RECALLS = np.linspace(0, 1, 101)
COCO_MOST = 100         # boxes of a class and image that count, by falling probability


@dataclass(frozen=True)
class AveragePrecision:
    """Average precision as in darknet, at one IoU threshold; the counts are at one confidence threshold."""
    per_class: np.ndarray       # (classes,) average precision; 0 for a class without ground truth
    mean: float                 # over all classes, including those without ground truth, as in darknet
    truths: np.ndarray          # (classes,) how many objects there are
    true_positives: int
    false_positives: int
    false_negatives: int
    mean_overlap: float         # mean IoU of the positives; false ones count as 0
    best_threshold: float       # the confidence with the highest F1

    @property
    def precision(self) -> float:
        return self.true_positives / max(self.true_positives + self.false_positives, 1)

    @property
    def recall(self) -> float:
        return self.true_positives / max(self.true_positives + self.false_negatives, 1)

    @property
    def f1(self) -> float:
        return 2 * self.precision * self.recall / max(self.precision + self.recall, 1e-12)


@dataclass(frozen=True)
class CocoPrecision:
    """COCO's: per_class (classes, 10) at the IoU thresholds .5, .55, ... .95; NaN for a class without ground truth."""
    per_class: np.ndarray

    @property
    def mean(self) -> float:
        """mAP@[.5:.95] over the classes with ground truth; 0 if there is none."""
        return _mean(self.per_class)

    @property
    def at_half(self) -> float:
        """mAP@.5."""
        return _mean(self.per_class[:, 0])


def darknet_precision(found: Sequence[np.ndarray], truth: Sequence[np.ndarray], classes: int, *, overlap: float = 0.5,
                      confidence: float = 0.25, points: int = 0,
                      crowds: Sequence[np.ndarray] = ()) -> AveragePrecision:
    """As src/detector.c:validate_detector_map.

    A box is matched with the object of its class that it overlaps most, if the IoU is above `overlap`; the most
    probable box of an object is a true positive, the others are false.  A box without a match that overlaps a crowd
    does not count.

    confidence  boxes above it count in precision, recall and F1
    points      0: the area under the curve; 11 or 101: the mean precision at that many recalls
    """
    k, p, hits, close_by, truths = _ranked(found, truth, classes, overlap, crowds)
    per_class = np.array([_area(hits[k == c], truths[c], points) for c in range(classes)])
    sure = p > confidence
    tp, total = int((hits & sure).sum()), int(sure.sum())
    return AveragePrecision(per_class, float(per_class.mean()) if classes else 0.0, truths, tp, total - tp,
                            int(truths.sum()) - tp, float(close_by[hits & sure].sum() / max(total, 1)),
                            _best_threshold(p, hits, int(truths.sum())))


def recall_curves(found: Sequence[np.ndarray], truth: Sequence[np.ndarray], classes: int, *, overlap: float = 0.5,
                  crowds: Sequence[np.ndarray] = ()) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each class, recall and precision after each of its boxes by falling probability; matched as in
    darknet_precision."""
    k, _, hits, _, truths = _ranked(found, truth, classes, overlap, crowds)
    return [_curve(hits[k == c], int(truths[c]))[::-1] for c in range(classes)]


def _ranked(found: Sequence[np.ndarray], truth: Sequence[np.ndarray], classes: int, overlap: float,
            crowds: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """All boxes that count, by falling probability: class, probability, true positive or not, IoU; and the number of
    objects of each class (classes,)."""
    found_classes, scores, right, overlaps = [np.zeros(0, int)], [np.zeros(0)], [np.zeros(0, bool)], [np.zeros(0)]
    truths = np.zeros(classes, int)
    for boxes, rows, crowd in zip(found, truth, _crowds(crowds, found), strict=True):
        truths += np.bincount(rows[:, 4].astype(int), minlength=classes)[:classes]
        for index, mine, theirs, many in of_each_class(boxes, rows, crowd):
            table, score = overlap_table(mine, theirs), mine[:, 1]
            hit, best = np.zeros(len(score), bool), np.zeros(len(score))
            if table.shape[1]:
                goal, best = table.argmax(axis=1), table.max(axis=1)
                close = best > overlap
                first = np.unique(goal[close], return_index=True)[1]
                hit[np.flatnonzero(close)[first]] = True
            counts = (best > overlap) | ~(overlap_table(mine, many) > overlap).any(axis=1)
            found_classes.append(np.full(int(counts.sum()), index))
            scores.append(score[counts])
            right.append(hit[counts])
            overlaps.append(best[counts])
    k, p, hits, close_by = (np.concatenate(each) for each in (found_classes, scores, right, overlaps))
    order = np.argsort(-p, kind="stable")
    return k[order], p[order], hits[order], close_by[order], truths


def f1_curves(found: Sequence[np.ndarray], truth: Sequence[np.ndarray], classes: int, *, overlap: float = 0.5,
              crowds: Sequence[np.ndarray] = ()) -> tuple[np.ndarray, np.ndarray]:
    """F1 of the boxes above each confidence -> the confidences (101,), 0 to 1, and F1 (classes + 1, 101), the last row
    of all classes together; matched as in darknet_precision."""
    k, p, hits, _, truths = _ranked(found, truth, classes, overlap, crowds)
    confidences = np.linspace(0, 1, 101)

    def f1(mine: np.ndarray, objects: int) -> np.ndarray:
        count = np.searchsorted(-p[mine], -confidences)         # of the boxes above each
        correct = np.append(0, np.cumsum(hits[mine]))[count]
        value: np.ndarray = 2 * correct / np.maximum(count + objects, 1)
        return value
    rows = [f1(k == c, int(truths[c])) for c in range(classes)]
    return confidences, np.array([*rows, f1(np.ones(len(k), bool), int(truths.sum()))])


def coco_precision(found: Sequence[np.ndarray], truth: Sequence[np.ndarray], classes: int,
                   crowds: Sequence[np.ndarray] = ()) -> CocoPrecision:
    """As COCO's evaluation of boxes of all areas (pycocotools, cocoeval.py).

    A box without a match does not count if a crowd covers it, by at least the IoU threshold as a share of its area.
    """
    scores: list[list[np.ndarray]] = [[] for _ in range(classes)]
    right: list[list[np.ndarray]] = [[] for _ in range(classes)]
    counted: list[list[np.ndarray]] = [[] for _ in range(classes)]
    truths = np.zeros(classes, int)
    for boxes, rows, crowd in zip(found, truth, _crowds(crowds, found), strict=True):
        truths += np.bincount(rows[:, 4].astype(int), minlength=classes)[:classes]
        for index, mine, theirs, many in of_each_class(boxes, rows, crowd):
            if index < classes:
                mine = mine[:COCO_MOST]
                hit = _matched(overlap_table(mine, theirs))
                inside = _inside(mine, many).max(axis=1, initial=0) >= COCO_OVERLAPS[:, None]
                scores[index].append(mine[:, 1])
                right[index].append(hit)
                counted[index].append(hit | ~inside)
    per_class = np.full((classes, len(COCO_OVERLAPS)), np.nan)
    for index in np.flatnonzero(truths).tolist():
        per_class[index] = 0
        if scores[index]:
            order = np.argsort(-np.concatenate(scores[index]), kind="stable")
            hits = np.concatenate(right[index], axis=1)[:, order]
            counts = np.concatenate(counted[index], axis=1)[:, order]
            per_class[index] = [_at_recalls(each[counts[t]], truths[index]) for t, each in enumerate(hits)]
    return CocoPrecision(per_class)


def _crowds(crowds: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    return crowds if len(crowds) else [np.zeros((0, 5))] * len(found)


def of_each_class(boxes: np.ndarray, rows: np.ndarray,
                   crowd: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """For each class found in an image: the class, its boxes by falling probability, its objects and its crowds."""
    for index in np.unique(boxes[:, 0]).astype(int):
        mine = boxes[boxes[:, 0] == index]
        yield (int(index), mine[np.argsort(-mine[:, 1], kind="stable")], rows[rows[:, 4] == index],
               crowd[crowd[:, 4] == index])


def overlap_table(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """IoU of every box with every object (boxes, objects)."""
    return ops.iou(mine[:, None, 2:6].astype(float), theirs[None, :, :4].astype(float))


def _inside(mine: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """The share of each box that each crowd covers (boxes, crowds), 0 to 1."""
    a = convert(mine[:, None, 2:6].astype(float), "cxcywh", "xyxy")
    b = convert(crowd[None, :, :4].astype(float), "cxcywh", "xyxy")
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    area = mine[:, None, 4:6].astype(float).prod(axis=-1)
    return np.maximum(high - low, 0).prod(axis=-1) / np.maximum(area, 1e-30)


def _matched(table: np.ndarray) -> np.ndarray:
    """COCO's matching at each IoU threshold: by falling probability, each box takes the best of the objects left
    -> (10, boxes) bool."""
    hit = np.zeros((len(COCO_OVERLAPS), len(table)), bool)
    if not table.shape[1]:
        return hit
    for t, least in enumerate(COCO_OVERLAPS):
        left = table.copy()
        for box in range(len(left)):
            best = left.shape[1] - 1 - int(left[box, ::-1].argmax())    # of equal ones the last, as in pycocotools
            if left[box, best] >= min(least, 1 - 1e-10):
                hit[t, box] = True
                left[:, best] = -1
    return hit


def _curve(hits: np.ndarray, truths: int) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall after each box, by falling probability."""
    tp = np.cumsum(hits)
    return tp / np.arange(1, len(hits) + 1), tp / max(truths, 1)


def _area(hits: np.ndarray, truths: int, points: int) -> float:
    """The average precision of one class as in darknet."""
    if not len(hits) or not truths:
        return 0.0
    precision, recall = _curve(hits, truths)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    if points:
        at = np.searchsorted(recall, np.linspace(0, 1, points) - 1e-12)
        return float(np.append(envelope, 0)[at].sum() / points)
    return float((np.diff(recall, prepend=0) * envelope).sum())


def _at_recalls(hits: np.ndarray, truths: int) -> float:
    precision, recall = _curve(hits, truths)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.append(envelope, 0)[np.searchsorted(recall, COCO_RECALLS)].mean())


def _best_threshold(scores: np.ndarray, hits: np.ndarray, truths: int) -> float:
    """The confidence at which F1 = 2 tp / (found + truths) is highest; 0 without true positives."""
    if not hits.any():
        return 0.0
    f1 = 2 * np.cumsum(hits) / (np.arange(1, len(hits) + 1) + truths)
    return float(scores[f1.argmax()])


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else 0.0
