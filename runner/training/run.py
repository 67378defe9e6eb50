"""A run: a task that is trained, measured and saved now and again, so that it can go on after any interruption.

    run = Run(open_task(net, TaskOptions("cfg/net.cfg")), RunFolder("cfg/net.cfg"))
    for update in run.updates():
        print(update.step.number, update.loss)
    run.finish()
"""
import math
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from runner import __version__
from runner.config import write as cfg_text
from runner.errors import CheckpointError, Diverged
from runner.files import atomic_write
from runner.optim.average import Average
from runner.optim.optimizers import make_optimizer
from runner.run_folder import RunFolder
from runner.training import checkpoint
from runner.training.control import Control
from runner.training.log import Log
from runner.training.loop import Step, train
from runner.training.metrics import Metrics
from runner.training.tasks import Task

# what a resumed run may have otherwise than before: the bits of an update do not depend on it, or the user means it
HARMLESS = ("[net] max_batches", "[net] backup_every", "[net] data")
SMOOTH = 0.9        # part of the smoothed loss that an update keeps


@dataclass(frozen=True)
class Update:
    """What happened: a weight update, or, where `metrics` is there, a measurement after it.

    loss    the task's number for this update; smooth: its moving average
    """
    step: Step
    loss: float
    smooth: float
    metrics: Metrics | None = None


