"""Boxes: measures of overlap, and the step of a box that increases it.

A box is the last axis of an array: centre x, centre y, width, height, in any one unit; the other axes broadcast, so
iou(a[:, None], b[None]) compares every a with every b.  Formulas as in darknet's src/box.c.
"""
import math

import numpy as np

Array = np.ndarray
BOX_GRADIENTS = ("iou", "giou", "diou", "ciou")
DIOU_POWER = 0.6        # darknet's own; the paper (Zheng et al. 2020) has 1


def iou(a: Array, b: Array) -> Array:
    """Boxes (..., 4) -> intersection over union, (...), from 0 to 1; 0 where they do not overlap."""
    shared, union = _areas(a, b)
    return _ratio(shared, union)


def giou(a: Array, b: Array) -> Array:
    """iou - (C - union) / C, C the area of the smallest box around both (Rezatofighi et al. 2019); -1 to 1."""
    shared, union = _areas(a, b)
    wide, high = _enclosing(a, b)
    hull = wide * high
    return _ratio(shared, union) - _ratio(hull - union, hull)


def diounms(a: Array, b: Array, beta: float) -> Array:
    """iou - (squared distance of the centres / squared diagonal of the enclosing box) ^ beta."""
    return iou(a, b) - _distance(a, b) ** beta


def diou(a: Array, b: Array) -> Array:
    """diounms with darknet's exponent 0.6."""
    return diounms(a, b, DIOU_POWER)


def ciou(a: Array, b: Array) -> Array:
    """iou - (distance term + alpha v), v from the difference of the aspect ratios (Zheng et al. 2020).

    Just iou where the enclosing box is a point.
    """
    overlap = iou(a, b)
    v, alpha = _aspect(a, b, overlap)
    wide, high = _enclosing(a, b)
    return np.where(wide * wide + high * high == 0, overlap, overlap - _distance(a, b) - alpha * v)


def box_rmse(a: Array, b: Array) -> Array:
    """Boxes (..., 4) -> the root of the sum of the four squared differences, (...)."""
    d = a - b
    return np.sqrt((d * d).sum(axis=-1))


def box_gradient(pred: Array, truth: Array, kind: str) -> Array:
    """pred, truth (..., 4) -> (..., 4): the step in x, y, w, h that improves pred, as in darknet's dx_box_iou.

    kind: one of BOX_GRADIENTS.  It points uphill (darknet's delta, minus the gradient of a loss).  It is not quite
    the derivative: steps in w and h are twice too long, the intersection of boxes that are disjoint on both axes is
    not clipped to 0, and diou's distance has the exponent 1 and darknet's sign in its second term.  Published weights
    were trained with it.
    """
    if kind not in BOX_GRADIENTS:
        raise ValueError(f"box_gradient: kind must be one of {', '.join(BOX_GRADIENTS)}, got {kind!r}")
    pred, truth = np.broadcast_arrays(pred, truth)
    left, right, top, bottom = _ordered_edges(pred)
    t_left, t_right, t_top, t_bottom = _edges(truth)
    width, height = right - left, bottom - top
    shared_w = np.minimum(right, t_right) - np.maximum(left, t_left)
    shared_h = np.minimum(bottom, t_bottom) - np.maximum(top, t_top)
    shared = shared_w * shared_h
    union = width * height + truth[..., 2] * truth[..., 3] - shared
    disjoint = ((shared_w <= 0) | (shared_h <= 0))[..., None]

    # one value for each edge of pred, in the order left, right, top, bottom
    area_edges = np.stack([-height, height, -width, width], axis=-1)
    shared_edges = np.stack([(left > t_left) * -shared_h, (right < t_right) * shared_h,
                             (top > t_top) * -shared_w, (bottom < t_bottom) * shared_w], axis=-1)
    union_edges = area_edges - shared_edges
    u = union[..., None]
    edges = np.where(u > 0, _ratio(u * shared_edges - shared[..., None] * union_edges, u * u), 0)

    hull_w = np.maximum(right, t_right) - np.minimum(left, t_left)
    hull_h = np.maximum(bottom, t_bottom) - np.minimum(top, t_top)
    outside = [left < t_left, right > t_right, top < t_top, bottom > t_bottom]
    if kind == "giou":
        hull = (hull_w * hull_h)[..., None]
        hull_edges = np.stack([outside[0] * -hull_h, outside[1] * hull_h,
                               outside[2] * -hull_w, outside[3] * hull_w], axis=-1)
        fill = _ratio(hull * union_edges - u * hull_edges, hull * hull)
        edges = np.where(disjoint, fill, edges + np.where(hull > 0, fill, 0))
    step = np.stack([edges[..., 0] + edges[..., 1], edges[..., 2] + edges[..., 3],
                     edges[..., 1] - edges[..., 0], edges[..., 3] - edges[..., 2]], axis=-1)
    if kind in ("diou", "ciou"):
        pull = _distance_step(pred, truth, hull_w, hull_h, [m.astype(pred.dtype) for m in outside])
        if kind == "ciou":
            pull += _aspect_step(pred, truth, _ratio(shared, union))
        diagonal = (hull_w * hull_w + hull_h * hull_h)[..., None]
        step = np.where(disjoint, pull, step + np.where(diagonal > 0, pull, 0))
    return step.astype(pred.dtype, copy=False)


