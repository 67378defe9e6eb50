"""What `train` writes and prints when it has ended: the report, the results, and what to type next."""
import argparse
from typing import TYPE_CHECKING

from runner.cli import console
from runner.errors import counted, plural
from runner.program import command

if TYPE_CHECKING:
    from runner.training import Run


def _json_on_stdout(args: argparse.Namespace) -> bool:
    return "-" in (args.json, args.log_json)


def write_report(args: argparse.Namespace, run: "Run") -> None:
    """Write report.html; after an interruption without an evaluation, to end quickly."""
    if args.no_report:
        return
    from runner.training import report
    problem = report.write_report(run.folder, task=run.task, evaluate=run.ended in ("finished", "patience"))
    console.warn([problem] if problem else [])


def print_results(args: argparse.Namespace, run: "Run") -> None:
    """The result, the files, and what to type next."""
    from runner.chosen_run import word_for
    net, task, folder, best = run.net, run.task, run.folder, run.best
    stopped = run.ended in ("interrupted", "time")
    number, latest = net.progress.iteration, None if stopped else run.latest
    saved = [str(path) for path in (folder.best, folder.last) if path.exists()]
    if args.json:
        console.write_json(args.json, {
            "updates": number, task.unit: net.progress.seen, "seconds": round(run.elapsed(), 3), "ended": run.ended,
            "stopped": stopped, "score_name": task.score_name, "score": latest.score if latest else None,
            "metrics": latest.as_json() if latest else None, "best": best, "weights": saved})
    if _json_on_stdout(args):
        return
    total = f" of {net.options.max_batches}" if net.options.max_batches else ""
    duration = console.duration(run.elapsed())
    if stopped:
        reason = "time limit reached" if run.ended == "time" else "stopped"
        console.say(f"{reason} after update {number}{total}, {duration}")
    elif run.ended == "patience":
        console.say(f"{counted(number, 'update')}{total}, {duration}: no better score in the last "
                    f"{counted(run.stale, 'evaluation')}")
    else:
        console.say(f"{counted(number, 'update')}, {net.progress.seen:,} "
                    f"{plural(net.progress.seen, task.unit.removesuffix('s'))}, {duration}")
    if best:
        last = f"{task.score_text(latest.score)}, " if latest else ""
        console.say(f"{task.score_name}: {last}best {task.score_text(best['score'])} (after update {best['update']})")
    console.say(f"weights: {', '.join(saved)}")
    if not args.no_report:
        console.say(f"report:  {folder.report}")
    word = word_for(folder, args.word)
    if stopped:
        console.say(f"resume:  {command('train', word, '--resume')}")
    for i, line in enumerate(task.next_commands(word)):
        console.say(f"{'' if i else 'next:':8} {line}")
