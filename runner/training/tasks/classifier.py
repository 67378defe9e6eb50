"""The task of a classifier: images of classes, measured by accuracy."""
import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from runner.datasets import Split, batches, find_data, open_dataset
from runner.errors import DataError
from runner.images import augment_of
from runner.inference import Plan, batch_size
from runner.layers.shared.base import Head, shape_text
from runner.network import Network
from runner.training.classification_metrics import ClassificationMetrics, evaluate, measure
from runner.training.metrics import Metrics
from runner.training.report_items import ConfusionMatrix, Picture, Pictures, ReportItem
from runner.training.tasks.base import Batches, Task, TaskOptions
from runner.training.test_time_augmentation import seen

SHOWN = 12      # images of each kind in a report
MATRIX = 100    # classes whose confusion matrix can still be read


class Classifier(Task):
    """data: the data set that was opened.

    How the test images are looked at: tops: the k of top-k accuracies to report; ten, sizes: see
    runner.training.test_time_augmentation.
    """
    score_name, metric_names = "test accuracy", ("top5", "test_loss")

    def __init__(self, net: Network, asked: TaskOptions):
        super().__init__(net, asked)
        where = find_data(asked.cfg, asked.data, net.options.data or None)
        self.data = open_dataset(where, net.options.split_share)
        for sentence in self.data.warnings:
            asked.warn(sentence)
        self.source, self.classes = str(self.data.source), list(self.data.names)
        check_classes(asked.cfg, net, len(self.classes), self.source)
        self.tops: Sequence[int] = ()
        self.ten, self.sizes = False, tuple[int, ...]()
        self.has_training_data, self.has_test_data = self.data.train is not None, self.data.test is not None

    def data_summary(self) -> str:
        test = f"{len(self.data.test)} to test" if self.data.test else \
            "no test images, so the last weights count as the best"
        return f"{len(self.data.train or ())} images to train, {test}, {len(self.classes)} classes"

    def batches(self) -> Batches:
        o, asked = self.net.options, self.options
        channels, height, width = self.net.in_shape
        return batches(self._part("train"), batch=max(o.batch // o.subdivisions, 1), width=width, height=height,
                       channels=channels, augment=augment_of(o), shuffle=True, seed=asked.seed, endless=True,
                       on_bad=asked.on_bad, start_batch=self.net.progress.iteration * o.subdivisions,
                       label_smoothing=o.label_smooth_eps, balance=o.balance, warn=asked.warn,
                       draft=self.net.env.compat.draft_decoding)

    def evaluate(self, split: str = "test") -> ClassificationMetrics:
        if not self.ten and not self.sizes:
            with self.once(split) as images:
                return evaluate(self.net, images, self.classes, self.tops)
        found = seen(self.net, self._part(split), ten=self.ten, sizes=self.sizes, on_bad=self.options.on_bad,
                     warn=self.options.warn)
        how = [f"at {', '.join(map(str, self.sizes))} pixels"] if self.sizes else []
        flip = self.net.options.flip
        how += [f"in {'ten' if flip else 'five'} crops"] if self.ten else ["mirrored or not"] if flip else []
        return measure(self.net, [found], self.classes, self.tops, " ".join(how))

    def report_items(self) -> tuple[Metrics | None, list[ReportItem]]:
        """The tables, the confusion matrix, and the images the network is most and least wrong about."""
        if not self.has_test_data:
            return None, []
        images = self._part("test")
        rows: list[tuple] = []      # index, class, taken for, probability of the class, and of what it was taken for

        def outputs(loader: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
            plan = Plan(self.net)
            for x, truth in loader:
                p = plan.predict(x).reshape(len(x), -1)
                is_, taken, each = truth.argmax(axis=1), p.argmax(axis=1), np.arange(len(p))
                rows.extend(zip(loader.indices, is_, taken, p[each, is_], p[each, taken], strict=True))
                yield p, truth
        with self.once("test") as loader:
            metrics = measure(self.net, outputs(loader), self.classes)

        def pictures(title: str, some: list[tuple]) -> Pictures:
            return Pictures(title, [Picture(as_picture(images.read(int(index), self.net.in_shape[0])),
                                            f"{self.classes[is_]}" + ("" if is_ == taken else
                                                                      f", taken for {self.classes[taken]}")
                                            + f"\n{100 * sure:.1f} %") for index, is_, taken, _, sure in some])
        wrong = sorted((row for row in rows if row[1] != row[2]), key=lambda row: row[3])
        right = sorted((row for row in rows if row[1] == row[2]), key=lambda row: row[3])
        shown: list[ReportItem] = [*metrics.tables()[:1]]
        if len(self.classes) <= MATRIX:
            shown.append(ConfusionMatrix("Confusion", self.classes, metrics.confusion))
        return metrics, [*shown, pictures("Worst images: wrong, and most sure of it", wrong[:SHOWN]),
                         pictures("Right, and least sure", right[:SHOWN]),
                         pictures("Best images: right, and most sure", right[::-1][:SHOWN])]

    def once(self, split: str) -> Any:
        """The images of a part once, in order, prepared as `predict` prepares them."""
        channels, height, width = self.net.in_shape
        return batches(self._part(split), batch=batch_size(self.net), width=width, height=height, channels=channels,
                       on_bad=self.options.on_bad, warn=self.options.warn)

    def score_text(self, score: float) -> str:
        return f"{100 * score:.2f} %"

    def fingerprint(self) -> str:
        """Of the images' names, classes and sizes on disk, and of those that are in memory anyway."""
        images, sum_ = self._part("train"), hashlib.blake2b(digest_size=16)
        for path, kind in images:
            size = os.path.getsize(path) if os.path.exists(path) else 0
            sum_.update(f"{path}\t{kind}\t{size}\n".encode())
        if images.pixels is not None:
            sum_.update(np.ascontiguousarray(images.pixels).data)
        return sum_.hexdigest()

    def next_commands(self) -> list[str]:
        example = self.data.test or self.data.train
        cfg = self.options.cfg
        return super().next_commands() + ([f"python run.py predict {cfg} {example[0][0]}"] if example else [])

    def _part(self, split: str) -> Split:
        part: Split | None = getattr(self.data, split)
        if part is None:
            raise self.missing_split(split)
        return part


def as_picture(pixels: np.ndarray) -> np.ndarray:
    """Decoded (c, h, w) pixels of any type as (h, w, 3) uint8, to look at; of more channels the first three."""
    if pixels.dtype != np.uint8:
        scale = 255 if pixels.dtype.kind == "f" else 255 / np.iinfo(pixels.dtype).max
        pixels = np.clip(np.rint(pixels * scale), 0, 255).astype(np.uint8)
    colours = pixels[:3] if len(pixels) >= 3 else np.repeat(pixels[:1], 3, axis=0)
    return np.ascontiguousarray(colours.transpose(1, 2, 0))


def check_classes(cfg: str, net: Network, classes: int, source: str) -> None:
    """DataError unless the network has one output for each class; it names the number that would be right."""
    outputs = math.prod(net.out_shape)
    net.require_images(cfg)
    if outputs == classes:
        return
    last = net.layers[net.last]
    shape = last.in_shapes[0] if isinstance(last, Head) else last.out_shape
    if len(shape) == 3 and shape[1:] != (1, 1):
        place = f"before layer {net.last} [{last.names[0]}]" if isinstance(last, Head) else "at its end"
        raise DataError(f"{cfg}: the network ends with a map of {shape_text(shape)}, and {source} has {classes} "
                        f"classes, one value for each: put [avgpool] or [connected] {place}")
    shaped = [(i, layer) for i, layer in enumerate(net.layers) if "weights" in layer.specs]
    index, layer = shaped[-1] if shaped else (net.last, net.layers[net.last])
    option = "output" if layer.names[0] == "connected" else "filters"
    raise DataError(f"{cfg}: the network has {outputs} outputs, and {source} has {classes} classes: set "
                    f"{option}={classes} in layer {index} [{layer.names[0]}]")
