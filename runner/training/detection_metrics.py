"""Detection metrics: average precision; counts, precision, recall, F1 and the confusion matrix at a confidence."""
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from runner.datasets import DetectionLoader, DetectionSplit
from runner.detection import (
    AveragePrecision,
    BoxMatches,
    CocoPrecision,
    NmsOptions,
    chosen_classes,
    coco_precision,
    confusion_matrix,
    darknet_precision,
    detection_heads,
    match_boxes,
    predict_boxes,
)
from runner.errors import DataError, counted
from runner.images.arrays import to_float
from runner.inference import Plan
from runner.inference.tiling import Tiles, Tiling, detect_tiled, require_single_images, tiling
from runner.network import Network
from runner.training.metrics import Metrics, Table, unique_names

MAX_CONSOLE_CLASSES = 30    # more classes make a confusion matrix wider than any terminal
ALL_BOXES = NmsOptions()    # that suppression leaves
MIN_CONFIDENCE = 0.005      # of the boxes that average precision ranks, as in AlexeyAB's `detector map`


@dataclass(frozen=True)
class DetectionCriteria:
    """How detections are matched with the ground truth.

    confidence  boxes above it count in precision, recall and F1
    overlap     a box above this IoU with the ground truth is correct
    points      0: average precision is the area under the curve; 11, 101: the mean precision at that many recalls
    nms         maximum IoU of two boxes of one class
    letterbox   whether images keep their aspect ratio; None: as [net] letter_box says
    nms_kind, agnostic_nms, max_det   which boxes are kept: runner.detection.NmsOptions
    classes, not_classes  only these, or without these, by name or number, in the ground truth too; empty: all
    tiles, tile_overlap, merge, whole  detect in tiles, too, as `detect --tiles`; None: do not
    """
    confidence: float = 0.25
    overlap: float = 0.5
    points: int = 0
    nms: float = 0.45
    letterbox: bool | None = None
    nms_kind: str | None = None
    agnostic_nms: bool = False
    max_det: int | None = None
    classes: tuple[str | int, ...] = ()
    not_classes: tuple[str | int, ...] = ()
    tiles: Tiles = None
    tile_overlap: float = 0.2
    merge: str = "nmm"
    whole: bool = True

    def __post_init__(self) -> None:
        self.kept_boxes()
        self.tiling()

    def tiling(self) -> Tiling | None:
        """How images are cut."""
        return tiling(self.tiles, self.tile_overlap, self.merge, self.whole)

    def kept_boxes(self, classes: tuple[int, ...] | None = None) -> NmsOptions:
        """The same as NmsOptions, with the numbers of the classes."""
        return NmsOptions(self.nms, self.nms_kind, self.agnostic_nms, self.max_det, classes)


