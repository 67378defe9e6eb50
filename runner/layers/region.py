"""[region]: boxes from anchors, the head of YOLOv2 and of YOLO9000 with its tree of classes."""
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from runner import ops
from runner.config import ignored, opt
from runner.errors import ShapeError, counted
from runner.layers.shared.base import Shape, register
from runner.layers.shared.heads import (
    CLASS_ONLY,
    MOST_ANCHORS,
    Candidates,
    DetectionHead,
    DetectionOptions,
    anchor_pairs,
    cells,
    focal_factor,
    overlaps,
)
from runner.layers.shared.wordtree import Tree, read_tree

WARM_UP = 12800        # images during which every box is trained towards its anchor
HIERARCHY = 0.5             # a class of the tree must be more probable than this for its children to be considered
UNUSED = "darknet reads it and never uses it"


@register("region")
class Region(DetectionHead):
    """(num * (coords + 1 + classes), h, w) -> the same shape  (src/region_layer.c).

    The channels of an anchor: x, y in the cell (logistic), w, h unchanged, objectness (logistic), classes.  AlexeyAB's
    fork leaves x, y unchanged and has no logistic on classes without softmax; with compat="alexeyab" the output has
    its order too: cell by cell, the values of each anchor together.
    """
    inexact = "darknet's delta is the difference, without the slope of softmax; checked against recorded numbers"

    @dataclass(frozen=True, kw_only=True)
    class Options(DetectionOptions):
        coords: int = opt(4, "values of a box; those above 4 are a mask", low=4)
        classes: int = opt(20, "number of classes", low=1)
        num: int = opt(1, "anchors", low=1, high=MOST_ANCHORS)
        max: int = opt(200, "boxes an image can have in training", low=1)
        log: bool = ignored(False, "none", UNUSED)
        sqrt: bool = ignored(False, "none", UNUSED)
        absolute: bool = ignored(False, "none", UNUSED)
        softmax: bool = opt(False, "1: softmax over the classes of a box")
        focal_loss: bool = opt(False, "1: focal loss: easy examples of a class count less")
        background: bool = opt(False, "1: objectness is the background class, and part of the softmax")
        rescore: bool = opt(False, "1: the target of objectness is the IoU instead of 1")
        thresh: float = opt(0.5, "IoU with a truth above which an unassigned box is not trained as background",
                            low=0, high=1)
        classfix: int = opt(0, "1: such boxes are trained on the class of the truth; 2: weighted by their objectness; "
                               "-1: the target of objectness is the IoU everywhere", low=-1, high=2)
        coord_scale: float = opt(1.0, "factor on the gradient of the boxes", low=0)
        object_scale: float = opt(1.0, "factor on the gradient of objectness where there is an object", low=0)
        noobject_scale: float = opt(1.0, "factor on the gradient of objectness where there is none", low=0)
        mask_scale: float = opt(1.0, "factor on the gradient of the masks (coords above 4)", low=0)
        class_scale: float = opt(1.0, "factor on the gradient of the classes", low=0)
        bias_match: bool = opt(False, "1: assign a truth to the anchor of most similar shape, not to the box")
        tree: str = opt("", "file with the tree of classes: a softmax for each group of siblings")
        map: str = opt("", "file that maps classes to other class numbers, one per line")
        anchors: tuple[float, ...] = opt((), "width,height of each anchor, cells; 0.5 where missing", low=0)

    def setup(self, shape: Shape) -> None:
        o = self.options
        self.fork = self.env.compat.region
        if o.coords != 4 and self.fork == "alexeyab":
            raise ShapeError(f"coords must be 4 in AlexeyAB's fork. Got {o.coords}")
        self.grid = self.check_channels(shape, o.num, o.coords + 1, o.classes)
        self.out_shape = self.image(shape)
        self.anchors = anchor_pairs(o.anchors, o.num)

    @cached_property
    def tree(self) -> Tree | None:
        """Read on first use: the shapes of a cfg can be computed without it."""
        if not self.options.tree:
            return None
        tree = read_tree(self.options.tree, self.env.folder)
        if len(tree.names) != self.options.classes:
            raise ShapeError(f"classes={self.options.classes} in [region], and {self.options.tree} has "
                             f"{counted(len(tree.names), 'class')}")
        return tree

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, c, h, w) -> y of the same shape, saved."""
        o, v = self.options, np.array(x, order="C").reshape(len(x), self.options.num, -1, *self.grid)
        raw = v[:, :, :2].copy() if self.fork == "alexeyab" else None
        for part in self._logistic_parts():
            v[:, :, part] = ops.logistic(v[:, :, part])
        first = o.coords + (0 if o.background else 1)
        if self.tree or o.softmax:
            scores = np.moveaxis(v[:, :, first:], 2, -1)
            flat = np.ascontiguousarray(scores).reshape(-1, scores.shape[-1])
            sizes = self.tree.sizes if self.tree else ()
            p = ops.softmax_tree(flat, (1, *sizes) if o.background else sizes) if self.tree else ops.softmax(flat)
            v[:, :, first:] = np.moveaxis(p.reshape(scores.shape), -1, 2)
        elif self.fork != "alexeyab":
            v[:, :, o.coords + 1:] = ops.logistic(v[:, :, o.coords + 1:])
        if raw is None:
            return v.reshape(x.shape[0], *self.out_shape), v
        y = v.copy()
        y[:, :, :2] = raw
        return np.ascontiguousarray(y.transpose(0, 3, 4, 1, 2)).reshape(len(x), *self.out_shape), v

    def _logistic_parts(self) -> tuple[slice, ...]:
        """The entries of x and y, the mask and objectness."""
        o = self.options
        return slice(0, 2), slice(4, o.coords + (0 if o.background else 1))

    def decode(self, v: np.ndarray) -> np.ndarray:
        """v (anchors, entries, h, w), activated -> boxes (anchors, h, w, 4) relative to the network's input."""
        h, w = self.grid
        col, row = cells(h, w, v.dtype)
        sides = (self.anchors / (w, h)).astype(v.dtype)[..., None, None]
        with np.errstate(over="ignore"):
            return np.stack([(col + v[:, 0]) / w, (row + v[:, 1]) / h,
                             np.exp(v[:, 2]) * sides[:, 0], np.exp(v[:, 3]) * sides[:, 1]], axis=-1)

    def boxes(self, output: np.ndarray, thresh: float) -> Candidates:
        """Every box, anchor by anchor (AlexeyAB's fork: cell by cell); probability 0 where not above thresh."""
        o, (h, w) = self.options, self.grid
        if self.fork == "alexeyab":
            v = output.reshape(h, w, o.num, -1).transpose(2, 3, 0, 1).copy()
            v[:, :2] = ops.logistic(v[:, :2])
            order = (1, 2, 0)
        else:
            v, order = output.reshape(o.num, -1, h, w), (0, 1, 2)
        boxes = self.decode(v).transpose(*order, 3).reshape(-1, 4)
        objectness = v[:, o.coords].transpose(order).reshape(-1)
        classes = np.moveaxis(v[:, o.coords + 1:], 1, -1).transpose(*order, 3).reshape(-1, o.classes)
        if o.background:
            objectness = np.ones_like(objectness)
        if o.classfix == -1:
            objectness = np.where(objectness < .5, 0, objectness)
        p = objectness[:, None] * classes if self.tree is None else self._tree_probability(objectness, classes, thresh)
        p = np.where(p > thresh, p, 0) if self.tree is None or o.map else p
        if self.fork == "alexeyab":
            return Candidates(boxes, np.ones_like(objectness), p)
        return Candidates(boxes, np.where(objectness > thresh, objectness, 0).astype(p.dtype), p)

    def _tree_probability(self, objectness: np.ndarray, classes: np.ndarray, thresh: float) -> np.ndarray:
        """One class of the tree for each box, as deep as is probable enough; with map= all classes it lists."""
        assert self.tree is not None
        own = self.tree.absolute(classes)
        if self.class_map is not None:
            return objectness[:, None] * own[:, self.class_map]
        probable = own > HIERARCHY
        if self.fork == "alexeyab":
            last = own.shape[1] - 1 - probable[:, ::-1].argmax(axis=1)
            value = np.where(probable.any(axis=1) & (objectness > thresh), own[np.arange(len(own)), last], 0)
        else:
            last = np.array([self._deepest(each) for each in own], int).reshape(-1)
            value = np.where(objectness > thresh, objectness, 0)
        p = np.zeros_like(own)
        p[np.arange(len(own)), last] = value
        return p

    def _deepest(self, own: np.ndarray) -> int:
        """Down from the root, always to the most probable child, while the product of the probabilities on the path is
        above HIERARCHY.  own holds probabilities already multiplied down the tree, so a deep class needs more than
        that (src/tree.c:hierarchy_top_prediction, as src/region_layer.c calls it)."""
        assert self.tree is not None
        parent, product = -1, 1.0
        while True:
            children = np.flatnonzero(self.tree.parents == parent)
            if not len(children):
                return parent
            best = int(children[own[children].argmax()])
            product *= float(own[best])
            if product <= HIERARCHY:
                return best if parent < 0 else parent
            parent = best

    # --- training ------------------------------------------------------------------------------------

    def loss(self, saved: Any, truth: np.ndarray) -> tuple[float, np.ndarray]:
        """truth (n, boxes, 5) -> the sum of the squared deltas; minus the deltas."""
        delta = np.zeros_like(saved)
        for image, rows in enumerate(self.truth(truth, len(saved))):
            label = rows[:, self.options.coords].astype(int)
            self._compare_image(saved[image], delta[image], rows[(label >= 0) & (label < self.options.classes)])
        cost = float((delta.astype(np.float64) ** 2).sum())
        dx = -delta
        if self.fork != "alexeyab":     # its deltas contain the slope of the logistic already
            self.show("delta", dx.copy())
            for part in self._logistic_parts():
                dx[:, :, part] *= saved[:, :, part] * (1 - saved[:, :, part])
        return cost, dx.reshape(len(saved), *self.in_shapes[0])

    def _slope(self, p: np.ndarray) -> Any:
        return p * (1 - p) if self.fork == "alexeyab" else 1

    def _compare_image(self, v: np.ndarray, delta: np.ndarray, rows: np.ndarray) -> None:
        """v, delta (anchors, entries, h, w); rows (k, 5)."""
        without_box = (rows[:, 0] > CLASS_ONLY) & (rows[:, 1] > CLASS_ONLY)
        if self.tree is not None and without_box.any():
            self._train_class_only(v, delta, int(rows[without_box.argmax(), self.options.coords]))
            return
        rows = rows[~without_box]
        pred = self.decode(v)
        self._background(v, delta, pred, rows)
        if self.env.progress.seen < WARM_UP:
            delta[:, :2] = .01 * (.5 - v[:, :2]) * self._slope(v[:, :2])
            delta[:, 2:4] = .01 * (0 - v[:, 2:4])
        for row in rows:
            self._train(v, delta, pred, row)

    def _train_class_only(self, v: np.ndarray, delta: np.ndarray, label: int) -> None:
        """A truth without a box: the box with the highest probability of the class is trained on it."""
        assert self.tree is not None
        o, path = self.options, self.tree.path(label)
        p = v[:, o.coords] * v[:, [o.coords + 1 + node for node in path]].prod(axis=1)
        at = tuple(int(k) for k in np.unravel_index(p.argmax(), p.shape))
        if self.fork != "alexeyab":
            delta[:, o.coords] = o.noobject_scale * (0 - v[:, o.coords])
            delta[at[0], o.coords, at[1], at[2]] = 0
        self._train_class(v, delta, label, at, o.class_scale)

    def _background(self, v: np.ndarray, delta: np.ndarray, pred: np.ndarray, rows: np.ndarray) -> None:
        """Trains objectness towards 0, except where a box overlaps a truth well."""
        o, p = self.options, v[:, self.options.coords]
        table = overlaps(pred, rows)
        best = table.max(axis=-1)
        target = best if o.classfix == -1 else 1 if o.background else 0
        d = o.noobject_scale * (target - p) * self._slope(p)
        if o.classfix != -1:
            d = np.where(best > o.thresh, 0, d)
        delta[:, o.coords] = d
        if o.classfix > 0:
            for n, j, i in zip(*np.nonzero(best > o.thresh), strict=True):
                label = int(rows[table[n, j, i].argmax(), o.coords])
                scale = o.class_scale * (float(p[n, j, i]) if o.classfix == 2 else 1)
                self._train_class(v, delta, label, (n, j, i), scale)

    def _train(self, v: np.ndarray, delta: np.ndarray, pred: np.ndarray, row: np.ndarray) -> None:
        """Trains one anchor of the truth's cell: box, objectness and class."""
        o, (h, w) = self.options, self.grid
        i, j = min(int(row[0] * w), w - 1), min(int(row[1] * h), h - 1)
        shapes = (self.anchors / (w, h)).astype(v.dtype) if o.bias_match else pred[:, j, i, 2:]
        n = int(ops.iou(np.concatenate([np.zeros_like(shapes), shapes], axis=1), np.array([0, 0, *row[2:4]])).argmax())
        mine, d = v[n, :, j, i], delta[n, :, j, i]
        overlap = float(ops.iou(pred[n, j, i], row[:4]))

        scale = o.coord_scale * (1 if self.fork == "alexeyab" else 2 - row[2] * row[3])
        d[:2] = scale * (row[:2] * (w, h) - (i, j) - mine[:2]) * self._slope(mine[:2])
        d[2:4] = scale * (np.log(row[2:4] * (w, h) / self.anchors[n]) - mine[2:4])
        if o.coords > 4:
            d[4:o.coords] = o.mask_scale * (row[4:o.coords] - mine[4:o.coords])
        p = mine[o.coords]
        target = 0 if o.background else overlap if o.rescore else 1
        d[o.coords] = o.object_scale * (target - p) * self._slope(p)
        self._train_class(v, delta, self.mapped(int(row[o.coords])), (n, j, i), o.class_scale)

    def _train_class(self, v: np.ndarray, delta: np.ndarray, label: int, at: tuple[int, ...], scale: float) -> None:
        """The difference, without the derivative of softmax or logistic, is the gradient of the cross-entropy."""
        o, (n, j, i) = self.options, at
        p, d = v[n, o.coords + 1:, j, i], delta[n, o.coords + 1:, j, i]
        if self.tree is not None:
            for node in self.tree.path(label):
                siblings = self.tree.siblings(node)
                d[siblings] = scale * (0 - p[siblings])
                d[node] = scale * (1 - p[node])
            return
        if self.fork != "alexeyab" and not o.softmax and d[0]:      # the box is trained on another truth already
            d[label] = scale * (1 - p[label])
            return
        target = np.zeros_like(p)
        target[label] = 1
        d[:] = scale * (target - p) * (focal_factor(p[label]) if o.focal_loss else 1)
