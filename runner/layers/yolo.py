"""[yolo]: boxes from anchors, the head of YOLOv3, v4 and v7."""
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from runner import ops
from runner.config import ignored, opt
from runner.errors import ShapeError
from runner.layers.shared.base import Shape, register
from runner.layers.shared.heads import (
    MOST_ANCHORS,
    TRACKING,
    Candidates,
    DetectionHead,
    DetectionOptions,
    anchor_pairs,
    cells,
    focal_factor,
    overlaps,
)

UNLIMITED = 3.402823466e38      # darknet's FLT_MAX
# values with which these options, unknown to pjreddie's fork, give its loss
PJREDDIE_LOSS = dict(iou_loss="mse", iou_thresh=1., iou_normalizer=1., obj_normalizer=1., objectness_smooth=False,
                     label_smooth_eps=0., counters_per_class=())


def _every_anchor(o: Any) -> tuple[int, ...]:
    "0 to num - 1"
    return tuple(range(o.num))


@dataclass(frozen=True, kw_only=True)
class AnchorOptions(DetectionOptions):
    """Options of both [yolo] and [Gaussian_yolo]."""
    classes: int = opt(20, "number of classes", low=1)
    num: int = opt(1, "anchors listed, including those of other heads", low=1, high=MOST_ANCHORS)
    mask: tuple[int, ...] = opt(_every_anchor, "indices of the anchors this head uses", low=0)
    anchors: tuple[float, ...] = opt((), "width,height of each anchor, pixels of the network's input; "
                                         "0.5 where missing", low=0)
    max: int = opt(200, "boxes an image can have in training", low=1)
    ignore_thresh: float = opt(0.5, "IoU with a truth above which an unassigned box is not trained as background",
                               low=0, high=1)
    truth_thresh: float = opt(1.0, "IoU above which a box is trained on a truth that another box is assigned to; "
                                   "1: never", low=0, high=1)
    iou_thresh: float = opt(1.0, "similarity of shapes above which more anchors are assigned to a truth; 1: the best",
                            low=0, high=1)
    iou_thresh_kind: str = opt("iou", "measure of that similarity", choices=("iou", "giou", "diou", "ciou"))
    iou_loss: str = opt("mse", "loss of a box: mse of its values, or an overlap",
                        choices=("mse", "iou", "giou", "diou", "ciou"))
    iou_normalizer: float = opt(0.75, "factor on the gradient of the boxes", low=0)
    obj_normalizer: float = opt(1.0, "factor on the gradient of objectness", low=0)
    cls_normalizer: float = opt(1.0, "factor on the gradient of the right class; only with counters_per_class", low=0)
    delta_normalizer: float = opt(1.0, "factor on the whole gradient", low=0)
    max_delta: float = opt(UNLIMITED, "limit of the gradient of a box value with iou_loss other than mse", low=0)
    scale_x_y: float = opt(1.0, "scales the cell about its centre, so that box centres can reach its border",
                           above=0, neutral=1)
    objectness_smooth: bool = opt(False, "1: the target of objectness is the overlap instead of 1")
    label_smooth_eps: float = opt(0.0, "label smoothing: share of each label given to the other classes", low=0,
                                  below=1)
    counters_per_class: tuple[float, ...] = opt((), "examples of each class; the gradient of rare ones is scaled up",
                                                low=0)
    beta_nms: float = opt(0.6, "exponent of nms_kind=diounms", low=0)
    nms_kind: str = opt("default", "how overlapping boxes are suppressed",
                        choices=("default", "greedynms", "diounms", "cornersnms"))
    map: str = opt("", "file that maps classes to other class numbers, one per line")


