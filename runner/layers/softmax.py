"""[softmax]: class probabilities, with cross-entropy as the loss."""
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import opt
from runner.errors import ShapeError, counted
from runner.layers.shared.base import Head, Kept, LayerOptions, Shape, register
from runner.layers.shared.wordtree import read_tree


@register("softmax", "soft")
class Softmax(Head):
    """Any shape, flattened -> (k,), non-negative, each group summing to 1  (src/softmax_layer.c)."""

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        groups: int = opt(1, "parts of the input, each with its own softmax", low=1)
        temperature: float = opt(1.0, "divides the input: above 1 flattens, below 1 sharpens", low=1e-6)
        spatial: bool = opt(False, "1: over the channels of every pixel; the output is an image")
        tree: str = opt("", "file with the tree of classes: a softmax for each group of siblings (docs/options.md)")
        noloss: bool = opt(False, "1: no loss, only probabilities")

    def setup(self, shape: Shape) -> None:
        inputs = math.prod(shape)
        self.tree = None
        if self.options.spatial:
            self.out_shape = self.image(shape)
            return
        if self.options.tree:
            self.tree = read_tree(self.options.tree, self.env.folder)
            if len(self.tree.names) != inputs:
                raise ShapeError(f"expects {counted(len(self.tree.names), 'value')}, the classes of the tree: set "
                                 f"filters={len(self.tree.names)} (or output=) in the layer before. Got {inputs}")
        if inputs % self.options.groups:
            raise ShapeError(f"groups={self.options.groups} must divide the {inputs} input values")
        self.out_shape = (inputs,)

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, ...) -> p (n, k), saved."""
        o = self.options
        if o.spatial:
            p = ops.softmax_spatial(x.reshape(len(x), *self.out_shape), o.temperature)
        elif self.tree:
            p = ops.softmax_tree(x.reshape(len(x), -1), self.tree.sizes, o.temperature)
        else:
            p = ops.softmax(x.reshape(len(x), -1), o.groups, o.temperature)
        return p, p

    def prepare(self, rows: int) -> Any:
        o = self.options
        return super().prepare(rows) if o.spatial or self.tree else ops.plan_softmax(o.groups, o.temperature)

    def keeps(self) -> Kept:
        return Kept(inputs=False)

    def loss(self, saved: Any, truth: np.ndarray) -> tuple[float, np.ndarray]:
        """truth (n, k).  The gradient is p - truth at any temperature, as in darknet."""
        if self.options.noloss:
            return 0.0, np.zeros((len(saved), *self.in_shapes[0]), saved.dtype)
        truth = truth.reshape(saved.shape)
        dx = np.where(truth == ops.MASKED, 0, saved - truth)    # groups off the path of the tree have no gradient
        return ops.cross_entropy(saved, truth), dx.reshape(len(saved), *self.in_shapes[0])

    def objective(self, saved: Any, truth: np.ndarray) -> float:
        """temperature times the cross-entropy -sum t log p, soft targets weighted."""
        tiny, truth = np.finfo(saved.dtype).tiny, truth.reshape(saved.shape)
        known = np.where(truth == ops.MASKED, 0, truth)
        return -self.options.temperature * float((known * np.log(np.maximum(saved, tiny))).sum())
