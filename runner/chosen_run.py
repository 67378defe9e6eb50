"""What a word of the command line stands for: a cfg, or a training run with everything that its run.yaml says.

A word that is a path comes first: a run's folder, its cfg, its weights or its run.yaml; any other file is a cfg.  Else
it is the name of a run, a folder below weights/.
"""
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from runner import shipped
from runner.config import Report, differences, read, write
from runner.datasets.lists import spellings
from runner.datasets.names_file import read_names
from runner.errors import RunnerError, UsageError, closest, counted
from runner.reading.text import read_text
from runner.run_folder import RunFolder

BASE = Path("weights")
LISTED = 8      # runs that an error lists
# options of [net] that say which images the network is for
SHAPE = ("width", "height", "channels", "inputs", "letter_box", "data")


@dataclass(frozen=True)
class ChosenRun:
    """
    folder   of the run; of a cfg: where its run is, if there is one
    cfg      the cfg file to read
    weights  the weights file to use; None: best.weights or last.weights of the folder
    is_run   the word names a run, not only a cfg
    facts    run.yaml of the weights; empty where they do not belong to a run
    hidden   another run of that name, which the path hides
    names    of the classes, where the word is a file that has them: an ONNX model
    shipped  there is no run of this cfg yet: the folder is that of the weights that come with the program
    carried  the threshold that such a file has
    """
    folder: RunFolder
    cfg: Path
    weights: Path | None = None
    is_run: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    hidden: Path | None = None
    shipped: bool = False
    names: tuple[str, ...] = ()
    carried: float | None = None

    @cached_property
    def as_trained(self) -> bool:
        """Is `cfg` the file that the run has written, with its settings applied?"""
        own = self.folder.trained_cfg()
        return own is not None and own.resolve() == self.cfg.resolve()

    @cached_property
    def belongs(self) -> bool:
        """Is `cfg` the cfg of the run?"""
        if not self.facts:
            return False
        if self.is_run or self.shipped or self.cfg.resolve().parent == self.folder.path.resolve():
            return True
        started = str(self.facts.get("cfg") or "")
        trained = self.located(started) or shipped.find(started)
        return bool(started) and Path(trained).resolve() == Path(shipped.find(self.cfg)).resolve()

    @property
    def settings(self) -> list[str]:
        """The settings of the run that `cfg` does not contain."""
        return [str(one) for one in self.facts.get("settings") or []] if self.belongs and not self.as_trained else []

    @property
    def compat(self) -> str | None:
        """The fork whose formulas the run uses; "exact"; None where that is not known."""
        found = self.facts.get("compat")
        return str(found) if found else None

    @property
    def data(self) -> str | None:
        """The dataset of the run; None where that is not known.  UsageError where it does not exist any more."""
        source = self.facts.get("data") if self.belongs else None
        if not source:
            return None
        found = self.located(str(source))
        if found is None and shipped.holds(self.folder.path):
            return None         # [net] data= of the cfg names it
        if found is None:
            raise UsageError(f"{self.folder.path / 'run.yaml'}: the data of this run, {source}, is not there any more. "
                             "Use --data")
        return found

    @property
    def threshold(self) -> float | None:
        """Of a detector's run: the confidence above which its best weights had the highest F1 on the test images.  None
        where that is not known, or the weights to use are others."""
        if self.carried is not None:
            return self.carried
        best = self.facts.get("best") or {}
        found = best.get("threshold")
        if not found or not found > 0:      # no box was correct, or it is NaN
            return None
        folder, update = self.folder, best["update"]
        evaluated = [folder.best, folder.backup(update), *[folder.last] * (self.facts.get("updates") == update)]
        used = self.weights or (folder.best if folder.best.exists() else folder.last)
        return float(found) if used.resolve() in [path.resolve() for path in evaluated] else None

    @property
    def threshold_source(self) -> Path:
        """The file that has the threshold."""
        return self.cfg if self.carried is not None else self.folder.path / "run.yaml"

    def class_names(self, classes: int) -> tuple[list[str], str, str]:
        """-> the names of a network with this many classes, [] where there are none; where they are from, in words; and
        a sentence where the run has another number of classes.

        They are those of the run, else those of the only .names file in the folder of the weights or of the cfg that
        has as many lines.
        """
        trained = list(self.names or self.folder.class_names(self.weights))
        where = self.cfg if self.names else self.folder.path
        if trained and len(trained) != classes:
            return [], "", (f"{where}{'' if self.names else '/run.yaml'} lists {counted(len(trained), 'class')}, but "
                            f"the network has {classes}: class numbers are shown instead of names")
        if trained:
            return trained, f"those of {where}", ""
        beside = [self.weights.parent] if self.weights else []
        for place in dict.fromkeys([*beside, self.cfg.parent, self.home]):
            fitting = [(file, names) for file in sorted(place.glob("*.names"))
                       if len(names := read_names(file, [])) == classes]
            if len(fitting) == 1:
                return fitting[0][1], f"{fitting[0][0]}, the only file in its folder with {classes} lines", ""
        return [], "", ""

    @property
    def home(self) -> Path:
        """The folder that files named in the cfg are relative to: of the cfg that the run was started with."""
        started = str(Path(self.facts.get("cfg") or ".").parent)
        found = self.located(str(self.facts.get("home") or started)) if self.as_trained else None
        return Path(found) if found else Path(shipped.find(self.cfg)).parent

    def located(self, path: str) -> str | None:
        """Where a path of run.yaml is now: run.yaml has it relative to the folder in which the run was started, that
        above weights/.  None where there is no such file."""
        if not path:
            return None
        above = self.folder.path.resolve().parents
        started = next((folder.parent for folder in above if folder.name == BASE.name), Path.cwd())
        for folder in (started, Path.cwd(), *above):
            for name in spellings(path):
                if (folder / name).exists():
                    return name if folder == Path.cwd() else str(folder / name)
        return None


