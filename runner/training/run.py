"""A run: a task that is trained, evaluated and saved at intervals, and can be resumed after any interruption.

    run = Run(open_task(net, TaskOptions("cfg/net.cfg")), RunFolder("cfg/net.cfg"))
    for update in run.updates():
        print(update.step.number, update.loss)
    run.finish()
"""
import functools
import math
import sys
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from runner import __version__
from runner.config import differences
from runner.config import write as cfg_text
from runner.errors import CheckpointError, Diverged, UsageError
from runner.files import atomic_write
from runner.lock import Lock
from runner.optim.average import Average
from runner.optim.optimizers import make_optimizer
from runner.reading.text import read_text
from runner.run_folder import RunFolder
from runner.training import checkpoint
from runner.training.control import Control
from runner.training.log import ClassLog, Log
from runner.training.loop import Step, train
from runner.training.metrics import Metrics
from runner.training.tasks import Task

# options that may change on resume: they do not affect the bits of an update, or changing them is the point
RESUMABLE_CHANGES = ("[net] max_batches", "[net] backup_every", "[net] data")
LOSS_DECAY = 0.9        # share of the previous value in the moving average of the loss
Result = TypeVar("Result")


def _unlock_on_error(method: "Callable[[Run], Result]") -> "Callable[[Run], Result]":
    @functools.wraps(method)
    def guarded(run: "Run") -> Result:
        try:
            return method(run)
        except BaseException:
            run.unlock()
            raise
    return guarded


@dataclass(frozen=True)
class Update:
    """A weight update or, if `metrics` is set, an evaluation after it.

    loss    the task's loss for this update; smooth: its moving average
    """
    step: Step
    loss: float
    smooth: float
    metrics: Metrics | None = None


