"""Write report.html of a training run again: one file with charts, tables and images, for a browser.

  python run.py report net                    the run in weights/net
  python run.py report net --no-measure       from the folder only, without the data
"""
import argparse

from runner.cli import common, console


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="RUN", help="a training run: its name below weights/, its folder, or its cfg")
    parser.add_argument("--no-measure", action="store_true", help="do not evaluate the network on the test data")
    parser.add_argument("--threads", type=common.positive, metavar="N", help="number of threads (default: all cores)")


def run(args: argparse.Namespace) -> int:
    from runner.ops import parallel
    from runner.training.report import write_report
    from runner.training.report.compare import open_runs
    if args.threads:
        parallel.set_threads(args.threads)
    folder, = open_runs([args.folder]).values()
    with folder.lock():
        problem = write_report(folder, evaluate=not args.no_measure)
    console.warn([problem] if problem else [])
    console.say(str(folder.report))
    return 0