def choose(word: str | os.PathLike[str], weights: str | os.PathLike[str] | None = None) -> ChosenRun:
    """The cfg or the run that a word stands for, with these weights instead of its own.

    UsageError where it is neither, with the names of runs that are similar.
    """
    path, named = Path(shipped.find(word)) if str(word).startswith(str(BASE)) else Path(word), BASE / word
    at_path = run_at(path)
    if at_path is None and not path.is_file():
        at_path = run_at(named) if has_run(named) else None
        if at_path is None and path.suffix != ".cfg":
            raise UsageError(_unknown(str(word)))
    if at_path is not None:
        own = path if path.suffix == ".weights" else None
        if own and weights:
            raise UsageError(f"{word} names weights already: omit --weights")
        cfg = path if path.suffix == ".cfg" and path.is_file() else at_path.trained_cfg()
        if cfg is None:
            cfg = Path(str(at_path.facts().get("cfg") or at_path.resolved))
            cfg = Path(ChosenRun(at_path, cfg).located(str(cfg)) or cfg)
        hidden = named if has_run(named) and named.resolve() != at_path.path.resolve() else None
        return ChosenRun(at_path, cfg, Path(weights) if weights else own, True, at_path.facts(), hidden)
    if path.suffix == ".weights":
        raise UsageError(f"{word}: a .weights file does not describe its layers, and there is no run.yaml in its "
                         "folder: name its cfg, and the file with --weights")
    folder = RunFolder(path)
    hidden = named if has_run(named) else None
    file = Path(weights) if weights else None
    if file is None or folder.holds(file):
        return ChosenRun(folder, path, file, False, folder.facts(), hidden)
    of_weights = run_at(file)
    return ChosenRun(of_weights or folder, path, file, False, of_weights.facts() if of_weights else {}, hidden)


def or_shipped(run: ChosenRun) -> ChosenRun:
    """The run; of a cfg that has not been trained here, the weights that come with the program, if they fit it.

    They fit a cfg of the same name with the same layers, input and data; how it is trained may differ.
    """
    own = run.folder
    if run.is_run or run.weights or run.facts or own.best.exists() or own.last.exists():
        return run
    folder = shipped.trained(run.cfg.stem)
    trained = folder and RunFolder(folder / f"{folder.name}.cfg").trained_cfg()
    if not folder or not trained:
        return run
    try:
        sections = read(run.cfg, Report())
    except RunnerError:
        return run              # the error is raised again where the cfg is read to be used
    changes = differences(read_text(trained, latin1=True), write(sections))
    if any(not line.startswith("[net] ") or line.split()[1] in SHAPE for line in changes):
        return run
    there = RunFolder(trained)
    return replace(run, folder=there, facts=there.facts(), shipped=True)


def has_run(folder: Path) -> bool:
    """Is there a run in the folder?"""
    return (folder / "run.yaml").is_file()


def run_at(path: Path) -> RunFolder | None:
    """The run whose folder, cfg, weights or run.yaml this path is; None where it is something else."""
    if path.is_dir():
        folder = path
    elif path.is_file() and (path.suffix in (".cfg", ".weights") or path.name == "run.yaml"):
        folder = path.parent
    else:
        return None
    return RunFolder(folder / f"{folder.resolve().name}.cfg") if has_run(folder) else None


def runs() -> list[str]:
    """The names of the runs below weights/."""
    return sorted(found.parent.relative_to(BASE).as_posix() for found in BASE.rglob("run.yaml") if found.parent != BASE)


def runs_of(cfg: str | os.PathLike[str]) -> list[str]:
    """The names of the runs of a cfg."""
    found = []
    for name in runs():
        try:
            run = choose(BASE / name)
        except RunnerError:     # a damaged run.yaml
            continue
        of = run.located(str(run.facts.get("cfg") or ""))
        if of and Path(of).resolve() == Path(cfg).resolve():
            found.append(name)
    return found


def word_for(folder: RunFolder, cfg: str) -> str:
    """The word to name a run with: its cfg or its name if that is enough, else its folder."""
    for word in _words(folder, cfg):
        try:
            found = choose(word)
        except RunnerError:
            continue
        if found.folder.path.resolve() == folder.path.resolve() and found.belongs and not found.hidden:
            return word
    return str(folder.path)


def _words(folder: RunFolder, cfg: str) -> Iterator[str]:
    yield cfg
    if BASE.resolve() in folder.path.resolve().parents:
        yield folder.path.resolve().relative_to(BASE.resolve()).as_posix()


def _unknown(word: str) -> str:
    if Path(word).is_dir():
        return f"{word}: not a run: the folder of a run contains run.yaml"
    names = runs()
    near = closest(re.sub(rf"^{BASE}/", "", word), names, 0.6)
    if near:
        return f"{word}: neither a file nor a run (did you mean {near!r}?)"
    there = f"runs in {BASE}/: {', '.join(names[:LISTED])}{', ...' * (len(names) > LISTED)}" if names else \
        f"there are no runs in {BASE}/"
    return f"{word}: neither a file nor a run ({there})"
