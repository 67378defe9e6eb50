"""log.csv: a line for each update, with the score where the network was measured after it."""
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from runner.files import atomic_write
from runner.training.loop import Step

COLUMNS = ("update", "seen", "loss", "rate", "images", "seconds", "waited", "score")


class Log:
    """Writes log.csv, line by line, so that it can be watched while it grows.

    numbers  names of further columns: what measuring gives besides the score
    """

    def __init__(self, path: Path, numbers: Sequence[str] = ()):
        self.path, self.columns = path, [*COLUMNS, *numbers]
        self._file: IO[str] | None = None
        self._line: dict[str, object] = {}

    def begin(self, after: int = 0) -> None:
        """Keep the lines up to an update, and go on behind them."""
        rows = [row for row in read_rows(self.path) if row["update"].isdecimal()]
        self._rewrite([row for row in rows if int(row["update"]) <= after])

    def _rewrite(self, rows: Sequence[Mapping[str, object]]) -> None:
        self._close()
        with atomic_write(self.path, "w") as file:
            writer = csv.DictWriter(file, self.columns, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    def update(self, step: Step, loss: float) -> None:
        """An update; its line is written when it is known whether it was measured."""
        self.flush()
        self._line = {"update": step.number, "seen": step.seen, "loss": f"{loss:.6g}", "rate": f"{step.rate:.6g}",
                      "images": step.images, "seconds": f"{step.seconds:.4f}", "waited": f"{step.waited:.4f}"}

    def measured(self, update: int, score: float, numbers: Mapping[str, float]) -> None:
        """The network was measured after its latest update."""
        found = {"score": f"{score:.6g}", **{name: f"{value:.6g}" for name, value in numbers.items()}}
        if self._line:
            self._line |= found
            self.flush()
        else:       # its line is written already: the run was stopped between the two
            rows = read_rows(self.path)
            self._rewrite([row | found if row["update"] == str(update) else row for row in rows])

    def flush(self) -> None:
        if self._line:
            self._file = self._file or self.path.open("a", encoding="utf-8", buffering=1, newline="")
            csv.DictWriter(self._file, self.columns, restval="", extrasaction="ignore",
                           lineterminator="\n").writerow(self._line)
        self._line = {}

    def close(self) -> None:
        self.flush()
        self._close()

    def _close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None


def read_rows(path: Path) -> list[dict[str, str]]:
    """The lines of a log as dictionaries of text; none where there is no log.  A line that was cut off is left out."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [row for row in csv.DictReader(file) if None not in row and None not in row.values()]
    except FileNotFoundError:
        return []


def curves(path: Path) -> dict[str, tuple[list[int], list[float]]]:
    """column -> updates, values: what can be drawn of a log."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    for row in read_rows(path):
        for name, text in row.items():
            if name != "update" and text:
                xs, ys = found.setdefault(name, ([], []))
                xs.append(int(row["update"]))
                ys.append(float(text))
    return found
