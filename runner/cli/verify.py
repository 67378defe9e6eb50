"""Compare an ONNX model with the network it was made from, on images: output by output, box by box.

  python run.py verify cfg/net.cfg net.onnx data/digits/test/7
  python run.py verify yolov4-tiny.cfg --weights yolov4-tiny.weights yolov4-tiny.onnx photos/
"""
import argparse
from collections.abc import Mapping

from runner.cli import common, console, runs
from runner.errors import UsageError, counted, plural
from runner.reading.numbers import shown


def arguments(parser: argparse.ArgumentParser) -> None:
    runs.network_argument(parser)
    parser.add_argument("model", help="the ONNX file")
    parser.add_argument("images", nargs="+", help="images, folders, globs, list files, -")
    common.weights_option(parser)
    common.letterbox_options(parser)
    common.on_bad_option(parser)
    common.network_options(parser)


def _number(model: str, metadata: Mapping[str, str], key: str, usual: float) -> float:
    """A number of the model's metadata.  DataError where it is something else."""
    from runner.errors import DataError
    from runner.reading.numbers import real
    try:
        return real(metadata[key]) if key in metadata else usual
    except ValueError as problem:
        raise DataError(f"{model}: {key} in its metadata {problem}") from None


def run(args: argparse.Namespace) -> int:
    import numpy as np

    from runner.cli.export import print_differences
    from runner.datasets import expand_images
    from runner.errors import DataError
    from runner.export.verify import UNITS, OnnxSession, batches, differences, worst
    from runner.images import prepare, read_image
    images = expand_images(args.images)
    net, _ = runs.load_trained(args)
    c, h, w = net.require_images(args.cfg)
    session = OnnxSession(args.model, args.threads)
    want = session.inputs[0].shape[1:]
    if any(isinstance(side, int) and side != have for side, have in zip(want, (c, h, w), strict=False)) \
            or len(want) != 3:
        raise UsageError(f"{args.model} takes {want}, but the network takes {[c, h, w]} (channels, height, width)")
    form = session.metadata.get("form", "raw")
    if form not in UNITS:
        raise UsageError(f"{args.model}: form in its metadata must be one of {', '.join(UNITS)}. Got {shown(form)}")
    thresh, nms = (_number(args.model, session.metadata, key, usual) for key, usual in (("thresh", .25), ("nms", .45)))
    half, agnostic = (session.metadata.get(key) == "True" for key in ("half", "agnostic_nms"))
    letterbox = net.options.letter_box if args.letterbox is None else args.letterbox
    found, count, bad = [], 0, 0
    for path in images:
        try:
            x = prepare(read_image(path, c), w, h, "letterbox" if letterbox else "stretch")[None]
        except DataError as error:
            if args.on_bad == "error":
                raise
            console.warn([str(error)])
            bad += 1
            continue
        count += 1
        found += [differences(net, session, part, form=form, half=half, thresh=thresh, nms=nms,
                              agnostic=agnostic)
                  for part in batches(x.astype(np.float32), session.batch)]
    if not count:
        raise UsageError(f"none of {counted(len(images), 'image')} could be read")
    console.say(f"{args.model}, form {form}, on {count} {plural(count, 'image')} ({UNITS[form]}):")
    total = worst(found)
    print_differences(total)
    return 0 if all(one.fits for one in total) else 1
