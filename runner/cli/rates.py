"""Learning-rate finder: train for a few updates while the learning rate rises, and see where the loss falls fastest.
Nothing is saved.

  python run.py rates cfg/net.cfg
  python run.py rates cfg/net.cfg --from 1e-5 --to 10 --updates 200 --save rates.png
"""
import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from runner.cli import common, console, runs
from runner.program import command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.training.rates import RatePoint

LINES = 20          # of the table, at most
BAR = 40            # characters of the longest bar


def arguments(parser: argparse.ArgumentParser) -> None:
    runs.network_argument(parser)
    common.data_options(parser)
    parser.add_argument("--from", type=common.above_zero, default=1e-5, dest="low", metavar="RATE",
                        help="lowest (default 1e-5)")
    parser.add_argument("--to", type=common.above_zero, default=10.0, dest="high", metavar="RATE",
                        help="highest (default 10)")
    parser.add_argument("--updates", type=common.positive, default=100, metavar="N",
                        help="number of updates (default 100)")
    parser.add_argument("--weights", metavar="FILE", help="start from these weights instead of random ones")
    parser.add_argument("--save", metavar="FILE", action=common.Output, content="chart",
                        help="draw a chart: .png, .svg or .pdf (needs matplotlib)")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    common.json_option(parser)
    common.network_options(parser)


def run(args: argparse.Namespace) -> int:
    import sys

    from tqdm import tqdm

    from runner.analysis.footprint import check_fits
    from runner.errors import UsageError
    from runner.training.rates import suggest, sweep
    if args.low >= args.high:
        raise UsageError(f"--from must be below --to. Got {args.low:g} and {args.high:g}")
    if args.save:
        _require_chart(args.save)
    runs.choose_network(args)
    net = common.load_network(args)
    if args.weights:
        from runner import weights
        weights.load(net, args.weights)
        net.progress.seen = net.progress.iteration = 0
    check_fits(net)
    task = common.open_network_task(args, net)
    points = list(tqdm(sweep(task, args.low, args.high, args.updates), total=args.updates, file=sys.stderr, leave=False,
                       disable=args.quiet or not sys.stderr.isatty()))
    best = suggest(points)
    if args.save:
        _draw(args.save, points, best)
    if args.json:
        console.write_json(args.json, {"suggested": best, "tried": [vars(point) for point in points]})
    if args.json != "-":
        _print_table(args, points, best)
    return 0 if best else 1


def _print_table(args: argparse.Namespace, points: "Sequence[RatePoint]", best: float | None) -> None:
    """A table with bars, and the suggested learning rate."""
    rows = [("rate", "loss", "")]
    shown = points[::max(len(points) // LINES, 1)]
    top = max((point.smooth for point in shown if point.smooth < 1e6), default=1.0)
    for point in shown:
        bar = "#" * min(BAR, round(BAR * point.smooth / (top or 1))) if point.smooth < 1e6 else "off the scale"
        rows.append((f"{point.rate:.2g}", f"{point.smooth:.4g}", bar))
    console.say(console.table(rows, left=(2,)))
    if best is None:
        console.say("\nthe loss never falls clearly: try other --from and --to, or more --updates")
        return
    if len(points) < args.updates:
        console.say(f"\nbeyond {points[-1].rate:.2g} the loss explodes")
    console.say(f"\nthe loss falls fastest at {best:.2g}:")
    start = ["--weights", args.weights, "--clear"] if args.weights else []
    console.say(command("train", args.cfg, *common.repeated(args), *start, "--set", f"net.learning_rate={best:.2g}"))


def _require_chart(path: str) -> None:
    """UsageError for a file name of another format, MissingExtra without matplotlib: before the work."""
    from runner.errors import UsageError
    from runner.training.report.charts import figure_class
    if Path(path).suffix.lower() not in (".png", ".svg", ".pdf"):
        raise UsageError(f"--save needs a file name ending in .png, .svg or .pdf. Got {path!r}")
    figure_class()


def _draw(path: str, points: "Sequence[RatePoint]", best: float | None) -> None:
    from runner.files import atomic_write
    from runner.outputs import chart_mark
    from runner.training.report.charts import draw
    from runner.training.report_items import LineChart
    file_format = Path(path).suffix.lstrip(".").lower()
    rates, losses = [point.rate for point in points], [point.loss for point in points]
    smooth = [point.smooth for point in points]
    figure = draw(LineChart("rates", "learning rate", "loss", {"every update": (rates, losses),
                                                               "smoothed": (rates, smooth)}),
                  height=4, ink="#333333")
    axes = figure.axes[0]
    axes.set_xscale("log")
    axes.set_ylim(0, 1.5 * max(smooth[:max(len(smooth) // 2, 1)]))
    if best:
        axes.axvline(best, color="#888888", linestyle=":", label=f"falls fastest: {best:.2g}")
        axes.legend(frameon=False)
    with atomic_write(path) as file:
        figure.savefig(file, format=file_format, dpi=150, metadata=chart_mark(file_format))
