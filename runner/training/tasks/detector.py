"""The task of a detector: pictures with boxes, measured by average precision."""
import hashlib

import numpy as np

from runner.datasets import BoxSplit, find_data, open_boxes
from runner.detection import AveragePrecision, darknet_precision, detection_heads, recall_curves
from runner.errors import DataError
from runner.images import read_image
from runner.images.draw import draw_boxes
from runner.layers import Detection, Region, Yolo
from runner.layers.shared.heads import DetectionHead
from runner.network import Network
from runner.training.detection_data import evaluation_loader, training_loader
from runner.training.detection_metrics import DetectionMetrics, Seen, collect_detections
from runner.training.metrics import Metrics
from runner.training.report_items import Curves, Picture, Pictures, ReportItem
from runner.training.tasks.base import Batches, Task, TaskOptions

LINES = 12      # classes with a curve of their own, those with the most boxes
SHOWN = 8       # pictures of a kind in a report
SIDE = 320      # pixels


def is_detector(net: Network) -> bool:
    return bool(detection_heads(net.layers))


class Detector(Task):
    """data: the data set that was opened."""
    score_name = "mAP@.50"
    numbers = ("map50_95", "precision", "recall", "f1", "mean_iou", "best_threshold")

    def __init__(self, net: Network, asked: TaskOptions):
        super().__init__(net, asked)
        net.require_images(asked.cfg)
        self.data = open_boxes(find_data(asked.cfg, asked.data, net.options.data or None), on_bad=asked.on_bad,
                               split_share=net.options.split_share)
        for sentence in self.data.warnings:
            asked.warn(sentence)
        self.source, self.classes = str(self.data.source), list(self.data.names)
        check_heads(asked.cfg, net, self.classes, self.source)
        self.has_training_data, self.has_test_data = self.data.train is not None, self.data.test is not None

    def data_summary(self) -> str:
        test = f"{len(self.data.test)} to test" if self.data.test else \
            "no test images, so the last weights count as the best"
        boxes = len(self.data.train.boxes()) if self.data.train else 0
        return f"{len(self.data.train or ())} images with {boxes} boxes to train, {test}, {len(self.classes)} classes"

    def batches(self) -> Batches:
        return training_loader(self.net, self._part("train"), seed=self.options.seed, on_bad=self.options.on_bad,
                              warn=self.options.warn)

    def evaluate(self, split: str = "test") -> DetectionMetrics:
        return self._seen(split).metrics(self.classes, self.options.boxes)

    def report_items(self) -> tuple[Metrics | None, list[ReportItem]]:
        """The tables, precision over recall, and the pictures with the most mistakes and with none."""
        if not self.has_test_data:
            return None, []
        rules, seen, images = self.options.boxes, self._seen("test"), self._part("test")
        metrics = seen.metrics(self.classes, rules)
        curves = recall_curves(seen.found, seen.truths, len(self.classes), overlap=rules.overlap, crowds=seen.crowds)
        most = sorted(np.flatnonzero(metrics.at.truths).tolist(), key=lambda kind: -metrics.at.truths[kind])[:LINES]
        lines = {self.classes[kind]: (curves[kind][0].tolist(), curves[kind][1].tolist()) for kind in sorted(most)}
        sure = float(np.nextafter(metrics.at.best_threshold, 0))    # above it, as the table's last row counts
        counts = [darknet_precision([found], [truth], len(self.classes), overlap=rules.overlap, confidence=sure,
                                    crowds=[crowd])
                  for found, truth, crowd in zip(seen.found, seen.truths, seen.crowds, strict=True)]
        wrong = np.array([count.false_positives + count.false_negatives for count in counts])
        right = np.array([count.true_positives for count in counts])

        def pictures(title: str, rows: np.ndarray) -> Pictures:
            return Pictures(title, [self._picture(images, seen, int(row), counts[row], sure) for row in rows[:SHOWN]],
                            side=SIDE)
        worst, best = np.lexsort((right, -wrong)), np.lexsort((-right, wrong))
        return metrics, [
            *metrics.tables(),
            Curves(f"Precision and recall, IoU above {rules.overlap:g}", "recall", "precision", lines),
            pictures(f"Most mistakes, confidence above {sure:.2f}", worst[wrong[worst] > 0]),
            pictures("Most found without a mistake", best[(wrong[best] == 0) & (right[best] > 0)])]

    def _picture(self, images: BoxSplit, seen: Seen, row: int, counts: AveragePrecision, sure: float) -> Picture:
        pixels = read_image(images[seen.indices[row]].path, self.net.in_shape[0])
        _, height, width = pixels.shape
        boxes = [(self.classes[int(kind)] if kind < len(self.classes) else str(int(kind)), int(kind), float(p),
                  ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height))
                 for kind, p, x, y, w, h in seen.found[row] if p > sure]
        return Picture(np.asarray(draw_boxes(pixels, boxes)), f"{counts.true_positives} right, "
                       f"{counts.false_positives} wrong, {counts.false_negatives} missed")

    def _seen(self, split: str) -> Seen:
        part, rules = self._part(split), self.options.boxes
        loader = evaluation_loader(self.net, part, letterbox=rules.letterbox, on_bad=self.options.on_bad,
                                  warn=self.options.warn)
        with loader:
            return collect_detections(self.net, loader, part, rules)

    def score_text(self, score: float) -> str:
        return f"{100 * score:.2f} %"

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for picture in self.data.train or ():
            digest.update(picture.path.encode() + b"\n" + picture.boxes.tobytes())
        return digest.hexdigest()

    def next_commands(self) -> list[str]:
        example, cfg = self.data.test or self.data.train, self.options.cfg
        return super().next_commands() + (
            [f"python run.py detect {cfg} {example[0].path} --save out/"] if example else [])

    def _part(self, split: str) -> BoxSplit:
        part: BoxSplit | None = getattr(self.data, split)
        if part is None:
            raise self.missing_split(split)
        return part


def check_heads(cfg: str, net: Network, names: list[str], source: str) -> None:
    """DataError unless every head knows the classes of the data; it names the numbers that would be right."""
    wrong = []
    for index in detection_heads(net.layers):
        head = net.layers[index]
        assert isinstance(head, DetectionHead)
        classes = getattr(head.options, "classes", len(names))
        if classes == len(names) or getattr(head.options, "map", ""):
            continue
        values, option = head_inputs(head, len(names)), "output" if isinstance(head, Detection) else "filters"
        wrong.append(f"{cfg}: layer {index} [{head.names[0]}] has classes={classes}, and {source} has {len(names)}: "
                     f"set classes={len(names)} there, and {option}={values} in layer {net.links[index][0]} before it")
    if wrong:
        raise DataError("\n".join(wrong))


def head_inputs(head: DetectionHead, classes: int) -> int:
    """How many values, or channels, a head takes for so many classes."""
    o = head.options
    if isinstance(head, Yolo):
        return len(o.mask) * (head.ENTRIES + classes)
    if isinstance(head, Region):
        return o.num * (o.coords + 1 + classes)
    assert isinstance(head, Detection)
    return o.side * o.side * (o.num * (1 + o.coords) + classes)
