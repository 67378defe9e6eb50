"""Detectors: trained on images with boxes, evaluated by mean average precision."""
import hashlib
from pathlib import PurePath

import numpy as np

from runner.datasets import DetectionSplit, check_image_channels, find_data, open_detection_dataset
from runner.detection import BoxMatches, chosen_classes, detection_heads, f1_curves, recall_curves
from runner.errors import DataError, counted
from runner.images import channels_shown, pixel_corners, read_image
from runner.images.draw import MISSED, RIGHT, WRONG, StyledBox, draw_styled
from runner.layers import Detection, Region, Yolo
from runner.layers.shared.heads import DetectionHead
from runner.network import Network
from runner.program import command
from runner.training.detection_data import evaluation_loader, training_loader
from runner.training.detection_metrics import (
    DetectionMetrics,
    SplitDetections,
    collect_detections,
    collect_tiled_detections,
)
from runner.training.image_results import ImageResults, box_results, name_of
from runner.training.metrics import Metrics, unique_names
from runner.training.report_items import CaptionedImage, ConfusionMatrix, ImageGrid, LineChart, ReportItem
from runner.training.tasks.base import Batches, Task, TaskOptions, test_images_text

MAX_CURVES = 12     # classes with a precision-recall curve, those with the most boxes
REPORT_IMAGES = 8   # in each row of a report
IMAGE_SIDE = 320    # pixels of the longer side of an image in a report
MAX_MATRIX_CLASSES = 100    # with more, a confusion matrix is left out of the report
BACKGROUND = "background"   # beside the classes in a confusion matrix
LEGEND = {RIGHT: "correct", WRONG: "wrong", MISSED: "missed object"}


def is_detector(net: Network) -> bool:
    return bool(detection_heads(net.layers))


