"""Measure a trained network on the test part of its data.

A classifier: accuracy, top 5, precision and recall per class, confusion matrix.  A detector: mAP as AlexeyAB's
`detector map` counts it, mAP@.50:.95 as COCO does, precision, recall and F1 at a confidence and at the best one.  A
character model: bits per character.

  python run.py test cfg/net.cfg
  python run.py test cfg/net.cfg --weights other.weights --data photos/ --json -
  python run.py test cfg/net.cfg --top-k 1,3               top-k accuracies
  python run.py test cfg/net.cfg --crops 10                the mean over ten crops of each image
  python run.py test cfg/darknet19.cfg --sizes 224,288     the mean over sizes, and mirrored
  python run.py test cfg/scenes.cfg --thresh .4 --iou .75  a detector
  python run.py test cfg/chars.cfg --data novel.txt        a character model: bits per character
"""
import argparse
from typing import TYPE_CHECKING, Any

from runner.cli import common, console

if TYPE_CHECKING:
    from runner.training import DetectionCriteria, Metrics


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
    boxes = parser.add_argument_group("detectors")
    boxes.add_argument("--thresh", type=common.share, metavar="P",
                       help="count the boxes above this confidence (default .25; mAP looks at all of them)")
    boxes.add_argument("--iou", type=common.share, metavar="P",
                       help="a box is right if it overlaps the true one by more (default .5)")
    boxes.add_argument("--points", type=int, choices=(0, 11, 101),
                       help="average precision is the area under the curve (0, the default), or the mean at so many "
                            "recalls: 11 for Pascal VOC 2007, 101 for COCO")
    boxes.add_argument("--nms", type=common.share, metavar="P",
                       help="largest overlap of two boxes of a class (default .45)")
    common.letterbox_options(boxes)
    common.json_option(parser)
    common.network_options(parser)


def numbers(text: str) -> tuple[int, ...]:
    """An argument that is a list of whole numbers from 1: 1,3,5."""
    return tuple(common.positive(part.strip()) for part in text.split(","))


def run(args: argparse.Namespace) -> int:
    from runner.errors import UsageError
    from runner.training import open_task
    from runner.training.tasks.classifier import Classifier
    net, _ = common.load_trained(args)
    task = open_task(net, common.asked(args, box_rules(args, net)))
    if args.top_k or args.crops > 1 or args.sizes:
        if not isinstance(task, Classifier):
            raise UsageError("--top-k, --crops and --sizes are for classifiers of images")
        task.top_k, task.ten_crop, task.sizes = args.top_k, args.crops == 10, args.sizes
    metrics = task.evaluate(args.split)
    if args.json:
        console.write_json(args.json, metrics.as_json())
    if args.json != "-":
        report(metrics)
    return 0


def box_rules(args: argparse.Namespace, net: Any) -> "DetectionCriteria":
    """What --thresh and its neighbours say; UsageError when the network finds no boxes."""
    from runner.errors import UsageError
    from runner.training import DetectionCriteria
    from runner.training.tasks.detector import is_detector
    names = {"thresh": "confidence", "iou": "overlap", "points": "points", "nms": "nms", "letterbox": "letterbox"}
    given = {word: getattr(args, word) for word in names if getattr(args, word) is not None}
    if given and not is_detector(net):
        word = next(iter(given)) if given.get("letterbox") is not False else "stretch"
        raise UsageError(f"--{word} is for detectors, and {args.cfg} finds no boxes")
    return DetectionCriteria(**{names[word]: value for word, value in given.items()})


def report(metrics: "Metrics") -> None:
    """What `test` says to people."""
    console.say(metrics.headline())
    for title, rows in metrics.tables():
        console.say()
        if title:
            console.say(title)
        console.say(console.table(rows))
