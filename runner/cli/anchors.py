"""Find anchors for a detection dataset: k-means clusters of its box sizes, in the format of [yolo] and [region].

The input size, the data and the heads are taken from the cfg, if there is one.

  python run.py anchors cfg/scenes.cfg
  python run.py anchors --data photos/ --clusters 6 --width 416 --height 416 --save cloud.png
"""
import argparse
from typing import TYPE_CHECKING, Any

from runner.cli import common, console

if TYPE_CHECKING:
    from runner.network import Network
    from runner.training.suggest_anchors import HeadAnchors


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cfg", nargs="?", help="the detector: a cfg, or a training run")
    common.data_option(parser, "detection", default="the training data of the cfg")
    parser.add_argument("--clusters", type=common.positive, metavar="N",
                        help="number of anchors (default: as in the cfg, else 6)")
    parser.add_argument("--width", type=common.positive, help="of the network's input, in pixels (default: as in the "
                                                              "cfg, else 416)")
    parser.add_argument("--height", type=common.positive, help="likewise")
    common.letterbox_options(parser)
    parser.add_argument("--seed", type=common.natural, default=0, help="of the initial clusters (default 0)")
    parser.add_argument("--save", metavar="FILE", action=common.Output, content="image",
                        help="plot the widths and heights of boxes and anchors")
    common.json_option(parser)


def run(args: argparse.Namespace) -> int:
    import numpy as np

    from runner.datasets import find_data, open_detection_dataset
    from runner.detection import kmeans_anchors
    from runner.errors import DataError, UsageError, plural
    from runner.training import suggest_anchors
    if args.save:
        common.require_image_name(args.save)
    if not args.cfg and not args.data:
        raise UsageError("anchors: needs a cfg, or a dataset with --data")
    _choose(args)
    net = network(args.cfg, args.width, args.height) if args.cfg else None
    source = find_data(args.cfg, args.data, net.options.data or None) if net else find_data("", args.data)
    data = open_detection_dataset(source)
    console.detail(f"data: {data.source} ({'--data' if args.data else 'of the cfg'})")
    console.warn(data.warnings)
    split = data.train or data.test
    if split is None or not len(split.boxes()):
        raise DataError(f"{data.source}: no boxes")
    letterbox = args.letterbox if args.letterbox is not None else bool(net and net.options.letter_box)
    heads = suggest_anchors.anchor_heads(net) if net else []
    _, height, width = net.in_shape if net else (0, args.height or 416, args.width or 416)
    boxes = suggest_anchors.box_sizes(split, width, height, letterbox)
    clusters = args.clusters or (sum(suggest_anchors.anchor_count(head) for _, head in heads) if heads else 6)
    found = kmeans_anchors(boxes, clusters, args.seed)
    sizes = suggest_anchors.rounded(found.sizes)
    different = len(np.unique(sizes, axis=0))
    if different < clusters:
        console.warn([f"{different} of the {clusters} anchors {'is' if different == 1 else 'are'} different, the "
                      "others are repetitions, since the boxes are alike. Of equal anchors only the first learns: use "
                      f"--clusters {different}"])
    assignment = suggest_anchors.assign_to_heads(clusters, len(data.names), net)
    in_cells = bool(heads) and heads[0][1].names[0] == "region"
    shown = np.round(found.sizes / suggest_anchors.stride_of(heads[0][1]), 4) if in_cells else sizes
    overlap = suggest_anchors.mean_iou(boxes, sizes)
    counts = [int(n) for n in split.counts()]
    if args.json:
        console.write_json(args.json, {
            "width": width, "height": height, "boxes": len(boxes), "anchors": shown.tolist(), "mean_iou": overlap,
            "counters_per_class": counts, "heads": [vars(one) for one in assignment]})
    if args.save:
        save_plot(args.save, boxes, found.members, sizes)
    if args.json != "-":
        console.say(f"{data.source}: {len(boxes)} {plural(len(boxes), 'box')} in {len(split)} "
                    f"{plural(len(split), 'image')}, at {width} x {height} pixels; mean "
                    f"IoU with the best anchor {100 * overlap:.1f} %\n")
        print_lines(shown, found.members, assignment, counts, in_cells)
    return 0


def _choose(args: argparse.Namespace) -> None:
    """A training run stands for its cfg and its data."""
    from runner.chosen_run import choose
    run = choose(args.cfg) if args.cfg else None
    if run and run.is_run and run.as_trained:
        args.cfg, args.data = str(run.cfg), args.data or run.data


def network(cfg: str, width: int | None = None, height: int | None = None) -> "Network":
    """The network of the cfg, without weights, at another input size if one is given.

    CfgError, with the correct filters= or the sizes that fit, if it is not consistent yet.
    """
    from runner.config import Report
    from runner.errors import CfgError, UsageError
    from runner.model import load
    from runner.training.suggest_anchors import anchor_heads
    sizes = (("width", width), ("height", height))
    try:
        net = load(cfg, settings=[f"net.{name}={pixels}" for name, pixels in sizes if pixels], allocate=False,
                   report=Report(False))
    except CfgError as error:
        raise CfgError(*error.messages, "anchors: to run without a cfg, use --data with --width and --height") from None
    if not anchor_heads(net):
        raise UsageError(f"{cfg}: no layer has anchors: there is no [yolo], [Gaussian_yolo] or [region]")
    return net


def print_lines(sizes: Any, members: Any, assignment: "list[HeadAnchors]", counts: list[int],
                in_cells: bool) -> None:
    """The cfg lines, ready to be copied, and how many boxes each anchor fits best."""
    from runner.training.suggest_anchors import anchors_line
    console.say(f"anchors={anchors_line(sizes)}")
    console.say(f"num={len(sizes)}")
    for one in assignment:
        mask = "" if in_cells else f"mask={','.join(map(str, one.mask))}   and "
        console.say(f"{one.head}:   {mask}filters={one.filters} in the [convolutional] before it")
    console.say(f"counters_per_class={','.join(map(str, counts))}   (to weight rare classes more)\n")
    unit = "cells" if in_cells else "pixels"
    rows = [("anchor", unit, "boxes")]
    rows += [(str(i), f"{w:g} x {h:g}", str(int((members == i).sum()))) for i, (w, h) in enumerate(sizes)]
    console.say(console.table(rows))


def save_plot(target: str, boxes: Any, members: Any, sizes: Any) -> None:
    from pathlib import Path

    from runner.images.draw import draw_anchors
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    common.save_image(draw_anchors(boxes, members, sizes), target)
