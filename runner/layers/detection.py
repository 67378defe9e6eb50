"""[detection]: boxes of a grid of cells, the head of the first YOLO."""
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import ignored, opt
from runner.errors import ShapeError
from runner.layers.shared.base import Shape, register
from runner.layers.shared.heads import Candidates, DetectionHead, DetectionOptions

GENTLE_START = 64000        # images during which random=1 picks the box by chance
SMALL = 0.1                 # forced=1: truths of a smaller area belong to the second box


@register("detection")
class Detection(DetectionHead):
    """Any shape, flattened -> (side^2 * (classes + num * 5),)  (src/detection_layer.c).

    First the classes of every cell, then the objectness of every box, then the boxes: x, y in the cell, w, h of the
    image (their roots with sqrt).  Forward changes the classes only, with softmax.
    """
    inexact = "darknet learns from differences; the softmax is not differentiated. Recorded numbers hold it"

    @dataclass(frozen=True, kw_only=True)
    class Options(DetectionOptions):
        classes: int = opt(1, "kinds of things; 0: boxes only", low=0)
        coords: int = opt(1, "values of a box: 4", low=1)
        rescore: bool = opt(False, "1: objectness learns the overlap instead of 1")
        num: int = opt(1, "boxes of a cell", low=1)
        side: int = opt(7, "cells across, and down", low=1)
        softmax: bool = opt(False, "1: the classes of a cell become probabilities")
        sqrt: bool = opt(False, "1: w, h are square roots")
        max: int = ignored(200, "boxes an image can have", "the truth has one place for each cell")
        coord_scale: float = opt(1.0, "factor on what boxes learn")
        object_scale: float = opt(1.0, "factor on what objectness learns where something is")
        noobject_scale: float = opt(1.0, "factor on what objectness learns where nothing is")
        class_scale: float = opt(1.0, "factor on what classes learn")
        forced: bool = opt(False, "1: large things belong to the first box of a cell, small ones to the second")
        random: float = opt(0.0, "above 0: boxes are chosen by chance for the first 64000 images")
        reorg: bool = ignored(False, "order of the input", "darknet reads it and never uses it")

    def setup(self, shape: Shape) -> None:
        o = self.options
        if o.forced and o.num < 2:
            raise ShapeError("forced=1 chooses between two boxes of a cell: num must be at least 2. Got num=1")
        inputs, needed = math.prod(shape), o.side ** 2 * (o.classes + (1 + o.coords) * o.num)
        if inputs != needed:
            raise ShapeError(f"{inputs} values come in, and it needs {needed}: set output={needed} in the [connected] "
                             f"before it: {o.side} x {o.side} cells x ({o.classes} classes + {o.num} boxes x "
                             f"{1 + o.coords})")
        self.out_shape = (inputs,)

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, ...) -> y (n, k), saved."""
        o, y = self.options, np.array(x.reshape(len(x), -1), order="C")
        if o.softmax and o.classes:
            end = o.side ** 2 * o.classes
            y[:, :end] = ops.softmax(np.ascontiguousarray(y[:, :end]), o.side ** 2)
        return y, y

    def _split(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(n, k) -> views: classes (n, cells, classes), objectness (n, cells, num), boxes (n, cells, num, 4)."""
        o = self.options
        if o.coords != 4:       # such cfgs load in darknet and can be run; a box they are not
            raise ShapeError(f"[detection] finds boxes with coords=4 only: x, y, w, h. Got coords={o.coords}")
        cells = o.side ** 2
        classes, objectness = cells * o.classes, cells * (o.classes + o.num)
        return (y[:, :classes].reshape(len(y), cells, o.classes),
                y[:, classes:objectness].reshape(len(y), cells, o.num),
                y[:, objectness:].reshape(len(y), cells, o.num, 4))

    def boxes(self, output: np.ndarray, thresh: float) -> Candidates:
        """Every box, cell by cell; what is not above thresh has probability 0."""
        o = self.options
        classes, objectness, boxes = (part[0] for part in self._split(output.reshape(1, -1)))
        p = objectness[:, :, None] * classes[:, None, :]
        corner = np.stack(np.divmod(np.arange(o.side ** 2), o.side)[::-1], axis=-1).astype(output.dtype)
        centre = (boxes[..., :2] + corner[:, None]) / o.side
        size = boxes[..., 2:] ** 2 if o.sqrt else boxes[..., 2:]
        return Candidates(np.concatenate([centre, size], axis=-1).reshape(-1, 4), objectness.reshape(-1),
                          np.where(p > thresh, p, 0).astype(p.dtype).reshape(-1, o.classes))

    def loss(self, saved: Any, truth: np.ndarray) -> tuple[float, np.ndarray]:
        """truth (n, boxes, 5), or as darknet has it flat: for every cell is-object, one-hot class, x, y, w, h."""
        o = self.options
        delta = np.zeros_like(saved)
        classes, objectness, boxes = self._split(saved)
        d_classes, d_objectness, d_boxes = self._split(delta)
        d_objectness[...] = o.noobject_scale * (0 - objectness)
        for image, cell, onehot, box in self._objects(truth, saved):
            d_classes[image, cell] = o.class_scale * (onehot - classes[image, cell])
            pred = boxes[image, cell]
            best, overlap = self._responsible(pred, box)
            goal = overlap if o.rescore else 1
            d_objectness[image, cell, best] = o.object_scale * (goal - objectness[image, cell, best])
            target = np.concatenate([box[:2], np.sqrt(box[2:])]) if o.sqrt else box
            d_boxes[image, cell, best] = o.coord_scale * (target - pred[best])
        cost = float((delta.astype(np.float64) ** 2).sum())
        return cost, -delta.reshape(len(saved), *self.in_shapes[0])

    def _objects(self, truth: np.ndarray, saved: np.ndarray) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
        """-> image, cell, one-hot class, box with x, y inside the cell; of things in one cell the first."""
        o = self.options
        if truth.ndim != 3 and truth[0].size == o.side ** 2 * (5 + o.classes):
            cells = truth.reshape(len(saved), o.side ** 2, -1)
            for image, cell in zip(*np.nonzero(cells[:, :, 0]), strict=True):
                yield image, cell, cells[image, cell, 1:-4], cells[image, cell, -4:]
            return
        for image, rows in enumerate(self.truth(truth, len(saved))):
            taken = set()
            for row in rows:
                at = np.minimum((row[:2] * o.side).astype(int), o.side - 1)
                cell, kind = int(at[1] * o.side + at[0]), int(row[4])
                if cell not in taken and 0 <= kind < o.classes:
                    taken.add(cell)
                    yield (image, cell, np.eye(o.classes, dtype=saved.dtype)[kind],
                           np.concatenate([row[:2] * o.side - at, row[2:4]]).astype(saved.dtype))

    def _responsible(self, pred: np.ndarray, box: np.ndarray) -> tuple[int, float]:
        """Which of a cell's boxes (num, 4) learns the truth, and its IoU with it."""
        o = self.options
        pred = np.concatenate([pred[:, :2] / o.side, pred[:, 2:] ** 2 if o.sqrt else pred[:, 2:]], axis=1)
        truth = np.concatenate([box[:2] / o.side, box[2:]])
        overlaps = ops.iou(pred, truth)
        best = int(overlaps.argmax() if overlaps.max() > 0 else ops.box_rmse(pred, truth).argmin())
        if o.forced:
            best = int(truth[2] * truth[3] < SMALL)
        if o.random and self.env.progress.seen < GENTLE_START:
            best = int(self.env.rng.integers(o.num))
        return best, float(overlaps[best])
