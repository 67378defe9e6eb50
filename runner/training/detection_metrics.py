"""How good a detector is on images it has not learned from."""
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner.datasets import BoxLoader, BoxSplit
from runner.detection import (
    AveragePrecision,
    CocoPrecision,
    coco_precision,
    darknet_precision,
    detection_heads,
    detections,
)
from runner.inference import Plan
from runner.network import Network
from runner.training.metrics import Metrics, Table

LEAST = 0.005       # lowest confidence of the boxes that average precision ranks, as in AlexeyAB's `detector map`


@dataclass(frozen=True)
class DetectionCriteria:
    """How boxes are judged.

    confidence  above which a box is counted in precision, recall and F1
    overlap     IoU above which a box is right
    points      0: average precision is the area under the curve; 11, 101: the mean at so many recalls
    nms         largest overlap of two boxes of one class
    letterbox   images keep their aspect ratio; None: as [net] letter_box says
    """
    confidence: float = 0.25
    overlap: float = 0.5
    points: int = 0
    nms: float = 0.45
    letterbox: bool | None = None


@dataclass(frozen=True)
class DetectionMetrics(Metrics):
    """images: how many; at: counts at the asked confidence, and average precision at the asked overlap;
    best: the same at the confidence of the best F1; coco: average precision at ten overlaps."""
    names: list[str]
    images: int
    rules: DetectionCriteria
    at: AveragePrecision
    best: AveragePrecision
    coco: CocoPrecision

    @property
    def score(self) -> float:
        return self.at.mean

    def headline(self) -> str:
        return (f"{self.images} images, {int(self.at.truths.sum())} boxes: mAP@{self.rules.overlap:.2f} "
                f"{100 * self.at.mean:.2f} %, mAP@.50:.95 {100 * self.coco.mean:.2f} %")

    def tables(self) -> list[Table]:
        rows: list[tuple[str, ...]] = [("class", "boxes", f"AP@{self.rules.overlap:.2f}", "AP@.50:.95")]
        rows += [(name, str(count), *(f"{100 * value:.2f} %" if count else "-" for value in values))
                 for name, count, *values in zip(self.names, self.at.truths, self.at.per_class,
                                                 self.coco_per_class(), strict=True)]
        counts = [("confidence above", "right", "wrong", "missed", "precision", "recall", "F1", "mean IoU")]
        for confidence, at, word in ((self.rules.confidence, self.at, ""),
                                     (self.at.best_threshold, self.best, " (best F1)")):
            counts.append((f"{confidence:.3f}{word}", str(at.true_positives), str(at.false_positives),
                           str(at.false_negatives), f"{at.precision:.3f}", f"{at.recall:.3f}", f"{at.f1:.3f}",
                           f"{at.mean_overlap:.3f}"))
        return [Table("", rows), Table("", counts)]

    def coco_per_class(self) -> np.ndarray:
        """(classes,) mean over the ten overlaps; 0 where a class never occurs."""
        return np.nan_to_num(self.coco.per_class.mean(axis=1))

    def as_json(self) -> dict[str, Any]:
        def counts(at: AveragePrecision, confidence: float) -> dict[str, Any]:
            return {"confidence": confidence, "true_positives": at.true_positives,
                    "false_positives": at.false_positives, "false_negatives": at.false_negatives,
                    "precision": at.precision, "recall": at.recall, "f1": at.f1, "mean_iou": at.mean_overlap}
        per_class = {name: {"boxes": int(n), "ap": float(ap), "ap50_95": float(coco)} for name, n, ap, coco in
                     zip(unique(self.names), self.at.truths, self.at.per_class, self.coco_per_class(), strict=True)}
        return {"images": self.images, "boxes": int(self.at.truths.sum()), "iou": self.rules.overlap,
                "points": self.rules.points, "map": self.at.mean, "map50_95": self.coco.mean,
                "coco_map50": self.coco.at_half, "per_class": per_class,
                "counts": counts(self.at, self.rules.confidence),
                "best": counts(self.best, self.at.best_threshold)}

    def scalars(self) -> dict[str, float]:
        return {"map50_95": self.coco.mean, "precision": self.at.precision, "recall": self.at.recall, "f1": self.at.f1,
                "mean_iou": self.at.mean_overlap, "best_threshold": self.at.best_threshold}

    def notes(self) -> dict[str, Any]:
        return {"threshold": round(self.at.best_threshold, 4), "map50_95": self.coco.mean,
                "per_class": dict(zip(unique(self.names), (float(ap) for ap in self.at.per_class), strict=True))}