class Run:
    """Keeps last.weights, best.weights (those with the highest score so far), the log and the checkpoint.

    latest          the latest metrics; None before the first evaluation, and without test data
    best            {"update", "score", and the metrics' notes} of best.weights; None before the first evaluation
    stale           evaluations since the best score improved
    ended           why `updates` ended: "finished", "patience", "time", or the reason passed to `stop`
    seconds         of work before this process, from the checkpoint
    first_update    the update this process continued from
    last_evaluated  the update after which the network was last evaluated; -1: never

    start_weights   the weights training starts from, if any.  If they are this folder's own last.weights, its best
                    score is kept too
    facts           what else run.yaml is to contain, at its top: command, settings ...
    """

    def __init__(self, task: Task, folder: RunFolder, control: Control | None = None, *,
                 start_weights: str | Path | None = None, facts: Mapping[str, Any] | None = None):
        self.task, self.net, self.folder, self.control = task, task.net, folder, control or Control()
        self.optimizer, self.average = make_optimizer(self.net), Average(self.net)
        self.log, self.class_log = Log(folder.log, task.metric_names), ClassLog(folder.class_log)
        self.latest: Metrics | None = None
        self.best: dict[str, Any] | None = None
        self.stale, self.smooth, self.ended, self.seconds = 0, math.nan, "", 0.0
        self.start_weights, self.facts = start_weights, dict(facts or {})
        self.last_saved = self._start_time = time.perf_counter()
        self.first_update, self.last_evaluated, self._stop_reason = 0, -1, ""
        self._fingerprint = ""
        self._lock: Lock | None = None
        self._make_folder()

    def _make_folder(self) -> None:
        self.folder.path.mkdir(parents=True, exist_ok=True)     # fail here rather than after hours of training

    # --- beginning -----------------------------------------------------------------------------------

    @_unlock_on_error
    def begin(self) -> Path | None:
        """Start a new run -> where the run that was in the folder has been moved; None if there was none.

        UsageError if another process trains in the folder, or if the data is in the folder and would be moved.
        """
        self._lock_folder()
        moved, continues = None, self.net.progress.iteration and self.folder.holds(self.start_weights)
        if continues:
            facts = self.folder.facts()
            best = facts.get("best")
            if (best and "score" in best and self.folder.best.exists() and facts.get("data") == self.task.source
                    and facts.get("classes", []) == self.task.classes):
                self.best = best
        else:
            self._require_data_elsewhere()
            from_here = self.folder.holds(self.start_weights)
            moved = self.folder.set_aside()
            if moved and from_here and self.start_weights:
                self.start_weights = moved / Path(self.start_weights).name
        self._write_description()       # first: it makes the folder that of a run
        self._write_cfg()
        self._start()
        self._save_checkpoint()
        return moved

    @_unlock_on_error
    def resume(self) -> list[str]:
        """Continue from the folder's checkpoint -> warnings about what has changed since.

        CheckpointError if there is no usable checkpoint, or it belongs to another cfg, seed or data; UsageError if
        another process trains in the folder.
        """
        self._lock_folder()
        candidates = [path for path in (self.folder.checkpoint, self.folder.previous_checkpoint) if path.exists()]
        warnings: list[str] = []
        for path in candidates:
            try:
                arrays, facts = checkpoint.read(path)
                break
            except CheckpointError as error:
                warnings.append(f"{error}; using the previous checkpoint" if path != candidates[-1] else str(error))
        else:
            raise CheckpointError(" ".join(warnings) or f"{self.folder.path}: there is no run to resume")
        warnings += self._check(facts)
        checkpoint.restore(self.net, self.optimizer, self.average, arrays, facts)
        self.best, self.stale, self.seconds = facts["best"], facts["stale"], facts["seconds"]
        self.last_evaluated = facts["measured"]
        self.smooth = math.nan if facts["smooth"] is None else facts["smooth"]
        own = self.folder.resolved
        if self.net.sections and (not own.exists() or differences(read_text(own, latin1=True),
                                                                  cfg_text(self.net.sections))):
            with atomic_write(own, "w") as file:
                file.write(cfg_text(self.net.sections))
        self._start()
        self._write_description()
        return warnings

    def _check(self, facts: dict[str, Any]) -> list[str]:
        """CheckpointError unless cfg, data and seed are the checkpoint's -> warnings about what may change the bits."""
        changes = differences(facts["cfg"], cfg_text(self.net.sections))
        longer = [line for line in changes if line.startswith("[net] max_batches ")]
        wrong = [line for line in changes if line.split(" was ")[0] not in RESUMABLE_CHANGES]
        if facts["seed"] != self.task.options.seed:
            wrong.append(f"the seed was {facts['seed']}, now {self.task.options.seed}")
        if facts["fingerprint"] != self.fingerprint():
            wrong.append(f"the training data has changed (it was {facts['data']}, now {self.task.source})")
        if wrong:
            raise CheckpointError(f"{self.folder.path} holds a different run: {'; '.join(wrong)}. --resume continues "
                                  f"the same training; --weights {self.folder.last} starts a new run from its weights")
        warnings = [f"{line}: the learning-rate schedule may change with it" for line in longer]
        before, now = facts["computed_by"], checkpoint.computed_by()
        changed = [f"{checkpoint.LABELS.get(key, key)} {before.get(key)}, now {value}" for key, value in now.items()
                   if before.get(key) != value]
        if changed:
            warnings.append("the run was started with a different backend or other libraries: " + "; ".join(changed)
                            + ". It continues, but its results will differ in their last bits from those of an "
                            "uninterrupted run")
        return warnings

    def _start(self) -> None:
        self.first_update = self.net.progress.iteration
        self._start_time = self.last_saved = time.perf_counter()
        self.log.begin(self.first_update)
        self.class_log.begin(self.first_update)

    def fingerprint(self) -> str:
        """Of the training data; computed once."""
        self._fingerprint = self._fingerprint or self.task.fingerprint()
        return self._fingerprint

    def _lock_folder(self) -> None:
        if self._lock is None:
            self._lock = self.folder.lock()
            weakref.finalize(self, self._lock.release)

    def unlock(self) -> None:
        """Let other processes write into the folder.  `finish` does it, and `updates` when it raises an error."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _require_data_elsewhere(self) -> None:
        here = self.folder.path.resolve()
        for path in self.task.data_paths():
            if here in (place := Path(path).resolve()).parents and place.exists():
                raise UsageError(f"{path}: the data is in the folder of the run, {self.folder.path}, which is renamed "
                                 "when a new run starts. Move it, or choose another folder with --name")

    # --- training ------------------------------------------------------------------------------------

    def updates(self) -> Iterator[Update]:
        """Train until max_batches, until the control ends it, or until `stop`.  Diverged is passed on, after the last
        finite weights have been saved."""
        total, c = self.net.options.max_batches, self.control
        self._lock_folder()
        self.ended = "interrupted"      # unless it is replaced below: the caller may stop iterating at any time
        self._catch_up(total)
        if c.patience and self.stale >= c.patience:
            self.ended = "patience"
            return
        try:
            with self.task.batches() as batches:
                for step in self._steps(batches):
                    self.average.update()
                    loss = self.task.loss(step)
                    self.smooth = loss if math.isnan(self.smooth) else \
                        LOSS_DECAY * self.smooth + (1 - LOSS_DECAY) * loss
                    self.log.add_update(step, loss)
                    yield Update(step, loss, self.smooth)
                    self._agree(step.number)
                    if self._stop_reason:
                        break
                    if c.evaluation_due(step.number, total):
                        metrics = self.evaluate()
                        if metrics:
                            yield Update(step, loss, self.smooth, metrics)
                            if c.patience and self.stale >= c.patience:
                                self._stop_reason = "patience"
                    self._back_up()
                    if self._save_is_due(step.number):
                        self.save()
                    if self._time_is_over() and step.number != total:
                        self._stop_reason = self._stop_reason or "time"
                    if self._stop_reason:
                        break
        except (Exception, KeyboardInterrupt) as error:
            try:
                if isinstance(error, Diverged):
                    self._keep_finite()
            finally:
                self.log.close()
                self.unlock()
            raise
        self.ended = self._stop_reason or "finished"

    def _steps(self, batches: Iterable[tuple[np.ndarray, np.ndarray]]) -> Iterator[Step]:
        return train(self.net, batches, optimizer=self.optimizer)

    def _time_is_over(self) -> bool:
        return 0 < self.control.seconds < time.perf_counter() - self._start_time

    def _save_is_due(self, update: int) -> bool:
        return self.control.save_due(update, self.last_saved)

    def _agree(self, update: int) -> None:
        """Where several processes train (shared_run.py): agree on what to do after this update."""

    def _keep_finite(self) -> None:
        """Save the weights from before the update that diverged."""
        if all(np.isfinite(array).all() for layer in self.net.layers
               for array in (layer.params | layer.buffers).values()):
            self._save_weights(self.folder.last)
        self._write_description("diverged")

    def _catch_up(self, total: int) -> None:
        """Evaluate and back up if that was due after the update a resumed run continues from, but was not done."""
        update = self.net.progress.iteration
        if update and update == self.first_update:
            if self.control.evaluation_due(update, total) and self.last_evaluated != update:
                self.evaluate()
            self._back_up()

    def stop(self, reason: str) -> None:
        """End after the current update."""
        self._stop_reason = reason

    def finish(self) -> None:
        """After the last update: evaluate unless the run was interrupted, save everything, close the log."""
        try:
            if self.ended in ("finished", "patience"):
                self.evaluate()
            self.save()
            self._write_description(self.ended)
        finally:
            self.log.close()
            self.unlock()

    def evaluate(self) -> Metrics | None:
        """Evaluate on the test data, and save best.weights if the score is at least the best so far.

        None without test data; then the latest weights count as the best.
        """
        update = self.net.progress.iteration
        with self.average.shown():
            self.latest = self.task.evaluate() if self.task.has_test_data else None
            if self.last_evaluated == update:       # counted already
                return self.latest
            self.last_evaluated = update
            score = self.latest.score if self.latest else 0.0
            if self.best is None or not self.latest or score >= self.best["score"]:
                self.stale = self.stale + 1 if self.best and score == self.best["score"] else 0
                self.best = {"update": update, "score": float(score), **self.latest.notes()} if self.latest else None
                self._write_weights(self.folder.best)
            else:
                self.stale += 1
        if self.latest:
            self.log.add_evaluation(update, score, self.latest.scalars())
            self.class_log.add_evaluation(update, self.latest.class_scalars())
        return self.latest

    # --- saving --------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write last.weights, run.yaml and the checkpoint."""
        self.log.flush()
        if not self.folder.resolved.exists():       # the folder was deleted
            self._write_cfg()
        self._save_weights(self.folder.last)
        self._write_description()
        self._save_checkpoint()
        self.last_saved = time.perf_counter()

    def _write_cfg(self) -> None:
        if self.net.sections:
            with atomic_write(self.folder.resolved, "w") as file:
                file.write(cfg_text(self.net.sections))

    def _save_weights(self, path: Path) -> None:
        with self.average.shown():
            self._write_weights(path)

    def _write_weights(self, path: Path) -> None:
        self.folder.save(self.net, path)

    def _back_up(self) -> None:
        """Write a numbered copy of the weights if one is due and missing; delete the oldest beyond `keep`."""
        every, update = self.net.options.backup_every, self.net.progress.iteration
        if not every or update % every:
            return
        if not self.folder.backup(update).exists() or update != self.first_update:
            self._save_weights(self.folder.backup(update))
        for old in self.folder.backups()[:-self.control.keep] if self.control.keep else []:
            old.unlink()

    def elapsed(self) -> float:
        """Seconds of work in total, earlier processes included."""
        return self.seconds + time.perf_counter() - self._start_time

    def _save_checkpoint(self) -> None:
        checkpoint.write(self.folder.checkpoint, self.folder.previous_checkpoint, *self._captured())

    def _captured(self) -> tuple[checkpoint.Arrays, dict[str, Any]]:
        """The arrays and facts of a checkpoint."""
        arrays, facts = checkpoint.capture(self.net, self.optimizer, self.average)
        facts |= {"cfg": cfg_text(self.net.sections), "seed": self.task.options.seed, "data": self.task.source,
                  "fingerprint": self.fingerprint(), "best": self.best, "stale": self.stale,
                  "measured": self.last_evaluated, "smooth": None if math.isnan(self.smooth) else self.smooth,
                  "seconds": self.elapsed()}
        return arrays, facts

    def _write_description(self, status: str = "running") -> None:
        task, options, progress = self.task, self.task.options, self.net.progress
        self.folder.write_facts(self.facts | {
            "cfg": str(options.cfg), "data": task.source, "content": task.data_summary(), "seed": options.seed,
            "classes": list(task.classes), **task.facts(),
            "start": str(self.start_weights) if self.start_weights else None, "status": status,
            "updates": progress.iteration, "seen": progress.seen,
            "seconds": round(self.elapsed(), 1), "score": task.score_name, "score_axis": task.score_axis,
            "best": self.best, "best_text": task.score_text(self.best["score"]) if self.best else None,
            "versions": {"runner": __version__, "python": sys.version.split()[0], **checkpoint.computed_by()},
            "written": datetime.now().astimezone().isoformat(timespec="seconds")})
