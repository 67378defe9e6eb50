"""Classification metrics: top-k accuracy, precision, recall and F1 per class, confusion matrix."""
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from runner.errors import counted
from runner.inference import Plan
from runner.layers import Head
from runner.network import Network
from runner.training.metrics import Metrics, Table, unique_names

MAX_CONSOLE_CLASSES = 30    # more classes make a confusion matrix wider than any terminal


@dataclass(frozen=True)
class ClassificationMetrics(Metrics):
    """
    images      number of images
    top1, top5  fraction whose class has the highest probability, or one of the five highest
    loss        per image
    confusion   [i, j]: images of class i predicted as class j
    names       of the classes; empty: classes are called by their numbers
    top_k       k -> top-k accuracy, for each k that was asked for
    views       test-time augmentation in words: "in ten crops"; "": none
    """
    images: int
    top1: float
    top5: float
    loss: float
    confusion: np.ndarray
    names: Sequence[str] = field(default_factory=list)
    top_k: dict[int, float] = field(default_factory=dict)
    views: str = ""

    @property
    def score(self) -> float:
        return self.top1

    def headline(self) -> str:
        wrong = self.images - round(self.top1 * self.images)
        top_k = "".join(f"top {k} {100 * share:.2f} %, " for k, share in self._shown().items())
        views = f" {self.views}" if self.views else ""
        return (f"{counted(self.images, 'image')}{views}, accuracy {100 * self.top1:.2f} % ({wrong} wrong), {top_k}"
                f"loss {self.loss:.4f}")

    def _shown(self) -> dict[int, float]:
        """k -> top-k accuracy: those that were asked for, else top 5, if there are more than five classes."""
        return self.top_k or ({5: self.top5} if len(self.confusion) > 5 else {})

    def tables(self) -> list[Table]:
        names = self._names()
        rows = [("class", "images", "precision", "recall", "F1")]
        rows += [(name, str(row["images"]), f"{row['precision']:.3f}", f"{row['recall']:.3f}", f"{row['f1']:.3f}")
                 for name, row in zip(names, self.per_class(), strict=True)]
        if len(names) > MAX_CONSOLE_CLASSES:
            return [Table("", rows)]      # --json has the rest
        cells = [("", *(name[:8] for name in names))]
        cells += [(name, *(str(n) if n else "." for n in row)) for name, row in zip(names, self.confusion, strict=True)]
        return [Table("", rows), Table("confusion matrix: rows are true classes, columns predicted ones", cells)]

    def as_json(self) -> dict[str, Any]:
        names = unique_names(self._names())
        more: dict[str, Any] = {"top_k": {str(k): share for k, share in self.top_k.items()}} if self.top_k else {}
        more |= {"how": self.views} if self.views else {}
        return {"images": self.images, "top1": self.top1, "top5": self.top5, **more, "loss": self.loss,
                "per_class": dict(zip(names, self.per_class(), strict=True)), "confusion": self.confusion.tolist()}

    def scalars(self) -> dict[str, float]:
        return {"top5": self.top5, "test_loss": self.loss}

    def _names(self) -> list[str]:
        return list(self.names) or [str(i) for i in range(len(self.confusion))]

    def per_class(self) -> list[dict[str, float]]:
        """Precision, recall, F1 and number of images of each class; a ratio with an empty denominator is 0."""
        rows = []
        for i in range(len(self.confusion)):
            correct, predicted, actual = self.confusion[i, i], self.confusion[:, i].sum(), self.confusion[i].sum()
            precision, recall = correct / max(predicted, 1), correct / max(actual, 1)
            rows.append({"images": int(actual), "precision": float(precision), "recall": float(recall),
                         "f1": float(2 * precision * recall / max(precision + recall, 1e-12))})
        return rows


def evaluate(net: Network, batches: Iterable[tuple[np.ndarray, np.ndarray]], names: Sequence[str] = (),
             top_k: Sequence[int] = ()) -> ClassificationMetrics:
    """Evaluate on (x, truth) batches: x (n, c, h, w), truth (n, classes), whose largest value marks the class."""
    plan = Plan(net)
    return compute_metrics(net, ((plan.predict(x), truth) for x, truth in batches), names, top_k)


def compute_metrics(net: Network, outputs: Iterable[tuple[np.ndarray, np.ndarray]], names: Sequence[str] = (),
                    top_k: Sequence[int] = (), views: str = "") -> ClassificationMetrics:
    """The metrics of (output, truth) batches; outputs are the network's, both are (n, classes)."""
    classes = int(np.prod(net.out_shape))
    confusion, ranks = np.zeros((classes, classes), int), np.zeros(classes, int)
    images, loss = 0, 0.0
    for output, truth in outputs:
        p = output.reshape(len(output), -1)
        actual = truth.argmax(axis=1)
        order = np.argsort(-p, axis=1, kind="stable")
        np.add.at(confusion, (actual, order[:, 0]), 1)
        ranks += np.bincount((order == actual[:, None]).argmax(axis=1), minlength=classes)
        images += len(p)
        loss += loss_of(net, p, truth)
    accuracy = ranks.cumsum() / max(images, 1)      # [k - 1]: top-k accuracy
    return ClassificationMetrics(images, float(accuracy[0]), float(accuracy[:5][-1]), loss / max(images, 1), confusion,
                                 list(names), {k: float(accuracy[:k][-1]) for k in top_k}, views)


def loss_of(net: Network, p: np.ndarray, truth: np.ndarray) -> float:
    """The mean over the heads at the end of the network, as in training: [softmax], and a [cost] after it."""
    losses = [layer.loss(p, truth)[0] for index, layer in enumerate(net.layers) if isinstance(layer, Head)
              and (index == net.last or net.links[index] == (net.last,))]
    return sum(losses) / max(len(losses), 1)
