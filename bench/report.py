"""Turns measured rows into tables: medians, ratios, geometric means, memory."""
import datetime
import importlib.metadata
import math
import platform
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bench.measure import Row

OURS = ("fast", "numpy")
TITLES = {"infer1": "inference of one image, ms", "infer8": "inference of eight images, ms",
          "train8": "a training step on eight images, ms"}
PACKAGES = {"numpy": "numpy", "fast": "numba", "pytorch": "torch", "onnxruntime": "onnxruntime",
            "opencv": "opencv-python-headless"}


def machine(threads: int) -> list[str]:
    """Date, processor and library versions of the measurement, a line each."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    versions = []
    for package in dict.fromkeys(PACKAGES.values()):
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    try:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
                                cwd=Path(__file__).parent).stdout.strip()
    except OSError:
        commit = ""
    return [f"{datetime.date.today()}, {model}, {threads} threads per peer, "
            f"Python {platform.python_version()}" + (f", commit {commit}" if commit else ""), ", ".join(versions)]


def geometric_mean(values: Iterable[float]) -> float | None:
    values = list(values)
    return math.exp(math.fsum(map(math.log, values)) / len(values)) if values else None


class Tables:
    """Tables of the rows, by network, task and peer."""

    def __init__(self, rows: Sequence[Row]):
        self.rows = {(row.network, row.task, row.peer): row for row in rows}
        self.networks = list(dict.fromkeys(row.network for row in rows))
        self.tasks = list(dict.fromkeys(row.task for row in rows))
        self.peers = [peer for peer in dict.fromkeys(row.peer for row in rows)
                      if any(row.median for row in rows if row.peer == peer)]

    def time(self, network: str, task: str, peer: str) -> float | None:
        row = self.rows.get((network, task, peer))
        return row.median if row else None

    def ratios(self, task: str, peer: str, ours: str) -> dict[str, float]:
        """The time of a peer divided by ours, by network."""
        found = {}
        for network in self.networks:
            mine, theirs = self.time(network, task, ours), self.time(network, task, peer)
            if mine and theirs:
                found[network] = theirs / mine
        return found

    def times(self, task: str) -> list[list[str]]:
        lines = [["", *self.peers]]
        for network in self.networks:
            lines.append([network, *(_milliseconds(self.time(network, task, peer)) for peer in self.peers)])
        return lines

    def speed(self, ours: str) -> list[list[str]]:
        """Geometric means of the time of a peer divided by ours, a line per task."""
        others = [peer for peer in self.peers if peer != ours]
        lines = [["", *others]]
        for task in self.tasks:
            means = [geometric_mean(self.ratios(task, peer, ours).values()) for peer in others]
            lines.append([task, *("" if mean is None else f"{mean:.2f}" for mean in means)])
        both = []
        for peer in others:
            ratios = [r for task in self.tasks if task.startswith("infer") for r in
                      self.ratios(task, peer, ours).values()]
            mean = geometric_mean(ratios)
            both.append("" if mean is None else f"{mean:.2f}")
        return [*lines, ["all inference", *both]]

    def each(self, task: str, ours: str) -> list[list[str]]:
        """The time of a peer divided by ours, a line per network."""
        others = [peer for peer in self.peers if peer != ours]
        ratios = {peer: self.ratios(task, peer, ours) for peer in others}
        return [["", *others], *([network, *(f"{ratios[peer][network]:.2f}" if network in ratios[peer] else ""
                                             for peer in others)] for network in self.networks)]

    def memory(self, task: str) -> list[list[str]]:
        lines = [["", *self.peers]]
        for network in self.networks:
            rows = [self.rows.get((network, task, peer)) for peer in self.peers]
            lines.append([network, *(f"{row.peak / 2**20:.0f}" if row and row.median else "" for row in rows)])
        return lines

    def skipped(self) -> list[str]:
        """Which peer skipped what, and why; each reason once."""
        reasons: dict[tuple[str, str], list[str]] = {}
        for row in self.rows.values():
            if row.why:
                reasons.setdefault((row.peer, row.why), []).append(f"{row.network} {row.task}")
        return [f"{peer}: {why} ({', '.join(places) if len(places) < 4 else f'{len(places)} of the measurements'})"
                for (peer, why), places in reasons.items()]


def text(rows: Sequence[Row], facts: Sequence[str]) -> str:
    return _page(rows, facts, lambda title: f"\n{title}", _plain, lambda line: f"- {line}")


def markdown(rows: Sequence[Row], facts: Sequence[str]) -> str:
    return _page(rows, facts, lambda title: f"\n### {title[0].upper()}{title[1:]}\n", _pipes, lambda line: f"- {line}")


def _page(rows: Sequence[Row], facts: Sequence[str], title: Callable[[str], str],
          table: Callable[[list[list[str]]], str], item: Callable[[str], str]) -> str:
    tables = Tables(rows)
    parts = [*map(item, facts)]
    for task in tables.tasks:
        parts += [title(TITLES[task]), table(tables.times(task))]
    for ours in [peer for peer in OURS if peer in tables.peers]:
        parts += [title(f"time relative to ours ({ours}), geometric mean over the networks"),
                  table(tables.speed(ours))]
        for task in tables.tasks:
            parts += [title(f"time relative to ours ({ours}), {task}, by network"), table(tables.each(task, ours))]
    for task in tables.tasks:
        parts += [title(f"peak memory of the process, {task}, MB"), table(tables.memory(task))]
    if tables.skipped():
        parts += [title("skipped"), *map(item, tables.skipped())]
    return "\n".join(parts)


def _milliseconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    ms = 1000 * seconds
    return f"{ms:.2f}" if ms < 10 else f"{ms:.1f}" if ms < 100 else f"{ms:.0f}"


def _plain(lines: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in
                                                            zip(line[1:], widths[1:], strict=True))]).rstrip()
                     for line in lines)


def _pipes(lines: list[list[str]]) -> str:
    head, *body = lines
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *body])
