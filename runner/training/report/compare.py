"""Comparison of runs: results, differing settings, and overlaid charts."""
from collections.abc import Sequence
from typing import Any, NamedTuple

from runner.chosen_run import choose
from runner.config import Report, parse
from runner.errors import UsageError, counted
from runner.reading.text import read_text
from runner.run_folder import RunFolder
from runner.training import checkpoint
from runner.training.metrics import Table
from runner.training.report import html
from runner.training.report.run_report import run_charts


class Comparison(NamedTuple):
    """results: a row per run; settings: a row per differing setting, a column per run; runs: their run.yaml."""
    results: Table
    settings: Table
    runs: dict[str, dict[str, Any]]


def open_runs(words: Sequence[str]) -> dict[str, RunFolder]:
    """name -> folder.  A word names a run as for `choose`; UsageError if there is no run."""
    folders: dict[str, RunFolder] = {}
    for word in words:
        folder = choose(word).folder
        if not folder.facts():
            raise UsageError(f"{word}: there is no run of it in {folder.path}")
        name = folder.path.resolve().name
        folders[name if name not in folders else str(folder.path)] = folder
    return folders


def compare(folders: dict[str, RunFolder]) -> Comparison:
    """Compare the runs of several folders."""
    facts = {name: folder.facts() for name, folder in folders.items()}
    rows = [("run", "status", "updates", "best", "after update", "seconds")]
    for name, run in facts.items():
        best = run.get("best") or {}
        rows.append((name, str(run.get("status", "")), str(run.get("updates", "")),
                     str(run.get("best_text") or ""), str(best.get("update", "")), str(run.get("seconds", ""))))
    scores = {str(run.get("score")) for run in facts.values()}
    settings = {name: _settings(folder, facts[name]) for name, folder in folders.items()}
    keys = dict.fromkeys(key for one in settings.values() for key in one)
    table = [("setting", *folders)]
    table += [(key, *(one.get(key, "not set") for one in settings.values())) for key in keys
              if len({one.get(key, "not set") for one in settings.values()}) > 1]
    return Comparison(Table(", ".join(sorted(scores)), rows), Table("Different settings", table), facts)


def compare_page(folders: dict[str, RunFolder], comparison: Comparison) -> str:
    """The comparison as an HTML page, with charts."""
    score = ", ".join(sorted({str(run.get("score_axis")) for run in comparison.runs.values()}))
    sections = [html.render(comparison.results)]
    sections += [html.render(chart) for chart in run_charts(folders, score)]
    sections.append(html.render(comparison.settings) if len(comparison.settings.rows) > 1 else
                    html.note("The runs have the same settings."))
    return html.page(" and ".join(folders), f"comparison of {counted(len(folders), 'run')}", sections)


def _settings(folder: RunFolder, facts: dict[str, Any]) -> dict[str, str]:
    """All settings of a run by name: the options of its cfg and of the command line, and the software versions."""
    settings = {"cfg": str(facts.get("cfg")), "data": str(facts.get("data")), "seed": str(facts.get("seed")),
                "compat": str(facts.get("compat")), "started from": str(facts.get("start") or "random weights")}
    settings |= {f"--{key.replace('_', '-')}": str(value) for key, value in (facts.get("options") or {}).items()
                 if key not in ("data", "seed", "compat")}
    settings |= {checkpoint.LABELS.get(key, key): str(value) for key, value in (facts.get("versions") or {}).items()}
    cfg = folder.trained_cfg()
    if cfg:
        for section in parse(read_text(cfg, latin1=True), cfg.name, Report()):
            where = "[net]" if section.index < 0 else f"{section.index} [{section.name}]"
            settings |= {f"{where} {key}": line.value for key, line in section.lines.items()}
            if section.index >= 0:
                settings[where] = "present"
    return settings
