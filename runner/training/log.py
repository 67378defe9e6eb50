"""log.csv: a row per update, with the score where the network was evaluated after it.  per_class.csv, of a detector: a
row per class for each evaluation."""
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from runner.errors import CheckpointError
from runner.files import TEXT, atomic_write, event
from runner.reading.numbers import whole
from runner.reading.tables import Columns, count, measure, parse_table
from runner.reading.text import read_text
from runner.training.loop import Step

COLUMNS = ("update", "seen", "loss", "rate", "images", "seconds", "waited", "score")
CLASS_READERS: Columns = {"update": count, "class": str, "boxes": count}
READERS = {"update": count, "seen": count, "images": count}     # columns of whole numbers


class Log:
    """Writes log.csv row by row, so that it can be followed during training.

    metric_names  further columns: the metrics of an evaluation besides the score
    """

    def __init__(self, path: Path, metric_names: Sequence[str] = ()):
        self.path, self.columns = path, [*COLUMNS, *metric_names]
        self._file: IO[str] | None = None
        self._row: dict[str, object] = {}

    def begin(self, after: int = 0) -> None:
        """Keep the rows up to and including this update, and append from there."""
        self._rewrite([row for row in read_rows(self.path) if whole(row["update"]) <= after])

    def _rewrite(self, rows: Sequence[Mapping[str, object]]) -> None:
        self._close()
        with atomic_write(self.path, "w") as file:
            writer = csv.DictWriter(file, self.columns, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    def add_update(self, step: Step, loss: float) -> None:
        """Add an update.  Its row is written with the next call, because an evaluation may still be added to it."""
        self.flush()
        self._row = {"update": step.number, "seen": step.seen, "loss": f"{loss:.6g}", "rate": f"{step.rate:.6g}",
                     "images": step.images, "seconds": f"{step.seconds:.4f}", "waited": f"{step.waited:.4f}"}

    def add_evaluation(self, update: int, score: float, scalars: Mapping[str, float]) -> None:
        """Add the metrics of an evaluation after the latest update."""
        metrics = {"score": f"{score:.6g}", **{name: f"{value:.6g}" for name, value in scalars.items()}}
        if self._row:
            self._row |= metrics
            self.flush()
        else:       # the row is written already: the run was stopped between update and evaluation
            rows = read_rows(self.path)
            self._rewrite([row | metrics if row["update"] == str(update) else row for row in rows])

    def flush(self) -> None:
        if self._row:
            event("write", self.path)
            if self._file and not self.path.exists():       # the folder was deleted
                self._rewrite([])
            self._file = self._file or self.path.open("a", encoding="utf-8", buffering=1, newline="")
            csv.DictWriter(self._file, self.columns, restval="", extrasaction="ignore",
                           lineterminator="\n").writerow(self._row)
        self._row = {}

    def close(self) -> None:
        try:
            self.flush()
        finally:
            self._close()

    def _close(self) -> None:
        file, self._file = self._file, None
        if file:
            file.close()


class ClassLog:
    """Writes per_class.csv after each evaluation, of a task that has metrics of classes."""

    def __init__(self, path: Path):
        self.path, self._last = path, -1

    def begin(self, after: int = 0) -> None:
        """Keep the rows of evaluations up to and including this update."""
        rows = read_class_rows(self.path)
        kept = [row for row in rows if whole(row["update"]) <= after]
        if rows:
            self._rewrite(kept, rows[0])
        self._last = max((whole(row["update"]) for row in kept), default=-1)

    def add_evaluation(self, update: int, per_class: Mapping[str, Mapping[str, float]]) -> None:
        """Add the metrics of each class; those of an earlier evaluation after the same update are replaced."""
        rows = [{"update": str(update), "class": name, **{key: f"{value:.6g}" for key, value in metrics.items()}}
                for name, metrics in per_class.items()]
        if not rows:
            return
        if self._last >= update or not self.path.exists():
            kept = [row for row in read_class_rows(self.path) if whole(row["update"]) < update]
            self._rewrite([*kept, *rows], rows[0])
        else:
            event("write", self.path)
            with open(self.path, "a", newline="", **TEXT) as file:
                csv.DictWriter(file, list(rows[0]), lineterminator="\n").writerows(rows)
        self._last = update

    def _rewrite(self, rows: Sequence[Mapping[str, str]], like: Mapping[str, str]) -> None:
        with atomic_write(self.path, "w") as file:
            writer = csv.DictWriter(file, list(like), restval="", extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def read_class_rows(path: Path) -> list[dict[str, str]]:
    """The rows of per_class.csv, as `read_rows` has those of log.csv."""
    if not path.exists():
        return []
    return parse_table(read_text(path, CheckpointError), path, CLASS_READERS, measure, CheckpointError)


def class_curves(path: Path, metric: str) -> dict[str, tuple[list[int], list[float]]]:
    """class -> updates, values of a metric."""
    curves: dict[str, tuple[list[int], list[float]]] = {}
    for row in read_class_rows(path):
        if row.get(metric):
            xs, ys = curves.setdefault(row.get("class", ""), ([], []))
            xs.append(whole(row["update"]))
            ys.append(measure(row[metric]))
    return curves


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a log as strings by column; empty if there is no log.  An incomplete last row is left out.
    CheckpointError where another one is damaged."""
    if not path.exists():
        return []
    return parse_table(read_text(path, CheckpointError), path, READERS, measure, CheckpointError)


def curves(path: Path) -> dict[str, tuple[list[int], list[float]]]:
    """column -> updates, values: what can be plotted of a log."""
    columns: dict[str, tuple[list[int], list[float]]] = {}
    for row in read_rows(path):
        for name, text in row.items():
            if name != "update" and text:
                xs, ys = columns.setdefault(name, ([], []))
                xs.append(whole(row["update"]))
                ys.append(measure(text))
    return columns
