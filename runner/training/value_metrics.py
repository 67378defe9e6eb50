"""Metrics of a network whose outputs are values, not probabilities: the error of each, and R squared."""
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from runner.errors import plural
from runner.network import Network
from runner.training.classification_metrics import loss_of
from runner.training.metrics import Metrics, Table, unique_names


@dataclass(frozen=True)
class ValueMetrics(Metrics):
    """The truth of an output is 1 for images of its class and 0 for the others.

    images    number of images
    loss      per image
    absolute  (outputs,) mean absolute error of each output
    squared   (outputs,) mean squared error
    variance  (outputs,) variance of the truth
    counts    (outputs,) images of the class
    highest   fraction of the images whose highest output is that of a class of theirs
    names     of the outputs; empty: they are called by their numbers
    views     test-time augmentation in words: "in ten crops"; "": none
    """
    images: int
    loss: float
    absolute: np.ndarray
    squared: np.ndarray
    variance: np.ndarray
    counts: np.ndarray
    highest: float
    names: Sequence[str] = field(default_factory=list)
    views: str = ""

    @property
    def score(self) -> float:
        """R squared of all outputs together: 1 - sum of squared errors / sum of squared deviations from the mean truth
        of the output; 0 where no truth varies."""
        return r_squared(float(self.squared.sum()), float(self.variance.sum())) or 0.0

    @property
    def mean_absolute_error(self) -> float:
        return float(self.absolute.mean())

    def headline(self) -> str:
        views = f" {self.views}" if self.views else ""
        return (f"{self.images} {plural(self.images, 'image')}{views}, mean absolute error "
                f"{self.mean_absolute_error:.4f}, R2 {self.score:.4f}, highest output at the right class "
                f"{100 * self.highest:.2f} %, loss {self.loss:.4f}")

    def tables(self) -> list[Table]:
        rows: list[tuple[str, ...]] = [("output", "images", "mean absolute error", "R2")]
        for name, row in zip(self._names(), self.per_class(), strict=True):
            rows.append((name, str(row["images"]), f"{row['mean_absolute_error']:.4f}",
                         "-" if row["r2"] is None else f"{row['r2']:.4f}"))
        return [Table("the outputs are not probabilities; the truth is 1 for the images of a class, else 0", rows)]

    def as_json(self) -> dict[str, Any]:
        return {"images": self.images, "mean_absolute_error": self.mean_absolute_error, "r2": self.score,
                "top1": self.highest, "loss": self.loss, **({"how": self.views} if self.views else {}),
                "per_class": dict(zip(unique_names(self._names()), self.per_class(), strict=True))}

    def notes(self) -> dict[str, Any]:
        return {"mean_absolute_error": self.mean_absolute_error}

    def scalars(self) -> dict[str, float]:
        return {"mean_absolute_error": self.mean_absolute_error, "test_loss": self.loss}

    def _names(self) -> list[str]:
        return list(self.names) or [str(i) for i in range(len(self.counts))]

    def per_class(self) -> list[dict[str, Any]]:
        """Number of images, mean absolute error and R squared (None where the truth is constant) of each output."""
        return [{"images": int(count), "mean_absolute_error": float(absolute),
                 "r2": r_squared(float(squared), float(variance))}
                for count, absolute, squared, variance in zip(self.counts, self.absolute, self.squared, self.variance,
                                                              strict=True)]


def r_squared(error: float, variance: float) -> float | None:
    """1 - mean squared error / variance of the truth; None for a constant truth."""
    return 1 - error / variance if variance > 0 else None


def value_metrics(net: Network, outputs: Iterable[tuple[np.ndarray, np.ndarray]], names: Sequence[str] = (),
                  views: str = "") -> ValueMetrics:
    """The metrics of (output, truth) batches; outputs are the network's, both are (n, outputs)."""
    count = int(np.prod(net.out_shape))
    absolute, squared, sums, of_class = (np.zeros(count) for _ in range(4))
    images, loss, highest = 0, 0.0, 0
    for output, truth in outputs:
        y = output.reshape(len(output), -1)
        error = y.astype(np.float64) - truth
        absolute += np.abs(error).sum(axis=0)
        squared += (error * error).sum(axis=0)
        sums += truth.sum(axis=0)
        of_class += (truth > 0.5).sum(axis=0)
        highest += int((truth[np.arange(len(y)), y.argmax(axis=1)] > 0.5).sum())
        images += len(y)
        loss += loss_of(net, y, truth)
    n = max(images, 1)
    share = sums / n        # truth is 0 or 1, so this is its mean square as well
    return ValueMetrics(images, loss / n, absolute / n, squared / n, share - share * share, of_class.astype(int),
                        highest / n, list(names), views)