@dataclass(frozen=True)
class DetectionMetrics(Metrics):
    """
    names     of the classes
    images    number of images
    criteria  what the metrics were computed with
    at        counts at its confidence, and average precision at its overlap
    best      the same at the confidence with the best F1
    coco      average precision at ten overlaps
    confusion  (classes + 1, classes + 1) at its confidence and overlap, see confusion_matrix
    """
    names: list[str]
    images: int
    criteria: DetectionCriteria
    at: AveragePrecision
    best: AveragePrecision
    coco: CocoPrecision
    confusion: np.ndarray

    @property
    def score(self) -> float:
        return self.at.mean

    def headline(self) -> str:
        return (f"{counted(self.images, 'image')}, {counted(int(self.at.truths.sum()), 'box')}: "
                f"mAP@{self.criteria.overlap:.2f} "
                f"{100 * self.at.mean:.2f} %, mAP@.50:.95 {100 * self.coco.mean:.2f} %")

    def tables(self) -> list[Table]:
        rows: list[tuple[str, ...]] = [("class", "boxes", f"AP@{self.criteria.overlap:.2f}", "AP@.50:.95",
                                        "precision", "recall", "F1")]
        rows += [(name, str(count), *(f"{100 * value:.2f} %" if count else "-" for value in values),
                  *(f"{at[key]:.3f}" for key in ("precision", "recall", "f1")))
                 for name, count, at, *values in zip(self.names, self.at.truths, self.per_class(), self.at.per_class,
                                                     self.coco_per_class(), strict=True)]
        counts = [("confidence above", "correct", "wrong", "missed", "precision", "recall", "F1", "mean IoU")]
        for confidence, at, note in ((self.criteria.confidence, self.at, ""),
                                     (self.at.best_threshold, self.best, " (best F1)")):
            counts.append((f"{confidence:.3f}{note}", str(at.true_positives), str(at.false_positives),
                           str(at.false_negatives), f"{at.precision:.3f}", f"{at.recall:.3f}", f"{at.f1:.3f}",
                           f"{at.mean_overlap:.3f}"))
        tables = [Table("precision, recall and F1 of the boxes with a confidence above "
                        f"{self.criteria.confidence:g}", rows), Table("", counts)]
        if len(self.names) <= MAX_CONSOLE_CLASSES:
            names = [*self.names, "background"]
            cells = [("", *(name[:8] for name in self.names), "missed")]
            cells += [(name, *(str(n) if n else "." for n in row))
                      for name, row in zip(names, self.confusion, strict=True)]
            tables.append(Table("confusion matrix at this confidence: rows are true classes, columns predicted ones",
                                cells))
        return tables

    def per_class(self) -> list[dict[str, float]]:
        """Counts, precision, recall and F1 of each class at the confidence; a ratio with an empty denominator is 0."""
        correct = np.diag(self.confusion)[:-1]
        found, objects = self.confusion[:, :-1].sum(axis=0), self.confusion[:-1].sum(axis=1)
        return [{"true_positives": int(tp), "false_positives": int(n - tp), "false_negatives": int(k - tp),
                 "precision": float(tp / max(n, 1)), "recall": float(tp / max(k, 1)),
                 "f1": float(2 * tp / max(n + k, 1))} for tp, n, k in zip(correct, found, objects, strict=True)]

    def coco_per_class(self) -> np.ndarray:
        """(classes,) mean over the ten overlaps; 0 for a class that never occurs."""
        return np.nan_to_num(self.coco.per_class.mean(axis=1))

    def as_json(self) -> dict[str, Any]:
        def counts(at: AveragePrecision, confidence: float) -> dict[str, Any]:
            return {"confidence": confidence, "true_positives": at.true_positives,
                    "false_positives": at.false_positives, "false_negatives": at.false_negatives,
                    "precision": at.precision, "recall": at.recall, "f1": at.f1, "mean_iou": at.mean_overlap}
        rows = zip(unique_names(self.names), self.at.truths, self.at.per_class, self.coco_per_class(), strict=True)
        per_class = {name: {"boxes": int(n), "ap": float(ap), "ap50_95": float(coco)} | at
                     for (name, n, ap, coco), at in zip(rows, self.per_class(), strict=True)}
        return {"images": self.images, "boxes": int(self.at.truths.sum()), "iou": self.criteria.overlap,
                "points": self.criteria.points, "map": self.at.mean, "map50_95": self.coco.mean,
                "coco_map50": self.coco.at_half, "per_class": per_class,
                "counts": counts(self.at, self.criteria.confidence),
                "best": counts(self.best, self.at.best_threshold), "confusion": self.confusion.tolist(),
                **self._tiles()}

    def _tiles(self) -> dict[str, Any]:
        """How images were cut, where they were."""
        cut = self.criteria.tiling()
        return {"tiles": {"size": cut.size and list(cut.size), "overlap": cut.overlap, "merge": cut.merge,
                          "whole": cut.whole}} if cut else {}

    def scalars(self) -> dict[str, float]:
        return {"map50_95": self.coco.mean, "precision": self.at.precision, "recall": self.at.recall, "f1": self.at.f1,
                "mean_iou": self.at.mean_overlap, "best_threshold": self.at.best_threshold}

    def class_scalars(self) -> dict[str, dict[str, float]]:
        rows = zip(unique_names(self.names), self.at.truths, self.at.per_class, self.coco_per_class(), self.per_class(),
                   strict=True)
        return {name: {"boxes": int(count), "ap": float(ap), "ap50_95": float(coco), "precision": at["precision"],
                       "recall": at["recall"], "f1": at["f1"]} for name, count, ap, coco, at in rows}

    def notes(self) -> dict[str, Any]:
        # rounded down, so that the box exactly at the threshold is above it
        threshold = math.floor(10_000 * float(np.nextafter(self.at.best_threshold, 0))) / 10_000
        return {"threshold": max(threshold, 0.), "map50_95": self.coco.mean,
                "per_class": dict(zip(unique_names(self.names), (float(ap) for ap in self.at.per_class), strict=True))}


