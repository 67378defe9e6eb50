"""[Gaussian_yolo]: [yolo] with a mean and a standard deviation for each value of a box."""
import math
from dataclasses import dataclass

import numpy as np

from runner.config import opt
from runner.layers.shared.base import register
from runner.layers.yolo import AnchorOptions, Yolo, limited

CORNER = {"center": 0, "left_top": -1, "right_bottom": 1}      # offset from the centre, in halves of the box


@register("Gaussian_yolo")
class GaussianYolo(Yolo):
    """(n * (9 + classes), h, w) -> the same shape, n anchors of mask  (src/gaussian_yolo_layer.c).

    The channels of an anchor: x, its standard deviation, y, its own, w, .., h, .., objectness, classes; logistic on all
    but w and h.  Choi et al. 2019 (arXiv 1904.04620).
    """
    ENTRIES = 9
    BOX = (0, 2, 4, 6)
    OBJECTNESS = 8

    @dataclass(frozen=True, kw_only=True)
    class Options(AnchorOptions):
        uc_normalizer: float = opt(1.0, "factor on the gradient of the standard deviations", low=0)
        yolo_point: str = opt("center", "the point of a box that x, y give", choices=tuple(CORNER))

    def _logistic_parts(self) -> tuple[slice, ...]:
        return slice(0, 4), slice(5, 6), slice(7, None)

    def decode(self, v: np.ndarray) -> np.ndarray:
        """As [yolo]; x, y of a corner are moved to the centre."""
        boxes = super().decode(v)
        side = CORNER[self.options.yolo_point]
        if side:
            boxes[..., :2] -= boxes[..., 2:] * boxes.dtype.type(side / 2)
        return boxes

    def _probability(self, picked: np.ndarray, thresh: float) -> np.ndarray:
        """Objectness times class probability times the certainty of the box."""
        certainty = 1 - picked[:, 1:8:2].mean(axis=1, keepdims=True)
        p = picked[:, self.OBJECTNESS, None] * picked[:, self.ENTRIES:] * certainty
        return np.where(p > thresh, p, 0).astype(p.dtype)

    def _uncertainty(self, picked: np.ndarray) -> np.ndarray:
        return picked[:, 1:8:2]

    # --- training: where it differs from [yolo] ------------------------------------------------------

    def _cost(self, delta: np.ndarray, overlap_losses: list[float]) -> float:
        return float((delta.astype(np.float64) ** 2).sum())

    def _averages(self) -> bool:
        return True

    def _trained_before(self, d: np.ndarray, label: int) -> bool:
        return bool(d[0])

    def _ignored(self, v: np.ndarray, delta: np.ndarray, table: np.ndarray, matched: np.ndarray, d: np.ndarray,
                 rows: np.ndarray) -> np.ndarray:
        """With objectness_smooth, the target of a box that overlaps a truth is the squared IoU, and it learns the class
        too."""
        o = self.options
        where = matched > o.ignore_thresh
        if not o.objectness_smooth:
            return np.where(where, 0, d)
        target = matched * matched
        for n, j, i in zip(*np.nonzero(where), strict=True):
            label = self._class(rows[table[n, j, i].argmax()])
            self._train_class(v, delta, label, (n, j, i))
        return np.where(where, o.obj_normalizer * (target - v[:, self.OBJECTNESS]), d)

    def _point(self, row: np.ndarray) -> np.ndarray:
        return row[:2] + row[2:4] * row.dtype.type(CORNER[self.options.yolo_point] / 2)

    def _cell(self, row: np.ndarray) -> tuple[int, int]:
        h, w = self.grid
        x, y = self._point(row)
        return min(max(int(x * w), 0), w - 1), min(max(int(y * h), 0), h - 1)

    def _target(self, row: np.ndarray, n: int, cell: tuple[int, int]) -> np.ndarray:
        return super()._target(np.concatenate([self._point(row), row[2:]]), n, cell)

    def _train_box(self, v: np.ndarray, delta: np.ndarray, row: np.ndarray, at: tuple[int, int, int],
                   multiplier: float, cell: tuple[int, int], step: np.ndarray | None) -> None:
        """The likelihood of the truth under the predicted normal distributions; with iou_loss the gradient of the means
        is that of the overlap instead."""
        o, (n, j, i) = self.options, at
        mean, deviation = v[n, 0:8:2, j, i], v[n, 1:8:2, j, i]
        with np.errstate(all="ignore"):
            off = (self._target(row, n, cell) - mean) / deviation
            density = np.exp(-off * off / 2) / (math.sqrt(2 * math.pi) * (deviation + 0.3))
            weight = 0.5 * density / (density + 1e-9) * (2 - row[2] * row[3])
            shift = weight * off / deviation if step is None else step
            d_deviation = weight * (off * off / deviation - 1 / (deviation + 0.3))
        delta[n, 0:8:2, j, i] += limited(shift * (o.iou_normalizer * multiplier), o.max_delta)
        delta[n, 1:8:2, j, i] += limited(d_deviation * o.uc_normalizer, o.max_delta)

    def _of_point(self, step: np.ndarray) -> np.ndarray:
        side = CORNER[self.options.yolo_point]
        point = np.concatenate([step[..., :2] + step[..., 2:] * (side / 2), step[..., 2:]], axis=-1)
        return point if side else step
