"""Look into .weights files, compare them, and change them as darknet's file commands do.

  python run.py weights info cfg/net.cfg
  python run.py weights diff cfg/net.cfg one.weights two.weights
  python run.py weights partial cfg/darknet53.cfg darknet53.weights darknet53.conv.74 74
  python run.py weights average cfg/net.cfg mean.weights a.weights b.weights c.weights
"""
import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from runner.cli import common, console, runs
from runner.errors import UsageError, WeightsError, counted, plural

if TYPE_CHECKING:
    from runner.network import Network

OUT = "the file to write; it must not exist"


def arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(metavar="COMMAND", required=True, dest="command")

    def command(name: str, run: Callable[[argparse.Namespace], int], line: str, *words: tuple[str, str]) -> None:
        one = commands.add_parser(name, help=line, description=line)
        runs.network_argument(one)
        for word, meaning in words:
            one.add_argument(word, help=meaning, nargs="+" if word == "files" else None)
        if name == "info":
            common.weights_option(one)
            common.json_option(one)
        if name == "partial":
            one.add_argument("layers", type=common.positive, help="number of layers that are kept")
        if name == "oneoff":
            one.add_argument("--offset", type=common.positive, default=5, metavar="N",
                             help="outputs of an anchor before its classes (default: 5, box and confidence)")
            one.add_argument("--copies", type=common.positive, default=3, metavar="N", help="anchors (default: 3)")
        if name == "oneoff2":
            one.add_argument("layers", type=common.positive, help="the layer from which on the file is read again")
        common.network_options(one)
        one.set_defaults(act=run)
    file = ("file", "the weights")
    command("info", info, "header, and every array: shape, smallest, mean and largest value, NaN")
    command("statistics", statistics, "mean and variance of every array", file)
    command("diff", diff, "the largest difference of every array of two files", file, ("other", "the other weights"))
    command("partial", partial, "keep the first layers only: a pretrained backbone", file, ("out", OUT))
    command("average", average, "the mean of several files", ("out", OUT), ("files", "the weights"))
    command("rescale", changed, "for inputs from 0 to 1, of a network trained on inputs from -1 to 1", file,
            ("out", OUT))
    command("rgbgr", changed, "exchange red and blue in the first convolution", file, ("out", OUT))
    command("reset", changed, "fold batch norm into the weights; the file still has its arrays, as 1 and 0", file,
            ("out", OUT))
    command("denormalize", denormalize, "fold batch norm into the weights, and write a cfg without it", file,
            ("out", OUT + "; the cfg is written beside it"))
    command("oneoff", oneoff, "put the filters of a classifier's last convolution into the classes of a detector's",
            file, ("out", OUT))
    command("oneoff2", oneoff2, "read a file, and its beginning again into the later layers", file, ("out", OUT))


def run(args: argparse.Namespace) -> int:
    status: int = args.act(args)
    return status


def info(args: argparse.Namespace) -> int:
    from runner import weights
    from runner.reading.text import read_bytes
    from runner.weights_tools import describe
    net, chosen = runs.load_trained(args)
    path = chosen.weights or chosen.folder.weights()
    data = read_bytes(path, WeightsError)
    header, facts = weights.read_header(data, path), describe(net)
    if args.json:
        console.write_json(args.json, {"file": str(path), "version": list(header.version), "seen": header.seen,
                                       "arrays": [vars(one) | {"shape": list(one.shape)} for one in facts]})
        if args.json == "-":
            return 0
    console.say(f"{path}: version {'.'.join(map(str, header.version))}, {header.seen:,} "
                f"{plural(header.seen, 'image')} seen, {(len(data) - header.size) // 4:,} values, {len(data):,} bytes")
    rows = [["layer", "section", "array", "shape", "smallest", "mean", "largest", "std", "NaN, infinite"]]
    rows += [[str(one.layer), one.section, one.name, " x ".join(map(str, one.shape)), f"{one.smallest:.4g}",
              f"{one.mean:.4g}", f"{one.largest:.4g}", f"{one.std:.4g}", str(one.nonfinite or "")] for one in facts]
    console.say(console.table(rows, left=(1, 2, 3)))
    return 0


def _load(args: argparse.Namespace, file: str) -> "Network":
    return common.load_network(args, file)


def _cfg(args: argparse.Namespace) -> None:
    """The cfg of a run, where args.cfg names one."""
    runs.choose_network(args)