@dataclass(frozen=True)
class SplitDetections:
    """The detections and the ground truth of several images, one entry per image.

    found           (m, 6) rows class, confidence, centre x, y, w, h as fractions of the image
    truths, crowds  (k, 5) rows centre x, y, w, h, class
    indices         index of the image in its split
    sizes           width and height of the image, pixels
    """
    found: list[np.ndarray]
    truths: list[np.ndarray]
    crowds: list[np.ndarray]
    indices: list[int]
    sizes: list[tuple[int, int]]

    @classmethod
    def merged(cls, parts: "Sequence[SplitDetections]") -> "SplitDetections":
        """The detections of several parts of the images, by the number of the image."""
        merged = cls([], [], [], [], [])
        where = sorted((index, part, row) for part, one in enumerate(parts) for row, index in enumerate(one.indices))
        for index, part, row in where:
            one = parts[part]
            merged.found.append(one.found[row])
            merged.truths.append(one.truths[row])
            merged.crowds.append(one.crowds[row])
            merged.indices.append(index)
            merged.sizes.append(one.sizes[row])
        return merged

    def matches(self, overlap: float, confidence: float) -> list[BoxMatches]:
        """For each image, its boxes above the confidence with the objects they are on."""
        return [match_boxes(*one, overlap=overlap, confidence=confidence)
                for one in zip(self.found, self.truths, self.crowds, strict=True)]

    def add(self, found: np.ndarray, split: DetectionSplit, index: int, size: tuple[int, int]) -> None:
        """An image of a split, by its index, with its detections and its size."""
        self.found.append(found)
        self.truths.append(split[index].boxes)
        self.crowds.append(split[index].crowd)
        self.indices.append(index)
        self.sizes.append(size)

    def only(self, classes: Sequence[int]) -> "SplitDetections":
        """The same without the detections and the ground truth of other classes."""
        return replace(self, found=[rows[np.isin(rows[:, 0], classes)] for rows in self.found],
                       truths=[rows[np.isin(rows[:, 4], classes)] for rows in self.truths],
                       crowds=[rows[np.isin(rows[:, 4], classes)] for rows in self.crowds])

    def metrics(self, names: Sequence[str], criteria: DetectionCriteria = DetectionCriteria()) -> DetectionMetrics:
        return compute_metrics(self.found, self.truths, self.crowds, names, criteria)


def collect_detections(net: Network, loader: DetectionLoader, split: DetectionSplit,
                       criteria: DetectionCriteria = DetectionCriteria(),
                       classes: tuple[int, ...] | None = None) -> SplitDetections:
    """Detect on the images of `loader`, whose ground truth is in `split`.  classes: only these; None: all.

    One batch at a time; only the boxes of each image are kept.
    """
    letterbox = net.options.letter_box if criteria.letterbox is None else criteria.letterbox
    results, plan, kept = SplitDetections([], [], [], [], []), Plan(net), criteria.kept_boxes(classes)
    for x, _ in loader:
        found = detect_batch(plan, x, loader.sizes, letterbox=letterbox, kept=kept)
        for rows, index, (width, height) in zip(found, loader.indices, loader.sizes, strict=True):
            results.add(rows, split, int(index), (int(width), int(height)))
    return results if classes is None else results.only(classes)


