"""Find anchors for a detection data set: k-means over the sizes of its boxes, as [yolo] and [region] want them.

With a cfg the size of its input, its data and its heads are taken from there.

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
    parser.add_argument("cfg", nargs="?", help="the detector they are for")
    parser.add_argument("--data", metavar="PATH", help="a folder, a .data, .yaml or COCO .json file (default: what the "
                                                       "cfg would be trained on)")
    parser.add_argument("--clusters", type=common.positive, metavar="N",
                        help="how many anchors (default: as many as the cfg has, else 6)")
    parser.add_argument("--width", type=common.positive, help="of the network's input, pixels (default: the cfg's, "
                                                              "else 416)")
    parser.add_argument("--height", type=common.positive, help="likewise")
    common.letterbox_options(parser)
    parser.add_argument("--seed", type=common.natural, default=0, help="of the first guess (default 0)")
    parser.add_argument("--save", metavar="FILE", help="draw the boxes' widths and heights with the anchors")
    common.json_option(parser)


def run(args: argparse.Namespace) -> int:
    import numpy as np

    from runner.datasets import find_data, open_detection_dataset
    from runner.detection import kmeans_anchors
    from runner.errors import DataError, UsageError
    from runner.training import suggest_anchors
    if not args.cfg and not args.data:
        raise UsageError("anchors: name a cfg, or a data set by --data")
    net = network(args.cfg) if args.cfg else None
    source = find_data(args.cfg, args.data, net.options.data or None) if net else find_data("", args.data)
    data = open_detection_dataset(source)
    console.warn(data.warnings)
    split = data.train or data.test
    if split is None or not len(split.boxes()):
        raise DataError(f"{data.source}: there are no boxes")
    letterbox = args.letterbox if args.letterbox is not None else bool(net and net.options.letter_box)
    heads = suggest_anchors.anchor_heads(net) if net else []
    width, height = args.width or (net.in_shape[2] if net else 416), args.height or (net.in_shape[1] if net else 416)
    boxes = suggest_anchors.box_sizes(split, width, height, letterbox)
    clusters = args.clusters or (sum(suggest_anchors.anchor_count(head) for _, head in heads) if heads else 6)
    found = kmeans_anchors(boxes, clusters, args.seed)
    sizes, how = suggest_anchors.rounded(found.sizes), suggest_anchors.assign_to_heads(clusters, len(data.names), net)
    in_cells = bool(heads) and heads[0][1].names[0] == "region"
    shown = np.round(found.sizes / suggest_anchors.stride_of(heads[0][1]), 4) if in_cells else sizes
    overlap = suggest_anchors.mean_iou(boxes, sizes)
    counts = [int(n) for n in split.counts()]
    if args.json:
        console.write_json(args.json, {
            "width": width, "height": height, "boxes": len(boxes), "anchors": shown.tolist(), "mean_iou": overlap,
            "counters_per_class": counts, "heads": [vars(one) for one in how]})
    if args.save:
        save(args.save, boxes, found.members, sizes)
    if args.json != "-":
        console.say(f"{data.source}: {len(boxes)} boxes on {len(split)} images, at {width} x {height} pixels; mean IoU "
                    f"with the nearest anchor {100 * overlap:.1f} %\n")
        tell(shown, found.members, how, counts, in_cells)
    return 0


def network(cfg: str) -> "Network":
    """The network of the cfg, without weights.  A cfg that is not finished (its filters= may be what is asked) is
    an error with the number that would be right, as always."""
    from runner.config import Report
    from runner.errors import CfgError, UsageError
    from runner.model import load
    from runner.training.suggest_anchors import anchor_heads
    try:
        net = load(cfg, allocate=False, report=Report(False))
    except CfgError as error:
        raise CfgError(*error.messages, "anchors: without a cfg, --width and --height say all that is needed") from None
    if not anchor_heads(net):
        raise UsageError(f"{cfg}: there is no [yolo], [Gaussian_yolo] or [region]: it has no anchors")
    return net


def tell(sizes: Any, members: Any, how: "list[HeadAnchors]", counts: list[int], in_cells: bool) -> None:
    """The lines as the cfg wants them, ready to be copied."""
    from runner.training.suggest_anchors import anchors_line
    console.say(f"anchors={anchors_line(sizes)}")
    console.say(f"num={len(sizes)}")
    for one in how:
        mask = "" if in_cells else f"mask={','.join(map(str, one.mask))}   and "
        console.say(f"{one.head}:   {mask}filters={one.filters} in the [convolutional] before it")
    console.say(f"counters_per_class={','.join(map(str, counts))}   (if rare classes are to learn more)\n")
    unit = "cells" if in_cells else "pixels"
    rows = [("anchor", unit, "boxes nearest to it")]
    rows += [(str(i), f"{w:g} x {h:g}", str(int((members == i).sum()))) for i, (w, h) in enumerate(sizes)]
    console.say(console.table(rows))


def save(target: str, boxes: Any, members: Any, sizes: Any) -> None:
    from pathlib import Path

    from runner.images.draw import draw_anchors
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    draw_anchors(boxes, members, sizes).save(target)
