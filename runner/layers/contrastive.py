"""[contrastive]: pulls embeddings of the same class together and pushes those of other classes apart."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner.config import opt
from runner.errors import ShapeError
from runner.layers.shared.base import Head, LayerOptions, register


@register("contrastive")
class Contrastive(Head):
    """Any shape -> the same shape: forward changes nothing  (AlexeyAB's src/contrastive_layer.c).

    In training each image is one embedding and its class the label (Khosla et al. 2020).  darknet only has the form
    whose labels are the tracks that a [yolo] layer assigned, and crashes on this one; that form can be run here, but
    not trained.
    """
    mixes_images = "the embeddings of a batch are compared with each other"
    inexact = "darknet's delta leaves out how a likelihood depends on the other pairs"

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        classes: int = opt(1000, "number of classes", low=1)
        yolo_layer: int = opt(0, "the [yolo] layer whose tracks are the labels; 0: the classes of the truth")
        temperature: float = opt(1.0, "divides the similarities", low=1e-6)
        cls_normalizer: float = opt(1.0, "factor on the gradient", low=0)
        max_delta: float = opt(3.4e38, "limit of the gradient of a value", low=0)
        contrastive_neg_max: int = opt(3, "negatives compared for each pair, at most", low=0)

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, ...) -> x, saved."""
        return x, x

    def loss(self, saved: Any, truth: np.ndarray) -> tuple[float, np.ndarray]:
        """truth (n, classes), one-hot.  The cost is the sum of the squared gradient, as in darknet."""
        o = self.options
        if o.yolo_layer:
            raise ShapeError("[contrastive] with yolo_layer= is trained on the tracks of a video, which is not "
                             "supported: remove the section to train")
        z = saved.reshape(len(saved), -1)
        length = np.maximum(np.linalg.norm(z, axis=1), np.finfo(z.dtype).tiny)
        s = (z @ z.T) / np.outer(length, length)
        e = np.exp(s / z.dtype.type(o.temperature))
        np.fill_diagonal(e, 0)
        p = e / np.maximum(e.sum(axis=0, keepdims=True), np.finfo(z.dtype).tiny)
        labels = truth.reshape(len(z), -1).argmax(axis=1)
        delta = np.zeros_like(z)
        for i, label in enumerate(labels):
            alike = [j for j in np.nonzero(labels == label)[0] if j != i]
            others = np.nonzero(labels != label)[0]
            for j in alike:
                m = 1 / (len(alike) * o.temperature * length[i])
                delta[i] -= m * (s[i, j] * z[i] - z[j]) * (1 - p[i, j])
                for k in others[:max(0, o.contrastive_neg_max)]:
                    delta[i] -= m * (z[k] - s[i, k] * z[i]) * p[i, k]
        delta = np.clip(delta * z.dtype.type(o.cls_normalizer), -o.max_delta, o.max_delta).astype(z.dtype)
        return float((delta.astype(np.float64) ** 2).sum()), -delta.reshape(saved.shape)
