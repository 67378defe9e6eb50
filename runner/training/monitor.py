"""Who watches a run besides the terminal: JSON lines for programs, event files for TensorBoard.

Both have `update(Update)` for everything a run yields, and `end(Run)`.
"""
import json
from pathlib import Path
from typing import IO, Any, Protocol

from runner.errors import MissingExtra
from runner.training.metrics import Metrics
from runner.training.run import Run, Update


class Monitor(Protocol):
    def update(self, update: Update) -> None:
        """Something happened."""

    def end(self, run: Run) -> None:
        """The run is over."""


class JsonLines:
    """A line for each thing that happens, into an open file: {"event": "start", ...}, "update", "measured", "end"."""

    def __init__(self, file: IO[str], run: Run):
        self.file = file
        net, task = run.net, run.task
        self._line("start", cfg=str(task.options.cfg), data=task.source, folder=str(run.folder.path),
                   update=net.progress.iteration, max_batches=net.options.max_batches, parameters=net.param_count,
                   score_name=task.score_name, loss_name=task.loss_name)

    def update(self, update: Update) -> None:
        step = update.step
        if update.metrics:
            self._measured(step.number, update.metrics)
        else:
            self._line("update", update=step.number, seen=step.seen, loss=update.loss, smooth=update.smooth,
                       rate=step.rate, images=step.images, seconds=round(step.seconds, 6),
                       waited=round(step.waited, 6))

    def end(self, run: Run) -> None:
        if run.latest and run.measured == run.net.progress.iteration:
            self._measured(run.measured, run.latest)
        self._line("end", ended=run.ended, update=run.net.progress.iteration, best=run.best,
                   seconds=round(run.elapsed(), 3))

    def _measured(self, update: int, metrics: Metrics) -> None:
        self._line("measured", update=update, score=metrics.score, **metrics.scalars())

    def _line(self, event: str, **facts: Any) -> None:
        self.file.write(json.dumps({"event": event, **facts}, ensure_ascii=False) + "\n")
        self.file.flush()


class TensorBoard:
    """Event files below a folder: `tensorboard --logdir weights` shows them.  MissingExtra without tensorboardX."""

    def __init__(self, folder: Path, run: Run):
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise MissingExtra("tensorboardX", "--tensorboard", "requirements-tensorboard.txt") from None
        self.run, self.writer = run, SummaryWriter(str(folder))

    def update(self, update: Update) -> None:
        step = update.step
        if update.metrics:
            self._measured(step.number, update.metrics)
            return
        self._add(step.number, {
            "train/loss": update.loss, "train/rate": step.rate,
            f"train/{self.run.task.unit}_per_second": step.images / max(step.seconds, 1e-9),
            "train/waiting_share": step.waited / max(step.seconds, 1e-9)})

    def end(self, run: Run) -> None:
        if run.latest and run.measured == run.net.progress.iteration:
            self._measured(run.measured, run.latest)
        self.writer.close()

    def _measured(self, update: int, metrics: Metrics) -> None:
        self._add(update, {"test/score": metrics.score,
                           **{f"test/{name}": value for name, value in metrics.scalars().items()}})

    def _add(self, update: int, numbers: dict[str, float]) -> None:
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, update)
