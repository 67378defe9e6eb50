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
                        help="compute with that fork's formulas (default: exact; runner/compat.py lists them)")
    parser.add_argument("--strict", action="store_true", help="an option nobody knows is an error")
    parser.add_argument("--seed", type=natural, default=0, help="of every random number (default 0)")
    parser.add_argument("--threads", type=positive, metavar="N", help="cores to use (default: all; results do not depend on it)")


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
    net = runner.load(args.cfg, weights, seed=args.seed, settings=args.settings, compat=args.compat, report=report)
    console.warn(report.warnings)
    return net


def load_trained(args: Any) -> tuple["Network", "RunFolder"]:
    """The network with the weights asked for, or those training left."""
    from runner.training import RunFolder
    folder = RunFolder(args.cfg)
    return load_network(args, folder.weights(args.weights)), folder


def open_data(args: Any, net: "Network") -> "Dataset":
    """The data set of the run, checked against the network."""
    from runner.datasets import find_data, open_dataset
    data = open_dataset(find_data(args.cfg, args.data, net.options.data or None))
    console.warn(data.warnings)
    check_classes(args.cfg, net, len(data.names), str(data.source))
    return data


def check_classes(cfg: str, net: "Network", classes: int, source: str) -> None:
    """DataError unless the network has one output for each class; it names the number that would be right."""
    import math

    from runner.errors import DataError
    outputs = math.prod(net.out_shape)
    if len(net.in_shape) != 3:
        raise DataError(f"{cfg}: the network takes {net.in_shape[0]} values, no images: [net] needs width, height "
                        "and channels")
    if outputs != classes:
        shaped = [(i, layer) for i, layer in enumerate(net.layers) if "weights" in layer.specs]
        index, layer = shaped[-1] if shaped else (net.last, net.layers[net.last])
        option = "output" if layer.names[0] == "connected" else "filters"
        raise DataError(f"{cfg}: the network has {outputs} outputs, and {source} has {classes} classes: set "
                        f"{option}={classes} in layer {index} [{layer.names[0]}]")


def evaluation_batches(args: Any, net: "Network", split: "Split") -> Any:
    """The images of a split once, in order, prepared as `predict` prepares them."""
    from runner.datasets import batches
    channels, height, width = net.in_shape
    return batches(split, batch=max(net.options.batch // net.options.subdivisions, 1), width=width, height=height,
                   channels=channels, on_bad=args.on_bad, warn=lambda sentence: console.warn([sentence]))
