"""A run: a job and its folder, measured and saved now and again."""
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runner import __version__
from runner.training.jobs import Job
from runner.training.metrics import Metrics
from runner.training.run_folder import RunFolder


class Run:
    """Keeps last.weights, and best.weights, those with the highest score so far.

    latest  what was measured last; None before, and where there is no test part
    best    {"update", "score"} of best.weights; None before.  A run that goes on from its own last.weights starts
            with what run.yaml tells of the run before
    saved   when the weights were written last, on time.perf_counter

    start     the weights it starts from, if any
    compat, settings    as the user gave them, for run.yaml
    """

    def __init__(self, job: Job, folder: RunFolder, *, start: str | Path | None = None, compat: str = "exact",
                 settings: Sequence[str] = ()):
        self.job, self.net, self.folder = job, job.net, folder
        self.latest: Metrics | None = None
        self.best: dict[str, Any] | None = None
        self.saved = time.perf_counter()
        self.said = {"compat": compat, "settings": list(settings)}
        folder.path.mkdir(parents=True, exist_ok=True)      # if that cannot be, it is said before the hours of work
        facts = folder.facts()
        if (self.net.progress.iteration and folder.holds(start) and folder.best.exists()
                and facts.get("data") == job.source and facts.get("classes", []) == job.classes):
            before = facts.get("best")
            self.best = before if before and "score" in before else None

    def look(self) -> Metrics | None:
        """Measure, save last.weights, and best.weights if it is at least as good as the best so far."""
        self.latest = self.job.evaluate() if self.job.tests else None
        if self.latest is None or self.best is None or self.latest.score >= self.best["score"]:
            self.best = {"update": self.net.progress.iteration, "score": self.latest.score} if self.latest else None
            self.folder.save(self.net, self.folder.best)
        self.save()
        return self.latest

    def save(self) -> None:
        """last.weights, and run.yaml beside it."""
        self.saved = time.perf_counter()
        job, asked, progress = self.job, self.job.asked, self.net.progress
        self.folder.save(self.net, self.folder.last)
        self.folder.describe(
            cfg=str(asked.cfg), data=job.source, seed=asked.seed, **self.said, classes=job.classes,
            updates=progress.iteration, seen=progress.seen, score=job.score_name, best=self.best,
            versions={"runner": __version__, "numpy": np.__version__, "python": sys.version.split()[0]})
