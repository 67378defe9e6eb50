"""Runs side by side: results, the settings in which they differ, curves over each other."""
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from runner.config import Report, parse
from runner.errors import UsageError
from runner.run_folder import RunFolder
from runner.training.metrics import Table
from runner.training.report import html
from runner.training.report.run_report import run_curves


class Compared(NamedTuple):
    """results: a row for each run; settings: a row for each that differs, a column for each run."""
    results: Table
    settings: Table
    runs: dict[str, dict[str, Any]]


def open_runs(paths: Sequence[str]) -> dict[str, RunFolder]:
    """name -> folder.  A run is named by its folder, or by the name of one below weights/."""
    found: dict[str, RunFolder] = {}
    for given in paths:
        path = next((each for each in (Path(given), Path("weights") / given) if (each / "run.yaml").exists()), None)
        if path is None:
            raise UsageError(f"{given}: there is no run here: a run's folder holds run.yaml. See weights/")
        name = path.name if path.name not in found else str(path)
        found[name] = RunFolder(path / f"{path.resolve().name}.cfg")
    return found


def compare(folders: dict[str, RunFolder]) -> Compared:
    """What there is to tell of several runs."""
    facts = {name: folder.facts() for name, folder in folders.items()}
    rows = [("run", "status", "updates", "best", "after update", "seconds")]
    for name, fact in facts.items():
        best = fact.get("best") or {}
        rows.append((name, str(fact.get("status", "")), str(fact.get("updates", "")),
                     str(fact.get("best_text") or ""), str(best.get("update", "")), str(fact.get("seconds", ""))))
    scores = {str(fact.get("score")) for fact in facts.values()}
    settings = {name: _settings(folder, facts[name]) for name, folder in folders.items()}
    keys = dict.fromkeys(key for each in settings.values() for key in each)
    table = [("setting", *folders)]
    table += [(key, *(each.get(key, "not set") for each in settings.values())) for key in keys
              if len({each.get(key, "not set") for each in settings.values()}) > 1]
    return Compared(Table(", ".join(sorted(scores)), rows), Table("What differs", table), facts)


def compare_page(folders: dict[str, RunFolder], compared: Compared) -> str:
    """The same as a page, with the curves."""
    score = ", ".join(sorted({str(fact.get("score_axis")) for fact in compared.runs.values()}))
    sections = [html.exhibit(compared.results)]
    sections += [html.exhibit(curve) for curve in run_curves(folders, score)]
    sections.append(html.exhibit(compared.settings) if len(compared.settings.rows) > 1 else
                    html.note("The runs have the same settings."))
    return html.page(" and ".join(folders), f"{len(folders)} runs side by side", sections)


def _settings(folder: RunFolder, facts: dict[str, Any]) -> dict[str, str]:
    """Everything a run can differ in, by name: the options of its cfg, and what was said on the command line."""
    found = {"cfg": str(facts.get("cfg")), "data": str(facts.get("data")), "seed": str(facts.get("seed")),
             "compat": str(facts.get("compat")), "started from": str(facts.get("start") or "random weights")}
    found |= {f"--{key.replace('_', '-')}": str(value) for key, value in (facts.get("options") or {}).items()
              if key not in ("data", "seed", "compat")}
    found |= {key: str(value) for key, value in (facts.get("versions") or {}).items()}
    if folder.resolved.exists():
        for section in parse(folder.resolved.read_text(encoding="utf-8"), folder.resolved.name, Report()):
            where = "[net]" if section.index < 0 else f"{section.index} [{section.name}]"
            found |= {f"{where} {key}": line.value for key, line in section.lines.items()}
            if section.index >= 0:
                found[where] = "there"
    return found
