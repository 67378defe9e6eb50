"""Compare training runs: their results, and the settings in which they differ; as a page, with charts.

  python run.py compare net slow                  the runs in weights/net and weights/slow
  python run.py compare net slow --save compare.html
"""
import argparse

from runner.cli import common, console


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN",
                        help="training runs: their names below weights/, or their folders")
    parser.add_argument("--save", metavar="FILE", action=common.Output, content="page",
                        help="write an HTML page with the charts of all runs")
    common.json_option(parser)


def run(args: argparse.Namespace) -> int:
    from runner.files import atomic_write
    from runner.training.report import compare, compare_page
    from runner.training.report.compare import open_runs
    folders = open_runs(args.runs)
    comparison = compare(folders)
    if args.save:
        with atomic_write(args.save, "w") as file:
            file.write(compare_page(folders, comparison))
    if args.json:
        rows = comparison.settings.rows
        console.write_json(args.json, {"runs": comparison.runs, "differences": {
            row[0]: dict(zip(rows[0][1:], row[1:], strict=True)) for row in rows[1:]}})
    if args.json != "-":
        console.say(f"by {comparison.results.title}\n")
        console.say(console.table(comparison.results.rows, left=(0, 1)))
        console.say()
        same = len(comparison.settings.rows) == 1
        console.say("the runs have the same settings" if same else console.table(comparison.settings.rows))
        if args.save:
            console.say(f"\n{args.save}")
    return 0
