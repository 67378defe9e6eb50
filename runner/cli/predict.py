"""Classify images: any mix of images, folders, globs and list files (.txt), or - for a list on stdin.

  python run.py predict cfg/net.cfg data/digits/test/7
  python run.py predict cfg/net.cfg a.png 'photos/*.jpg' --top 3 --json result.json
  python run.py predict cfg/net.cfg a.png --samples 20      Monte-Carlo dropout: mean and deviation
  python run.py predict tags.cfg a.png --thresh .3          a network that learned several labels per image

Of a network that learned several labels per image, all labels above --thresh are printed; where none is, the most
probable one in parentheses.
"""
import argparse
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from runner.cli import common, console, json_lines, runs
from runner.errors import DataError, counted

if TYPE_CHECKING:
    from runner.chosen_run import ChosenRun
    from runner.inference.classify import Result
    from runner.network import Network


def arguments(parser: argparse.ArgumentParser) -> None:
    runs.network_argument(parser)
    parser.add_argument("images", nargs="+", help="images, folders, globs, list files, -")
    common.weights_option(parser)
    common.size_option(parser)
    parser.add_argument("--top", type=common.positive, default=0, metavar="K",
                        help="number of classes per image (default: 3 in the table, 5 in --json; with several labels "
                             "per image those above --thresh in the table, all in --json)")
    parser.add_argument("--thresh", type=common.share, metavar="P",
                        help="networks that learn several labels per image: the labels with a higher probability "
                             "(default .5)")
    parser.add_argument("--samples", type=common.positive, default=0, metavar="N",
                        help="Monte-Carlo dropout: run each image N times with [dropout] active as in training, and "
                             "report mean and standard deviation as a measure of uncertainty (see --seed)")
    parser.add_argument("--names", metavar="FILE",
                        help="class names, one per line (default: those of the training run, or the .names file in the "
                             "folder of the weights or the cfg that has as many lines as there are classes)")
    fit = parser.add_mutually_exclusive_group()
    fit.add_argument("--letterbox", action="store_const", const="letterbox", dest="how", default="crop",
                     help="keep the aspect ratio and pad, as pjreddie's darknet does (default: crop the centre, as "
                          "AlexeyAB's does)")
    fit.add_argument("--stretch", action="store_const", const="stretch", dest="how",
                     help="stretch the images to the network's input")
    common.on_bad_option(parser)
    common.json_option(parser)
    json_lines.options(parser)
    common.network_options(parser)


def run(args: argparse.Namespace) -> int:
    if json_lines.requested(args):
        return write_parts(args)
    from runner.cli.console import one_line
    from runner.datasets import expand_images
    from runner.inference.classify import infer, require_classifier
    from runner.network_checks import gives_probabilities
    images = expand_images(args.images)
    console.detail(f"images: {len(images):,}, of {counted(len(args.images), 'argument')}")
    net, run = runs.load_trained(args, onnx=True)
    require_classifier(net, args.cfg)
    names = class_names(args, run, math.prod(net.out_shape))
    thresh = label_threshold(args, net, run)
    key, number = ("probability", _per_cent) if gives_probabilities(net.layers, net.links, net.last) else \
        ("value", _value)
    results, bad = [], 0
    top = shown_classes(args, net, names, thresh)
    width = max((len(one_line(image)) for image in images), default=0)
    for result in infer(net, images, names=names, top=top, how=args.how, on_bad=args.on_bad, samples=args.samples,
                        seed=args.seed):
        if result.error:
            bad += 1
            console.warn([result.error])
            continue
        if args.json:
            results.append(as_json(result, key, thresh, args.samples))
        if args.json != "-":
            shown = result.predictions[:args.top or 3]
            if thresh is not None and not args.top:
                shown = tuple(p for p in result.predictions if p.probability > thresh)
            labels = [one_line(p.name) for p in shown]
            labels[:1] = [console.paint(label, "bold") for label in labels[:1]]
            line = "   ".join(f"{label} {number(p.probability, p.spread)}"
                              for label, p in zip(labels, shown, strict=True))
            most = result.predictions[0]
            console.say(f"{one_line(result.image):{width}}  "
                        f"{line or f'({one_line(most.name)} {number(most.probability, most.spread)})'}")
    if args.json:
        console.write_json(args.json, results)
    if bad:
        console.remark(f"{bad} of {counted(len(images), 'image')} could not be read")
    return 2 if bad == len(images) else 0