def collect_tiled_detections(net: Network, split: DetectionSplit, criteria: DetectionCriteria,
                             classes: tuple[int, ...] | None = None, *, on_bad: str = "skip",
                             warn: Callable[[str], None] | None = None) -> SplitDetections:
    """Detect in the tiles of every image of a split, and in the whole of it, as `detect --tiles` does.

    criteria  with tiles; classes: only these, None: all
    on_bad    "skip": an unreadable image is passed to `warn` and left out; "error": DataError
    """
    require_single_images(net)
    cut = criteria.tiling()
    assert cut is not None
    letterbox = net.options.letter_box if criteria.letterbox is None else criteria.letterbox
    results, plan, kept = SplitDetections([], [], [], [], []), Plan(net), criteria.kept_boxes(classes)
    for index in range(len(split)):
        try:
            pixels = to_float(split.read(index, net.in_shape[0]))
        except DataError as error:
            if on_bad == "error":
                raise
            if warn:
                warn(str(error))
            continue
        try:
            rows = detect_tiled(plan, pixels, cut, MIN_CONFIDENCE, kept, letterbox)
        except DataError as error:      # an evaluation without this image would be another one
            raise DataError(f"{split[index].path}: {error}") from None
        results.add(rows, split, index, (pixels.shape[2], pixels.shape[1]))
    if not results.found:
        raise DataError(f"none of the images ({len(split)}) can be read")
    return results if classes is None else results.only(classes)


def detect_batch(net: Network | Plan, x: np.ndarray, sizes: np.ndarray, *, letterbox: bool = False,
                 kept: NmsOptions = ALL_BOXES) -> list[np.ndarray]:
    """For each image of x (n, c, h, w): its (m, 6) rows class, confidence, centre x, y, w, h as fractions of the image.

    sizes (n, 2): width and height of the images before they were resized to the network's input.
    """
    outputs = net.head_outputs(x)
    outputs = {index: outputs[index] for index in detection_heads(net.layers)}
    return [predict_boxes(net.layers, outputs, (int(w), int(h)), MIN_CONFIDENCE, image=image, letterbox=letterbox,
                          **vars(kept)).rows() for image, (w, h) in enumerate(sizes)]


def compute_metrics(found: Sequence[np.ndarray], truths: Sequence[np.ndarray], crowds: Sequence[np.ndarray],
                    names: Sequence[str], criteria: DetectionCriteria = DetectionCriteria()) -> DetectionMetrics:
    """The metrics of detections as in `SplitDetections`, one entry per image.

    With `classes` or `not_classes` of the criteria, they are those of a detector of the other classes only.
    """
    kept = chosen_classes(criteria.classes, criteria.not_classes, names, len(names))
    if kept is not None:
        names = [names[index] for index in kept]
        found = [_renumbered(rows, 0, kept) for rows in found]
        truths, crowds = ([_renumbered(rows, 4, kept) for rows in part] for part in (truths, crowds))
    classes = len(names)

    def average_precision(confidence: float) -> AveragePrecision:
        return darknet_precision(found, truths, classes, overlap=criteria.overlap, confidence=confidence,
                                 points=criteria.points, crowds=crowds)
    at = average_precision(criteria.confidence)
    # boxes strictly above the confidence are counted; the one exactly at the best threshold has to be among them
    best = average_precision(float(np.nextafter(at.best_threshold, 0)))
    matches = (match_boxes(*one, overlap=criteria.overlap, confidence=criteria.confidence)
               for one in zip(found, truths, crowds, strict=True))
    return DetectionMetrics(list(names), len(found), criteria, at, best,
                            coco_precision(found, truths, classes, crowds), confusion_matrix(matches, classes))


def _renumbered(rows: np.ndarray, column: int, classes: Sequence[int]) -> np.ndarray:
    """The rows of some classes; these are numbered from 0, in the order of their numbers."""
    rows = rows[np.isin(rows[:, column], classes)].copy()
    rows[:, column] = np.searchsorted(classes, rows[:, column])
    return rows
