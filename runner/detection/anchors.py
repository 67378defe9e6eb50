"""Anchors for a set of boxes: k-means over their widths and heights, with 1 - IoU for a distance.

Redmon and Farhadi 2016 (arXiv 1612.08242); src/detector.c:calc_anchors.  The start is that of k-means++ (Arthur and
Vassilvitskii 2007), and the best of several starts is kept, so that the answer does not hang on one throw.
"""
from dataclasses import dataclass

import numpy as np

from runner.errors import DataError

STARTS = 10
ROUNDS = 1000           # at most, as in darknet


@dataclass(frozen=True)
class Anchors:
    """sizes (clusters, 2) widths and heights, small to large by area; members (n,) which of them each box is nearest
    to; overlap: the mean IoU of the boxes with their anchors, all centred at one point."""
    sizes: np.ndarray
    members: np.ndarray
    overlap: float


def shape_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n, 2) and (k, 2) widths and heights -> (n, k) IoU of boxes with one centre."""
    both = np.minimum(boxes[:, None], others).prod(axis=2)
    return both / (boxes.prod(axis=1)[:, None] + others.prod(axis=1) - both)


def kmeans_anchors(boxes: np.ndarray, clusters: int, seed: int = 0) -> Anchors:
    """boxes (n, 2) widths and heights above 0, in the unit wanted.  The same boxes and seed give the same anchors."""
    boxes = np.asarray(boxes, np.float64)
    different = len(np.unique(boxes, axis=0))
    if different < clusters:
        raise DataError(f"{clusters} clusters need boxes of at least as many sizes. There are {len(boxes)} boxes of "
                        f"{different} sizes")
    rng = np.random.default_rng(seed)
    best = max((_settle(boxes, _start(boxes, clusters, rng)) for _ in range(STARTS)), key=lambda found: found[1])
    sizes = best[0][np.argsort(best[0].prod(axis=1), kind="stable")]
    table = shape_iou(boxes, sizes)
    return Anchors(sizes, table.argmax(axis=1), float(table.max(axis=1).mean()))


def _start(boxes: np.ndarray, clusters: int, rng: np.random.Generator) -> np.ndarray:
    """Boxes far from one another: each is drawn in proportion to its squared distance to the nearest so far."""
    chosen = [boxes[rng.integers(len(boxes))]]
    while len(chosen) < clusters:
        far = np.maximum(1 - shape_iou(boxes, np.array(chosen)).max(axis=1), 0) ** 2
        chosen.append(boxes[rng.choice(len(boxes), p=far / far.sum())])
    return np.array(chosen)


def _settle(boxes: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, float]:
    """Move each centre to the mean of its boxes until no box changes its mind -> sizes, mean IoU."""
    before = None
    for _ in range(ROUNDS):
        table = shape_iou(boxes, sizes)
        members = table.argmax(axis=1)
        if before is not None and (members == before).all():
            break
        before = members
        count = np.bincount(members, minlength=len(sizes))
        total = np.stack([np.bincount(members, boxes[:, side], len(sizes)) for side in (0, 1)], axis=1)
        sizes = np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], sizes)    # an empty one stays
    return sizes, float(shape_iou(boxes, sizes).max(axis=1).mean())
