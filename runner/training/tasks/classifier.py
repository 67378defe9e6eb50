"""Classifiers: trained on labelled images, evaluated by accuracy; by average precision where an image has any number of
labels; by the errors of the outputs where these are not probabilities."""
import hashlib
import math
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

from runner.datasets import Split, batches, check_image_channels, find_data, open_dataset
from runner.errors import DataError, UsageError, counted
from runner.images import augment_of, channels_shown, to_pil
from runner.inference import Plan, batch_size
from runner.layers.shared.base import Head, shape_text
from runner.network import Network
from runner.network_checks import gives_probabilities, learns_several_labels
from runner.program import command
from runner.training.classification_metrics import ClassificationMetrics, compute_metrics
from runner.training.image_results import (
    ImageResults,
    Prediction,
    class_results,
    label_results,
    predictions,
    wrong_first,
)
from runner.training.label_metrics import THRESHOLD, LabelMetrics, label_metrics
from runner.training.metrics import Metrics
from runner.training.report_items import CaptionedImage, ConfusionMatrix, FoldedTable, ImageGrid, ReportItem
from runner.training.tasks.base import Batches, Task, TaskOptions, test_images_text
from runner.training.tta import mean_outputs
from runner.training.value_metrics import ValueMetrics, value_metrics

REPORT_IMAGES = 12          # of each kind in a report
MAX_LISTED = 1000           # wrong images whose names are in a report
MAX_MATRIX_CLASSES = 100    # with more, a confusion matrix is left out of the report


