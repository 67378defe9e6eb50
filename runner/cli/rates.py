"""Find a learning rate: train from fresh weights for a few updates while the rate rises, and see where the loss falls
fastest.  Nothing is kept.

  python run.py rates cfg/net.cfg
  python run.py rates cfg/net.cfg --from 1e-5 --to 10 --updates 200 --save rates.png
"""
import argparse
from typing import TYPE_CHECKING

from runner.cli import common, console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.training.rates import RatePoint

LINES = 20          # of the table
BAR = 40            # characters of the longest bar


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cfg", help="the network")
    common.data_options(parser)
    parser.add_argument("--from", type=_rate, default=1e-5, dest="low", metavar="RATE", help="lowest (default 1e-5)")
    parser.add_argument("--to", type=_rate, default=10.0, dest="high", metavar="RATE", help="highest (default 10)")
    parser.add_argument("--updates", type=common.positive, default=100, metavar="N", help="in all (default 100)")
    parser.add_argument("--weights", metavar="FILE", help="start from these weights instead of random ones")
    parser.add_argument("--save", metavar="FILE", help="draw the curve: .png, .svg or .pdf (needs matplotlib)")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    common.json_option(parser)
    common.network_options(parser)


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0. Got {text!r}")
    return value


def run(args: argparse.Namespace) -> int:
    import sys

    from tqdm import tqdm

    from runner.errors import UsageError
    from runner.training import open_task
    from runner.training.rates import suggest, sweep
    if args.low >= args.high:
        raise UsageError(f"--from must be below --to. Got {args.low:g} and {args.high:g}")
    net = common.load_network(args)
    if args.weights:
        from runner import weights
        weights.load(net, args.weights)
        net.progress.seen = net.progress.iteration = 0
    tried = list(tqdm(sweep(open_task(net, common.asked(args)), args.low, args.high, args.updates), total=args.updates,
                      file=sys.stderr, leave=False, disable=args.quiet or not sys.stderr.isatty()))
    best = suggest(tried)
    if args.save:
        _draw(args.save, tried, best)
    if args.json:
        console.write_json(args.json, {"suggested": best, "tried": [vars(each) for each in tried]})
    if args.json != "-":
        _say(args, tried, best)
    return 0 if best else 1


def _say(args: argparse.Namespace, tried: "Sequence[RatePoint]", best: float | None) -> None:
    """A table with bars, and what follows from it."""
    rows = [("rate", "loss", "")]
    shown = tried[::max(len(tried) // LINES, 1)]
    top = max((each.smooth for each in shown if each.smooth < 1e6), default=1.0)
    for each in shown:
        bar = "#" * min(BAR, round(BAR * each.smooth / top)) if each.smooth < 1e6 else "off the page"
        rows.append((f"{each.rate:.2g}", f"{each.smooth:.4g}", bar))
    console.say(console.table(rows, left=(2,)))
    if best is None:
        console.say("\nthe loss never falls clearly: try other --from and --to, or more --updates")
        return
    if len(tried) < args.updates:
        console.say(f"\nbeyond {tried[-1].rate:.2g} the loss explodes")
    console.say(f"\nthe loss falls fastest at {best:.2g}:")
    console.say(f"python run.py train {args.cfg} --set net.learning_rate={best:.2g}")


def _draw(path: str, tried: "Sequence[RatePoint]", best: float | None) -> None:
    from pathlib import Path

    from runner.errors import UsageError
    from runner.files import atomic_write
    from runner.training.report.charts import draw
    from runner.training.report_items import LineChart
    kind = Path(path).suffix.lstrip(".").lower()
    if kind not in ("png", "svg", "pdf"):
        raise UsageError(f"--save: the curve is drawn as .png, .svg or .pdf. Got {path!r}")
    rates = [each.rate for each in tried]
    figure = draw(LineChart("rates", "learning rate", "loss", {"every update": (rates, [each.loss for each in tried]),
                                                            "smoothed": (rates, [each.smooth for each in tried])}),
                  height=4, ink="#333333")
    axes = figure.axes[0]
    axes.set_xscale("log")
    smooth = [each.smooth for each in tried]
    axes.set_ylim(0, 1.5 * max(smooth[:max(len(smooth) // 2, 1)]))
    if best:
        axes.axvline(best, color="#888888", linestyle=":", label=f"falls fastest: {best:.2g}")
        axes.legend(frameon=False)
    with atomic_write(path) as file:
        figure.savefig(file, format=kind, dpi=150)
