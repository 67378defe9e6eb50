"""Read a network of another program: an ONNX model becomes a cfg and its weights.

The cfg can be read, edited and trained. It is written only after the network here has computed the same as ONNX Runtime
with the model.

  python run.py import model.onnx --to net.cfg net.weights
  python run.py import model.onnx --to net.cfg net.weights --size 224x224
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
    parser.add_argument("model", help="model.onnx")
    parser.add_argument("--to", metavar=("CFG", "WEIGHTS"), nargs=2, required=True,
                        help="the two files to write; they must not exist")
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
        raise UsageError(f"{args.model}: arrays by name are not read yet, only ONNX models")
    cfg, weights = map(Path, args.to)
    _require_new(cfg, ".cfg")
    _require_new(weights, ".weights")
    return _import_onnx(args, cfg, weights)


def _require_new(path: Path, ending: str) -> None:
    """UsageError where a file to write has another ending, exists, or has no folder."""
    if path.suffix.lower() != ending:
        raise UsageError(f"--to needs a name that ends in {ending}, here: --to CFG WEIGHTS. Got {str(path)!r}")
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


def _summary(found: "Imported", cfg: Path, weights: Path) -> str:
    net = found.net
    return (f"{cfg}: {counted(len(net.layers), 'layer')}, {net.param_count:,} parameters\n"
            f"{weights}: {weights.stat().st_size:,} bytes")