def _distance_step(pred: Array, truth: Array, hull_w: Array, hull_h: Array, outside: list[Array]) -> Array:
    """Minus the derivative of (squared distance / squared diagonal), with darknet's sign in the second term of x, y."""
    gap = truth[..., :2] - pred[..., :2]
    squared = (gap * gap).sum(axis=-1, keepdims=True)
    sides = np.stack([hull_w, hull_h], axis=-1)
    diagonal = (sides * sides).sum(axis=-1, keepdims=True)
    low, high = np.stack([outside[0], outside[2]], axis=-1), np.stack([outside[1], outside[3]], axis=-1)
    centre = 2 * gap * diagonal - 2 * sides * (high - low) * squared
    size = sides * (high + low) * squared       # 2 * 0.5: each edge moves by half the growth of a side
    return _ratio(np.concatenate([centre, size], axis=-1), diagonal * diagonal)


def _aspect_step(pred: Array, truth: Array, overlap: Array) -> Array:
    _, alpha = _aspect(pred, truth, overlap)
    slope = alpha * (8 / math.pi ** 2) * (_angle(truth) - _angle(pred))
    zero = np.zeros_like(slope)
    return np.stack([zero, zero, slope * pred[..., 3], -slope * pred[..., 2]], axis=-1)


def _edges(box: Array) -> tuple[Array, Array, Array, Array]:
    """Left, right, top, bottom."""
    x, y, half_w, half_h = box[..., 0], box[..., 1], box[..., 2] / 2, box[..., 3] / 2
    return x - half_w, x + half_w, y - half_h, y + half_h


def _ordered_edges(box: Array) -> tuple[Array, Array, Array, Array]:
    left, right, top, bottom = _edges(box)
    return np.minimum(left, right), np.maximum(left, right), np.minimum(top, bottom), np.maximum(top, bottom)


def _areas(a: Array, b: Array) -> tuple[Array, Array]:
    """The areas of intersection (0 when they only touch or are disjoint) and union."""
    (al, ar, at, ab), (bl, br, bt, bb) = _edges(a), _edges(b)
    wide, high = np.minimum(ar, br) - np.maximum(al, bl), np.minimum(ab, bb) - np.maximum(at, bt)
    shared = np.maximum(wide, 0) * np.maximum(high, 0)
    return shared, a[..., 2] * a[..., 3] + b[..., 2] * b[..., 3] - shared


def _enclosing(a: Array, b: Array) -> tuple[Array, Array]:
    (al, ar, at, ab), (bl, br, bt, bb) = _edges(a), _edges(b)
    return np.maximum(ar, br) - np.minimum(al, bl), np.maximum(ab, bb) - np.minimum(at, bt)


def _distance(a: Array, b: Array) -> Array:
    """Squared distance of the centres over the squared diagonal of the enclosing box; 0 when that is a point."""
    wide, high = _enclosing(a, b)
    gap = a[..., :2] - b[..., :2]
    return _ratio((gap * gap).sum(axis=-1), wide * wide + high * high)


def _angle(box: Array) -> Array:
    """atan(w / h), and 0 for a box without sides."""
    return np.arctan2(box[..., 2], box[..., 3])


def _aspect(a: Array, b: Array, overlap: Array) -> tuple[Array, Array]:
    v = (4 / math.pi ** 2) * (_angle(b) - _angle(a)) ** 2
    return v, _ratio(v, 1 - overlap + v + 1e-6)


def _ratio(a: Array, b: Array) -> Array:
    """a / b, and 0 where b is 0."""
    a, b = np.broadcast_arrays(a, b)
    return np.divide(a, b, out=np.zeros(a.shape, np.result_type(a, b)), where=b != 0)
