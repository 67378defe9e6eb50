"""report.html of a run: the contents of its folder, and an evaluation of its best weights."""
from typing import Any

from runner.chosen_run import choose
from runner.errors import RunnerError
from runner.files import atomic_write
from runner.model import load
from runner.network import Network
from runner.reading.text import read_text
from runner.run_folder import RunFolder
from runner.training import checkpoint
from runner.training.log import class_curves, curves
from runner.training.metrics import Metrics
from runner.training.report import html
from runner.training.report_items import LineChart, ReportItem
from runner.training.run import LOSS_DECAY
from runner.training.tasks import Task, TaskOptions, open_task
from runner.training.tasks.detector import MAX_CURVES

ALL = "all classes"


def write_report(folder: RunFolder, *, task: Task | None = None, evaluate: bool = True) -> str:
    """Write report.html -> a warning about what is missing from it, or "".

    task      the run's task, if it is open already; its network is given the best weights
    evaluate  False: only what the folder contains
    """
    facts, problem = folder.facts(), ""
    metrics: Metrics | None = None
    items: list[ReportItem] = []
    net: Network | None = task.net if task else None
    if evaluate:
        try:
            task = task or _open_task(folder, facts)
            net = task.net
            _best_weights(folder, net)
            metrics, items = task.report_items()
        except (RunnerError, OSError) as error:
            problem = f"This report contains no evaluation: {error}"
    if net is None:
        net = _without_weights(folder)
    name = folder.path.name
    sections = [html.section("", html.facts(_summary(facts)))]
    if problem:
        sections.append(html.note(problem))
    sections += [html.render(chart) for chart in run_charts({name: folder}, facts.get("score_axis", "score"))]
    sections += [html.render(chart) for chart in class_charts(folder, facts.get("score_axis", "score"))]
    if metrics:
        sections.append(html.section("The best weights, on the test split",
                                     f"<p>{html.escape(metrics.headline())}</p>"))
    sections += [html.render(item) for item in items]
    if net is not None:
        sections.append(html.section("The network", html.table(network_rows(net), left=(1, 2))))
    cfg = folder.trained_cfg()
    if cfg:
        text = html.escape(read_text(cfg, latin1=True))
        folded = f"<details><summary>{html.escape(cfg.name)}</summary><pre>{text}</pre></details>"
        sections.append(html.section("The cfg, with the settings of the run", folded))
    under = f"{facts.get('status', '')}, {facts.get('written', '')}"
    with atomic_write(folder.report, "w") as file:
        file.write(html.page(f"{name}: {facts.get('cfg', '')}", under, sections))
    return problem


def run_charts(folders: dict[str, RunFolder], score: str) -> list[LineChart]:
    """Loss, score and learning rate over the updates, of one run or of several in one chart."""
    logs = {name: curves(folder.log) for name, folder in folders.items()}
    charts = []
    for title, column, y in (("Loss", "loss", "loss"), ("Score", "score", score), ("Learning rate", "rate", "rate")):
        lines = {name: log[column] for name, log in logs.items() if column in log}
        if column == "loss":
            lines = {name: (xs, moving_average(ys)) for name, (xs, ys) in lines.items()}
            if len(folders) == 1:       # several runs have one line each
                log, = logs.values()
                lines = dict(zip(["training"], lines.values(), strict=False))
                lines |= {"test": log["test_loss"]} if "test_loss" in log else {}
        if lines:
            charts.append(LineChart(title, "update", y, lines, clip=column == "loss"))
    return charts


def class_charts(folder: RunFolder, score: str) -> list[LineChart]:
    """The average precision of the classes of a detector over the updates: of those with the most boxes, and the mean
    over all."""
    lines = class_curves(folder.class_log, "ap")
    counts = class_curves(folder.class_log, "boxes")
    boxes = {name: values[-1] for name, (_, values) in counts.items() if values[-1] > 0}
    largest = sorted((name for name in lines if name in boxes), key=lambda name: -boxes[name])
    shown = {name: line for name, line in lines.items() if name in largest[:MAX_CURVES]}
    if not shown:
        return []
    which = "each class" if len(largest) <= MAX_CURVES else f"the {MAX_CURVES} classes with the most boxes"
    title = f"Average precision of {which}"
    mean = curves(folder.log).get("score")
    main = {ALL: mean} if mean and len(largest) > 1 and ALL not in shown else {}
    return [LineChart(title, "update", score.removeprefix("m"), main | shown, main=next(iter(main), ""))]


def moving_average(ys: list[float]) -> list[float]:
    """The moving average that the progress bar shows."""
    averages: list[float] = []
    for y in ys:
        averages.append(LOSS_DECAY * averages[-1] + (1 - LOSS_DECAY) * y if averages else y)
    return averages


def network_rows(net: Network) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("", "layer", "reads", "input", "output", "parameters", "BFLOPs")]
    for row in net.summary():
        reads = "" if row.reads == (row.index - 1,) else ", ".join("input" if r < 0 else str(r) for r in row.reads)
        rows.append((str(row.index), row.name, reads, row.in_shape, row.out_shape,
                     f"{row.params:,}" if row.params else "", f"{row.bflops:.4g}" if row.bflops else ""))
    return rows


def _summary(facts: dict[str, Any]) -> dict[str, object]:
    best, versions = facts.get("best"), facts.get("versions") or {}
    summary = {
        "status": facts.get("status"),
        "updates": f"{facts.get('updates', 0):,}",
        "data": f"{facts.get('data')}: {facts.get('content', '')}",
        "best": f"{facts.get('score')} {facts.get('best_text')}, after update {best['update']}" if best else None,
        "threshold": f"{best['threshold']:g}, the best F1 on the test images; `detect` uses it" if best and
                     best.get("threshold") else None,
        "time": f"{facts.get('seconds', 0):,.0f} s",
        "seed": facts.get("seed"),
        "settings": ", ".join(facts.get("settings") or []) or None,
        "started from": facts.get("start"),
        "command": facts.get("command"),
        "computed by": ", ".join(f"{checkpoint.LABELS.get(key, key)} {value}" for key, value in versions.items())}
    return {key: value for key, value in summary.items() if value is not None}


def _open_task(folder: RunFolder, facts: dict[str, Any]) -> Task:
    run = choose(folder.path)
    net = load(run.cfg, settings=run.settings, compat=None if run.compat == "exact" else run.compat, folder=run.home)
    return open_task(net, TaskOptions(str(facts.get("cfg") or run.cfg), run.data, facts.get("seed", 0)))


def _best_weights(folder: RunFolder, net: Network) -> None:
    from runner import weights
    update, seen = net.progress.iteration, net.progress.seen
    weights.load(net, folder.weights())
    net.progress.iteration, net.progress.seen = update, seen    # those of the run, not of its best weights


def _without_weights(folder: RunFolder) -> Network | None:
    try:
        run = choose(folder.path)
        return load(run.cfg, settings=run.settings, allocate=False, folder=run.home)
    except RunnerError:
        return None