def write_parts(args: argparse.Namespace) -> int:
    """--json-lines."""
    from runner.inference.classify import infer, require_classifier
    from runner.inference.plan import Plan
    from runner.network_checks import gives_probabilities
    status = json_lines.shared_out(args)
    if status is not None:
        return status
    with json_lines.once():
        net, run = runs.load_trained(args, onnx=True)
        require_classifier(net, args.cfg)
        names = class_names(args, run, math.prod(net.out_shape))
    thresh = label_threshold(args, net, run)
    key = "probability" if gives_probabilities(net.layers, net.links, net.last) else "value"
    top, plan = shown_classes(args, net, names, thresh), Plan(net)

    def results(images: Iterator[str], first: int) -> Iterator[dict[str, Any]]:
        for result in infer(net, images, names=names, top=top, how=args.how, on_bad=args.on_bad, samples=args.samples,
                            seed=args.seed, first=first, plan=plan):
            yield {"error": result.error, "image": result.image} if result.error else as_json(
                result, key, thresh, args.samples)
    return json_lines.write_parts(args, run, names, results)


def shown_classes(args: argparse.Namespace, net: "Network", names: list[str], thresh: float | None) -> int:
    """How many classes of an image are reported."""
    every = len(names) or math.prod(net.out_shape)
    return args.top or (every if thresh is not None else 5 if args.json or args.json_lines else 3)


def as_json(result: "Result", key: str, thresh: float | None, samples: int) -> dict[str, Any]:
    """One image in the format of --json.  key: what the outputs are, "probability" or "value"."""
    return {"image": result.image, "predictions": [
        {"class": p.name, "index": p.index, key: p.probability}
        | ({} if p.spread is None else {"spread": p.spread}) for p in result.predictions]} \
        | ({} if thresh is None else {"labels": [p.name for p in result.predictions if p.probability > thresh]}) \
        | ({"samples": samples} if samples else {})


def label_threshold(args: argparse.Namespace, net: "Network", run: "ChosenRun") -> float | None:
    """The probability above which an image gets a label; None for a network with one class per image.

    Where run.yaml does not say which it is, [logistic] at the end means several labels.
    """
    from runner.errors import UsageError
    from runner.layers import Logistic
    several = run.folder.several_labels(run.weights)
    if several is None:
        several = isinstance(net.layers[net.last], Logistic)
    if not several and args.thresh is not None:
        raise UsageError("--thresh is for networks that learned several labels per image, but the one of "
                         f"{args.cfg} predicts one class")
    return (.5 if args.thresh is None else args.thresh) if several else None


def _per_cent(probability: float, spread: float | None) -> str:
    return f"{100 * probability:5.1f}" + (" %" if spread is None else f" ± {100 * spread:4.1f} %")


def _value(value: float, spread: float | None) -> str:
    """An output that is not a probability: of a network that ends in another activation, for regression."""
    return f"{value or 0:.6g}" + ("" if spread is None else f" ± {spread:.3g}")


def class_names(args: argparse.Namespace, run: "ChosenRun", outputs: int) -> list[str]:
    """From --names, which must have enough, else those that `runs.class_names` finds."""
    if args.names:
        from runner.datasets.names_file import read_names
        count = len(read_names(args.names, []))
        if count < outputs:
            raise DataError(f"{args.names}: the network has {counted(outputs, 'output')}, but the file has "
                            f"{counted(count, 'name')}")
    return runs.class_names(args, run, outputs)
