"""Evaluate a trained network on the test split of its data.

A classifier: accuracy, top-5 accuracy, precision and recall per class, confusion matrix; where images have several
labels, average precision, precision, recall and F1 per class; where its outputs are not probabilities, the mean
absolute error and R squared of each.  A detector: mAP as AlexeyAB's `detector map` computes
it, mAP@.50:.95 as COCO does, precision, recall and F1 at a given and at the best confidence.  A character model: bits
per character.

  python run.py test cfg/net.cfg
  python run.py test cfg/net.cfg --weights other.weights --data photos/ --json -
  python run.py test cfg/net.cfg --wrong wrong.csv         the files of the wrong images
  python run.py test cfg/net.cfg --top-k 1,3               top-k accuracies
  python run.py test cfg/net.cfg --crops 10                the mean over ten crops of each image
  python run.py test cfg/darknet19.cfg --sizes 224,288     the mean over sizes, and mirror images
  python run.py test cfg/scenes.cfg --thresh .4 --iou .75  a detector
  python run.py test cfg/scenes.cfg --tiles auto           a detector, in tiles of large images
  python run.py test cfg/scenes.cfg --submit coco          the result file for COCO's evaluator
  python run.py test cfg/chars.cfg --data novel.txt        a character model: bits per character
"""
import argparse
from typing import TYPE_CHECKING, Any

from runner.cli import common, console, runs
from runner.cli.boxes import nms_options, tile_choice, tile_options

if TYPE_CHECKING:
    from runner.training import DetectionCriteria, Metrics, Task
    from runner.training.image_results import ImageResults
    from runner.training.submission import Submission


def arguments(parser: argparse.ArgumentParser) -> None:
    runs.network_argument(parser)
    common.weights_option(parser)
    common.size_option(parser)
    common.data_options(parser)
    parser.add_argument("--split", choices=("test", "train"), default="test",
                        help="evaluate on these images (default test)")
    parser.add_argument("--top-k", type=numbers, default=(), metavar="K,K",
                        help="report these top-k accuracies instead of top 5")
    parser.add_argument("--crops", type=int, choices=(1, 10), default=1,
                        help="10: corners and centre of an image a seventh larger, and their mirror images (without "
                             "mirror images, 5, if [net] flip=0); default 1")
    parser.add_argument("--sizes", type=numbers, default=(), metavar="W,W",
                        help="average the outputs at these input widths")
    parser.add_argument("--thresh", type=common.share, metavar="P",
                        help="detectors: count boxes above this confidence (default .25); several labels per image: "
                             "count labels above this probability (default .5); mAP uses all of them")
    boxes = parser.add_argument_group("detectors")
    boxes.add_argument("--iou", type=common.share, metavar="P",
                       help="a box is correct if its IoU with the ground truth is above this (default .5)")
    boxes.add_argument("--points", type=int, choices=(0, 11, 101),
                       help="average precision is the area under the curve (0, the default), or the mean precision at "
                            "this many recalls: 11 as in Pascal VOC 2007, 101 as in COCO")
    boxes.add_argument("--nms", type=common.share, metavar="P",
                       help="maximum IoU of two boxes of a class (default .45)")
    common.letterbox_options(boxes)
    nms_options(boxes)
    tile_options(boxes)
    boxes.add_argument("--submit", choices=("voc", "coco"),
                       help="write the files that the official evaluator takes: comp4_det_test_CLASS.txt for each "
                            "class, or coco_results.json")
    boxes.add_argument("--submit-to", metavar="FOLDER", action=common.Output, content="folder",
                       help="where --submit writes them (default results)")
    common.json_option(parser)
    parser.add_argument("--per-image", action="store_true",
                        help="the result of every image, as a table; with --json, in that file")
    parser.add_argument("--wrong", metavar="FILE", action=common.Output, content="errors",
                        help="list the wrong images as CSV, those with the highest probability first; of a detector "
                             "the wrong and the missed boxes, image by image; - is stdout")
    common.network_options(parser)


def numbers(text: str) -> tuple[int, ...]:
    """Argument type: a list of integers of at least 1: 1,3,5."""
    return tuple(common.positive(part.strip()) for part in text.split(","))


