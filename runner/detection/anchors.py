"""Anchors for the boxes of a dataset: k-means over their widths and heights, with 1 - IoU as the distance.

Redmon and Farhadi 2016 (arXiv 1612.08242); src/detector.c:calc_anchors.  The initialisation is that of k-means++
(Arthur and Vassilvitskii 2007), and the best of several is kept, so that the result does not depend on a single one.
"""
from dataclasses import dataclass

import numpy as np

from runner.errors import DataError, counted

INITIALISATIONS = 10
MAX_ITERATIONS = 1000   # as in darknet


@dataclass(frozen=True)
class Anchors:
    """The clusters of boxes.

    sizes    (clusters, 2) widths and heights, by rising area
    members  (n,) the anchor nearest to each box
    overlap  the mean IoU of the boxes with their anchors, all with the same centre
    """
    sizes: np.ndarray
    members: np.ndarray
    overlap: float


def shape_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n, 2) and (k, 2) widths and heights -> (n, k) IoU of boxes with the same centre."""
    both = np.minimum(boxes[:, None], others).prod(axis=2)
    return both / (boxes.prod(axis=1)[:, None] + others.prod(axis=1) - both)


def kmeans_anchors(boxes: np.ndarray, clusters: int, seed: int = 0) -> Anchors:
    """Anchors for boxes (n, 2), widths and heights above 0 in any unit.  The same boxes and seed give the same anchors.

    DataError where there are fewer different sizes than clusters.
    """
    boxes = np.asarray(boxes, np.float64)
    different = len(np.unique(boxes, axis=0))
    if different < clusters:
        raise DataError(f"{clusters} clusters need boxes of at least as many sizes. There "
                        f"{'is' if len(boxes) == 1 else 'are'} {counted(len(boxes), 'box')} of "
                        f"{counted(different, 'size')}: use {different}{' or fewer' if different > 1 else ''}")
    rng = np.random.default_rng(seed)
    runs = [_lloyd(boxes, _plus_plus(boxes, clusters, rng)) for _ in range(INITIALISATIONS)]
    best = max(runs, key=lambda run: run[1])
    sizes = best[0][np.argsort(best[0].prod(axis=1), kind="stable")]
    table = shape_iou(boxes, sizes)
    return Anchors(sizes, table.argmax(axis=1), float(table.max(axis=1).mean()))


def _plus_plus(boxes: np.ndarray, clusters: int, rng: np.random.Generator) -> np.ndarray:
    """k-means++: each further box is drawn with a probability proportional to its squared distance to the nearest one
    chosen so far -> (clusters, 2)."""
    chosen = [boxes[rng.integers(len(boxes))]]
    while len(chosen) < clusters:
        far = np.maximum(1 - shape_iou(boxes, np.array(chosen)).max(axis=1), 0) ** 2
        chosen.append(boxes[rng.choice(len(boxes), p=far / far.sum())])
    return np.array(chosen)


def _lloyd(boxes: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, float]:
    """Move each centre to the mean of its boxes until no box changes its cluster -> sizes, mean IoU."""
    before = None
    for _ in range(MAX_ITERATIONS):
        table = shape_iou(boxes, sizes)
        members = table.argmax(axis=1)
        if before is not None and (members == before).all():
            break
        before = members
        count = np.bincount(members, minlength=len(sizes))
        total = np.stack([np.bincount(members, boxes[:, side], len(sizes)) for side in (0, 1)], axis=1)
        means = total / np.maximum(count, 1)[:, None]
        sizes = np.where(count[:, None] > 0, means, sizes)      # an empty cluster keeps its centre
    return sizes, float(shape_iou(boxes, sizes).max(axis=1).mean())
