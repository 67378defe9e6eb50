"""What several verbs share: their options, and loading a network with its warnings said aloud."""
import argparse
from typing import TYPE_CHECKING, Any

from runner.cli import console

if TYPE_CHECKING:
    from runner.datasets import Dataset, Split
    from runner.network import Network
    from runner.training import RunFolder


def positive(text: str) -> int:
    """An argument that counts something: 1, 2, 3 ..."""
    return _at_least(1, text)


def natural(text: str) -> int:
    """An argument that may be 0: 0, 1, 2 ..."""
    return _at_least(0, text)


def _at_least(low: int, text: str) -> int:
    if not text.isdecimal() or int(text) < low:
        raise argparse.ArgumentTypeError(f"must be a whole number, at least {low}. Got {text!r}")
    return int(text)


def network_options(parser: argparse.ArgumentParser) -> None:
    """--set, --compat, --strict, --seed, --threads."""
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.OPTION=VALUE", dest="settings",
                        help="change the cfg for this run: net.batch=32, or a layer by its index, 5.probability=0.3")
    parser.add_argument("--compat", choices=("alexeyab", "pjreddie"),
                        help="compute with that fork's formulas (default: exact; see docs/compat.md)")
    parser.add_argument("--strict", action="store_true", help="an option nobody knows is an error")
    parser.add_argument("--seed", type=natural, default=0, help="of every random number (default 0)")
    parser.add_argument("--threads", type=positive, metavar="N",
                        help="cores to use (default: all; results do not depend on it)")


def data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", metavar="PATH", help="a folder with a folder per class, a .data or a .yaml file "
                                                      "(default: [net] data=, then data/<cfg name>)")
    parser.add_argument("--on-bad", choices=("skip", "error"), default="skip",
                        help="an image that cannot be read is named and skipped, or ends the run (default skip)")


def weights_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", metavar="FILE",
                        help="default: what training left, weights/<cfg name>/best.weights or last.weights")


def json_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", metavar="FILE", help="write the results for a program to read; - is stdout")


def load_network(args: Any, weights: Any = None) -> "Network":
    """The network of args.cfg; its warnings go to stderr."""
    import runner
    from runner.config import Report
    from runner.ops import parallel
    if args.threads:
        parallel.set_threads(args.threads)
    report = Report(args.strict)
    try:
        return runner.load(args.cfg, weights, seed=args.seed, settings=args.settings, compat=args.compat,
                           report=report)
    finally:
        console.warn(report.warnings)


def load_trained(args: Any) -> tuple["Network", "RunFolder"]:
    """The network with the weights asked for, or those training left."""
    from runner.errors import WeightsError
    from runner.training import RunFolder
    folder = RunFolder(args.cfg)
    path = folder.weights(args.weights)
    how = folder.facts().get("compat", "exact")
    if folder.holds(path) and how != (args.compat or "exact"):
        wanted = "without --compat" if how == "exact" else f"with --compat {how}"
        console.warn([f"{path} was trained {wanted}: its numbers are meant for that"])
    try:
        return load_network(args, path), folder
    except WeightsError as error:
        settings = folder.facts().get("settings") or []
        if not folder.holds(path) or settings == args.settings:
            raise
        options = " ".join(f"--set {setting}" for setting in settings) or "no --set"
        raise WeightsError(f"{error}. They were trained with {options}: say the same here") from None


def open_data(args: Any, net: "Network") -> "Dataset":
    """The data set of the run, checked against the network."""
    from runner.datasets import find_data, open_dataset
    data = open_dataset(find_data(args.cfg, args.data, net.options.data or None))
    console.warn(data.warnings)
    check_classes(args.cfg, net, len(data.names), str(data.source))
    return data


def no_detector(cfg: str, net: "Network") -> None:
    """UsageError for a network that finds boxes: its outputs are no probabilities of classes."""
    from runner.detection import detection_heads
    from runner.errors import UsageError
    heads = detection_heads(net.layers)
    if heads:
        raise UsageError(f"{cfg}: layer {heads[0]} [{net.layers[heads[0]].names[0]}] finds boxes, no classes of whole "
                         f"images: python run.py detect {cfg} IMAGES runs it. Detectors are trained from Python "
                         "(runner.train), not by a verb yet")


def check_classes(cfg: str, net: "Network", classes: int, source: str) -> None:
    """DataError unless the network has one output for each class; it names the number that would be right."""
    import math

    from runner.errors import DataError
    from runner.layers.base import Head, shape_text
    no_detector(cfg, net)
    outputs = math.prod(net.out_shape)
    if len(net.in_shape) != 3:
        raise DataError(f"{cfg}: the network takes {net.in_shape[0]} values, no images: [net] needs width, height "
                        "and channels")
    if outputs != classes:
        last = net.layers[net.last]
        shape = last.in_shapes[0] if isinstance(last, Head) else last.out_shape
        if len(shape) == 3 and shape[1:] != (1, 1):
            place = f"before layer {net.last} [{last.names[0]}]" if isinstance(last, Head) else "at its end"
            raise DataError(f"{cfg}: the network ends with a map of {shape_text(shape)}, and {source} has {classes} "
                            f"classes, one value for each: put [avgpool] or [connected] {place}")
        shaped = [(i, layer) for i, layer in enumerate(net.layers) if "weights" in layer.specs]
        index, layer = shaped[-1] if shaped else (net.last, net.layers[net.last])
        option = "output" if layer.names[0] == "connected" else "filters"
        raise DataError(f"{cfg}: the network has {outputs} outputs, and {source} has {classes} classes: set "
                        f"{option}={classes} in layer {index} [{layer.names[0]}]")


def evaluation_batches(args: Any, net: "Network", split: "Split") -> Any:
    """The images of a split once, in order, prepared as `predict` prepares them."""
    from runner.datasets import batches
    from runner.inference import batch_size
    channels, height, width = net.in_shape
    return batches(split, batch=batch_size(net), width=width, height=height, channels=channels,
                   on_bad=args.on_bad, warn=lambda sentence: console.warn([sentence]))