def unique(names: Sequence[str]) -> list[str]:
    """The names, those that occur twice with their number."""
    return [name if names.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(names)]


@dataclass(frozen=True)
class Seen:
    """What was found in pictures and what is there, an entry a picture.

    found           (m, 6) rows class, probability, centre x, y, w, h as parts of the picture
    truths, crowds  (k, 5) rows centre x, y, w, h, class
    indices         which picture of the split it is
    """
    found: list[np.ndarray]
    truths: list[np.ndarray]
    crowds: list[np.ndarray]
    indices: list[int]

    def metrics(self, names: Sequence[str], rules: DetectionCriteria = DetectionCriteria()) -> DetectionMetrics:
        return measure(self.found, self.truths, self.crowds, names, rules)


def collect_detections(net: Network, loader: BoxLoader, split: BoxSplit,
                       rules: DetectionCriteria = DetectionCriteria()) -> Seen:
    """What the network finds in the pictures that `loader` shows, whose boxes are those of `split`.

    The network sees a batch at a time; of each picture only the rows of its boxes are kept.
    """
    letterbox = net.options.letter_box if rules.letterbox is None else rules.letterbox
    seen, plan = Seen([], [], [], []), Plan(net)
    for x, _ in loader:
        pictures, sizes = [split[int(index)] for index in loader.indices], loader.sizes
        seen.found.extend(detect_batch(plan, x, sizes, letterbox=letterbox, nms=rules.nms))
        seen.truths.extend(picture.boxes for picture in pictures)
        seen.crowds.extend(picture.crowd for picture in pictures)
        seen.indices.extend(int(index) for index in loader.indices)
    return seen


def detect_batch(net: Network | Plan, x: np.ndarray, sizes: np.ndarray, *, letterbox: bool = False,
             nms: float = 0.45) -> list[np.ndarray]:
    """For each picture of x (n, c, h, w) its boxes: rows class, probability, centre x, y, w, h as parts of it.

    sizes (n, 2): width and height of the pictures before they were fitted to the network.
    """
    outputs = net.head_outputs(x)
    outputs = {index: outputs[index] for index in detection_heads(net.layers)}
    return [detections(net.layers, outputs, (int(w), int(h)), LEAST, image=image, letterbox=letterbox, nms=nms).rows()
            for image, (w, h) in enumerate(sizes)]


def measure(found: Sequence[np.ndarray], truths: Sequence[np.ndarray], crowds: Sequence[np.ndarray],
            names: Sequence[str], rules: DetectionCriteria = DetectionCriteria()) -> DetectionMetrics:
    """What the rows of detect_batch are worth; truths and crowds (k, 5) rows x, y, w, h, class, an entry a picture."""
    classes = len(names)

    def counted(confidence: float) -> AveragePrecision:
        return darknet_precision(found, truths, classes, overlap=rules.overlap, confidence=confidence,
                                 points=rules.points, crowds=crowds)
    at = counted(rules.confidence)
    # a box is counted when it is above the confidence, and the one at the best threshold belongs to the count
    best = counted(float(np.nextafter(at.best_threshold, 0)))
    return DetectionMetrics(list(names), len(found), rules, at, best, coco_precision(found, truths, classes, crowds))