def run(args: argparse.Namespace) -> int:
    from runner.errors import UsageError, counted
    from runner.inference.detect import THRESHOLD
    from runner.training.tasks.classifier import Classifier
    from runner.training.tasks.detector import is_detector
    if args.json == args.wrong == "-":
        raise UsageError("--json - and --wrong - cannot both be stdout")
    if args.per_image and args.wrong == "-" and not args.json:
        raise UsageError("--per-image prints a table, and --wrong - is stdout: name a file for --wrong, or --json FILE")
    if args.submit_to and not args.submit:
        raise UsageError("--submit-to is where --submit writes, which is not given: add --submit voc or --submit coco")
    net, chosen = runs.load_trained(args, onnx=True)
    task = common.open_network_task(args, net, detection_criteria(args, net))
    if args.top_k or args.crops > 1 or args.sizes:
        if not isinstance(task, Classifier):
            raise UsageError("--top-k, --crops and --sizes are for image classifiers")
        if args.top_k and task.several_labels:
            raise UsageError(f"--top-k is for images of one class, but those of {task.source} have several labels")
        if args.top_k and task.values:
            raise UsageError(f"--top-k is for probabilities of classes, but the outputs of {args.cfg} are values")
        task.top_k, task.ten_crop, task.sizes = args.top_k, args.crops == 10, args.sizes
    if args.thresh is not None and isinstance(task, Classifier):
        if not task.several_labels:
            raise UsageError("--thresh is for detectors and for several labels per image, but the images of "
                             f"{task.source} have one")
        task.threshold = args.thresh
    submission = submission_of(args, task) if args.submit else None
    results = None
    if args.wrong or args.per_image or submission:
        metrics, results = task.evaluate_images(args.split)
    else:
        metrics = task.evaluate(args.split)
    if args.wrong and results:
        write_errors(args.wrong, results)
    if submission and results and results.detections:
        count = submission.write(results.detections)
        console.remark(f"{submission.folder.path / submission.files[0]}"
                       f"{' ...' if len(submission.files) > 1 else ''}: {counted(count, 'box')}")
    detector = is_detector(net)
    if args.json:
        console.write_json(args.json, metrics.as_json()
                           | ({"threshold": chosen.threshold or THRESHOLD} if detector else {})
                           | ({"per_image": results.images} if results and args.per_image else {}))
    if "-" not in (args.json, args.wrong):
        print_metrics(metrics)
        if detector and chosen.threshold:
            console.say(f"\n`detect` uses the threshold {chosen.threshold:g}, {runs.BEST_F1}, from "
                        f"{chosen.threshold_source}")
        if results and args.per_image and not args.json:
            console.say()
            console.say(console.table(results.table()))
    return 0


def submission_of(args: argparse.Namespace, task: "Task") -> "Submission":
    """What --submit will write; refused before anything is computed."""
    from runner.errors import UsageError
    from runner.outputs import OutputFolder
    from runner.training.submission import Submission
    from runner.training.tasks.detector import Detector
    if not isinstance(task, Detector):
        raise UsageError(f"--submit is for detectors, but {args.cfg} is not one")
    split = task.split(args.split)
    folder = OutputFolder("--submit-to", args.submit_to or "results", [image.path for image in split])
    submission = Submission(args.submit, split, task.classes, folder)
    for sentence in submission.remarks:
        console.remark(sentence)
    return submission


def write_errors(target: str, results: "ImageResults") -> None:
    """A row for each error, as CSV; paths as the system has them."""
    import csv
    import io

    from runner.files import atomic_write
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([results.columns, *results.errors])
    if target == "-":
        console.say(text.getvalue().removesuffix("\n"))
        return
    try:
        encoded = text.getvalue().encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:      # a class name with half a character
        encoded = text.getvalue().encode("utf-8", "backslashreplace")
    with atomic_write(target) as file:
        file.write(encoded)


def detection_criteria(args: argparse.Namespace, net: Any) -> "DetectionCriteria":
    """The options for detectors; UsageError if one is given but the network is not a detector.  Of a classifier,
    --thresh concerns its labels."""
    from runner.errors import UsageError
    from runner.network_checks import learns_several_labels
    from runner.training import DetectionCriteria
    from runner.training.tasks.detector import is_detector
    names = {"thresh": "confidence", "iou": "overlap", "overlap": "tile_overlap"} | {name: name for name in (
        "points", "nms", "letterbox", "nms_kind", "agnostic_nms", "max_det", "classes", "not_classes", "tiles",
        "merge", "whole")}
    tile_choice(args)
    options = {name: value for name in names if (value := getattr(args, name, None)) is not None and value != []}
    if learns_several_labels(net.layers, net.links, net.last):
        options.pop("thresh", None)
    if options and not is_detector(net):
        name = next(iter(options)) if options.get("letterbox") is not False else "stretch"
        flag = {"classes": "class", "not_classes": "not-class"}.get(name, name.replace("_", "-"))
        raise UsageError(f"--{flag} is for detectors, but {args.cfg} is not one")
    arguments: dict[str, Any] = {names[name]: tuple(value) if isinstance(value, list) else value
                                 for name, value in options.items()}
    return DetectionCriteria(**arguments)


def print_metrics(metrics: "Metrics") -> None:
    """The headline and the tables."""
    console.say(metrics.headline())
    for title, rows in metrics.tables():
        console.say()
        if title:
            console.say(title)
        console.say(console.table(rows))
