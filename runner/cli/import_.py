"""Read a network of another program: an ONNX model becomes a cfg and its weights, named arrays become a .weights file.

The cfg can be read, edited and trained.  It is written only after the network here has computed the same as ONNX
Runtime with the model.  Arrays by name (.safetensors, .npz) need a cfg that exists: they are matched by name, order
and shape, and every one must find its place.

  python run.py import model.onnx --to net.cfg net.weights
  python run.py import model.onnx --to net.cfg net.weights --size 224x224
  python run.py import vgg16.safetensors --cfg cfg/vgg16.cfg --to vgg16.weights
"""
import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from runner.cli import common, console
from runner.errors import UsageError, counted

if TYPE_CHECKING:
    from runner.importing.onnx_network import Imported

ARRAYS = (".safetensors", ".npz")       # arrays by name, for a cfg that exists


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="model.onnx, arrays.safetensors or arrays.npz")
    parser.add_argument("--to", metavar="PATH", nargs="+", required=True,
                        help="the files to write, which must not exist: CFG WEIGHTS of a model, WEIGHTS of arrays")
    parser.add_argument("--cfg", help="of arrays: the network they belong to")
    parser.add_argument("--size", metavar="WxH", type=_size, help="size of the images, pixels, where the model leaves "
                        "it open")
    parser.add_argument("--threads", type=common.positive, metavar="N", help=argparse.SUPPRESS)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    try:
        return common.positive(width), common.positive(height or width)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"must be a size such as 224x224. Got {text!r}") from None


def run(args: argparse.Namespace) -> int:
    ending = Path(args.model).suffix.lower()
    if ending in ARRAYS:
        return _import_arrays(args)
    if args.cfg:
        raise UsageError(f"--cfg is for arrays ({', '.join(ARRAYS)}): the cfg of a model is written, --to CFG WEIGHTS")
    if len(args.to) != 2:
        raise UsageError(f"--to needs the two files to write, CFG WEIGHTS. Got {' '.join(args.to)}")
    cfg, weights = map(Path, args.to)
    _require_new(cfg, ".cfg")
    _require_new(weights, ".weights")
    return _import_onnx(args, cfg, weights)


def _require_new(path: Path, ending: str) -> None:
    """UsageError where a file to write has another ending, exists, or has no folder."""
    if path.suffix.lower() != ending:
        raise UsageError(f"--to needs a name that ends in {ending}. Got {str(path)!r}")
    if os.path.lexists(path):
        raise UsageError(f"--to: {path} exists, and is not overwritten: name another file")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--to: there is no folder {path.parent}")


def _import_onnx(args: argparse.Namespace, cfg: Path, weights: Path) -> int:
    from runner import weights as weights_file
    from runner.cli.export import print_differences
    from runner.files import atomic_write
    from runner.importing.onnx_network import import_onnx
    found = import_onnx(args.model, args.size, str(cfg))
    if found.same:
        with atomic_write(cfg, "w") as file:
            file.write(found.text)
        weights_file.save(found.net, weights)
        console.say(_summary(found, cfg, weights))
    console.say("compared with ONNX Runtime on a test pattern:")
    print_differences(found.found)
    if not found.same:
        console.remark(f"{cfg} is not written: the network does not compute what the model computes")
    return 0 if found.same else 1


def _import_arrays(args: argparse.Namespace) -> int:
    import runner
    from runner import weights as weights_file
    from runner.config import Report
    from runner.importing.arrays import fill, read_arrays
    if not args.cfg or len(args.to) != 1:
        raise UsageError("arrays by name need the cfg they belong to, and one file to write: --cfg CFG --to WEIGHTS")
    target = Path(args.to[0])
    _require_new(target, ".weights")
    report = Report()
    net = runner.load(args.cfg, report=report)
    console.warn(report.warnings)
    table = fill(net, read_arrays(args.model), args.model)
    weights_file.save(net, target)
    console.say(console.table([["layer", "from"], *([layer, source] for layer, source in table.items())], left=(0, 1)))
    console.say(f"{target}: {target.stat().st_size:,} bytes")
    return 0


def _summary(found: "Imported", cfg: Path, weights: Path) -> str:
    net = found.net
    return (f"{cfg}: {counted(len(net.layers), 'layer')}, {net.param_count:,} parameters\n"
            f"{weights}: {weights.stat().st_size:,} bytes")
