"""The job of a detector: pictures with boxes, measured by average precision."""
import hashlib

from runner.datasets import BoxSplit, find_data, open_boxes
from runner.detection import detection_heads
from runner.errors import DataError
from runner.layers import Detection, Region, Yolo
from runner.layers.heads import DetectionHead
from runner.network import Network
from runner.training.box_data import evaluation_boxes, training_boxes
from runner.training.boxes import BoxMetrics, evaluate_boxes
from runner.training.jobs.base import Asked, Batches, Job


def is_detector(net: Network) -> bool:
    return bool(detection_heads(net.layers))


class Detector(Job):
    """data: the data set that was opened."""
    score_name = "mAP@.50"
    numbers = ("map50_95", "precision", "recall", "f1", "mean_iou", "best_threshold")

    def __init__(self, net: Network, asked: Asked):
        super().__init__(net, asked)
        if len(net.in_shape) != 3:
            raise DataError(f"{asked.cfg}: the network takes {net.in_shape[0]} values, no images: [net] needs width, "
                            "height and channels")
        self.data = open_boxes(find_data(asked.cfg, asked.data, net.options.data or None), on_bad=asked.on_bad,
                               split_share=net.options.split_share)
        for sentence in self.data.warnings:
            asked.warn(sentence)
        self.source, self.classes = str(self.data.source), list(self.data.names)
        check_heads(asked.cfg, net, self.classes, self.source)
        self.trains, self.tests = self.data.train is not None, self.data.test is not None

    def content(self) -> str:
        test = f"{len(self.data.test)} to test" if self.data.test else \
            "no test images, so the last weights count as the best"
        boxes = len(self.data.train.boxes()) if self.data.train else 0
        return f"{len(self.data.train or ())} images with {boxes} boxes to train, {test}, {len(self.classes)} classes"

    def batches(self) -> Batches:
        return training_boxes(self.net, self._part("train"), seed=self.asked.seed, on_bad=self.asked.on_bad,
                              warn=self.asked.warn)

    def evaluate(self, split: str = "test") -> BoxMetrics:
        part, rules = self._part(split), self.asked.boxes
        loader = evaluation_boxes(self.net, part, letterbox=rules.letterbox, on_bad=self.asked.on_bad,
                                  warn=self.asked.warn)
        with loader:
            return evaluate_boxes(self.net, loader, part, self.classes, rules)

    def score_text(self, score: float) -> str:
        return f"{100 * score:.2f} %"

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for picture in self.data.train or ():
            digest.update(picture.path.encode() + b"\n" + picture.boxes.tobytes())
        return digest.hexdigest()

    def next_commands(self) -> list[str]:
        example, cfg = self.data.test or self.data.train, self.asked.cfg
        return super().next_commands() + (
            [f"python run.py detect {cfg} {example[0].path} --save out/"] if example else [])

    def _part(self, split: str) -> BoxSplit:
        part: BoxSplit | None = getattr(self.data, split)
        if part is None:
            raise self.no_part(split)
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
        values, option = values_of(head, len(names)), "output" if isinstance(head, Detection) else "filters"
        wrong.append(f"{cfg}: layer {index} [{head.names[0]}] has classes={classes}, and {source} has {len(names)}: "
                     f"set classes={len(names)} there, and {option}={values} in layer {net.links[index][0]} before it")
    if wrong:
        raise DataError("\n".join(wrong))


def values_of(head: DetectionHead, classes: int) -> int:
    """How many values, or channels, a head takes for so many classes."""
    o = head.options
    if isinstance(head, Yolo):
        return len(o.mask) * (head.ENTRIES + classes)
    if isinstance(head, Region):
        return o.num * (o.coords + 1 + classes)
    assert isinstance(head, Detection)
    return o.side * o.side * (o.num * (1 + o.coords) + classes)
