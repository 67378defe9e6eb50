"""Detectors: trained on images with boxes, evaluated by mean average precision."""
import hashlib

import numpy as np

from runner.datasets import DetectionSplit, check_image_channels, find_data, open_detection_dataset
from runner.detection import AveragePrecision, darknet_precision, detection_heads, recall_curves
from runner.errors import DataError, counted
from runner.images import channels_shown, pixel_corners, read_image
from runner.images.draw import draw_boxes
from runner.layers import Detection, Region, Yolo
from runner.layers.shared.heads import DetectionHead
from runner.network import Network
from runner.program import command
from runner.training.detection_data import evaluation_loader, training_loader
from runner.training.detection_metrics import DetectionMetrics, SplitDetections, collect_detections
from runner.training.metrics import Metrics
from runner.training.report_items import CaptionedImage, ImageGrid, LineChart, ReportItem
from runner.training.tasks.base import Batches, Task, TaskOptions, test_images_text

MAX_CURVES = 12     # classes with a precision-recall curve, those with the most boxes
REPORT_IMAGES = 8   # in each row of a report
IMAGE_SIDE = 320    # pixels of the longer side of an image in a report


def is_detector(net: Network) -> bool:
    return bool(detection_heads(net.layers))


class Detector(Task):
    """data: the dataset."""
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
        return training_loader(self.net, self._split("train"), seed=self.options.seed, on_bad=self.options.on_bad,
                               warn=self.options.warn)

    def evaluate(self, split: str = "test") -> DetectionMetrics:
        return self._detect(split).metrics(self.classes, self.options.criteria)

    def report_items(self) -> tuple[Metrics | None, list[ReportItem]]:
        """The tables, precision-recall curves, and the images with the most errors and with none."""
        if not self.has_test_data:
            return None, []
        criteria, results = self.options.criteria, self._detect("test")
        metrics = results.metrics(self.classes, criteria)
        curves = recall_curves(results.found, results.truths, len(self.classes), overlap=criteria.overlap,
                               crowds=results.crowds)
        largest = sorted(np.flatnonzero(metrics.at.truths).tolist(), key=lambda k: -metrics.at.truths[k])[:MAX_CURVES]
        lines = {self.classes[k]: (curves[k][0].tolist(), curves[k][1].tolist()) for k in sorted(largest)}
        confidence = float(np.nextafter(metrics.at.best_threshold, 0))      # as in the last row of the table
        counts = [darknet_precision([found], [truth], len(self.classes), overlap=criteria.overlap,
                                    confidence=confidence, crowds=[crowd])
                  for found, truth, crowd in zip(results.found, results.truths, results.crowds, strict=True)]
        errors = np.array([count.false_positives + count.false_negatives for count in counts])
        correct = np.array([count.true_positives for count in counts])

        shown = channels_shown(self.net.in_shape[0])

        def grid(title: str, rows: np.ndarray) -> ImageGrid:
            title += f"; shown: {shown}" if shown else ""
            return ImageGrid(title, [self._drawn(results, int(row), counts[row], confidence)
                                     for row in rows[:REPORT_IMAGES]], side=IMAGE_SIDE)
        worst, best = np.lexsort((correct, -errors)), np.lexsort((-correct, errors))
        return metrics, [
            *metrics.tables(),
            LineChart(f"Precision and recall, IoU above {criteria.overlap:g}", "recall", "precision", lines),
            grid(f"Most errors, confidence above {confidence:.2f}", worst[errors[worst] > 0]),
            grid("Most boxes without an error", best[(errors[best] == 0) & (correct[best] > 0)])]

    def _drawn(self, results: SplitDetections, row: int, counts: AveragePrecision, confidence: float) -> CaptionedImage:
        """The image of one row of the results with the boxes above the confidence."""
        pixels = read_image(self._split("test")[results.indices[row]].path, self.net.in_shape[0])
        _, height, width = pixels.shape
        rows = results.found[row][results.found[row][:, 1] > confidence]
        boxes = [(self.classes[index] if index < len(self.classes) else str(index), index, float(p), corners)
                 for index, p, corners in zip(rows[:, 0].astype(int).tolist(), rows[:, 1],
                                              pixel_corners(rows[:, 2:], width, height).tolist(), strict=True)]
        return CaptionedImage(np.asarray(draw_boxes(pixels, boxes)), f"{counts.true_positives} correct, "
                              f"{counts.false_positives} wrong, {counts.false_negatives} missed")

    def _detect(self, name: str) -> SplitDetections:
        split, criteria = self._split(name), self.options.criteria
        loader = evaluation_loader(self.net, split, letterbox=criteria.letterbox, on_bad=self.options.on_bad,
                                   warn=self.options.warn)
        with loader:
            return collect_detections(self.net, loader, split, criteria)

    def score_text(self, score: float) -> str:
        return f"{100 * score:.2f} %"

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for image in self.data.train or ():
            digest.update(image.path.encode() + b"\n" + image.boxes.tobytes())
        return digest.hexdigest()

    def next_commands(self, run: str | None = None) -> list[str]:
        example = self.data.test or self.data.train
        return [*super().next_commands(run),
                *([command("detect", run or self.options.cfg, example[0].path, "--save", "out/")] if example else [])]

    def _split(self, name: str) -> DetectionSplit:
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
