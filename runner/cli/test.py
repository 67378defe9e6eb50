"""Measure a trained network on the test part of its data: accuracy, top-k, per class, confusion matrix.

  python run.py test cfg/net.cfg
  python run.py test cfg/net.cfg --weights other.weights --data photos/ --json -
  python run.py test cfg/net.cfg --top-k 1,3               top-k accuracies
  python run.py test cfg/net.cfg --crops 10                the mean over ten crops of each image
  python run.py test cfg/darknet19.cfg --sizes 224,288     the mean over sizes, and mirrored
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
    parser.add_argument("--top-k", type=numbers, default=(), metavar="K,K", help="tell these instead of top 5")
    parser.add_argument("--crops", type=int, choices=(1, 10), default=1,
                        help="10: corners and middle of an image a seventh larger, mirrored or not (5 where [net] says "
                             "flip=0); default 1")
    parser.add_argument("--sizes", type=numbers, default=(), metavar="W,W",
                        help="compute the network at these widths and take the mean")
    common.json_option(parser)
    common.network_options(parser)


def numbers(text: str) -> tuple[int, ...]:
    """An argument that is a list of whole numbers from 1: 1,3,5."""
    return tuple(common.positive(part.strip()) for part in text.split(","))


def run(args: argparse.Namespace) -> int:
    from runner.errors import UsageError
    from runner.training import open_job
    from runner.training.jobs.classifier import Classifier
    net, _ = common.load_trained(args)
    job = open_job(net, common.asked(args))
    if args.top_k or args.crops > 1 or args.sizes:
        if not isinstance(job, Classifier):
            raise UsageError("--top-k, --crops and --sizes are for classifiers of images")
        job.tops, job.ten, job.sizes = args.top_k, args.crops == 10, args.sizes
    metrics = job.evaluate(args.split)
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
