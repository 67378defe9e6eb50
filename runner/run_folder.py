"""What a training run leaves behind: a folder, weights/<name>/.

  last.weights   after the latest update      best.weights   those with the best score so far
  <name>_1000.weights                         numbered copies, if they are asked for
  <name>.cfg     the cfg with the settings of the run applied; with it, test and predict need no --set
  run.yaml       how they were made: command, versions, seed, data, class names, settings, results
  log.csv        every update, and every evaluation; per_class.csv: of a detector, its classes in each evaluation
  state.npz, state-before.npz                 the last two checkpoints, for --resume
  report.html    the report of the run

The run that was in the folder before this one is in weights/<name>-before/, an earlier one in -before-2, and so on.
While a run writes into the folder, weights/.<name>.lock keeps others out (runner/lock.py).
"""
import itertools
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from runner import shipped, weights
from runner.errors import CheckpointError, UsageError, WeightsError
from runner.files import atomic_write, event
from runner.lock import Lock, require_free
from runner.network import Network
from runner.program import command
from runner.reading.numbers import is_whole, whole
from runner.reading.schema import Record, field
from runner.reading.yaml_text import read_yaml


class Best(Record):
    """The evaluation that `best.weights` is from; further keys describe it."""
    update: int = field(doc="after which update", low=0)
    score: float = field(0.0, "its score", nan=True)
    threshold: float | None = field(None, "of a detector: the confidence with the highest F1", low=0, nan=True)


class RunFacts(Record):
    """What run.yaml may hold; it holds more, which is only shown."""
    command: str | None = field(None, "what was typed")
    resumed: str | None = field(None, "what was typed to continue it")
    home: str | None = field(None, "folder of the files that the cfg names, if not that of cfg")
    name: str | None = field(None, "name of the run's files")
    cfg: str | None = field(None, "path of the cfg")
    data: str | None = field(None, "path of the dataset")
    content: str | None = field(None, "the dataset in words")
    seed: int | None = field(None, "of random numbers", low=0)
    compat: str | None = field(None, "whose formulas")
    settings: list[str] | None = field(None, "--set")
    options: dict[str, Any] | None = field(None, "options of the call")
    classes: list[str | float] | None = field(None, "class names")
    several_labels: bool | None = field(None, "of each image")
    start: str | None = field(None, "weights at the start")
    status: str | None = field(None, "running, finished, interrupted ...")
    updates: int | None = field(None, "done", low=0)
    seconds: float | None = field(None, "of work", low=0)
    score: str | None = field(None, "name of the metric")
    score_axis: str | None = field(None, "its name and unit")
    best: Best | None = field(None, "best evaluation")
    best_text: str | None = field(None, "its score as text")
    versions: dict[str, str | float] | None = field(None, "software")


