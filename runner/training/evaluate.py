"""How good a classifier is on images it has not learned from."""
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from runner.layers import Head
from runner.network import Network


@dataclass(frozen=True)
class Metrics:
    """images: how many; top1, top5: fractions whose class is the best, or among the best five; loss: per image;
    confusion[i, j]: images of class i taken for class j."""
    images: int
    top1: float
    top5: float
    loss: float
    confusion: np.ndarray

    def per_class(self) -> list[dict[str, float]]:
        """precision, recall, F1 and the number of images of each class; 0 where a share has nothing to divide by."""
        rows = []
        for i in range(len(self.confusion)):
            right, said, there = self.confusion[i, i], self.confusion[:, i].sum(), self.confusion[i].sum()
            precision, recall = right / max(said, 1), right / max(there, 1)
            rows.append({"images": int(there), "precision": float(precision), "recall": float(recall),
                         "f1": float(2 * precision * recall / max(precision + recall, 1e-12))})
        return rows


def evaluate(net: Network, batches: Iterable[tuple[np.ndarray, np.ndarray]]) -> Metrics:
    """Metrics over (x, truth) pairs: x (n, c, h, w), truth (n, classes), its largest value naming the class."""
    classes = int(np.prod(net.out_shape))
    confusion = np.zeros((classes, classes), int)
    images, among, loss = 0, 0, 0.0
    for x, truth in batches:
        p = net.predict(x).reshape(len(x), -1)
        actual = truth.argmax(axis=1)
        order = np.argsort(-p, axis=1, kind="stable")[:, :5]
        np.add.at(confusion, (actual, order[:, 0]), 1)
        among += int((order == actual[:, None]).any(axis=1).sum())
        images += len(x)
        loss += _loss(net, p, truth)
    return Metrics(images, float(np.trace(confusion)) / max(images, 1), among / max(images, 1),
                   loss / max(images, 1), confusion)


def _loss(net: Network, p: np.ndarray, truth: np.ndarray) -> float:
    """The mean over the heads at the network's end, the way training counts it: [softmax], and [cost] behind it."""
    losses = [layer.loss(p, truth)[0] for index, layer in enumerate(net.layers) if isinstance(layer, Head)
              and (index == net.last or net.links[index] == (net.last,))]
    return sum(losses) / max(len(losses), 1)
