"""Measure a trained network on the test part of its data: accuracy, top-k, per class, confusion matrix.

  python run.py test cfg/net.cfg
  python run.py test cfg/net.cfg --weights other.weights --data photos/ --json -
  python run.py test cfg/chars.cfg --data novel.txt        a character model: bits per character
"""
import argparse
from typing import TYPE_CHECKING

from runner.cli import common, console

if TYPE_CHECKING:
    from runner.training import Metrics


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cfg", help="the network")
    common.weights_option(parser)
    common.data_options(parser)
    parser.add_argument("--split", choices=("test", "train"), default="test", help="which images (default test)")
    common.json_option(parser)
    common.network_options(parser)


def run(args: argparse.Namespace) -> int:
    from runner.training import open_job
    net, _ = common.load_trained(args)
    metrics = open_job(net, common.asked(args)).evaluate(args.split)
    if args.json:
        console.write_json(args.json, metrics.as_json())
    if args.json != "-":
        report(metrics)
    return 0


def report(metrics: "Metrics") -> None:
    """What `test` says to people."""
    console.say(metrics.headline())
    for title, rows in metrics.tables():
        console.say()
        if title:
            console.say(title)
        console.say(console.table(rows))