class RunFolder:
    """The folder of a cfg's run.  UsageError where `name` is not that of a folder below `base`.

    cfg   path of the cfg; one in the folder of a run, next to run.yaml, belongs to that run
    name  of the folder below `base`; None: that of the cfg
    """

    def __init__(self, cfg: str | Path, name: str | None = None, base: str | Path = "weights"):
        self.cfg, base = Path(cfg), Path(base)
        if name is None and (self.cfg.parent / "run.yaml").exists():
            self.path = self.cfg.parent
        else:
            self.path = base / (name or self.cfg.stem)
        if base.resolve() not in self.path.resolve().parents and name is not None:
            raise UsageError(f"--name is the name of a folder below {base}/. Got {name!r}")

    @property
    def best(self) -> Path:
        return self.path / "best.weights"

    @property
    def last(self) -> Path:
        return self.path / "last.weights"

    @property
    def checkpoint(self) -> Path:
        return self.path / "state.npz"

    @property
    def previous_checkpoint(self) -> Path:
        return self.path / "state-before.npz"

    @property
    def log(self) -> Path:
        return self.path / "log.csv"

    @property
    def class_log(self) -> Path:
        return self.path / "per_class.csv"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def tensorboard(self) -> Path:
        """The folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def resolved(self) -> Path:
        """The cfg with the settings of the run."""
        return self.path / f"{self.stem}.cfg"

    @property
    def stem(self) -> str:
        """What the names of the cfg and of the numbered copies begin with: the name of the folder, or the one it had
        before it was renamed."""
        return _stem(self.path)

    def trained_cfg(self) -> Path | None:
        """The cfg that the run in this folder has written; None where there is none."""
        return self.resolved if self.resolved.is_file() and (self.path / "run.yaml").is_file() else None

    def backup(self, update: int) -> Path:
        return self.path / f"{self.stem}_{update}.weights"

    def backups(self) -> list[Path]:
        """The numbered copies, oldest first."""
        start = f"{self.stem}_"
        found = [path for path in self.path.glob("*.weights")
                 if path.stem.startswith(start) and is_whole(path.stem.removeprefix(start))]
        return sorted(found, key=lambda path: whole(path.stem.removeprefix(start)))

    def save(self, net: Network, which: Path) -> None:
        weights.save(net, which)

    def holds(self, path: str | Path | None) -> bool:
        """Is the file in this folder?"""
        return path is not None and Path(path).resolve().parent == self.path.resolve()

    @staticmethod
    def cfg_of(weights: str | Path) -> Path | None:
        """The cfg of the run that a weights file belongs to; None where it is not in the folder of a run."""
        folder = Path(weights).parent
        return RunFolder(folder / "any.cfg").trained_cfg() if (folder / "run.yaml").exists() else None

    def lock(self) -> Lock:
        """Lock the folder: only this process writes into it until the lock is released.  UsageError where another one
        does, and for the weights that come with the program.  Temporary files of a run that was killed are removed."""
        if shipped.holds(self.path):
            raise UsageError(f"{self.path}: these weights come with the program, and nothing is written there. Use "
                             "--name for a run of your own")
        lock = Lock(self.path)
        names = "|".join(re.escape(path.name) for path in self._own_files())
        for path in self.path.glob(".*.tmp"):
            if re.fullmatch(rf"\.({names})\.[a-z0-9_]{{8}}\.tmp", path.name):     # the names of atomic_write
                path.unlink(missing_ok=True)
        return lock

    def require_free(self) -> None:
        """UsageError where another process writes into the folder."""
        require_free(self.path)

    def _own_files(self) -> Sequence[Path]:
        new = self.checkpoint.with_name(self.checkpoint.name + ".new")
        return (self.best, self.last, *self.backups(), self.resolved, self.path / "run.yaml", self.log, self.class_log,
                self.checkpoint, self.previous_checkpoint, self.report, self.tensorboard, new)

    def set_aside(self) -> Path | None:
        """Rename the folder to <name>-before, or -before-2, ... -> its new path; None when there is no run in it.

        One rename, so that a kill leaves it either here or there, with all its files; nothing is deleted.  The folder
        must be locked.  UsageError where it cannot be renamed.
        """
        if not any(path.exists() for path in self._own_files()):
            return None
        for number in itertools.count(1):
            there = self._before(number)
            try:
                lock = Lock(there)          # a run with this --name may be starting
            except UsageError:
                continue
            with lock:
                if os.path.lexists(there):
                    continue
                try:
                    event("set aside", self.path)
                    self.path.rename(there)
                    event("end", self.path)
                except OSError as error:
                    raise UsageError(f"{self.path}: there is a run in this folder, and it cannot be moved to {there} "
                                     f"({error.strerror}). Choose another folder with --name") from None
                return there
        raise AssertionError("unreachable")

    def _before(self, number: int) -> Path:
        suffix = f"-before-{number}" if number > 1 else "-before"
        return self.path.parent / f"{self.path.name}{suffix}"     # with_name() fails for the folder "."

    def write_facts(self, facts: dict[str, Any]) -> None:
        """Write run.yaml."""
        with atomic_write(self.path / "run.yaml", "w") as file:
            yaml.safe_dump({**facts, "name": self.stem}, file, sort_keys=False, allow_unicode=True)

    def facts(self) -> dict[str, Any]:
        """What run.yaml says; empty when there is none.  CheckpointError where it is damaged."""
        return self._read(self.path / "run.yaml")

    @staticmethod
    def _read(path: Path) -> dict[str, Any]:
        return _read(path)

    def class_names(self, weights: str | Path | None = None) -> Sequence[str]:
        """The classes the network was trained on, if known: from the run.yaml next to `weights`, else from this one."""
        return [str(name) for name in self._fact("classes", weights) or []]

    def several_labels(self, weights: str | Path | None = None) -> bool | None:
        """Whether the classifier was trained on images with several labels; None: unknown.  From the same run.yaml."""
        return self._fact("several_labels", weights)

    def _fact(self, key: str, weights: str | Path | None) -> Any:
        facts = self._read(Path(weights).parent / "run.yaml") if weights else {}
        return self.facts().get(key) if facts.get(key) in (None, []) else facts[key]

    def weights(self, given: str | None = None) -> Path:
        """The file to use: the one given, else best.weights, else last.weights."""
        if given:
            return Path(given)
        for path in (self.best, self.last):
            if path.exists():
                return path
        raise WeightsError(f"{self.best}: there are no weights yet. Train first ({command('train', self.cfg)}), or "
                           "name a file with --weights")


def _read(path: Path) -> dict[str, Any]:
    """The content of a run.yaml; empty when there is none.  CheckpointError where it is damaged."""
    if not os.path.exists(path):
        return {}
    found = read_yaml(path, CheckpointError)
    problem = RunFacts.problem({} if found is None else found)
    if problem:
        raise CheckpointError(f"{path}: {problem}")
    return found or {}


def _stem(folder: Path) -> str:
    """The name of the run in a folder: the one in run.yaml, that of the folder, or that of the only cfg in it."""
    own = folder.resolve().name
    names = [path.stem for path in folder.glob("*.cfg")]
    if own in names or not names:
        return own
    try:
        stated = _read(folder / "run.yaml").get("name")
    except CheckpointError:     # to find files, their names are enough
        stated = None
    return stated if stated in names else names[0] if len(names) == 1 else own
