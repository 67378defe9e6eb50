"""Boxes of several views of an image, tiles and the whole, brought together: one box for each object.

A box is *cut* where it ends at an edge at which its tile ends and the image goes on: it may be a part of an object.

Sources: greedy non-maximum merging and intersection over the smaller area are those of slicing aided inference (Akyon
et al. 2022, "Slicing Aided Hyper Inference"); weighted boxes are those of Solovyev et al. 2021, "Weighted boxes
fusion", with the highest confidence of a group instead of its mean: a view in which an object is too small to be found
says nothing about it.
"""
import numpy as np

from runner import ops
from runner.errors import UsageError, did_you_mean
from runner.images.box_format import convert

MERGES = ("nmm", "nms", "wbf")
COVERED = 0.5           # intersection over the smaller area above which a cut box is a part of another
LEFT, TOP, RIGHT, BOTTOM = range(4)


def require_merge(merge: str) -> None:
    """UsageError for a name that is not one of MERGES."""
    if merge not in MERGES:
        raise UsageError(f"merge must be one of {', '.join(MERGES)}. Got {merge!r}{did_you_mean(str(merge), MERGES)}")


def cut_sides(corners: np.ndarray, crop: np.ndarray, size: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """Where boxes end at an edge of their crop that is not an edge of the image -> (k, 4) bool: left, top, right,
    bottom.

    corners (k, 4) of the boxes and crop (4,) are left, top, right, bottom in pixels of the image, size (2,) is its
    width and height, margin (2,) the distance, horizontal and vertical, that counts as touching.
    """
    low = (corners[:, :2] <= crop[:2] + margin) & (crop[:2] > 0)
    high = (corners[:, 2:] >= crop[2:] - margin) & (crop[2:] < size)
    return np.concatenate([low, high], axis=1)


def seen_better(corners: np.ndarray, cut: np.ndarray, own: int, crops: np.ndarray, size: np.ndarray,
                margin: np.ndarray) -> np.ndarray:
    """Which cut boxes (k,) of the crop number `own` lie inside another crop (c, 4), away from its edges.

    That crop shows the same and what is beyond the edge, so that its own box is the better one.
    """
    inside = np.concatenate([np.maximum(corners[:, :2], crops[own, :2]), np.minimum(corners[:, 2:], crops[own, 2:])],
                            axis=1)[:, None]
    low = (inside[..., :2] > crops[:, :2] + margin) | (crops[:, :2] <= 0)
    high = (inside[..., 2:] < crops[:, 2:] - margin) | (crops[:, 2:] >= size)
    fits = (low & high).all(axis=2)
    fits[:, own] = False
    better: np.ndarray = cut.any(axis=1) & fits.any(axis=1)
    return better


def merge_boxes(rows: np.ndarray, cut: np.ndarray, views: np.ndarray, nms: float = 0.45, merge: str = "nmm",
                agnostic: bool = False) -> np.ndarray:
    """Boxes of all views -> (j, 6) rows with one box for each object, by class, then by falling confidence.

    rows    (k, 6) class, confidence, centre x, y, w, h, in the same unit for all views
    cut     (k, 4) bool: the sides at which a box is cut, see cut_sides
    views   (k,) the view of each box; boxes of one view do not meet: its own suppression has chosen them
    nms     boxes of two views with a larger IoU are of one object; 1: none are
    merge   nms: the box that is not cut, else the one with the highest confidence
            nmm: the same, but if all are cut, the smallest box around them: parts of an object become the object
            wbf: the mean of the boxes that are not cut, weighted by confidence; if all are cut, as nmm
    agnostic  boxes of all classes can be of one object

    A cut box is also of the object of another box that covers it, or is covered by it, by more than half; and of that
    of a part beyond the edge: a box cut at the opposite side, in the same place along it.
    The confidence of an object is the highest of its boxes; its class is that of its box.
    """
    require_merge(merge)
    if not len(rows):
        return rows
    parts = [np.ones(len(rows), bool)] if agnostic else [rows[:, 0] == index for index in np.unique(rows[:, 0])]
    found = np.concatenate([_merge_class(rows[part], cut[part], views[part], nms, merge) for part in parts])
    return found[np.lexsort((-found[:, 1], found[:, 0]))]


def _merge_class(rows: np.ndarray, cut: np.ndarray, views: np.ndarray, nms: float, merge: str) -> np.ndarray:
    """merge_boxes of boxes that can all be of one object."""
    order = np.lexsort((-rows[:, 1], cut.any(axis=1)))      # those that are not cut come first
    rows, cut, views = rows[order], cut[order], views[order]
    corners = convert(rows[:, 2:].astype(float), "cxcywh", "xyxy")
    left, top, right, bottom = np.ascontiguousarray(corners.T)
    alone, result = np.ones(len(rows), bool), []        # alone: in no group yet
    for first in range(len(rows)):
        if not alone[first]:
            continue
        group, box, sides = np.array([first]), corners[first], cut[first]
        alone[first] = False
        while True:
            meet = np.flatnonzero((left < box[RIGHT]) & (right > box[LEFT]) & (top < box[BOTTOM]) & (bottom > box[TOP])
                                  & alone & (views != views[first]))
            if len(meet):
                meet = meet[_same_object(box, sides, corners[meet], cut[meet], nms)]
            group = np.append(group, meet)
            alone[meet] = False
            if not len(meet) or merge == "nms" or not sides.any():
                break
            box, sides = _around(corners[group], cut[group])
        row = rows[group[0]].copy()
        if merge == "wbf" and not cut[group[0]].any():
            whole = group[~cut[group].any(axis=1)]
            box = np.average(corners[whole], axis=0, weights=rows[whole, 1])
        if merge != "nms" and len(group) > 1:
            row[2:] = convert(box, "xyxy", "cxcywh")
        row[1] = rows[group, 1].max()
        result.append(row)
    return np.array(result)


def _around(corners: np.ndarray, cut: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smallest box (4,) around boxes, and the sides (4,) at which it is cut: those of the outermost boxes."""
    outermost = np.concatenate([corners[:, :2].argmin(axis=0), corners[:, 2:].argmax(axis=0)])
    sides = np.arange(4)
    return corners[outermost, sides], cut[outermost, sides]


def _same_object(box: np.ndarray, sides: np.ndarray, others: np.ndarray, cut: np.ndarray, nms: float) -> np.ndarray:
    """Which of the other boxes (k, 4), which meet it, are of the object of a box (4,); all cut at some sides -> (k,)
    bool."""
    shared = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    areas = [np.maximum((one[..., 2:] - one[..., :2]).prod(axis=-1), 1e-30) for one in (box, others)]
    smaller = shared.prod(axis=1) / np.minimum(*areas)
    part = (sides.any() | cut.any(axis=1)) & (smaller > COVERED)
    lengths = np.minimum(box[2:] - box[:2], others[:, 2:] - others[:, :2])
    along = shared > COVERED * np.maximum(lengths, 1e-30)
    facing = [(sides[high] & cut[:, low]) | (sides[low] & cut[:, high]) for low, high in ((LEFT, RIGHT), (TOP, BOTTOM))]
    beyond = (facing[0] & along[:, 1]) | (facing[1] & along[:, 0])
    overlap = ops.iou(*(convert(one, "xyxy", "cxcywh") for one in (box, others)))
    same: np.ndarray = (overlap > nms) | part | beyond
    return same