def statistics(args: argparse.Namespace) -> int:
    from runner.weights_tools import describe
    _cfg(args)
    rows = [["layer", "section", "array", "values", "mean", "variance"]]
    rows += [[str(one.layer), one.section, one.name, f"{math.prod(one.shape):,}", f"{one.mean:.6g}",
              f"{one.std ** 2:.6g}"] for one in describe(_load(args, args.file))]
    console.say(console.table(rows, left=(1, 2)))
    return 0


def diff(args: argparse.Namespace) -> int:
    """0 where both files are equal, else 1."""
    from runner.weights_tools import differences
    _cfg(args)
    one, other = _load(args, args.file), _load(args, args.other)
    found = [each for each in differences(one, other) if each.largest > 0]
    if not found:
        console.say("equal: every value of every array")
        return 0
    rows = [["layer", "section", "array", "largest difference", "at", "root mean square"]]
    rows += [[str(each.layer), each.section, each.name, f"{each.largest:.4g}", str(list(each.at)), f"{each.rms:.4g}"]
             for each in found]
    console.say(console.table(rows, left=(1, 2, 4)))
    return 1


def _new(path: str) -> str:
    """UsageError where there is such a file."""
    if Path(path).exists():
        raise UsageError(f"{path} exists, and is not overwritten: name another file")
    return path


def _save(net: "Network", path: str, cutoff: int | None = None) -> int:
    from runner import weights
    weights.save(net, path, cutoff=cutoff)
    console.say(f"{path}: {Path(path).stat().st_size:,} bytes")
    return 0


def partial(args: argparse.Namespace) -> int:
    _new(args.out)
    _cfg(args)
    net = _load(args, args.file)
    if args.layers > len(net.layers):
        raise UsageError(f"the network has {counted(len(net.layers), 'layer')}. Got {args.layers}")
    return _save(net, args.out, args.layers)


def average(args: argparse.Namespace) -> int:
    from runner import weights
    _new(args.out)
    _cfg(args)
    net = _load(args, args.files[0])
    weights.average(net, args.files)
    return _save(net, args.out)


def changed(args: argparse.Namespace) -> int:
    """rescale, rgbgr and reset: one function on the network."""
    from runner import weights_tools
    act: dict[str, Callable[[Network], object]] = {
        "rescale": weights_tools.rescale, "rgbgr": weights_tools.swap_colours, "reset": weights_tools.fold_batchnorm}
    _new(args.out)
    _cfg(args)
    net = _load(args, args.file)
    act[args.command](net)
    return _save(net, args.out)


def denormalize(args: argparse.Namespace) -> int:
    """The folded weights in a network without batch norm: another cfg."""
    from runner.config import write
    from runner.files import atomic_write
    from runner.weights_tools import fold_batchnorm
    cfg = str(Path(_new(args.out)).with_suffix(".cfg"))
    if Path(cfg) == Path(args.out):
        raise UsageError(f"{args.out}: this is the name of the cfg that is written beside the weights: name a .weights "
                         "file")
    _new(cfg)
    _cfg(args)
    net = _load(args, args.file)
    folded = fold_batchnorm(net)
    settings = args.settings
    args.settings = [*settings, *(f"{index}.batch_normalize=0" for index in folded)]
    plain = common.load_network(args)
    for old, new in zip(net.layers, plain.layers, strict=True):
        for name in new.stored:
            target = new.params[name] if name in new.params else new.buffers[name]
            target[...] = old.params[name] if name in old.params else old.buffers[name]
    plain.progress.seen = net.progress.seen
    with atomic_write(cfg, "w") as file:
        file.write(write(plain.sections))
    console.say(f"{cfg}: without batch norm in {counted(len(folded), 'layer')}")
    return _save(plain, args.out)


def oneoff(args: argparse.Namespace) -> int:
    from runner.weights_tools import widen_head
    _new(args.out)
    _cfg(args)
    net = common.load_network(args)
    found = widen_head(net, args.file, offset=args.offset, copies=args.copies)
    console.say(f"{args.file}: {counted(found, 'filter')}, copied to each of {counted(args.copies, 'anchor')}")
    return _save(net, args.out)


def oneoff2(args: argparse.Namespace) -> int:
    from runner.weights_tools import repeat_from
    _new(args.out)
    _cfg(args)
    net = common.load_network(args)
    if args.layers >= len(net.layers):
        raise UsageError(f"the network has {counted(len(net.layers), 'layer')}. Got {args.layers}")
    repeat_from(net, args.file, args.layers)
    return _save(net, args.out)