class Run:
    """Keeps last.weights, best.weights (those with the highest score so far), the log and the state.

    latest   what was measured last; None before, and where there is no test part
    best     {"update", "score", and the metrics' notes} of best.weights; None before
    stale    measurements since the best one
    ended    why `updates` came to its end: "finished", "patience", "time", or the word given to `stop`
    seconds  of work, those before a resume included
    started  the update this process began after
    measured the update after which it was measured last

    start    the weights it starts from, if any.  Of the folder's own last.weights, what was best is taken over too
    facts    what else run.yaml is to say, first in it: command, settings ...
    """

    def __init__(self, task: Task, folder: RunFolder, control: Control | None = None, *,
                 start: str | Path | None = None, facts: Mapping[str, Any] | None = None):
        self.task, self.net, self.folder, self.control = task, task.net, folder, control or Control()
        self.optimizer, self.average = make_optimizer(self.net), Average(self.net)
        self.log = Log(folder.log, task.metric_names)
        self.latest: Metrics | None = None
        self.best: dict[str, Any] | None = None
        self.stale, self.smooth, self.ended, self.seconds = 0, math.nan, "", 0.0
        self.start, self.said = start, dict(facts or {})
        self.saved = self._began = time.perf_counter()
        self.started, self.measured, self._stop = 0, -1, ""
        self._fingerprint = ""
        folder.path.mkdir(parents=True, exist_ok=True)      # if that cannot be, it is said before the hours of work

    # --- beginning -----------------------------------------------------------------------------------

    def begin(self) -> Path | None:
        """Start anew: the run that is in the folder is moved aside -> where to, if there was one."""
        moved, going_on = None, self.net.progress.iteration and self.folder.holds(self.start)
        if going_on:
            facts = self.folder.facts()
            before = facts.get("best")
            if (before and "score" in before and self.folder.best.exists() and facts.get("data") == self.task.source
                    and facts.get("classes", []) == self.task.classes):
                self.best = before
        else:
            moved = self.folder.set_aside()
        if self.net.sections:
            with atomic_write(self.folder.resolved, "w") as file:
                file.write(cfg_text(self.net.sections))
        self._go()
        self._describe()
        self._save_state()
        return moved

    def resume(self) -> list[str]:
        """Go on where the folder's state stands -> sentences about what is not as it was.

        CheckpointError when there is no usable state, or it belongs to another cfg, seed or data.
        """
        said, candidates = [], [path for path in (self.folder.state, self.folder.state_before) if path.exists()]
        for path in candidates:
            try:
                arrays, facts = checkpoint.read(path)
                break
            except CheckpointError as error:
                said.append(f"{error}; the one before it is used" if path != candidates[-1] else str(error))
        else:
            raise CheckpointError(" ".join(said) or f"{self.folder.path}: there is no run to go on with")
        said += self._check(facts)
        checkpoint.restore(self.net, self.optimizer, self.average, arrays, facts)
        self.best, self.stale, self.seconds = facts["best"], facts["stale"], facts["seconds"]
        self.measured = facts["measured"]
        self.smooth = math.nan if facts["smooth"] is None else facts["smooth"]
        self._go()
        return said

    def _check(self, facts: dict[str, Any]) -> list[str]:
        """CheckpointError unless the state is of this cfg, data and seed; else what may change the bits."""
        differences = checkpoint.differences(facts["cfg"], cfg_text(self.net.sections))
        longer = [line for line in differences if line.startswith("[net] max_batches ")]
        wrong = [line for line in differences if line.split(" was ")[0] not in HARMLESS]
        if facts["seed"] != self.task.options.seed:
            wrong.append(f"the seed was {facts['seed']}, now {self.task.options.seed}")
        if facts["fingerprint"] != self.fingerprint():
            wrong.append(f"the training data is not what it was ({facts['data']}, now {self.task.source})")
        if wrong:
            raise CheckpointError(f"{self.folder.path} holds a different run: {'; '.join(wrong)}. --resume "
                                  f"continues the same training; --weights {self.folder.last} starts a new run from "
                                  "its weights")
        now = checkpoint.computed_by()
        changed = [f"{key} {facts['computed_by'].get(key)}, now {value}" for key, value in now.items()
                   if facts["computed_by"].get(key) != value]
        said = [f"{line}: the plan of the rate may change with it" for line in longer]
        if changed:
            said.append("the run was computed by another set of kernels or libraries: " + "; ".join(changed) + ". It "
                        "goes on, but not to the same bits as if it had not been interrupted")
        return said

    def _go(self) -> None:
        self.started = self.net.progress.iteration
        self._began = self.saved = time.perf_counter()
        self.log.begin(self.started)

    def fingerprint(self) -> str:
        """Of the training data; worked out once."""
        self._fingerprint = self._fingerprint or self.task.fingerprint()
        return self._fingerprint

    # --- on the way ----------------------------------------------------------------------------------

    def updates(self) -> Iterator[Update]:
        """Train until max_batches, until the control ends it, or until `stop`.  Diverged passes through: what is good
        has been saved then."""
        total, c = self.net.options.max_batches, self.control
        self.ended = "interrupted"      # until it is known better: whoever iterates may leave
        self._catch_up(total)
        if c.patience and self.stale >= c.patience:
            self.ended = "patience"
            return
        try:
            with self.task.batches() as batches:
                for step in train(self.net, batches, optimizer=self.optimizer):
                    self.average.update()
                    loss = self.task.loss(step)
                    self.smooth = loss if math.isnan(self.smooth) else SMOOTH * self.smooth + (1 - SMOOTH) * loss
                    self.log.update(step, loss)
                    yield Update(step, loss, self.smooth)
                    if self._stop:
                        break
                    if c.validates(step.number, total):
                        metrics = self.look()
                        if metrics:
                            yield Update(step, loss, self.smooth, metrics)
                            if c.patience and self.stale >= c.patience:
                                self._stop = "patience"
                    self._back_up()
                    if c.saves(step.number, self.saved):
                        self.save()
                    if c.seconds and time.perf_counter() - self._began > c.seconds and step.number != total:
                        self._stop = self._stop or "time"
                    if self._stop:
                        break
        except Diverged:
            if all(np.isfinite(array).all() for layer in self.net.layers
                   for array in (layer.params | layer.buffers).values()):
                self._save_weights(self.folder.last)
            self._describe("diverged")
            self.log.close()
            raise
        except (Exception, KeyboardInterrupt):
            self.log.close()
            raise
        self.ended = self._stop or "finished"

    def _catch_up(self, total: int) -> None:
        """What was due after the update a resumed run begins after, and not done any more when it was stopped."""
        update = self.net.progress.iteration
        if update and update == self.started:
            if self.control.validates(update, total) and self.measured != update:
                self.look()
            self._back_up()

    def stop(self, why: str) -> None:
        """End after the update that is under way."""
        self._stop = why

    def finish(self) -> None:
        """After the last update: measure unless it was interrupted, save everything, close the log."""
        try:
            if self.ended in ("finished", "patience"):
                self.look()
            self.save()
            self._describe(self.ended)
        finally:
            self.log.close()

    def look(self) -> Metrics | None:
        """Measure, and save best.weights if the score is at least as good as the best so far."""
        update = self.net.progress.iteration
        with self.average.shown():
            self.latest = self.task.evaluate() if self.task.has_test_data else None
            if self.measured == update:         # this was counted already
                return self.latest
            self.measured = update
            score = self.latest.score if self.latest else 0.0
            if self.best is None or not self.latest or score >= self.best["score"]:
                self.stale = self.stale + 1 if self.best and score == self.best["score"] else 0
                self.best = {"update": update, "score": float(score), **self.latest.notes()} if self.latest else None
                self.folder.save(self.net, self.folder.best)
            else:
                self.stale += 1
        if self.latest:
            self.log.measured(update, score, self.latest.scalars())
        return self.latest

    # --- saving --------------------------------------------------------------------------------------

    def save(self) -> None:
        """last.weights, run.yaml and the state."""
        self.log.flush()
        self._save_weights(self.folder.last)
        self._describe()
        self._save_state()
        self.saved = time.perf_counter()

    def _save_weights(self, path: Path) -> None:
        with self.average.shown():
            self.folder.save(self.net, path)

    def _back_up(self) -> None:
        """A numbered copy of the weights, if one is due and not there; the oldest go."""
        every, update = self.net.options.backup_every, self.net.progress.iteration
        if not every or update % every:
            return
        if not self.folder.backup(update).exists() or update != self.started:
            self._save_weights(self.folder.backup(update))
        for old in self.folder.backups()[:-self.control.keep] if self.control.keep else []:
            old.unlink()

    def elapsed(self) -> float:
        """Seconds of work in all."""
        return self.seconds + time.perf_counter() - self._began

    def _save_state(self) -> None:
        arrays, facts = checkpoint.capture(self.net, self.optimizer, self.average)
        facts |= {"cfg": cfg_text(self.net.sections), "seed": self.task.options.seed, "data": self.task.source,
                  "fingerprint": self.fingerprint(), "best": self.best, "stale": self.stale, "measured": self.measured,
                  "smooth": None if math.isnan(self.smooth) else self.smooth, "seconds": self.elapsed()}
        checkpoint.write(self.folder.state, self.folder.state_before, arrays, facts)

    def _describe(self, status: str = "running") -> None:
        task, asked, progress = self.task, self.task.options, self.net.progress
        self.folder.describe(self.said | {
            "cfg": str(asked.cfg), "data": task.source, "content": task.data_summary(), "seed": asked.seed,
            "classes": list(task.classes), "start": str(self.start) if self.start else None, "status": status,
            "updates": progress.iteration, "seen": progress.seen, "seconds": round(self.elapsed(), 1),
            "score": task.score_name, "score_axis": task.score_axis, "best": self.best,
            "best_text": task.score_text(self.best["score"]) if self.best else None,
            "versions": {"runner": __version__, "python": sys.version.split()[0], **checkpoint.computed_by()},
            "written": datetime.now().astimezone().isoformat(timespec="seconds")})
