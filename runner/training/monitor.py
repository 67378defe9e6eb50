"""Monitors of a run besides the terminal: JSON lines for programs, event files for TensorBoard."""
from pathlib import Path
from typing import IO, Any, Protocol

from runner.errors import MissingExtra
from runner.files import SCHEMA_VERSION, json_text
from runner.training.metrics import Metrics
from runner.training.run import Run, Update


class Monitor(Protocol):
    """Receives everything a run yields."""

    def update(self, update: Update) -> None:
        """After a weight update or an evaluation."""

    def end(self, run: Run) -> None:
        """After the run has finished."""


def average_precisions(metrics: Metrics) -> dict[str, float]:
    """Of a detector: class name -> average precision."""
    return {name: one["ap"] for name, one in metrics.class_scalars().items()}


class JsonLines:
    """A line of JSON per event to an open file: {"event": "start", ...}, "update", "measured", "end".
    docs/schemas/train-log.json describes them."""

    def __init__(self, file: IO[str], run: Run):
        self.file = file
        net, task = run.net, run.task
        self._line("start", schema_version=SCHEMA_VERSION, cfg=str(task.options.cfg), data=task.source,
                   folder=str(run.folder.path),
                   update=net.progress.iteration, max_batches=net.options.max_batches, parameters=net.param_count,
                   score_name=task.score_name, loss_name=task.loss_name)

    def update(self, update: Update) -> None:
        step = update.step
        if update.metrics:
            self._evaluation(step.number, update.metrics)
        else:
            self._line("update", update=step.number, seen=step.seen, loss=update.loss, smooth=update.smooth,
                       rate=step.rate, images=step.images, seconds=round(step.seconds, 6),
                       waited=round(step.waited, 6))

    def end(self, run: Run) -> None:
        if run.latest and run.last_evaluated == run.net.progress.iteration:
            self._evaluation(run.last_evaluated, run.latest)
        self._line("end", ended=run.ended, update=run.net.progress.iteration, best=run.best,
                   seconds=round(run.elapsed(), 3))

    def _evaluation(self, update: int, metrics: Metrics) -> None:
        precisions = average_precisions(metrics)
        self._line("measured", update=update, score=metrics.score, **metrics.scalars(),
                   **({"per_class": precisions} if precisions else {}))

    def _line(self, event: str, **facts: Any) -> None:
        self.file.write(json_text({"event": event, **facts}) + "\n")
        self.file.flush()


def summary_writer() -> Any:
    """The class of tensorboardX that writes event files.  MissingExtra without tensorboardX."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise MissingExtra("tensorboardX", "--tensorboard", "tensorboard") from None
    return SummaryWriter


class TensorBoard:
    """Event files in a folder, shown by `tensorboard --logdir weights`.  MissingExtra without tensorboardX."""

    def __init__(self, folder: Path, run: Run):
        self.run, self.writer = run, summary_writer()(str(folder))

    def update(self, update: Update) -> None:
        step = update.step
        if update.metrics:
            self._evaluation(step.number, update.metrics)
            return
        self._add(step.number, {
            "train/loss": update.loss, "train/rate": step.rate,
            f"train/{self.run.task.unit}_per_second": step.images / max(step.seconds, 1e-9),
            "train/waiting_share": step.waited / max(step.seconds, 1e-9)})

    def end(self, run: Run) -> None:
        if run.latest and run.last_evaluated == run.net.progress.iteration:
            self._evaluation(run.last_evaluated, run.latest)
        self.writer.close()

    def _evaluation(self, update: int, metrics: Metrics) -> None:
        self._add(update, {"test/score": metrics.score,
                           **{f"test/{name}": value for name, value in metrics.scalars().items()},
                           **{f"test/ap/{name}": value for name, value in average_precisions(metrics).items()}})

    def _add(self, update: int, scalars: dict[str, float]) -> None:
        for name, value in scalars.items():
            self.writer.add_scalar(name, value, update)