class Detector(Task):
    """data: the dataset.  kept_classes: the numbers of the classes that are evaluated; None: all."""
    score_name = "mAP@.50"
    numbers = ("map50_95", "precision", "recall", "f1", "mean_iou", "best_threshold")

    def __init__(self, net: Network, options: TaskOptions):
        super().__init__(net, options)
        net.require_images(options.cfg)
        self.data = open_detection_dataset(find_data(options.cfg, options.data, net.options.data or None),
                                           on_bad=options.on_bad, split_share=net.options.split_share)
        for sentence in self.data.warnings:
            options.warn(sentence)
        check_image_channels(self.data, net.in_shape[0], every=options.on_bad == "error")
        self.source, self.classes = str(self.data.source), list(self.data.names)
        check_heads(options.cfg, net, self.classes, self.source)
        self.kept_classes = chosen_classes(options.criteria.classes, options.criteria.not_classes, self.classes,
                                           len(self.classes))
        self.has_training_data, self.has_test_data = self.data.train is not None, self.data.test is not None

    def data_summary(self) -> str:
        boxes = len(self.data.train.boxes()) if self.data.train else 0
        return (f"{counted(len(self.data.train or ()), 'image')} with {counted(boxes, 'box')} to train, "
                f"{test_images_text(self.data.test)}, "
                f"{counted(len(self.classes), 'class')}")

    @property
    def updates_per_epoch(self) -> float:
        return self._updates_for(len(self.data.train or ()))

    def batches(self) -> Batches:
        return self._own_rows(training_loader(self.net, self.split("train"), seed=self.options.seed,
                                              on_bad=self.options.on_bad, warn=self.options.warn))

    def evaluate(self, split: str = "test") -> DetectionMetrics:
        results, criteria = self._detect(split), self.options.criteria
        if self.group is None:
            return results.metrics(self.classes, criteria)
        parts = self.group.gather_to_root(results)
        return self.group.broadcast(SplitDetections.merged(parts).metrics(self.classes, criteria) if parts else None)

    def evaluate_images(self, split: str = "test") -> tuple[Metrics, ImageResults]:
        criteria, results = self.options.criteria, self._detect(split)
        images = self.split(split)
        return results.metrics(self.classes, criteria), box_results(
            results.matches(criteria.overlap, criteria.confidence), [images[index].path for index in results.indices],
            results.sizes, self.classes, criteria.overlap)._replace(detections=results)

    def report_items(self) -> tuple[Metrics | None, list[ReportItem]]:
        """The tables, the confusion matrix, curves, and the images with the most errors and with none."""
        if not self.has_test_data:
            return None, []
        criteria, results = self.options.criteria, self._detect("test")
        metrics = results.metrics(self.classes, criteria)
        confidence = float(np.nextafter(metrics.at.best_threshold, 0))      # as in the last row of the table
        matches = results.matches(criteria.overlap, confidence)
        errors = np.array([int(one.wrong.sum() + one.missed.sum()) for one in matches])
        correct = np.array([int(one.correct.sum()) for one in matches])
        shown = channels_shown(self.net.in_shape[0])

        def grid(title: str, rows: np.ndarray) -> ImageGrid:
            title += f"; shown: {shown}" if shown else ""
            return ImageGrid(title, [self._drawn(results, int(row), matches[row]) for row in rows[:REPORT_IMAGES]],
                             side=IMAGE_SIDE, legend=LEGEND)
        worst, best = np.lexsort((correct, -errors)), np.lexsort((-correct, errors))
        items: list[ReportItem] = [*metrics.tables()[:2]]
        if len(self.classes) <= MAX_MATRIX_CLASSES:
            items.append(ConfusionMatrix(
                "Confusion matrix", [*self.classes, BACKGROUND], metrics.confusion, [*self.classes, "missed"],
                f"Boxes with a confidence above {criteria.confidence:g}, correct with an IoU above "
                f"{criteria.overlap:g}. The last column counts objects without a box, the last row boxes without an "
                "object and further boxes of an object."))
        return metrics, [
            *items, *self._curves(results, metrics),
            grid(f"Most errors, confidence above {confidence:.2f}", worst[errors[worst] > 0]),
            grid("Most boxes without an error", best[(errors[best] == 0) & (correct[best] > 0)])]

    def _curves(self, results: SplitDetections, metrics: DetectionMetrics) -> list[ReportItem]:
        """Precision over recall and F1 over confidence, of the classes with the most boxes."""
        overlap, count = self.options.criteria.overlap, len(self.classes)
        largest = sorted(np.flatnonzero(metrics.at.truths).tolist(), key=lambda k: -metrics.at.truths[k])[:MAX_CURVES]
        recall = recall_curves(results.found, results.truths, count, overlap=overlap, crowds=results.crowds)
        confidences, f1 = f1_curves(results.found, results.truths, count, overlap=overlap, crowds=results.crowds)
        names, xs = unique_names(self.classes), confidences.tolist()
        f1_lines = {"all classes": (xs, f1[-1].tolist())} if count > 1 else {}
        return [LineChart(f"Precision and recall, IoU above {overlap:g}", "recall", "precision",
                          {names[k]: (recall[k][0].tolist(), recall[k][1].tolist()) for k in sorted(largest)}),
                LineChart(f"F1 and confidence, IoU above {overlap:g}", "confidence", "F1",
                          f1_lines | {names[k]: (xs, f1[k].tolist()) for k in sorted(largest)},
                          main=next(iter(f1_lines), ""))]

    def _drawn(self, results: SplitDetections, row: int, one: BoxMatches) -> CaptionedImage:
        """The image of one row of the results with its correct, wrong and missed boxes, enlarged by an integer until
        labels have room."""
        path = self.split("test")[results.indices[row]].path
        pixels = read_image(path, self.net.in_shape[0])
        factor = -(-IMAGE_SIDE // max(pixels.shape[1:]))
        pixels = pixels.repeat(factor, axis=1).repeat(factor, axis=2)
        _, height, width = pixels.shape
        objects = [name_of(self.classes, k) for k in one.truth[:, 4].tolist()]
        boxes = []
        for number in np.flatnonzero(~one.ignored).tolist():
            index, confidence, goal = one.boxes[number, 0], float(one.boxes[number, 1]), int(one.objects[number])
            label = f"{name_of(self.classes, index)} {100 * confidence:.0f} %"
            if one.wrong[number] and goal >= 0:
                label += f", is {objects[goal]}"
            corners = pixel_corners(one.boxes[number:number + 1, 2:], width, height)[0].tolist()
            boxes.append(StyledBox(label, RIGHT if one.correct[number] else WRONG, corners, confidence))
        for number in np.flatnonzero(one.missed).tolist():
            corners = pixel_corners(one.truth[number:number + 1, :4], width, height)[0].tolist()
            boxes.append(StyledBox(objects[number] if one.unseen[number] else "", MISSED, corners, 2))
        counts = f"{one.correct.sum()} correct, {one.wrong.sum()} wrong, {one.missed.sum()} missed"
        return CaptionedImage(np.asarray(draw_styled(pixels, boxes)), f"{PurePath(path).name}\n{counts}")

    def _detect(self, name: str) -> SplitDetections:
        split, criteria = self.split(name), self.options.criteria
        if criteria.tiles is not None:
            return collect_tiled_detections(self.net, split, criteria, self.kept_classes, on_bad=self.options.on_bad,
                                            warn=self.options.warn)
        loader = evaluation_loader(self.net, split, letterbox=criteria.letterbox, on_bad=self.options.on_bad,
                                   warn=self.options.warn)
        with loader:
            if self.group:
                loader.take_batches(self.group.rank, self.group.size)
            return collect_detections(self.net, loader, split, criteria, self.kept_classes)

    def score_text(self, score: float) -> str:
        return f"{100 * score:.2f} %"

    def fingerprint(self, split: str = "train") -> str:
        digest = hashlib.sha256()
        for image in getattr(self.data, split) or ():
            digest.update(image.path.encode("utf-8", "surrogateescape") + b"\n" + image.boxes.tobytes())
        return digest.hexdigest()

    def next_commands(self, run: str | None = None) -> list[str]:
        example = self.data.test or self.data.train
        return [*super().next_commands(run),
                *([command("detect", run or self.options.cfg, example[0].path, "--save", "out/")] if example else [])]

    def split(self, name: str) -> DetectionSplit:
        """The images of "train" or "test"; DataError where there are none."""
        split: DetectionSplit | None = getattr(self.data, name)
        if split is None:
            raise self.missing_split(name)
        return split


def check_heads(cfg: str, net: Network, names: list[str], source: str) -> None:
    """DataError, with the options to change, unless every head has as many classes as the data."""
    wrong = []
    for index in detection_heads(net.layers):
        head = net.layers[index]
        assert isinstance(head, DetectionHead)
        classes = getattr(head.options, "classes", len(names))
        if classes == len(names) or getattr(head.options, "map", ""):
            continue
        values, option = head_inputs(head, len(names)), "output" if isinstance(head, Detection) else "filters"
        wrong.append(f"{cfg}: layer {index} [{head.names[0]}] has classes={classes}, but {source} has {len(names)}: "
                     f"set classes={len(names)} there, and {option}={values} in layer {net.links[index][0]} before it")
    if wrong:
        raise DataError("\n".join(wrong))


def head_inputs(head: DetectionHead, classes: int) -> int:
    """How many input values, or channels, a head needs for this number of classes."""
    o = head.options
    if isinstance(head, Yolo):
        return len(o.mask) * (head.ENTRIES + classes)
    if isinstance(head, Region):
        return o.num * (o.coords + 1 + classes)
    assert isinstance(head, Detection)
    return o.side * o.side * (o.num * (1 + o.coords) + classes)
