"""How good a classifier is on images it has not learned from."""
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from runner.inference import Plan
from runner.layers import Head
from runner.network import Network
from runner.training.metrics import Metrics, Table

WIDE = 30       # more classes than this make a confusion matrix wider than any terminal


@dataclass(frozen=True)
class ClassificationMetrics(Metrics):
    """images: how many; top1, top5: fractions whose class is the best, or among the best five; loss: per image;
    confusion[i, j]: images of class i taken for class j; names: of the classes, their numbers where none are known;
    tops: k -> the fraction whose class is among the best k, for the k asked for; how: how the images were looked at."""
    images: int
    top1: float
    top5: float
    loss: float
    confusion: np.ndarray
    names: Sequence[str] = field(default_factory=list)
    tops: dict[int, float] = field(default_factory=dict)
    how: str = ""

    @property
    def score(self) -> float:
        return self.top1

    def headline(self) -> str:
        wrong = self.images - round(self.top1 * self.images)
        tops = "".join(f"top {k} {100 * share:.2f} %, " for k, share in (self.tops or {5: self.top5}).items())
        how = f" {self.how}" if self.how else ""
        return (f"{self.images} images{how}, accuracy {100 * self.top1:.2f} % ({wrong} wrong), {tops}"
                f"loss {self.loss:.4f}")

    def tables(self) -> list[Table]:
        names = self._names()
        rows = [("class", "images", "precision", "recall", "F1")]
        rows += [(name, str(row["images"]), f"{row['precision']:.3f}", f"{row['recall']:.3f}", f"{row['f1']:.3f}")
                 for name, row in zip(names, self.per_class(), strict=True)]
        if len(names) > WIDE:
            return [Table("", rows)]      # --json has the rest
        cells = [("", *(name[:8] for name in names))]
        cells += [(name, *(str(n) if n else "." for n in row)) for name, row in zip(names, self.confusion, strict=True)]
        return [Table("", rows), Table("confusion: a row is what it is, a column what it was taken for", cells)]

    def as_json(self) -> dict[str, Any]:
        names = self._names()
        names = [name if names.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(names)]
        more: dict[str, Any] = {"top_k": {str(k): share for k, share in self.tops.items()}} if self.tops else {}
        more |= {"how": self.how} if self.how else {}
        return {"images": self.images, "top1": self.top1, "top5": self.top5, **more, "loss": self.loss,
                "per_class": dict(zip(names, self.per_class(), strict=True)), "confusion": self.confusion.tolist()}

    def scalars(self) -> dict[str, float]:
        return {"top5": self.top5, "test_loss": self.loss}

    def _names(self) -> list[str]:
        return list(self.names) or [str(i) for i in range(len(self.confusion))]

    def per_class(self) -> list[dict[str, float]]:
        """precision, recall, F1 and the number of images of each class; 0 where a share has nothing to divide by."""
        rows = []
        for i in range(len(self.confusion)):
            right, said, there = self.confusion[i, i], self.confusion[:, i].sum(), self.confusion[i].sum()
            precision, recall = right / max(said, 1), right / max(there, 1)
            rows.append({"images": int(there), "precision": float(precision), "recall": float(recall),
                         "f1": float(2 * precision * recall / max(precision + recall, 1e-12))})
        return rows


def evaluate(net: Network, batches: Iterable[tuple[np.ndarray, np.ndarray]], names: Sequence[str] = (),
             tops: Sequence[int] = ()) -> ClassificationMetrics:
    """Evaluate on (x, truth) batches: x (n, c, h, w), truth (n, classes), whose largest value marks the class."""
    plan = Plan(net)
    return measure(net, ((plan.predict(x), truth) for x, truth in batches), names, tops)


def measure(net: Network, outputs: Iterable[tuple[np.ndarray, np.ndarray]], names: Sequence[str] = (),
            tops: Sequence[int] = (), how: str = "") -> ClassificationMetrics:
    """ClassificationMetrics over (output, truth) pairs, the outputs being the network's, (n, classes)."""
    classes = int(np.prod(net.out_shape))
    confusion, places = np.zeros((classes, classes), int), np.zeros(classes, int)
    images, loss = 0, 0.0
    for output, truth in outputs:
        p = output.reshape(len(output), -1)
        actual = truth.argmax(axis=1)
        order = np.argsort(-p, axis=1, kind="stable")
        np.add.at(confusion, (actual, order[:, 0]), 1)
        places += np.bincount((order == actual[:, None]).argmax(axis=1), minlength=classes)
        images += len(p)
        loss += _loss(net, p, truth)
    among = places.cumsum() / max(images, 1)        # [k - 1]: whose class is among the best k
    return ClassificationMetrics(images, float(among[0]), float(among[:5][-1]), loss / max(images, 1), confusion,
                                 list(names), {k: float(among[:k][-1]) for k in tops}, how)


def _loss(net: Network, p: np.ndarray, truth: np.ndarray) -> float:
    """The mean over the heads at the network's end, the way training counts it: [softmax], and [cost] behind it."""
    losses = [layer.loss(p, truth)[0] for index, layer in enumerate(net.layers) if isinstance(layer, Head)
              and (index == net.last or net.links[index] == (net.last,))]
    return sum(losses) / max(len(losses), 1)
