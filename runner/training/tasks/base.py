"""The interface of a task, through which one loop trains and one verb evaluates every kind of network."""
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np

from runner.datasets.pipeline import Loader
from runner.errors import DataError, UsageError
from runner.network import Network
from runner.process_group import Group
from runner.program import command
from runner.training.detection_metrics import DetectionCriteria
from runner.training.image_results import ImageResults
from runner.training.loop import Step
from runner.training.metrics import Metrics
from runner.training.report_items import ReportItem

Item = TypeVar("Item")
Batches = AbstractContextManager[Iterable[tuple[np.ndarray, np.ndarray]]]


@dataclass(frozen=True)
class TaskOptions:
    """The options of a task besides its network; a task ignores those it has no use for.

    cfg       path of the cfg: the default data is looked up by its name, and messages mention it
    data      path of the data; None: [net] data=, or the data named like the cfg
    seed      of the sampler and of the augmentation
    on_bad    "skip" or "error": an unreadable image is reported and skipped, or raises DataError
    warn      called with each warning
    criteria  how detections are matched with the ground truth
    """
    cfg: str
    data: str | None = None
    seed: int = 0
    on_bad: str = "skip"
    warn: Callable[[str], None] = lambda sentence: None
    criteria: DetectionCriteria = field(default_factory=DetectionCriteria)


def test_images_text(split: Sized | None) -> str:
    """The test images in `data_summary`: "355 to test"."""
    return "no test images, so the last weights count as the best" if not split else f"{len(split)} to test"


class Task(ABC):
    """A network and its data.

    score_name         what the score is: "test accuracy"
    score_axis         its label in a chart
    loss_name          what the loss beside the progress bar is: "loss"
    unit               what training counts: "images"
    metric_names       names of the metrics that are logged besides the score
    source             where the data is, as text
    classes            class names; empty if there are none
    has_training_data  whether there is data to train on
    has_test_data      whether there is data to evaluate on
    group              the processes that share out the work of `batches` and `evaluate`; None: this one does it all

    The constructor opens the data, and raises DataError if it does not fit the network.
    """
    score_name: str
    loss_name: ClassVar[str] = "loss"
    unit: ClassVar[str] = "images"
    metric_names: tuple[str, ...] = ()
    group: Group | None = None

    def __init__(self, net: Network, options: TaskOptions):
        self.net, self.options = net, options
        self.source = ""
        self.classes: list[str] = []
        self.has_training_data = self.has_test_data = True

    @property
    def score_axis(self) -> str:
        return self.score_name

    @abstractmethod
    def data_summary(self) -> str:
        """What the data contains: "1442 images to train, 355 to test, 10 classes"."""

    @property
    @abstractmethod
    def updates_per_epoch(self) -> float:
        """Updates in which the training data is read once; 0 without training data."""

    def _updates_for(self, count: float) -> float:
        """Updates in which this many images, or sequences, are read."""
        o = self.net.options
        return count / (max(o.batch // o.subdivisions, 1) * o.subdivisions)

    @abstractmethod
    def batches(self) -> Batches:
        """Endless (x, truth) for the training loop; `with task.batches() as batches`.

        They continue after the network's `progress.iteration` updates, and depend only on that, the data, the cfg and
        the seed, so that a resumed run gets the same batches as an uninterrupted one.
        """

    def _own_rows(self, loader: Loader) -> Loader:
        """A loader of training batches, which loads only the rows of this process."""
        if self.group:
            loader.take_rows(self.group.rank, self.group.size)
        return loader

    def _by_rank(self, items: Iterable[Item], place: Callable[[Item], int]) -> Iterator[Item]:
        """In process 0 the items of all processes, each of which has every n-th; in the others none.  place(item): its
        place in the order."""
        assert self.group
        source, ended = iter(items), False
        while not ended:
            found = self.group.gather_to_root(next(source, None))
            every = [item for item in found if item is not None]
            ended = not self.group.broadcast(len(every))
            yield from sorted(every, key=place)

    @abstractmethod
    def evaluate(self, split: str = "test") -> Metrics:
        """The metrics of the network on the "test" or "train" split.  DataError if the data has no such split.

        Leaves the network's recurrent state and random generator unchanged.
        """

    def evaluate_images(self, split: str = "test") -> tuple[Metrics, ImageResults]:
        """As `evaluate`, with the result of every image.  UsageError where no image is right or wrong."""
        raise UsageError(f"{self.options.cfg} is not a network for images with classes or boxes")

    def report_items(self) -> tuple[Metrics | None, list[ReportItem]]:
        """Evaluate -> the metrics, and the tables, charts and images of them in a report (report_items.py).

        None, [] without test data.
        """
        if not self.has_test_data:
            return None, []
        metrics = self.evaluate()
        return metrics, list(metrics.tables())

    @abstractmethod
    def score_text(self, score: float) -> str:
        """A score as text: "98.87 %"."""

    @abstractmethod
    def fingerprint(self, split: str = "train") -> str:
        """A text that changes when the images or texts of "train" or "test" do: a run can only be resumed with the same
        training data."""

    def data_paths(self) -> list[str]:
        """Where the data is: its source, and the first and last training image, which a list may have elsewhere."""
        images = getattr(getattr(self, "data", None), "train", None) or []
        return [self.source, *(str(images[index][0]) for index in (0, -1) if len(images))]

    def facts(self) -> dict[str, Any]:
        """What run.yaml records about the task itself."""
        return {}

    def loss(self, step: Step) -> float:
        """The loss shown beside the progress bar."""
        return step.loss

    def next_commands(self, run: str | None = None) -> list[str]:
        """Commands to suggest after training.  run: the word that names the run; None: the cfg."""
        split = [] if self.has_test_data else ["--split", "train"]
        return [command("test", run or self.options.cfg, *split)]

    def require_training_data(self) -> None:
        """DataError unless there is data to train on."""
        if not self.has_training_data:
            raise DataError(f"{self.source} has no training {self.unit}")

    def missing_split(self, split: str) -> DataError:
        """The error for a split that the data does not have."""
        other = "train" if split == "test" else "test"
        return DataError(f"{self.source} has no {split} images; --split {other} evaluates on the {other} images")
