"""Metrics of a classifier that learns several labels of an image: average precision and F1 per class."""
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from runner.errors import counted
from runner.network import Network
from runner.training.classification_metrics import loss_of
from runner.training.metrics import Metrics, Table, unique_names

THRESHOLD = 0.5     # an image gets the labels whose probability is above this


@dataclass(frozen=True)
class LabelMetrics(Metrics):
    """
    images             number of images
    loss               per image
    average_precision  (classes,) NaN for a class that no image has
    counts             (classes,) images that have the label
    predicted          (classes,) images that get it, at the threshold
    correct            (classes,) images that have it and get it
    exact              fraction of the images that get exactly their labels
    names              of the classes; empty: classes are called by their numbers
    threshold          of precision, recall and F1
    views              test-time augmentation in words: "in ten crops"; "": none
    """
    images: int
    loss: float
    average_precision: np.ndarray
    counts: np.ndarray
    predicted: np.ndarray
    correct: np.ndarray
    exact: float
    names: Sequence[str] = field(default_factory=list)
    threshold: float = THRESHOLD
    views: str = ""

    @property
    def score(self) -> float:
        """mAP: the mean average precision of the classes with images; 0 where there are none."""
        known = self.average_precision[self.counts > 0]
        return float(known.mean()) if len(known) else 0.0

    @property
    def micro_f1(self) -> float:
        """F1 of all labels of all classes together."""
        return _f1(self.correct.sum(), self.predicted.sum(), self.counts.sum())

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes with images; 0 where there are none."""
        known = [_f1(*row) for row in zip(self.correct, self.predicted, self.counts, strict=True) if row[2]]
        return sum(known) / max(len(known), 1)

    def headline(self) -> str:
        views = f" {self.views}" if self.views else ""
        return (f"{counted(self.images, 'image')}{views}, mAP {100 * self.score:.2f} %, F1 {self.micro_f1:.3f} micro, "
                f"{self.macro_f1:.3f} macro, all labels right {100 * self.exact:.2f} %, loss {self.loss:.4f}")

    def tables(self) -> list[Table]:
        rows: list[tuple[str, ...]] = [("class", "images", "AP", "precision", "recall", "F1")]
        classes = self.per_class()
        for name, row in zip(self._names(), classes, strict=True):
            numbers = [row["average_precision"], row["precision"], row["recall"], row["f1"]]
            rows.append((name, str(row["images"]), *("-" if value is None else f"{value:.3f}" for value in numbers)))
        known = [row for row in classes if row["images"]]
        if known:
            means = [sum(row[key] for row in known) / len(known) for key in ("precision", "recall")]
            rows.append(("mean", "", f"{self.score:.3f}", *(f"{mean:.3f}" for mean in means), f"{self.macro_f1:.3f}"))
        return [Table(f"precision, recall and F1 of the labels with a probability above {self.threshold:g}", rows)]

    def as_json(self) -> dict[str, Any]:
        return {"images": self.images, "map": self.score, "micro_f1": self.micro_f1, "macro_f1": self.macro_f1,
                "all_labels_right": self.exact, "loss": self.loss, "threshold": self.threshold,
                **({"how": self.views} if self.views else {}),
                "per_class": dict(zip(unique_names(self._names()), self.per_class(), strict=True))}

    def notes(self) -> dict[str, Any]:
        return {"micro_f1": self.micro_f1, "macro_f1": self.macro_f1}

    def scalars(self) -> dict[str, float]:
        return {"micro_f1": self.micro_f1, "macro_f1": self.macro_f1, "test_loss": self.loss}

    def _names(self) -> list[str]:
        return list(self.names) or [str(i) for i in range(len(self.counts))]

    def per_class(self) -> list[dict[str, Any]]:
        """Number of images, average precision (None without images), precision, recall and F1 of each class; a ratio
        with an empty denominator is 0."""
        return [{"images": int(count), "average_precision": float(ap) if count else None,
                 "precision": float(correct / max(predicted, 1)), "recall": float(correct / max(count, 1)),
                 "f1": _f1(correct, predicted, count)}
                for ap, count, predicted, correct in zip(self.average_precision, self.counts, self.predicted,
                                                         self.correct, strict=True)]


def label_metrics(net: Network, outputs: Iterable[tuple[np.ndarray, np.ndarray]], names: Sequence[str] = (),
                  views: str = "", threshold: float = THRESHOLD) -> LabelMetrics:
    """The metrics of (output, truth) batches; outputs are the network's, both are (n, classes), truth is 0 or 1."""
    classes, loss = int(np.prod(net.out_shape)), 0.0
    parts, truths = [np.zeros((0, classes), np.float32)], [np.zeros((0, classes), bool)]
    for output, truth in outputs:
        p = output.reshape(len(output), -1)
        loss += loss_of(net, p, truth)
        parts.append(p.copy())      # the output may be in the memory of the plan
        truths.append(truth > 0.5)
    p, truth = np.concatenate(parts), np.concatenate(truths)
    chosen, images = p > threshold, len(p)
    return LabelMetrics(images, loss / max(images, 1), np.array([average_precision(p[:, c], truth[:, c])
                                                                for c in range(classes)]),
                        truth.sum(axis=0), chosen.sum(axis=0), (chosen & truth).sum(axis=0),
                        float((chosen == truth).all(axis=1).mean()) if images else 0.0, list(names), threshold, views)


def average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """The average precision of one class: the sum of (R_k - R_k-1) P_k over its distinct scores by falling score, R and
    P the recall and the precision of the images with at least that score.  NaN without a positive.

    scores (n,); truth (n,) bool.  This is the usual one for labels (TREC's, scikit-learn's); that of detections
    (runner.detection.map) replaces a precision by the highest one at the same or a greater recall.
    """
    positives = int(truth.sum())
    if not positives:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)    # of each group of equal scores
    correct = np.cumsum(truth[order])[last]
    return float((np.diff(correct, prepend=0) / positives * correct / (last + 1)).sum())


def _f1(correct: int, predicted: int, actual: int) -> float:
    """2 tp / (2 tp + fp + fn); 0 without any label."""
    return float(2 * correct / max(predicted + actual, 1))