@register("yolo", "yolo4")
class Yolo(DetectionHead):
    """(n * (5 + classes), h, w) -> the same shape, n anchors of mask  (src/yolo_layer.c); one fork calls it [yolo4].

    The channels of an anchor: x, y in the cell, w, h, objectness, classes; logistic on all but w, h.
    """
    inexact = "darknet's delta is not the derivative of the loss it prints; checked against recorded numbers"
    ENTRIES = 5             # values before the classes
    BOX = (0, 1, 2, 3)      # indices of x, y, w, h
    OBJECTNESS = 4

    @dataclass(frozen=True, kw_only=True)
    class Options(AnchorOptions):
        new_coords: bool = opt(False, "1: the input is already activated, w = (2 v)^2 anchor")
        focal_loss: bool = opt(False, "1: focal loss: easy examples of a class count less")
        show_details: bool = opt(True, "0: the printed loss is the sum of the squared deltas")
        uc_normalizer: float = ignored(1.0, "factor on the sigmas' gradient", "an option of [Gaussian_yolo]")
        beta1: float = ignored(0.6, "exponent of the suppression", "darknet never reads it; use beta_nms=")
        track_history_size: int = ignored(5, "frames remembered", TRACKING)
        sim_thresh: float = ignored(0.8, "similarity of one object in two frames", TRACKING)
        dets_for_track: int = ignored(1, "detections before an object gets a number", TRACKING)
        dets_for_show: int = ignored(1, "detections before it is drawn", TRACKING)
        track_ciou_norm: float = ignored(0.01, "weight of the overlap in that similarity", TRACKING)
        embedding_layer: int = ignored(999999, "layer whose output separates objects", TRACKING)

    def setup(self, shape: Shape) -> None:
        o = self.options
        total = max(o.num, len(o.anchors) // 2)     # num below the pairs: network_checks decides whether that is meant
        if any(m >= total for m in o.mask):
            raise ShapeError(f"mask must hold indices of anchors, 0 to {total - 1} (num={o.num}). Got {max(o.mask)}")
        if o.counters_per_class and len(o.counters_per_class) != o.classes:
            raise ShapeError(f"counters_per_class must have one number for each of the {o.classes} classes. "
                             f"Got {len(o.counters_per_class)}")
        self.grid = self.check_channels(shape, len(o.mask), self.ENTRIES, o.classes)
        self.out_shape = self.image(shape)
        self.anchors = anchor_pairs(o.anchors, total)
        self.yolor = self.env.compat.yolo_decoding == "yolor" and hasattr(o, "new_coords")
        self.new_coords: bool = self.yolor or getattr(o, "new_coords", False)    # [Gaussian_yolo] has neither option
        self.scale_x_y = 2.0 if self.yolor else o.scale_x_y
        self.pjreddie = self.env.compat.yolo_loss == "pjreddie"
        self.focal_loss: bool = getattr(o, "focal_loss", False) and not self.pjreddie
        self.loss_options = replace(o, **PJREDDIE_LOSS) if self.pjreddie else o
        self.multipliers = None
        if self.loss_options.counters_per_class:
            counters = np.maximum(o.counters_per_class, 1)
            self.multipliers = np.minimum(counters.max() / counters, o.max_delta)

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, c, h, w) -> y of the same shape, saved."""
        v = self._split(np.array(x, order="C"))
        for part in self._logistic_parts():
            v[:, :, part] = ops.logistic(v[:, :, part])
        scale = self.scale_x_y
        for at in self.BOX[:2]:
            v[:, :, at] = scale * v[:, :, at] - 0.5 * (scale - 1)
        y = v.reshape(len(x), *self.out_shape)
        return y, y

    def prepare(self, rows: int) -> Any:
        return ops.plan_logistic(*self.channel_functions())

    def channel_functions(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`forward` channel by channel, (c,) each: is it put through the logistic function, the factor, the offset."""
        scale, shape = self.scale_x_y, (len(self.options.mask), self.out_shape[0] // len(self.options.mask))
        sigmoid, factors, offsets = np.zeros(shape, bool), np.ones(shape), np.zeros(shape)
        for part in self._logistic_parts():
            sigmoid[:, part] = True
        factors[:, self.BOX[:2]], offsets[:, self.BOX[:2]] = scale, -0.5 * (scale - 1)
        return sigmoid.reshape(-1), factors.reshape(-1), offsets.reshape(-1)

    def _logistic_parts(self) -> tuple[slice, ...]:
        """The entries of an anchor that this layer puts through the logistic function."""
        if self.yolor:
            return (slice(0, None),)
        return () if self.new_coords else (slice(0, 2), slice(4, None))

    def _split(self, y: np.ndarray) -> np.ndarray:
        """(n, c, h, w) -> a view (n, anchors, entries, h, w)."""
        return y.reshape(len(y), len(self.options.mask), -1, *self.grid)

    def decode(self, v: np.ndarray) -> np.ndarray:
        """v (..., anchors, entries, h, w) -> boxes (..., anchors, h, w, 4) relative to the network's input."""
        h, w = self.grid
        col, row = cells(h, w, v.dtype)
        net_w, net_h = self.network_size
        sides = (self.anchors[list(self.options.mask)] / (net_w, net_h)).astype(v.dtype)[..., None, None]
        x, y, tw, th = (v[..., at, :, :] for at in self.BOX)
        if self.new_coords:
            width, height = 4 * tw * tw * sides[:, 0], 4 * th * th * sides[:, 1]
        else:
            with np.errstate(over="ignore"):
                width, height = np.exp(tw) * sides[:, 0], np.exp(th) * sides[:, 1]
        return np.stack([(col + x) / w, (row + y) / h, width, height], axis=-1)

    def boxes(self, output: np.ndarray, thresh: float) -> Candidates:
        """Cells row by row, the anchors of each together, where objectness is above thresh."""
        v = self._split(output[None])[0]
        objectness = v[:, self.OBJECTNESS].transpose(1, 2, 0)
        row, col, anchor = np.nonzero(objectness > thresh)
        picked = v[anchor, :, row, col]
        return Candidates(self.decode(v)[anchor, row, col], picked[:, self.OBJECTNESS],
                          self._probability(picked, thresh), self._uncertainty(picked))

    def _probability(self, picked: np.ndarray, thresh: float) -> np.ndarray:
        p = picked[:, self.OBJECTNESS, None] * picked[:, self.ENTRIES:]
        return np.where(p > thresh, p, 0).astype(p.dtype)

    def _uncertainty(self, picked: np.ndarray) -> np.ndarray | None:
        return None

    # --- training ------------------------------------------------------------------------------------

    def loss(self, saved: Any, truth: np.ndarray) -> tuple[float, np.ndarray]:
        """truth (n, boxes, 5) -> the loss darknet prints; minus the deltas."""
        o, v = self.options, self._split(saved)
        delta = np.zeros_like(v)
        overlap_losses: list[float] = []      # 1 - overlap of every box assigned to a truth
        for image, rows in enumerate(self.truth(truth, len(saved))):
            label = rows[:, 4].astype(int)
            rows = rows[(label >= 0) & (label < o.classes)]
            with np.errstate(over="ignore", invalid="ignore"):      # a size may overflow, which the loss shows
                self._compare_image(v[image], delta[image], rows, overlap_losses)
        if self._averages():
            self._average(delta)
        cost = self._cost(delta, overlap_losses)
        if self.yolor:      # darknet's deltas with new_coords are of activated values
            delta *= self._slopes(v)
        dx = -delta.reshape(len(saved), *self.in_shapes[0])
        return cost, dx if o.delta_normalizer == 1 else dx * saved.dtype.type(o.delta_normalizer)

    def _slopes(self, v: np.ndarray) -> np.ndarray:
        """The derivative of the logistic function, at the values v that `forward` made with it."""
        p = v.copy()
        p[:, :, self.BOX[:2]] = (p[:, :, self.BOX[:2]] + 0.5 * (self.scale_x_y - 1)) / self.scale_x_y
        return p * (1 - p)

    def _averages(self) -> bool:
        """Can a box be assigned to several truths, so that their deltas are averaged?"""
        return self.loss_options.iou_thresh < 1

    def _cost(self, delta: np.ndarray, overlap_losses: list[float]) -> float:
        o = self.loss_options
        if o.iou_loss == "mse" or not o.show_details:
            return float((delta.astype(np.float64) ** 2).sum())
        rest = float((delta[:, :, 4:].astype(np.float64) ** 2).sum())
        return o.iou_normalizer * self.env.batch_mean(overlap_losses) + o.obj_normalizer * rest

    def _average(self, delta: np.ndarray) -> None:
        """Divides the deltas of a box by the number of its truths, which is that of the classes it raises."""
        raised = (delta[:, :, self.ENTRIES:] > 0).sum(axis=2)
        share = np.where((delta[:, :, self.OBJECTNESS] != 0) & (raised > 0), raised, 1).astype(delta.dtype)
        delta[:, :, :self.OBJECTNESS] /= share[:, :, None]

    def _compare_image(self, v: np.ndarray, delta: np.ndarray, rows: np.ndarray, overlap_losses: list[float]) -> None:
        """v, delta (anchors, entries, h, w); rows (k, 5)."""
        pred = self.decode(v)
        self._background(v, delta, pred, rows)
        cells = [self._cell(row) for row in rows]
        pairs = [(t, n) for t, chosen in enumerate(self._chosen(rows)) for n in chosen]
        if not pairs:
            return
        truth, anchor = np.array(pairs).T       # all pairs at once: one box is too little for a NumPy call
        column, line = np.array(cells).T[:, truth]
        boxes, targets = pred[anchor, line, column], rows[truth, :4]
        overlap = ops.giou if self.loss_options.iou_loss == "giou" else ops.iou
        overlap_losses += (1 - overlap(boxes, targets)).tolist()
        steps: Any = [None] * len(pairs)
        if self.loss_options.iou_loss != "mse":
            raw = np.stack([v[anchor, part, line, column] for part in self.BOX[2:]], axis=1)
            steps = self._overlap_step(boxes, raw, targets)
        for (t, n), step in zip(pairs, steps, strict=True):
            self._train(v, delta, rows[t], n, cells[t], step)

    def _background(self, v: np.ndarray, delta: np.ndarray, pred: np.ndarray, rows: np.ndarray) -> None:
        """Trains objectness towards 0, except where a box overlaps a truth well."""
        o, objectness = self.loss_options, v[:, self.OBJECTNESS]
        table = overlaps(pred, rows)
        best, matched = table.max(axis=-1), table.max(axis=-1)
        if not self.pjreddie:
            matched = np.where((v[:, self.ENTRIES:] > 0.25).any(axis=1), best, 0).astype(best.dtype)
        d = o.obj_normalizer * (0 - objectness)
        d = self._ignored(v, delta, table, matched, d, rows)
        delta[:, self.OBJECTNESS] = d
        for n, j, i in zip(*np.nonzero(best > o.truth_thresh), strict=True):
            self._train_overlapping(v, delta, pred, rows[table[n, j, i].argmax()], (n, j, i))

    def _ignored(self, v: np.ndarray, delta: np.ndarray, table: np.ndarray, matched: np.ndarray, d: np.ndarray,
                 rows: np.ndarray) -> np.ndarray:
        """d (anchors, h, w), the delta of objectness, changed where a box overlaps a truth by more than ignore_thresh;
        matched (anchors, h, w) is the overlap, table (..., rows + 1) that with each truth."""
        o = self.loss_options
        if o.objectness_smooth:
            risen = np.maximum(d, o.obj_normalizer * (matched - v[:, self.OBJECTNESS]))
            return np.where(matched > o.ignore_thresh, risen, d)
        return np.where(matched > o.ignore_thresh, 0, d)

    def _train_overlapping(self, v: np.ndarray, delta: np.ndarray, pred: np.ndarray, row: np.ndarray,
                      at: tuple[int, int, int]) -> None:
        """A box that overlaps a truth by more than truth_thresh is trained on it."""
        o, (n, j, i) = self.loss_options, at
        target = float(ops.iou(pred[n, j, i], row[:4])) ** 2 if o.objectness_smooth else 1
        delta[n, self.OBJECTNESS, j, i] = o.obj_normalizer * (target - v[n, self.OBJECTNESS, j, i])
        label = self._class(row)
        self._train_class(v, delta, label, at)
        if o.objectness_smooth:
            c = self.ENTRIES + label
            delta[n, c, j, i] = self._multiplier(label) * (target - v[n, c, j, i])
        raw = np.array([v[n, part, j, i] for part in self.BOX[2:]])
        step = None if o.iou_loss == "mse" else self._overlap_step(pred[n, j, i], raw, row[:4])
        self._train_box(v, delta, row, at, self._multiplier(label), (i, j), step)

    def _chosen(self, rows: np.ndarray) -> list[list[int]]:
        """The anchors of this head assigned to each truth: the one of most similar shape, if this head has it, and with
        iou_thresh all that are similar enough; in darknet's order."""
        o, shapes = self.loss_options, np.zeros((len(rows), 1, 4))
        shapes[:, 0, 2:] = rows[:, 2:4]
        flat = np.concatenate([np.zeros_like(self.anchors), self.anchors / self.network_size], axis=1)
        nearest = ops.iou(flat, shapes).argmax(axis=1).tolist()
        alike = np.zeros((len(rows), len(self.anchors)), bool)
        if o.iou_thresh < 1:
            alike = getattr(ops, o.iou_thresh_kind)(flat, shapes) > o.iou_thresh
        chosen = ([best, *(n for n in np.flatnonzero(row).tolist() if n != best)]
                  for best, row in zip(nearest, alike, strict=True))
        return [[o.mask.index(n) for n in each if n in o.mask] for each in chosen]

    def _train(self, v: np.ndarray, delta: np.ndarray, row: np.ndarray, n: int, cell: tuple[int, int],
               step: np.ndarray | None) -> None:
        """Trains the box of anchor n in the truth's cell; step (4,) is the gradient of iou_loss."""
        o, (i, j) = self.loss_options, cell
        label = self._class(row)
        multiplier = self._multiplier(label)
        self._train_box(v, delta, row, (n, j, i), multiplier, cell, step)
        if not (o.objectness_smooth and delta[n, self.OBJECTNESS, j, i] != 0):
            delta[n, self.OBJECTNESS, j, i] = o.obj_normalizer * multiplier * (1 - v[n, self.OBJECTNESS, j, i])
        self._train_class(v, delta, label, (n, j, i))

    def _cell(self, row: np.ndarray) -> tuple[int, int]:
        """Column and row of the cell of the truth's centre; the far border belongs to the last cell."""
        h, w = self.grid
        return min(int(row[0] * w), w - 1), min(int(row[1] * h), h - 1)

    def _class(self, row: np.ndarray) -> int:
        return self.mapped(int(row[4]))

    def _multiplier(self, label: int) -> float:
        return 1.0 if self.multipliers is None else float(self.multipliers[label])

    def _train_class(self, v: np.ndarray, delta: np.ndarray, label: int, at: tuple[int, int, int]) -> None:
        o, (n, j, i) = self.loss_options, at
        p, d = v[n, self.ENTRIES:, j, i], delta[n, self.ENTRIES:, j, i]
        eps = o.label_smooth_eps
        right, wrong = 1 - eps + 0.5 * eps, 0.5 * eps
        if self._trained_before(d, label):
            d[label] = _finite(right - p[label], d[label]) * self._multiplier(label)
            return
        target = np.full_like(p, wrong)
        target[label] = right
        if self.focal_loss:
            target[:] = 0
            target[label] = 1
            d[:] = (target - p) * focal_factor(p[label])
            return
        d[:] = _finite(target - p, d)
        if self.multipliers is not None:
            d[label] *= self._multiplier(label) * o.cls_normalizer

    def _trained_before(self, d: np.ndarray, label: int) -> bool:
        """Is the box trained on another truth already?  d is the delta of its classes."""
        return bool(d[0 if self.pjreddie else label])

    def _train_box(self, v: np.ndarray, delta: np.ndarray, row: np.ndarray, at: tuple[int, int, int],
                   multiplier: float, cell: tuple[int, int], step: np.ndarray | None) -> None:
        """Add the delta of x, y, w, h of one box; step is that of _overlap_step, where iou_loss is not mse."""
        o, (n, j, i) = self.loss_options, at
        values, d = v[n, :4, j, i], delta[n, :4, j, i]
        scale = 2 - row[2] * row[3]
        if self.pjreddie:
            d[:] = scale * (self._target(row, n, cell) - values)
        elif step is None:
            d += scale * o.iou_normalizer * multiplier * (self._target(row, n, cell) - values)
        else:
            d += limited(step * o.iou_normalizer * multiplier, o.max_delta)

    def _overlap_step(self, pred: np.ndarray, raw: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """The gradient of iou_loss for boxes (..., 4) and their truths; raw (..., 2) are w and h before decoding."""
        pred = np.where([False, False, True, True] & (pred == 0), 1, pred).astype(pred.dtype)
        with np.errstate(all="ignore"):
            step = self._of_point(ops.box_gradient(pred, truth.astype(pred.dtype), self.options.iou_loss))
            if not self.new_coords:
                step[..., 2:] *= np.exp(raw)
        return step

    def _of_point(self, step: np.ndarray) -> np.ndarray:
        """The step of a box's centre and size -> that of the point the layer predicts: here the centre itself."""
        return step

    def _target(self, row: np.ndarray, n: int, cell: tuple[int, int]) -> np.ndarray:
        """The target of x, y, w, h, in the encoding of the output."""
        (h, w), size = self.grid, self.network_size
        ratio = row[2:4] * size / self.anchors[self.options.mask[n]]
        sides = np.sqrt(ratio / 4) if self.new_coords else np.log(ratio)
        return np.array([row[0] * w - cell[0], row[1] * h - cell[1], *sides], row.dtype)


def _finite(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    """new; old where new is not finite."""
    return np.where(np.isfinite(new), new, old)


def limited(step: np.ndarray, limit: float) -> np.ndarray:
    """step clipped to +-limit; 0 where it is not finite."""
    return np.clip(np.where(np.isfinite(step), step, 0), -limit, limit).astype(step.dtype)
