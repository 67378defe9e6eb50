"""[iseg]: instance segmentation: the class of each pixel, and an embedding that separates the objects of a class."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import opt
from runner.errors import ShapeError, counted
from runner.layers.shared.base import Head, LayerOptions, Shape, register

OBJECTS = 90        # rows of truth for each image


@register("iseg")
class Iseg(Head):
    """(classes + ids, h, w) -> the same shape: sigmoid on the class planes  (pjreddie's src/iseg_layer.c)."""
    inexact = "darknet's delta moves the embeddings by fixed steps; the printed cost is the sum of its squares"

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        classes: int = opt(20, "number of classes", low=1)
        ids: int = opt(32, "length of the embedding that separates objects", low=1)

    def setup(self, shape: Shape) -> None:
        (c, h, w), o = self.image(shape), self.options
        if c != o.classes + o.ids:
            raise ShapeError(f"expects {o.classes + o.ids} channels, {counted(o.classes, 'class')} + "
                             f"{counted(o.ids, 'id')}: set filters={o.classes + o.ids} in the layer before it. Got {c}")
        self.out_shape = (c, h, w)

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, c, h, w) -> y of the same shape, saved."""
        y = x.reshape(len(x), *self.out_shape).copy()
        y[:, :self.options.classes] = ops.logistic(np.ascontiguousarray(y[:, :self.options.classes]))
        return y, y

    def loss(self, saved: Any, truth: np.ndarray) -> tuple[float, np.ndarray]:
        """truth (n, objects (1 + h w)): an object is its class and its mask; a class below 0 ends the list."""
        (_, h, w), classes = self.out_shape, self.options.classes
        if truth[0].size % (1 + h * w):
            raise ShapeError(f"[iseg] expects {1 + h * w} values of truth for each object, its class and a mask of "
                             f"{w} x {h}. Got {truth[0].size}")
        objects = truth.reshape(len(saved), -1, 1 + h * w)
        delta = np.zeros_like(saved)
        delta[:, :classes] = 0 - saved[:, :classes]
        for image, rows in enumerate(objects):
            ended = np.nonzero(rows[:, 0] < 0)[0]
            rows = rows[:ended[0]] if len(ended) else rows[:OBJECTS]
            labels, masks = rows[:, 0].astype(int), rows[:, 1:].reshape(-1, h, w)
            self._move(saved[image], delta[image], labels, masks)
        return float((delta.astype(np.float64) ** 2).sum()), -delta.reshape(len(saved), *self.in_shapes[0])

    def _move(self, y: np.ndarray, delta: np.ndarray, labels: np.ndarray, masks: np.ndarray) -> None:
        """Delta of one image: classes towards the masks, embeddings towards the mean of their object and away from
        those of the others."""
        classes = self.options.classes
        codes, d_codes = y[classes:], delta[classes:]
        d_codes[...] = 0.1 * (0 - codes)
        inside = masks > 0
        means = [codes[:, mask].mean(axis=1) if mask.any() else None for mask in inside]
        for i, (label, mask) in enumerate(zip(labels, masks, strict=True)):
            delta[label][inside[i]] = mask[inside[i]] - y[label][inside[i]]
            for j, mean in enumerate(means):
                if mean is not None:
                    pull = np.where(mean[:, None] > codes[:, inside[i]], 0.1, -0.1).astype(y.dtype)
                    d_codes[:, inside[i]] += pull if i == j else -pull
        d_codes *= y.dtype.type(0.01)
