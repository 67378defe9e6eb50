"""`runner.train`, and what `net.train` and `net.evaluate` do."""
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from runner import network_checks
from runner.analysis.footprint import check_fits
from runner.api.network import EXACT, Model
from runner.arguments import checked
from runner.config import Report, override
from runner.errors import CfgError, UsageError, counted
from runner.model import ALIASES, declared_options
from runner.net_options import NetOptions
from runner.network import Network
from runner.optim.optimizers import Optimizer
from runner.training import Control, DetectionCriteria, Metrics, Run, RunFolder, Step, TaskOptions, Update, open_task
from runner.training import train as loop
from runner.training.report import write_report
from runner.training.tasks import Task

Batches = Iterable[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class TrainingResult:
    """
    folder      of the run: weights, cfg, log, report
    updates     weight updates done, those before this call included
    seconds     of work
    ended       "finished", "patience" (early stopping), "time" (the limit of `control`) or "stopped" (by on_update)
    score_name  what the scores are: "test accuracy"
    score       of the last weights; None without test data, or where the run was stopped
    best        {"update", "score", ...} of best.weights; None without test data
    weights     the best weights, else the last
    metrics     of the last weights
    """
    folder: Path
    updates: int
    seconds: float
    ended: str
    score_name: str
    score: float | None
    best: dict[str, Any] | None
    weights: Path
    metrics: Metrics | None = field(default=None, repr=False)

    def __str__(self) -> str:
        best = f", best {self.score_name} {self.best['score']:.4g} (after update {self.best['update']})" \
            if self.best else ""
        return f"{counted(self.updates, 'update')}, {self.seconds:.1f} s{best}; {self.weights}"


@checked
def train(net: Network, batches: Batches, *, optimizer: Optimizer | None = None) -> Iterator[Step]:
    """Yield a Step after every weight update, until [net] max_batches or the end of `batches`.

    batches    (x, truth) pairs: x (n, c, h, w), floats in 0..1 or uint8; truth (n, classes) or the class number of each
               image for classifiers, (n, boxes, 5) for detectors.  An update takes `subdivisions` of them, each of
               batch // subdivisions images, and accumulates their gradients
    optimizer  None: the one [net] asks for

    It only trains: `net.train(data)` reads a dataset, evaluates and saves.  The learning rate follows [net] policy.
    Counting starts from `net.progress`, so a network loaded from a .weights file continues where it stopped.

    UsageError where the network is trained for all its updates already, or the batches are not such pairs; Diverged
    when the loss or a gradient is NaN or infinite, before the weights are updated.
    """
    if isinstance(batches, str | bytes | os.PathLike | dict | np.ndarray) or not isinstance(batches, Iterable):
        raise UsageError("runner.train takes (x, truth) pairs of arrays; net.train(data) trains on a dataset. Got "
                         f"{type(batches).__name__}")
    _require_updates(net)
    return loop(net, _pairs(net, batches), optimizer=optimizer)


def _pairs(net: Network, batches: Batches) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for number, batch in enumerate(batches):
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            raise UsageError(f"batch {number} is not a pair (x, truth). Got {type(batch).__name__}"
                             f"{f' of {len(batch)}' if isinstance(batch, tuple | list) else ''}")
        x, truth = batch
        yield np.asarray(x), net.truth_of(truth, len(x)) if isinstance(net, Model) else truth


def _require_updates(net: Network) -> None:
    """UsageError where the network is trained for all its updates."""
    done, limit = net.progress.iteration, net.options.max_batches
    if limit and done >= limit:
        raise UsageError(f"these weights are trained for all {limit} updates of max_batches. To train further, pass "
                         f"settings=['net.max_batches={2 * limit}'] to runner.load, or restart=True to net.train")


def open_data(net: Model, data: str | os.PathLike[str] | None, *, seed: int = 0, on_bad: str = "skip",
              criteria: DetectionCriteria | None = None) -> Task:
    """The task of a network with its dataset: the one given, else that of its run, else that of the cfg."""
    if data is not None and not isinstance(data, str | os.PathLike):
        raise UsageError("data is the path of a dataset; runner.train(net, batches) trains on arrays. Got "
                         f"{type(data).__name__}")
    if on_bad not in ("skip", "error"):
        raise UsageError(f"on_bad is 'skip' or 'error'. Got {on_bad!r}")
    path = os.fspath(data) if data is not None else net.origin.run.data if net.origin.cfg else None
    return open_task(net, TaskOptions(net.origin.cfg, path, seed, on_bad,
                                      lambda sentence: warnings.warn(sentence, stacklevel=4),
                                      criteria or DetectionCriteria()))


def train_run(net: Model, data: str | os.PathLike[str] | None, *, epochs: float | None, updates: int | None,
              batch: int | None, learning_rate: float | None, restart: bool, name: str | None, seed: int, on_bad: str,
              control: Control | None, report: bool, on_update: Callable[[Update], object] | None) -> TrainingResult:
    """See Model.train."""
    if epochs is not None and updates is not None:
        raise UsageError("epochs and updates both set max_batches: give only one of them")
    why = network_checks.untrainable(net.layers)
    if why:
        raise CfgError(f"{net.origin.cfg}: {why}")
    if problems := network_checks.file_problems(net.sections[1:], net.layers):
        raise CfgError(*problems)
    before = net.sections, net.options, net.origin, net.progress.seen, net.progress.iteration
    try:
        change_options(net, batch=batch, learning_rate=learning_rate)
        check_fits(net)
        task = open_data(net, data, seed=seed, on_bad=on_bad)
        task.require_training_data()
        if epochs is not None:
            updates = max(ceil(epochs * task.updates_per_epoch), 1)
        change_options(net, max_batches=updates)
        if restart:
            net.progress.seen = net.progress.iteration = 0
        _require_updates(net)
        run = Run(task, RunFolder(net.origin.cfg, name), control, start_weights=net.origin.weights,
                  facts=_facts(net, data, seed, on_bad))
        run.begin()
    except BaseException:
        net.sections, net.options, net.origin, net.progress.seen, net.progress.iteration = before
        net.progress.max_batches = net.options.max_batches
        raise
    try:
        for update in run.updates():
            if on_update and on_update(update) is False:
                run.stop("stopped")
        run.finish()
    finally:
        run.unlock()
    problem = write_report(run.folder, task=task, evaluate=run.ended in ("finished", "patience")) if report else None
    if problem:
        warnings.warn(problem, stacklevel=3)
    net.origin = replace(net.origin, weights=str(run.folder.last), word="")
    net.__dict__.pop("names", None)
    latest = run.latest if run.ended in ("finished", "patience") else None
    return TrainingResult(run.folder.path, net.progress.iteration, round(run.elapsed(), 3), run.ended, task.score_name,
                          latest.score if latest else None, run.best, run.folder.weights(), latest)


def change_options(net: Model, **values: float | None) -> None:
    """Give options of [net] other values, in its sections too.  CfgError, with nothing changed, for invalid ones."""
    settings = [f"net.{key}={value}" for key, value in values.items() if value is not None]
    if not settings:
        return
    report = Report(False)
    sections = [replace(section, lines=dict(section.lines)) for section in net.sections]
    override(sections, settings, ALIASES, report, declared_options)
    options = NetOptions.parse(sections[0], report)
    if options is not None:
        network_checks.check_net(options, sections[0], report)
    report.raise_errors()
    assert options is not None
    net.sections, net.options, net.progress.max_batches = sections, options, options.max_batches
    merged = {setting.partition("=")[0]: setting for setting in (*net.origin.settings, *settings)}
    net.origin = replace(net.origin, settings=tuple(merged.values()))


def _facts(net: Model, data: str | os.PathLike[str] | None, seed: int, on_bad: str) -> dict[str, Any]:
    """What run.yaml records of the call, so that `train --resume` continues it."""
    origin = net.origin
    options: dict[str, Any] = {} if data is None else {"data": os.fspath(data)}
    options |= ({"seed": seed} if seed else {}) | ({"on_bad": on_bad} if on_bad != "skip" else {})
    home = None if origin.folder is None else str(origin.folder)
    return {"command": f"net.train({'' if data is None else repr(os.fspath(data))})", "options": options,
            "compat": origin.compat or EXACT, "settings": list(origin.settings), **({"home": home} if home else {})}