class Classifier(Task):
    """
    data             the dataset
    top_k            the k of the top-k accuracies to report; empty: 5
    ten_crop, sizes  test-time augmentation, see runner.training.tta
    several_labels   whether images of the dataset have several labels, or none, and the network learns them
    threshold        then, an image gets the labels with a higher probability
    values           whether the outputs are values, not probabilities: of a network that ends in another activation
    """
    score_name = "test accuracy"
    metric_names: tuple[str, ...] = ("top5", "test_loss")
    threshold = THRESHOLD

    def __init__(self, net: Network, options: TaskOptions):
        super().__init__(net, options)
        self.data = open_dataset(find_data(options.cfg, options.data, net.options.data or None),
                                 net.options.split_share,
                                 several_labels=learns_several_labels(net.layers, net.links, net.last))
        for sentence in self.data.warnings:
            options.warn(sentence)
        self.source, self.classes = str(self.data.source), list(self.data.names)
        check_classes(options.cfg, net, len(self.classes), self.source)
        check_image_channels(self.data, net.in_shape[0], every=options.on_bad == "error")
        self.top_k: Sequence[int] = ()
        self.ten_crop, self.sizes = False, tuple[int, ...]()
        self.several_labels = self.data.several_labels
        if self.several_labels:
            self.score_name, self.metric_names = "test mAP", ("micro_f1", "macro_f1", "test_loss")
        self.values = not self.several_labels and not gives_probabilities(net.layers, net.links, net.last)
        if self.values:
            self.score_name, self.metric_names = "test R2", ("mean_absolute_error", "test_loss")
        self.has_training_data, self.has_test_data = self.data.train is not None, self.data.test is not None

    def data_summary(self) -> str:
        return (f"{counted(len(self.data.train or ()), 'image')} to train, {test_images_text(self.data.test)}, "
                f"{counted(len(self.classes), 'class')}"
                + (", several labels per image" if self.several_labels else ""))

    def facts(self) -> dict[str, Any]:
        return {"several_labels": self.several_labels}

    @property
    def updates_per_epoch(self) -> float:
        return self._updates_for(len(self.data.train or ()))

    def batches(self) -> Batches:
        o, options = self.net.options, self.options
        channels, height, width = self.net.in_shape
        return self._own_rows(batches(
            self._split("train"), batch=max(o.batch // o.subdivisions, 1), width=width, height=height,
            channels=channels, augment=augment_of(o), shuffle=True, seed=options.seed, endless=True,
            on_bad=options.on_bad, start_batch=self.net.progress.iteration * o.subdivisions,
            label_smoothing=o.label_smooth_eps, balance=o.balance, warn=options.warn,
            draft=self.net.env.compat.draft_decoding))

    def evaluate(self, split: str = "test") -> ClassificationMetrics | LabelMetrics | ValueMetrics:
        if self.group is None:
            return self._metrics((output, truth) for output, truth, _ in self._outputs(split))
        outputs = ((output, truth) for output, truth, _ in self._by_rank(
            self._outputs(split), lambda batch: int(batch[2][0])))
        if self.group.is_root:
            return self.group.broadcast(self._metrics(outputs))
        deque(outputs, 0)
        return self.group.broadcast(None)

    def evaluate_images(self, split: str = "test") -> tuple[Metrics, ImageResults]:
        if self.values:
            raise UsageError(f"the outputs of {self.options.cfg} are values, so that no image is right or wrong")
        images = self._split(split)
        if self.several_labels:
            p, truth, indices = self._all_outputs(split)
            return self._metrics([(p, truth)]), label_results(p, truth, [images[i][0] for i in indices.tolist()],
                                                              self.classes, self.threshold)
        results: list[Prediction] = []
        metrics = self._metrics(self._kept(split, results))
        return metrics, class_results(results, [path for path, _ in images], self.classes)

    def _outputs(self, split: str) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Batches of outputs (n, classes), truth (n, classes), and the number of each image in the split (n,)."""
        if self.ten_crop or self.sizes:
            yield mean_outputs(self.net, self._split(split), ten_crop=self.ten_crop, sizes=self.sizes,
                               on_bad=self.options.on_bad, warn=self.options.warn)
            return
        plan = Plan(self.net)
        with self.evaluation_batches(split) as loader:
            if self.group:
                loader.take_batches(self.group.rank, self.group.size)
            for x, truth in loader:
                yield plan.predict(x).reshape(len(x), -1), truth, loader.indices

    def _all_outputs(self, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The batches of `_outputs` as one."""
        parts = [(p.copy(), truth, indices) for p, truth, indices in self._outputs(split)]  # p: memory of the plan
        p, truth, indices = (np.concatenate(each) for each in zip(*parts, strict=True))
        return p, truth, indices

    def _kept(self, split: str, results: list[Prediction]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(output, truth) batches, whose predictions are added to the results."""
        for p, truth, indices in self._outputs(split):
            results.extend(predictions(p, truth, indices))
            yield p, truth

    def _metrics(self, outputs: Iterable[tuple[np.ndarray, np.ndarray]]
                 ) -> ClassificationMetrics | LabelMetrics | ValueMetrics:
        """The metrics of (output, truth) batches."""
        flip = self.net.options.flip
        views = [f"at {', '.join(map(str, self.sizes))} pixels"] if self.sizes else []
        if self.sizes or self.ten_crop:
            views += [f"in {'ten' if flip else 'five'} crops"] if self.ten_crop else ["with mirror images"] * flip
        if self.values:
            return value_metrics(self.net, outputs, self.classes, " ".join(views))
        if self.several_labels:
            return label_metrics(self.net, outputs, self.classes, " ".join(views), self.threshold)
        return compute_metrics(self.net, outputs, self.classes, self.top_k, " ".join(views))

    def report_items(self) -> tuple[Metrics | None, list[ReportItem]]:
        """The tables, the confusion matrix, the wrong images, and those that are nearly wrong and clearly correct."""
        if not self.has_test_data:
            return None, []
        if self.several_labels or self.values:
            return self._label_report()
        results: list[Prediction] = []
        metrics = compute_metrics(self.net, self._kept("test", results), self.classes)
        wrong = wrong_first(results)
        correct = sorted((one for one in results if one.actual == one.predicted),
                         key=lambda one: one.predicted_probability)

        def grid(title: str, chosen: list[Prediction]) -> ImageGrid:
            shown = f" ({REPORT_IMAGES} of {len(chosen):,})" if len(chosen) > REPORT_IMAGES else ""
            return self._grid(title + shown, [(one.number, self._caption(one)) for one in chosen[:REPORT_IMAGES]])
        items: list[ReportItem] = [*metrics.tables()[:1]]
        if len(self.classes) <= MAX_MATRIX_CLASSES:
            items.append(ConfusionMatrix("Confusion matrix", self.classes, metrics.confusion))
        items.append(grid("Wrong images, by falling probability", wrong))
        if wrong:
            items.append(self._wrong_table(results, len(wrong)))
        return metrics, [*items, grid("Correct, with the lowest probability", correct),
                         grid("Correct, with the highest probability", correct[::-1])]

    def _wrong_table(self, results: list[Prediction], count: int) -> FoldedTable:
        errors = class_results(results, [path for path, _ in self._split("test")], self.classes).errors[:MAX_LISTED]
        rows = [(path, truth, predicted, f"{100 * float(p):.1f} %") for path, truth, predicted, p, _ in errors]
        more = f" (the first {MAX_LISTED:,}; `test --wrong FILE` lists all)" if count > MAX_LISTED else ""
        return FoldedTable("", f"The files of {counted(count, 'wrong image')}{more}",
                           [("image", "true class", "predicted", "probability"), *rows], left=(0, 1, 2))

    def _label_report(self) -> tuple[Metrics, list[ReportItem]]:
        """The table of the classes, and the images whose truth is furthest from and nearest to the outputs."""
        p, truth, numbers = self._all_outputs("test")
        farthest = np.argsort(-np.abs(p - truth).sum(axis=1), kind="stable").tolist()

        def words(chosen: np.ndarray) -> str:
            return ", ".join(self.classes[i] for i in np.flatnonzero(chosen)) or "none"

        def predicted(output: np.ndarray) -> str:
            if self.values:
                return ", ".join(f"{self.classes[i]} {output[i]:.3g}" for i in np.argsort(-output, kind="stable")[:2])
            return words(output > self.threshold)

        def grid(title: str, order: list[int]) -> ImageGrid:
            return self._grid(title, [(int(numbers[i]), f"{words(truth[i] > .5)}\npredicted: {predicted(p[i])}")
                                      for i in order[:REPORT_IMAGES]])
        metrics = self._metrics([(p, truth)])
        return metrics, [*metrics.tables(), grid("Images with the largest errors", farthest),
                         grid("Images with the smallest errors", farthest[::-1])]

    def _grid(self, title: str, chosen: list[tuple[int, str]]) -> ImageGrid:
        """Test images by their number, with the names of their files and captions."""
        images, channels = self._split("test"), self.net.in_shape[0]
        shown = channels_shown(channels)
        title += f"; shown: {shown}" if shown else ""
        return ImageGrid(title, [
            CaptionedImage(np.asarray(to_pil(images.read(number, channels))),
                           f"{PurePath(images[number][0]).name}\n{caption}") for number, caption in chosen])

    def _caption(self, one: Prediction) -> str:
        instead = "" if one.actual == one.predicted else f", predicted as {self.classes[one.predicted]}"
        return f"{self.classes[one.actual]}{instead}\n{100 * one.predicted_probability:.1f} %"

    def evaluation_batches(self, split: str) -> Any:
        """Each image of a split once, in order, prepared as for `predict`."""
        channels, height, width = self.net.in_shape
        return batches(self._split(split), batch=batch_size(self.net), width=width, height=height, channels=channels,
                       on_bad=self.options.on_bad, warn=self.options.warn)

    def score_text(self, score: float) -> str:
        return f"{score:.4f}" if self.values else f"{100 * score:.2f} %"

    def fingerprint(self, split: str = "train") -> str:
        """A hash of the images' names, classes and file sizes, and of pixels that are in memory."""
        images, digest = getattr(self.data, split), hashlib.blake2b(digest_size=16)
        if images is None:
            return ""
        for path, label in images:
            size = os.path.getsize(path) if os.path.exists(path) else 0
            digest.update(f"{path}\t{label}\t{size}\n".encode("utf-8", "surrogateescape"))
        if images.pixels is not None:
            digest.update(np.ascontiguousarray(images.pixels).data)
        return digest.hexdigest()

    def next_commands(self, run: str | None = None) -> list[str]:
        example = self.data.test or self.data.train
        return [*super().next_commands(run),
                *([command("predict", run or self.options.cfg, example[0][0])] if example else [])]

    def _split(self, name: str) -> Split:
        split: Split | None = getattr(self.data, name)
        if split is None:
            raise self.missing_split(name)
        return split


def check_classes(cfg: str, net: Network, classes: int, source: str) -> None:
    """DataError, with the option to change, unless the network has one output per class."""
    outputs = math.prod(net.out_shape)
    net.require_images(cfg)
    if outputs == classes:
        return
    last = net.layers[net.last]
    shape = last.in_shapes[0] if isinstance(last, Head) else last.out_shape
    if len(shape) == 3 and shape[1:] != (1, 1):
        place = f"before layer {net.last} [{last.names[0]}]" if isinstance(last, Head) else "at its end"
        raise DataError(f"{cfg}: the network ends with a feature map of {shape_text(shape)}, but {source} needs one "
                        f"value for each of its {counted(classes, 'class')}: put [avgpool] or [connected] {place}")
    with_weights = [(i, layer) for i, layer in enumerate(net.layers) if "weights" in layer.specs]
    index, layer = with_weights[-1] if with_weights else (net.last, net.layers[net.last])
    option = "output" if layer.names[0] == "connected" else "filters"
    raise DataError(f"{cfg}: the network has {counted(outputs, 'output')}, but {source} has "
                    f"{counted(classes, 'class')}: set "
                    f"{option}={classes} in layer {index} [{layer.names[0]}]")
