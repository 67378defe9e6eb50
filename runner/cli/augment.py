"""Draw a sheet of augmented training images with their labels: the first batches, augmented as [net] says.

Each row shows the first images of one batch.  With mixup=, cutmix= or mosaic=, half of the batches are mixed; of a
detector, whose boxes are drawn, half of the images.  With --of, every image is an augmentation of the same one.

  python run.py augment cfg/net.cfg --save sheet.png
  python run.py augment cfg/net.cfg --save sheet.png --set net.angle=30 --set net.cutmix=1
  python run.py augment cfg/net.cfg --save sheet.png --of 17          one image, by number (from 0) or path
"""
import argparse
import itertools
from typing import TYPE_CHECKING, Any

from runner.cli import common, console, runs
from runner.errors import counted

if TYPE_CHECKING:
    import numpy as np

    from runner.images.contact_sheet import Thumbnail
    from runner.network import Network
    from runner.training import Task

SHOWN = ("min_crop", "max_crop", "angle", "aspect", "flip", "hue", "saturation", "exposure", "blur", "mixup", "cutmix",
         "mosaic", "label_smooth_eps")
# of a detector, in [net] and in its last head
SHOWN_BOXES = ("letter_box", "flip", "hue", "saturation", "exposure", "blur", "gaussian_noise", "mixup", "mosaic",
               "mosaic_bound")
SHOWN_HEAD = ("jitter", "resize", "random")


def arguments(parser: argparse.ArgumentParser) -> None:
    runs.network_argument(parser)
    parser.add_argument("--save", metavar="FILE", required=True, action=common.Output, content="image",
                        help="output file; its extension selects the format")
    common.data_options(parser)
    parser.add_argument("--of", metavar="IMAGE", help="use only this training image, by number or path")
    parser.add_argument("--rows", type=common.positive, metavar="N", help="number of batches (default 6; with boxes 4)")
    parser.add_argument("--columns", type=common.positive, metavar="N",
                        help="images per batch (default 8; with boxes 4)")
    parser.add_argument("--size", type=common.positive, metavar="PIXELS",
                        help="of an image on the sheet (default 112; with boxes 256)")
    common.network_options(parser)


def run(args: argparse.Namespace) -> int:
    from runner.detection import detection_heads
    from runner.images.contact_sheet import contact_sheet
    if args.of:         # an image mixed with itself shows nothing
        args.settings = [*args.settings, "net.mixup=0", "net.cutmix=0", "net.mosaic=0"]
    common.require_image_name(args.save)
    runs.choose_network(args)
    net = common.load_network(args, allocate=False)
    task = common.open_network_task(args, net)
    task.require_training_data()
    row_count, column_count, size = (4, 4, 256) if detection_heads(net.layers) else (6, 8, 112)
    rows = [("before", [_use_only(task, args.of)])] if args.of else []
    with task.batches() as batches:
        for number, (x, truth) in enumerate(itertools.islice(batches, args.rows or row_count), 1):
            images = [_thumbnail(image, row, task.classes) for image, row in zip(x, truth, strict=True)]
            rows.append((f"batch {number}", images[:args.columns or column_count]))
    page = contact_sheet([f"{args.cfg}, trained on {task.source}", *_settings(net)], rows, args.size or size)
    common.save_image(page, args.save)
    console.say(f"{args.save}: {counted(sum(len(images) for _, images in rows), 'image')}, {page.width} x "
                f"{page.height} pixels")
    return 0


def _settings(net: "Network") -> list[str]:
    """The options of the augmentation, for the heading."""
    from runner.detection import detection_heads
    from runner.images import channels_shown
    o, heads = net.options, detection_heads(net.layers)
    options = [(name, getattr(o, name)) for name in (SHOWN_BOXES if heads else SHOWN)]
    lines = [f"{o.width} x {o.height} x {o.channels}  " + "  ".join(f"{name}={_plain(v)}" for name, v in options)]
    if shown := channels_shown(o.channels):
        lines.append(f"shown: {shown}")
    if heads:
        head = net.layers[heads[-1]]
        lines.append(f"[{head.names[0]}]  " + "  ".join(f"{name}={_plain(getattr(head.options, name))}"
                                                        for name in SHOWN_HEAD))
    return lines


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(int(value))


def _use_only(task: "Task", which: str) -> "Thumbnail":
    """Restrict the task's training data to one image -> that image without augmentation."""
    import dataclasses

    from runner.errors import DataError, UsageError
    from runner.reading.numbers import is_whole, shown, whole
    data: Any = getattr(task, "data", None)
    if data is None:
        raise UsageError("--of needs a network that is trained on images")
    paths = [item[0] for item in data.train]
    number = whole(which) if is_whole(which) else -1
    if not 0 <= number < len(paths) and which not in paths:
        raise DataError(f"--of: {task.source} has {len(paths)} training images, 0 to {len(paths) - 1}; {shown(which)} "
                        "is not one of them")
    index = number if 0 <= number < len(paths) else paths.index(which)
    task.data = dataclasses.replace(data, train=data.train.take([index]))    # type: ignore[attr-defined]
    channels = task.net.in_shape[0]
    from runner.images import to_float, to_pil
    return to_pil(to_float(data.train.read(index, channels))), paths[index].rpartition("/")[2]


def _thumbnail(image: "np.ndarray", truth: "np.ndarray", names: list[str]) -> "Thumbnail":
    """An image with its label as caption, or with its boxes."""
    from runner.images import pixel_corners, to_pil
    from runner.images.draw import draw_boxes
    if truth.ndim == 1:
        return to_pil(image), label_text(truth, names)
    h, w = image.shape[1:]
    rows = truth[truth[:, 2] > 0]
    boxes = [(names[kind] if kind < len(names) else str(kind), kind, None, corners)
             for kind, corners in zip(rows[:, 4].astype(int).tolist(), pixel_corners(rows, w, h).tolist(), strict=True)]
    return draw_boxes(image, boxes), counted(len(boxes), "box")


def label_text(truth: "np.ndarray", names: list[str]) -> str:
    """(classes,) -> "7", the labels "cat, dog", or a line per class of a mixed image.  What label smoothing adds to all
    is left out."""
    best = [int(i) for i in (-truth).argsort(kind="stable") if truth[i] > truth.min() + 1e-3]
    if not best and truth.sum() < .5:
        return "no label"
    best = best or [int(truth.argmax())]
    if all(truth[i] > 0.999 for i in best):
        return ", ".join(names[i] for i in best)
    return "\n".join(f"{names[i]} {100 * truth[i]:.0f} %" for i in best)
