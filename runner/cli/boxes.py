"""Shared by `detect` and `test`: which of the boxes of a detector are kept, and tiles."""
import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runner.cli import common, console
from runner.errors import counted

if TYPE_CHECKING:
    from runner.detection import NmsOptions
    from runner.inference.detect import ImageDetections
    from runner.network import Network

MERGES = ("nmm", "nms", "wbf")      # of runner.detection.merge
NMS_KINDS = ("iou", "greedynms", "diounms", "soft", "soft-linear")     # of runner.detection.nms.KINDS


def nms_options(parser: argparse._ActionsContainer) -> None:
    """--nms-kind, --agnostic-nms, --max-det, --class, --not-class."""
    parser.add_argument("--nms-kind", choices=NMS_KINDS,
                        help="how overlapping boxes are suppressed: by IoU; by DIoU, as AlexeyAB's nms_kind=greedynms "
                             "and diounms; soft: their confidence is lowered by a Gaussian of the IoU, soft-linear: by "
                             "the IoU (default: as nms_kind= of the last head says)")
    parser.add_argument("--agnostic-nms", action="store_true", default=None,
                        help="boxes suppress each other whatever their class: one class for each object")
    parser.add_argument("--max-det", type=common.positive, metavar="N",
                        help="at most N boxes in an image, those with the highest confidence (default: all)")
    parser.add_argument("--class", action="append", default=[], dest="classes", metavar="NAME",
                        help="only objects of this class, by name or number; may be repeated")
    parser.add_argument("--not-class", action="append", default=[], dest="not_classes", metavar="NAME",
                        help="no objects of this class; may be repeated")


def tile_options(parser: argparse._ActionsContainer) -> None:
    """--tiles, --overlap, --merge."""
    parser.add_argument("--tiles", metavar="auto|WxH",
                        help="for small objects in large images: detect in overlapping tiles of this size, pixels, "
                             "and in the whole image. auto: tiles as large as the network's input, larger ones "
                             "where there would be more than 200, none for an image less than 1.5 times as large as "
                             "the input")
    parser.add_argument("--overlap", type=common.share, metavar="P",
                        help="with --tiles: the share of a tile's side that neighbours have in common, at least "
                             "(default .2)")
    parser.add_argument("--merge", choices=MERGES,
                        help="with --tiles: how boxes of one object in several tiles become one: nms, the best of "
                             "them; nmm, the same, but parts that tiles have cut are joined; wbf, their weighted mean "
                             "(default nmm)")
    parser.add_argument("--no-whole", action="store_false", default=None, dest="whole",
                        help="with --tiles: not in the whole image, where nothing is larger than a tile")


def tile_choice(args: Any) -> dict[str, Any]:
    """The arguments tiles, overlap, merge and whole, where they are given.  UsageError for options that do not fit."""
    from runner.errors import UsageError
    given = {name: getattr(args, name) for name in ("overlap", "merge", "whole") if getattr(args, name) is not None}
    if args.tiles is None and given:
        name = next(iter(given))
        raise UsageError(f"--{'no-whole' if name == 'whole' else name} is of --tiles, which is not given")
    if args.tiles is not None:
        from runner.inference.tiling import Tiling, tiling
        try:
            tiling(args.tiles, given.get("overlap", Tiling.overlap), given.get("merge", Tiling.merge))
        except UsageError as error:
            raise UsageError(f"--tiles: {error}") from None
    return {"tiles": args.tiles} | given


def detail_tiles(args: Any, net: "Network", result: "ImageDetections") -> None:
    """--verbose: the tiles of an image."""
    if args.tiles is None or result.error or not console.verbose():
        return
    from runner.inference.tiling import Tiling, tiling
    cut = tiling(args.tiles, Tiling.overlap if args.overlap is None else args.overlap)
    assert cut is not None
    crops = cut.crops(result.size, (net.in_shape[2], net.in_shape[1]))
    sides = f" of {crops[0][2] - crops[0][0]}x{crops[0][3] - crops[0][1]} pixels" if len(crops) else ""
    console.detail(f"{result.image}: {counted(len(crops), 'tile')}{sides}, in an image of "
                   f"{result.size[0]}x{result.size[1]}")


def nms_choice(args: Any, names: Sequence[str], count: int) -> "NmsOptions":
    """What the options ask for.  UsageError for a class that is not one of the `count` classes."""
    from runner.detection import NmsOptions, chosen_classes
    from runner.errors import UsageError
    try:
        classes = chosen_classes(args.classes, args.not_classes, names, count)
    except UsageError as error:
        flags = "--class" if not args.not_classes else "--not-class" if not args.classes else "--class, --not-class"
        raise UsageError(f"{flags}: {error}") from None
    return NmsOptions(args.nms, args.nms_kind, bool(args.agnostic_nms), args.max_det, classes)
