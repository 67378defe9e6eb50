"""[region]: boxes from anchors, the head of YOLOv2 and of YOLO9000 with its tree of classes."""
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from runner import ops
from runner.config import ignored, opt
from runner.errors import ShapeError
from runner.layers.shared.base import Shape, register
from runner.layers.shared.heads import (
    CLASS_ONLY,
    Candidates,
    DetectionHead,
    DetectionOptions,
    anchor_pairs,
    cells,
    focal_factor,
    overlaps,
)
from runner.layers.shared.wordtree import Tree, read_tree

GENTLE_START = 12800        # images during which every box is pulled to the shape of its anchor
HIERARCHY = 0.5             # how probable a class of the tree has to be before its children are looked at
UNUSED = "darknet reads it and never uses it"


@register("region")
class Region(DetectionHead):
    """(num * (coords + 1 + classes), h, w) -> the same shape  (src/region_layer.c).

    The channels of an anchor: x, y in the cell (logistic), w, h as they came, objectness (logistic), classes.
    AlexeyAB's fork keeps x, y as they came, and has no logistic on classes without softmax; with compat="alexeyab"
    the output is in its order too: cell by cell, the values of each anchor together.
    """
    inexact = "darknet learns from differences; the softmax is not differentiated. Recorded numbers hold it"

    @dataclass(frozen=True, kw_only=True)
    class Options(DetectionOptions):
        coords: int = opt(4, "values of a box; above 4 they are a mask", low=4)
        classes: int = opt(20, "kinds of things", low=1)
        num: int = opt(1, "anchors", low=1)
        max: int = opt(200, "boxes an image can have in training", low=1)
        log: bool = ignored(False, "none", UNUSED)
        sqrt: bool = ignored(False, "none", UNUSED)
        absolute: bool = ignored(False, "none", UNUSED)
        softmax: bool = opt(False, "1: the classes of a box become probabilities")
        focal_loss: bool = opt(False, "1: easy examples of a class count less")
        background: bool = opt(False, "1: objectness is the class 'nothing', and joins the softmax")
        rescore: bool = opt(False, "1: objectness learns the overlap instead of 1")
        thresh: float = opt(0.5, "IoU above which a box that is nobody's is not called background")
        classfix: int = opt(0, "1: such boxes learn the class of the truth, 2: as far as they are objects; "
                               "-1: objectness learns the overlap everywhere", low=-1, high=2)
        coord_scale: float = opt(1.0, "factor on what boxes learn")
        object_scale: float = opt(1.0, "factor on what objectness learns where something is")
        noobject_scale: float = opt(1.0, "factor on what objectness learns where nothing is")
        mask_scale: float = opt(1.0, "factor on what masks learn (coords above 4)")
        class_scale: float = opt(1.0, "factor on what classes learn")
        bias_match: bool = opt(False, "1: the anchor of most similar shape learns a truth, not the predicted box")
        tree: str = opt("", "file with the tree of classes: a softmax for each group of siblings")
        map: str = opt("", "file of class numbers to use instead, one on each line")
        anchors: tuple[float, ...] = opt((), "width,height of each anchor, cells; 0.5 where not given", low=0)

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
        """Read when it is first needed: the shapes of a cfg can be told without it."""
        if not self.options.tree:
            return None
        tree = read_tree(self.options.tree, self.env.folder)
        if len(tree.names) != self.options.classes:
            raise ShapeError(f"[region] classes={self.options.classes}, and the tree {self.options.tree} has "
                             f"{len(tree.names)}")
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
        """x and y, the mask, objectness."""
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
        """One class of the tree for each box: as far down as is sure enough; with map= all that it lists."""
        assert self.tree is not None
        own = self.tree.absolute(classes)
        if self.class_map is not None:
            return objectness[:, None] * own[:, self.class_map]
        sure = own > HIERARCHY
        if self.fork == "alexeyab":
            last = own.shape[1] - 1 - sure[:, ::-1].argmax(axis=1)
            value = np.where(sure.any(axis=1) & (objectness > thresh), own[np.arange(len(own)), last], 0)
        else:
            last = np.array([self._deepest(each) for each in own], int).reshape(-1)
            value = np.where(objectness > thresh, objectness, 0)
        p = np.zeros_like(own)
        p[np.arange(len(own)), last] = value
        return p

    def _deepest(self, own: np.ndarray) -> int:
        """Down from the root, always to the most probable child, while the product of the probabilities on the way is
        above HIERARCHY.  own holds probabilities already multiplied down the tree, so a deep class needs more than it
        says (src/tree.c:hierarchy_top_prediction, as src/region_layer.c calls it)."""
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
        """truth (n, boxes, 5) -> the sum of the squared differences; minus what each value learns."""
        delta = np.zeros_like(saved)
        for image, rows in enumerate(self.truth(truth, len(saved))):
            kind = rows[:, self.options.coords].astype(int)
            self._compare_image(saved[image], delta[image], rows[(kind >= 0) & (kind < self.options.classes)])
        cost = float((delta.astype(np.float64) ** 2).sum())
        dx = -delta
        if self.fork != "alexeyab":     # whose differences hold the slope of the logistic already
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
            self._teach_class_only(v, delta, int(rows[without_box.argmax(), self.options.coords]))
            return
        rows = rows[~without_box]
        pred = self.decode(v)
        self._background(v, delta, pred, rows)
        if self.env.progress.seen < GENTLE_START:
            delta[:, :2] = .01 * (.5 - v[:, :2]) * self._slope(v[:, :2])
            delta[:, 2:4] = .01 * (0 - v[:, 2:4])
        for row in rows:
            self._teach(v, delta, pred, row)

    def _teach_class_only(self, v: np.ndarray, delta: np.ndarray, kind: int) -> None:
        """A truth without a box: the box that is surest of the class learns it."""
        assert self.tree is not None
        o, path = self.options, self.tree.path(kind)
        sure = v[:, o.coords] * v[:, [o.coords + 1 + node for node in path]].prod(axis=1)
        at = tuple(int(k) for k in np.unravel_index(sure.argmax(), sure.shape))
        if self.fork != "alexeyab":
            delta[:, o.coords] = o.noobject_scale * (0 - v[:, o.coords])
            delta[at[0], o.coords, at[1], at[2]] = 0
        self._teach_class(v, delta, kind, at, o.class_scale)

    def _background(self, v: np.ndarray, delta: np.ndarray, pred: np.ndarray, rows: np.ndarray) -> None:
        """Objectness goes to 0 everywhere but where a box lies well on a truth."""
        o, p = self.options, v[:, self.options.coords]
        table = overlaps(pred, rows)
        best = table.max(axis=-1)
        goal = best if o.classfix == -1 else 1 if o.background else 0
        d = o.noobject_scale * (goal - p) * self._slope(p)
        if o.classfix != -1:
            d = np.where(best > o.thresh, 0, d)
        delta[:, o.coords] = d
        if o.classfix > 0:
            for n, j, i in zip(*np.nonzero(best > o.thresh), strict=True):
                kind = int(rows[table[n, j, i].argmax(), o.coords])
                scale = o.class_scale * (float(p[n, j, i]) if o.classfix == 2 else 1)
                self._teach_class(v, delta, kind, (n, j, i), scale)

    def _teach(self, v: np.ndarray, delta: np.ndarray, pred: np.ndarray, row: np.ndarray) -> None:
        """One anchor of the truth's cell learns box, objectness and class."""
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
        goal = 0 if o.background else overlap if o.rescore else 1
        d[o.coords] = o.object_scale * (goal - p) * self._slope(p)
        self._teach_class(v, delta, self.mapped(int(row[o.coords])), (n, j, i), o.class_scale)

    def _teach_class(self, v: np.ndarray, delta: np.ndarray, kind: int, at: tuple[int, ...], scale: float) -> None:
        """No derivative of softmax or logistic: the difference is right for cross-entropy."""
        o, (n, j, i) = self.options, at
        p, d = v[n, o.coords + 1:, j, i], delta[n, o.coords + 1:, j, i]
        if self.tree is not None:
            for node in self.tree.path(kind):
                siblings = self.tree.siblings(node)
                d[siblings] = scale * (0 - p[siblings])
                d[node] = scale * (1 - p[node])
            return
        if self.fork != "alexeyab" and not o.softmax and d[0]:      # the box has learned another truth before
            d[kind] = scale * (1 - p[kind])
            return
        goal = np.zeros_like(p)
        goal[kind] = 1
        d[:] = scale * (goal - p) * (focal_factor(p[kind]) if o.focal_loss else 1)
