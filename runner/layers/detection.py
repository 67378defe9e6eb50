"""[detection]: boxes from a grid of cells, the head of the first YOLO."""
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import ignored, opt
from runner.errors import ShapeError, counted
from runner.layers.shared.base import Shape, register
from runner.layers.shared.heads import MOST_ANCHORS, Candidates, DetectionHead, DetectionOptions

WARM_UP = 64000        # images during which random=1 picks a box at random
SMALL = 0.1                 # forced=1: truths of a smaller area are assigned to the second box


@register("detection")
class Detection(DetectionHead):
    """Any shape, flattened -> (side^2 * (classes + num * 5),)  (src/detection_layer.c).

    First the classes of every cell, then the objectness of every box, then the boxes: x, y in the cell, w, h relative
    to the image (their roots with sqrt=1).  Forward changes only the classes, and only with softmax=1.
    """
    inexact = "darknet's delta is the difference, without the slope of softmax; checked against recorded numbers"

    @dataclass(frozen=True, kw_only=True)
    class Options(DetectionOptions):
        classes: int = opt(1, "number of classes; 0: boxes only", low=0)
        coords: int = opt(1, "values of a box; 4 for x, y, w, h", low=1)
        rescore: bool = opt(False, "1: the target of objectness is the IoU instead of 1")
        num: int = opt(1, "boxes per cell", low=1, high=MOST_ANCHORS)
        side: int = opt(7, "cells per row and per column", low=1)
        softmax: bool = opt(False, "1: softmax over the classes of a cell")
        sqrt: bool = opt(False, "1: w, h are square roots")
        max: int = ignored(200, "boxes an image can have", "the truth has one entry for each cell")
        coord_scale: float = opt(1.0, "factor on the gradient of the boxes", low=0)
        object_scale: float = opt(1.0, "factor on the gradient of objectness where there is an object", low=0)
        noobject_scale: float = opt(1.0, "factor on the gradient of objectness where there is none", low=0)
        class_scale: float = opt(1.0, "factor on the gradient of the classes", low=0)
        forced: bool = opt(False, "1: assign large objects to the first box of a cell, small ones to the second")
        random: float = opt(0.0, "above 0: boxes are chosen at random for the first 64000 images", low=0)
        reorg: bool = ignored(False, "order of the input", "darknet reads it and never uses it")

    def setup(self, shape: Shape) -> None:
        o = self.options
        if o.forced and o.num < 2:
            raise ShapeError("forced=1 chooses between two boxes of a cell: num must be at least 2. Got num=1")
        inputs, needed = math.prod(shape), o.side ** 2 * (o.classes + (1 + o.coords) * o.num)
        if inputs != needed:
            raise ShapeError(f"expects {needed} values, {o.side} x {o.side} cells x ({counted(o.classes, 'class')} + "
                             f"{counted(o.num, 'box')} x {1 + o.coords}): set output={needed} in the [connected] "
                             f"before it. Got {inputs}")
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
        if o.coords != 4:       # darknet loads such cfgs and can run them, though these values are not boxes
            raise ShapeError(f"[detection] finds boxes with coords=4 only: x, y, w, h. Got coords={o.coords}")
        cells = o.side ** 2
        classes, objectness = cells * o.classes, cells * (o.classes + o.num)
        return (y[:, :classes].reshape(len(y), cells, o.classes),
                y[:, classes:objectness].reshape(len(y), cells, o.num),
                y[:, objectness:].reshape(len(y), cells, o.num, 4))

    def boxes(self, output: np.ndarray, thresh: float) -> Candidates:
        """Every box, cell by cell; the probability is 0 where it is not above thresh."""
        o = self.options
        classes, objectness, boxes = (part[0] for part in self._split(output.reshape(1, -1)))
        p = objectness[:, :, None] * classes[:, None, :]
        corner = np.stack(np.divmod(np.arange(o.side ** 2), o.side)[::-1], axis=-1).astype(output.dtype)
        centre = (boxes[..., :2] + corner[:, None]) / o.side
        size = boxes[..., 2:] ** 2 if o.sqrt else boxes[..., 2:]
        return Candidates(np.concatenate([centre, size], axis=-1).reshape(-1, 4), objectness.reshape(-1),
                          np.where(p > thresh, p, 0).astype(p.dtype).reshape(-1, o.classes))

    def loss(self, saved: Any, truth: np.ndarray) -> tuple[float, np.ndarray]:
        """truth (n, boxes, 5), or as darknet has it flat: for every cell objectness, one-hot class, x, y, w, h."""
        o = self.options
        delta = np.zeros_like(saved)
        classes, objectness, boxes = self._split(saved)
        d_classes, d_objectness, d_boxes = self._split(delta)
        d_objectness[...] = o.noobject_scale * (0 - objectness)
        for image, cell, onehot, box in self._objects(truth, saved):
            d_classes[image, cell] = o.class_scale * (onehot - classes[image, cell])
            pred = boxes[image, cell]
            best, overlap = self._responsible(pred, box)
            target = overlap if o.rescore else 1
            d_objectness[image, cell, best] = o.object_scale * (target - objectness[image, cell, best])
            box_target = np.concatenate([box[:2], np.sqrt(box[2:])]) if o.sqrt else box
            d_boxes[image, cell, best] = o.coord_scale * (box_target - pred[best])
        cost = float((delta.astype(np.float64) ** 2).sum())
        return cost, -delta.reshape(len(saved), *self.in_shapes[0])

    def _objects(self, truth: np.ndarray, saved: np.ndarray) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
        """-> image, cell, one-hot class, box with x, y inside the cell; of several objects in a cell the first."""
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
                cell, label = int(at[1] * o.side + at[0]), int(row[4])
                if cell not in taken and 0 <= label < o.classes:
                    taken.add(cell)
                    yield (image, cell, np.eye(o.classes, dtype=saved.dtype)[label],
                           np.concatenate([row[:2] * o.side - at, row[2:4]]).astype(saved.dtype))

    def _responsible(self, pred: np.ndarray, box: np.ndarray) -> tuple[int, float]:
        """Which of a cell's boxes (num, 4) is trained on the truth, and its IoU with it."""
        o = self.options
        pred = np.concatenate([pred[:, :2] / o.side, pred[:, 2:] ** 2 if o.sqrt else pred[:, 2:]], axis=1)
        truth = np.concatenate([box[:2] / o.side, box[2:]])
        overlaps = ops.iou(pred, truth)
        best = int(overlaps.argmax() if overlaps.max() > 0 else ops.box_rmse(pred, truth).argmin())
        if o.forced:
            best = int(truth[2] * truth[3] < SMALL)
        if o.random and self.env.progress.seen < WARM_UP:
            best = int(self.env.rng.integers(o.num))
        return best, float(overlaps[best])
