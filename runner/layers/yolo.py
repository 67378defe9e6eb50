"""[yolo]: boxes from anchors, the head of YOLOv3, v4 and v7."""
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from runner import ops
from runner.config import ignored, opt
from runner.errors import ShapeError
from runner.layers.shared.base import Shape, register
from runner.layers.shared.heads import (
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
# what pjreddie's fork computes: it knows none of these options
PJREDDIE_LOSS = dict(iou_loss="mse", iou_thresh=1., iou_normalizer=1., obj_normalizer=1., objectness_smooth=False,
                     label_smooth_eps=0., counters_per_class=())


def _every_anchor(o: Any) -> tuple[int, ...]:
    "0 to num - 1"
    return tuple(range(o.num))


@dataclass(frozen=True, kw_only=True)
class AnchorOptions(DetectionOptions):
    """What [yolo] and [Gaussian_yolo] both take."""
    classes: int = opt(20, "kinds of things", low=1)
    num: int = opt(1, "anchors listed, those of other heads among them", low=1)
    mask: tuple[int, ...] = opt(_every_anchor, "numbers of the anchors this head uses", low=0)
    anchors: tuple[float, ...] = opt((), "width,height of each anchor, pixels of the network's input; "
                                         "0.5 where not given", low=0)
    max: int = opt(200, "boxes an image can have in training", low=1)
    ignore_thresh: float = opt(0.5, "IoU above which a box that is nobody's is not called background")
    truth_thresh: float = opt(1.0, "IoU above which a box learns the truth although another was chosen; 1: never")
    iou_thresh: float = opt(1.0, "similarity of shapes above which further anchors learn a truth; 1: the best only")
    iou_thresh_kind: str = opt("iou", "how that similarity is measured", choices=("iou", "giou", "diou", "ciou"))
    iou_loss: str = opt("mse", "what a box learns from: mse of its values, or a kind of overlap",
                        choices=("mse", "iou", "giou", "diou", "ciou"))
    iou_normalizer: float = opt(0.75, "factor on what boxes learn")
    obj_normalizer: float = opt(1.0, "factor on what objectness learns")
    cls_normalizer: float = opt(1.0, "factor on what the right class learns; only with counters_per_class")
    delta_normalizer: float = opt(1.0, "factor on all of it")
    max_delta: float = opt(UNLIMITED, "limit of what a box value learns with iou_loss other than mse", low=0)
    scale_x_y: float = opt(1.0, "stretches the cell so that a centre can reach its border")
    objectness_smooth: bool = opt(False, "1: objectness learns the overlap instead of 1")
    label_smooth_eps: float = opt(0.0, "part of each label that is spread over the other classes", low=0, high=1)
    counters_per_class: tuple[float, ...] = opt((), "examples of each class; rare ones learn more")
    beta_nms: float = opt(0.6, "exponent of nms_kind=diounms")
    nms_kind: str = opt("default", "how overlapping boxes are suppressed",
                        choices=("default", "greedynms", "diounms", "cornersnms"))
    map: str = opt("", "file of class numbers to use instead, one on each line")


@register("yolo", "yolo4")
class Yolo(DetectionHead):
    """(n * (5 + classes), h, w) -> the same shape, n anchors of mask  (src/yolo_layer.c); one fork calls it [yolo4].

    The channels of an anchor: x, y in the cell, w, h as they came, objectness, classes; logistic on all but w, h.
    """
    inexact = "darknet learns from differences, not from the derivative of the loss it prints; recorded numbers hold it"
    ENTRIES = 5             # before the classes
    BOX = (0, 1, 2, 3)      # where x, y, w, h stand
    OBJECTNESS = 4

    @dataclass(frozen=True, kw_only=True)
    class Options(AnchorOptions):
        new_coords: bool = opt(False, "1: the values come activated from the layer before, w = (2 v)^2 anchor")
        focal_loss: bool = opt(False, "1: easy examples of a class count less")
        show_details: bool = opt(True, "0: the printed loss is the sum of the squared differences")
        uc_normalizer: float = ignored(1.0, "factor of the sigmas", "darknet reads it in [Gaussian_yolo] only")
        beta1: float = ignored(0.6, "exponent of the suppression", "darknet never reads it; beta_nms is the option")
        track_history_size: int = ignored(5, "frames remembered", TRACKING)
        sim_thresh: float = ignored(0.8, "similarity of the same thing in two frames", TRACKING)
        dets_for_track: int = ignored(1, "sightings before a number is given", TRACKING)
        dets_for_show: int = ignored(1, "sightings before it is drawn", TRACKING)
        track_ciou_norm: float = ignored(0.01, "weight of the overlap in that similarity", TRACKING)
        embedding_layer: int = ignored(999999, "layer that tells things apart", TRACKING)

    def setup(self, shape: Shape) -> None:
        o = self.options
        if any(m >= o.num for m in o.mask):
            raise ShapeError(f"mask counts anchors from 0 to {o.num - 1} (num={o.num}). Got {max(o.mask)}")
        if o.counters_per_class and len(o.counters_per_class) != o.classes:
            raise ShapeError(f"counters_per_class must have one number for each of the {o.classes} classes. "
                             f"Got {len(o.counters_per_class)}")
        self.grid = self.check_channels(shape, len(o.mask), self.ENTRIES, o.classes)
        self.out_shape = self.image(shape)
        self.anchors = anchor_pairs(o.anchors, o.num)
        self.new_coords: bool = getattr(o, "new_coords", False)         # [Gaussian_yolo] has neither option
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
        if not self.new_coords:
            for part in self._logistic_parts():
                v[:, :, part] = ops.logistic(v[:, :, part])
        scale = self.options.scale_x_y
        for at in self.BOX[:2]:
            v[:, :, at] = scale * v[:, :, at] - 0.5 * (scale - 1)
        y = v.reshape(len(x), *self.out_shape)
        return y, y

    def prepare(self, rows: int) -> Any:
        scale, shape = self.options.scale_x_y, (len(self.options.mask), self.out_shape[0] // len(self.options.mask))
        curved, factors, offsets = np.zeros(shape, bool), np.ones(shape), np.zeros(shape)
        for part in () if self.new_coords else self._logistic_parts():
            curved[:, part] = True
        factors[:, self.BOX[:2]], offsets[:, self.BOX[:2]] = scale, -0.5 * (scale - 1)
        return ops.plan_logistic(curved.reshape(-1), factors.reshape(-1), offsets.reshape(-1))

    def _logistic_parts(self) -> tuple[slice, ...]:
        return slice(0, 2), slice(4, None)

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
            wide, high = 4 * tw * tw * sides[:, 0], 4 * th * th * sides[:, 1]
        else:
            with np.errstate(over="ignore"):
                wide, high = np.exp(tw) * sides[:, 0], np.exp(th) * sides[:, 1]
        return np.stack([(col + x) / w, (row + y) / h, wide, high], axis=-1)

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
        """truth (n, boxes, 5) -> the loss darknet prints; minus what each value learns."""
        o, v = self.options, self._split(saved)
        delta = np.zeros_like(v)
        fits: list[float] = []      # 1 - overlap of every box that was given a truth
        for image, rows in enumerate(self.truth(truth, len(saved))):
            kind = rows[:, 4].astype(int)
            rows = rows[(kind >= 0) & (kind < o.classes)]
            with np.errstate(over="ignore", invalid="ignore"):      # a size may run away; the loss tells
                self._compare_image(v[image], delta[image], rows, fits)
        if self._averages():
            self._average(delta)
        cost = self._cost(delta, fits)
        dx = -delta.reshape(len(saved), *self.in_shapes[0])
        return cost, dx if o.delta_normalizer == 1 else dx * saved.dtype.type(o.delta_normalizer)

    def _averages(self) -> bool:
        """Whether a box can have been given several truths whose mean it takes."""
        return self.loss_options.iou_thresh < 1

    def _cost(self, delta: np.ndarray, fits: list[float]) -> float:
        o = self.loss_options
        if o.iou_loss == "mse" or not o.show_details:
            return float((delta.astype(np.float64) ** 2).sum())
        rest = float((delta[:, :, 4:].astype(np.float64) ** 2).sum())
        return o.iou_normalizer * (sum(fits) / len(fits) if fits else 0) + o.obj_normalizer * rest

    def _average(self, delta: np.ndarray) -> None:
        """A box that was given several truths moves by their mean: as many as classes it was told to raise."""
        raised = (delta[:, :, self.ENTRIES:] > 0).sum(axis=2)
        share = np.where((delta[:, :, self.OBJECTNESS] != 0) & (raised > 0), raised, 1).astype(delta.dtype)
        delta[:, :, :self.OBJECTNESS] /= share[:, :, None]

    def _compare_image(self, v: np.ndarray, delta: np.ndarray, rows: np.ndarray, fits: list[float]) -> None:
        """v, delta (anchors, entries, h, w); rows (k, 5)."""
        pred = self.decode(v)
        self._background(v, delta, pred, rows)
        cells = [self._cell(row) for row in rows]
        pairs = [(t, n) for t, chosen in enumerate(self._chosen(rows)) for n in chosen]
        if not pairs:
            return
        truth, anchor = np.array(pairs).T       # all pairs at once: a box is a small thing to call NumPy for
        column, line = np.array(cells).T[:, truth]
        boxes, goals = pred[anchor, line, column], rows[truth, :4]
        overlap = ops.giou if self.loss_options.iou_loss == "giou" else ops.iou
        fits += (1 - overlap(boxes, goals)).tolist()
        steps: Any = [None] * len(pairs)
        if self.loss_options.iou_loss != "mse":
            raw = np.stack([v[anchor, part, line, column] for part in self.BOX[2:]], axis=1)
            steps = self._overlap_step(boxes, raw, goals)
        for (t, n), step in zip(pairs, steps, strict=True):
            self._teach(v, delta, rows[t], n, cells[t], step)

    def _background(self, v: np.ndarray, delta: np.ndarray, pred: np.ndarray, rows: np.ndarray) -> None:
        """Objectness goes to 0 everywhere but where a box lies well on a truth."""
        o, objectness = self.loss_options, v[:, self.OBJECTNESS]
        table = overlaps(pred, rows)
        best, matched = table.max(axis=-1), table.max(axis=-1)
        if not self.pjreddie:
            matched = np.where((v[:, self.ENTRIES:] > 0.25).any(axis=1), best, 0).astype(best.dtype)
        d = o.obj_normalizer * (0 - objectness)
        d = self._ignored(v, delta, table, matched, d, rows)
        delta[:, self.OBJECTNESS] = d
        for n, j, i in zip(*np.nonzero(best > o.truth_thresh), strict=True):
            self._teach_anyway(v, delta, pred, rows[table[n, j, i].argmax()], (n, j, i))

    def _ignored(self, v: np.ndarray, delta: np.ndarray, table: np.ndarray, matched: np.ndarray, d: np.ndarray,
                 rows: np.ndarray) -> np.ndarray:
        """d (anchors, h, w), what objectness learns, changed where a box overlaps a truth by more than
        ignore_thresh; matched (anchors, h, w) is the overlap, table (..., rows + 1) that with each truth."""
        o = self.loss_options
        if o.objectness_smooth:
            risen = np.maximum(d, o.obj_normalizer * (matched - v[:, self.OBJECTNESS]))
            return np.where(matched > o.ignore_thresh, risen, d)
        return np.where(matched > o.ignore_thresh, 0, d)

    def _teach_anyway(self, v: np.ndarray, delta: np.ndarray, pred: np.ndarray, row: np.ndarray,
                      at: tuple[int, int, int]) -> None:
        """A box above truth_thresh learns the truth it lies on."""
        o, (n, j, i) = self.loss_options, at
        goal = float(ops.iou(pred[n, j, i], row[:4])) ** 2 if o.objectness_smooth else 1
        delta[n, self.OBJECTNESS, j, i] = o.obj_normalizer * (goal - v[n, self.OBJECTNESS, j, i])
        kind = self._class(row)
        self._teach_class(v, delta, kind, at)
        if o.objectness_smooth:
            c = self.ENTRIES + kind
            delta[n, c, j, i] = self._multiplier(kind) * (goal - v[n, c, j, i])
        raw = np.array([v[n, part, j, i] for part in self.BOX[2:]])
        step = None if o.iou_loss == "mse" else self._overlap_step(pred[n, j, i], raw, row[:4])
        self._teach_box(v, delta, row, at, self._multiplier(kind), (i, j), step)

    def _chosen(self, rows: np.ndarray) -> list[list[int]]:
        """Which of this head's anchors learn each truth: the one of most similar shape, if it is one of them, and with
        iou_thresh the others that are similar enough.  In the order darknet takes them."""
        o, shapes = self.loss_options, np.zeros((len(rows), 1, 4))
        shapes[:, 0, 2:] = rows[:, 2:4]
        flat = np.concatenate([np.zeros_like(self.anchors), self.anchors / self.network_size], axis=1)
        nearest = ops.iou(flat, shapes).argmax(axis=1).tolist()
        alike = np.zeros((len(rows), o.num), bool)
        if o.iou_thresh < 1:
            alike = getattr(ops, o.iou_thresh_kind)(flat, shapes) > o.iou_thresh
        chosen = ([best, *(n for n in np.flatnonzero(row).tolist() if n != best)]
                  for best, row in zip(nearest, alike, strict=True))
        return [[o.mask.index(n) for n in each if n in o.mask] for each in chosen]

    def _teach(self, v: np.ndarray, delta: np.ndarray, row: np.ndarray, n: int, cell: tuple[int, int],
               step: np.ndarray | None) -> None:
        """The box of anchor n in the truth's cell learns the truth; step (4,) is what iou_loss says."""
        o, (i, j) = self.loss_options, cell
        kind = self._class(row)
        multiplier = self._multiplier(kind)
        self._teach_box(v, delta, row, (n, j, i), multiplier, cell, step)
        if not (o.objectness_smooth and delta[n, self.OBJECTNESS, j, i] != 0):
            delta[n, self.OBJECTNESS, j, i] = o.obj_normalizer * multiplier * (1 - v[n, self.OBJECTNESS, j, i])
        self._teach_class(v, delta, kind, (n, j, i))

    def _cell(self, row: np.ndarray) -> tuple[int, int]:
        """Column and row of the cell the truth's centre lies in; one on the far border belongs to the last cell."""
        h, w = self.grid
        return min(int(row[0] * w), w - 1), min(int(row[1] * h), h - 1)

    def _class(self, row: np.ndarray) -> int:
        return self.mapped(int(row[4]))

    def _multiplier(self, kind: int) -> float:
        return 1.0 if self.multipliers is None else float(self.multipliers[kind])

    def _teach_class(self, v: np.ndarray, delta: np.ndarray, kind: int, at: tuple[int, int, int]) -> None:
        o, (n, j, i) = self.loss_options, at
        p, d = v[n, self.ENTRIES:, j, i], delta[n, self.ENTRIES:, j, i]
        eps = o.label_smooth_eps
        right, wrong = 1 - eps + 0.5 * eps, 0.5 * eps
        if self._learned_before(d, kind):
            d[kind] = _finite(right - p[kind], d[kind]) * self._multiplier(kind)
            return
        goal = np.full_like(p, wrong)
        goal[kind] = right
        if self.focal_loss:
            goal[:] = 0
            goal[kind] = 1
            d[:] = (goal - p) * focal_factor(p[kind])
            return
        d[:] = _finite(goal - p, d)
        if self.multipliers is not None:
            d[kind] *= self._multiplier(kind) * o.cls_normalizer

    def _learned_before(self, d: np.ndarray, kind: int) -> bool:
        """Whether the box was given a truth before this one; d is what its classes learned of it."""
        return bool(d[0 if self.pjreddie else kind])

    def _teach_box(self, v: np.ndarray, delta: np.ndarray, row: np.ndarray, at: tuple[int, int, int],
                   multiplier: float, cell: tuple[int, int], step: np.ndarray | None) -> None:
        """Add what x, y, w, h of one box learn from one truth; step: of _overlap_step, where iou_loss is not mse."""
        o, (n, j, i) = self.loss_options, at
        values, d = v[n, :4, j, i], delta[n, :4, j, i]
        scale = 2 - row[2] * row[3]
        if self.pjreddie:
            d[:] = scale * (self._goal(row, n, cell) - values)
        elif step is None:
            d += scale * o.iou_normalizer * multiplier * (self._goal(row, n, cell) - values)
        else:
            d += limited(step * o.iou_normalizer * multiplier, o.max_delta)

    def _overlap_step(self, pred: np.ndarray, raw: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """What iou_loss says for boxes (..., 4) and their truths; raw (..., 2) are w and h before decoding."""
        pred = np.where([False, False, True, True] & (pred == 0), 1, pred).astype(pred.dtype)
        with np.errstate(all="ignore"):
            step = self._of_point(ops.box_gradient(pred, truth.astype(pred.dtype), self.options.iou_loss))
            if not self.new_coords:
                step[..., 2:] *= np.exp(raw)
        return step

    def _of_point(self, step: np.ndarray) -> np.ndarray:
        """The step of a box's centre and size as that of the point the layer predicts: here the centre itself."""
        return step

    def _goal(self, row: np.ndarray, n: int, cell: tuple[int, int]) -> np.ndarray:
        """x, y, w, h a box would have to be the truth, in the values the layer stores."""
        (h, w), size = self.grid, self.network_size
        ratio = row[2:4] * size / self.anchors[self.options.mask[n]]
        sides = np.sqrt(ratio / 4) if self.new_coords else np.log(ratio)
        return np.array([row[0] * w - cell[0], row[1] * h - cell[1], *sides], row.dtype)


def _finite(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    """new, and old where new is no number."""
    return np.where(np.isfinite(new), new, old)


def limited(step: np.ndarray, limit: float) -> np.ndarray:
    """step within +-limit, 0 where it is no number."""
    return np.clip(np.where(np.isfinite(step), step, 0), -limit, limit).astype(step.dtype)
