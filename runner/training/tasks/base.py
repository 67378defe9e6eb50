"""What a kind of task has to answer, so that one loop trains all kinds and one verb measures them."""
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from runner.errors import DataError
from runner.network import Network
from runner.training.detection_metrics import DetectionCriteria
from runner.training.loop import Step
from runner.training.metrics import Metrics
from runner.training.report_items import ReportItem

Batches = AbstractContextManager[Iterable[tuple[np.ndarray, np.ndarray]]]


@dataclass(frozen=True)
class TaskOptions:
    """What is asked for besides the network; each kind takes what concerns it.

    cfg     its path: data is looked for beside it, and sentences name it
    data    where the data is; None: [net] data=, or what is called like the cfg
    seed    of the order of the data and of its augmentation
    on_bad  "skip" or "error": what cannot be read is named and skipped, or ends the work
    warn    is called with what is worth saying
    boxes   how a detector's boxes are judged
    """
    cfg: str
    data: str | None = None
    seed: int = 0
    on_bad: str = "skip"
    warn: Callable[[str], None] = lambda sentence: None
    boxes: DetectionCriteria = field(default_factory=DetectionCriteria)


class Task(ABC):
    """A network and its data.

    score_name  what a score is: "test accuracy"
    score_axis  how the score is called where it is drawn
    loss_name   what the number beside the progress bar is: "loss"
    thing       what is counted while it learns: "images"
    numbers     names of what its metrics give to the log besides the score
    source      where the data is, as text
    classes     names of the classes; empty where there are none
    trains      whether there is data to train on; tests: whether there is any to measure on

    A job is made of a network and what was asked; it opens the data then, and raises DataError when it does not fit.
    """
    score_name: ClassVar[str]
    loss_name: ClassVar[str] = "loss"
    unit: ClassVar[str] = "images"
    metric_names: ClassVar[tuple[str, ...]] = ()

    def __init__(self, net: Network, asked: TaskOptions):
        self.net, self.options = net, asked
        self.source = ""
        self.classes: list[str] = []
        self.has_training_data = self.has_test_data = True

    @property
    def score_axis(self) -> str:
        return self.score_name

    @abstractmethod
    def data_summary(self) -> str:
        """What the data holds, in half a sentence: "1442 images to train, 355 to test, 10 classes"."""

    @abstractmethod
    def batches(self) -> Batches:
        """Endless (x, truth) for the training loop; `with task.batches() as batches`.

        They go on after the network's `progress.iteration` updates, and depend on that, the data, the cfg and the
        seed alone: so a run that was interrupted sees what it would have seen.
        """

    @abstractmethod
    def evaluate(self, split: str = "test") -> Metrics:
        """Measure the network on the "test" or the "train" part.  DataError when the data has no such part.

        Leaves the network as it was: its state, and its random generator.
        """

    def report_items(self) -> tuple[Metrics | None, list[ReportItem]]:
        """Measure, and say what is worth showing of it in a report: tables, curves, pictures (report_items.py)."""
        if not self.has_test_data:
            return None, []
        metrics = self.evaluate()
        return metrics, list(metrics.tables())

    @abstractmethod
    def score_text(self, score: float) -> str:
        """A score as people read it: "98.87 %"."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A text that changes when the training data does: a run can go on with the same data only."""

    def loss(self, step: Step) -> float:
        """The number beside the progress bar."""
        return step.loss

    def next_commands(self) -> list[str]:
        """What one may want to type after training."""
        return [f"python run.py test {self.options.cfg}"]

    def missing_split(self, split: str) -> DataError:
        """The mistake of asking for a part the data does not have."""
        other = "train" if split == "test" else "test"
        return DataError(f"{self.source} has no {split} images; --split {other} measures the others")
