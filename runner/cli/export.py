"""Write a trained network for other programs.

--to chooses the format: an ONNX model; the arrays by name as .safetensors or .npz; or, where it names a folder, the
cfg, the weights and the class names with a page that says how to run them.  An ONNX model is written only after ONNX
Runtime has computed the same with it as the network here does.

  python run.py export cfg/net.cfg --to net.onnx
  python run.py export yolov4-tiny.cfg --weights yolov4-tiny.weights --to yolov4-tiny.onnx --nms
  python run.py export cfg/net.cfg --to net.safetensors
"""
import argparse
import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.cli import common, console, runs
from runner.errors import UsageError, counted

if TYPE_CHECKING:
    import numpy as np

    from runner.chosen_run import ChosenRun
    from runner.network import Network

ARRAYS = (".safetensors", ".npz")
# options of ONNX models, and what holds where they are not given; --thresh is that of `detect`
SUPPRESSION: dict[str, Any] = {"thresh": None, "iou": 0.45, "max_boxes": 300, "agnostic_nms": False}
MODEL: dict[str, Any] = {"form": "raw", "batch": 1, "opset": 17, "half": False, "keep_batchnorm": False,
                         "check_on": None}


def arguments(parser: argparse.ArgumentParser) -> None:
    runs.network_argument(parser)
    common.weights_option(parser)
    parser.add_argument("--to", metavar="PATH", required=True,
                        help="model.onnx, arrays.safetensors, arrays.npz, or a folder")
    parser.add_argument("--names", metavar="FILE", help="class names, one per line, for the metadata of the model")
    onnx = parser.add_argument_group("ONNX models (see docs/export.md)")
    form = onnx.add_mutually_exclusive_group()
    form.add_argument("--raw", action="store_const", const="raw", dest="form",
                      help="the heads of a detector output their own values (default)")
    form.add_argument("--decoded", action="store_const", const="decoded", dest="form",
                      help="a detector outputs boxes in pixels with a score for every class")
    form.add_argument("--nms", action="store_const", const="nms", dest="form",
                      help="a detector outputs the boxes that non-maximum suppression leaves")
    onnx.add_argument("--thresh", type=common.share,
                      help="with --nms: minimum score (default: that of `detect`)")
    onnx.add_argument("--iou", type=common.share,
                      help="with --nms: maximum IoU of two boxes of a class (default .45)")
    onnx.add_argument("--max-boxes", type=common.positive, metavar="N",
                      help="with --nms: boxes of one class in an image, at most (default 300)")
    onnx.add_argument("--agnostic-nms", action="store_true", default=None,
                      help="with --nms: boxes suppress each other whatever their class; --max-boxes counts all")
    onnx.add_argument("--batch", type=_count_or_dynamic, metavar="N",
                      help="images in a batch; `dynamic`: any number (default 1)")
    onnx.add_argument("--size", type=_size_or_dynamic, metavar="WxH",
                      help="size of the input, pixels; `dynamic`: any (default: as the cfg says)")
    onnx.add_argument("--opset", type=common.positive, help="version of ONNX's operators (default 17)")
    onnx.add_argument("--half", action="store_true", default=None, help="weights and computation in float16")
    onnx.add_argument("--keep-batchnorm", action="store_true", default=None,
                      help="batch norms stay nodes instead of being folded into the weights")
    onnx.add_argument("--check-on", metavar="IMAGE", help="compare on this image instead of a test image")
    common.network_options(parser)


def _count_or_dynamic(text: str) -> int | str:
    return text if text == "dynamic" else common.positive(text)


def _size_or_dynamic(text: str) -> tuple[int, int] | str:
    """(width, height), or "dynamic"."""
    if text == "dynamic":
        return text
    width, _, height = text.lower().partition("x")
    try:
        return common.positive(width), common.positive(height or width)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"must be a size such as 416x416, or `dynamic`. Got {text!r}") from None


def run(args: argparse.Namespace) -> int:
    from runner.outputs import obstacle
    target = Path(args.to)
    ending = target.suffix.lower()
    folder_asked = args.to.endswith(("/", "\\")) or (not ending and not target.is_file())
    if not folder_asked and ending not in (".onnx", *ARRAYS):
        raise UsageError(f"--to needs a name that ends in .onnx, .safetensors or .npz, or a folder. Got {args.to!r}")
    if not target.absolute().parent.is_dir():
        raise UsageError(f"--to: there is no folder {target.parent}")
    if not folder_asked and (problem := obstacle(target, "model", [args.cfg, args.weights or ""])):
        raise UsageError(f"--to {problem}")
    _settle(args, "" if ending == ".onnx" and not folder_asked else "a folder" if folder_asked else f"a {ending} file")
    if isinstance(args.size, tuple):
        width, height = args.size
        args.settings = [*args.settings, f"net.width={width}", f"net.height={height}"]
    net, chosen = runs.load_trained(args)
    if folder_asked:
        return export_folder(args, net, chosen, target)
    if ending in ARRAYS:
        from runner.export.files import save_arrays
        count = save_arrays(net, target)
        console.say(f"{target}: {counted(count, 'array')}, {target.stat().st_size:,} bytes")
        return 0
    return export_onnx(args, net, chosen, target)


def _settle(args: argparse.Namespace, other: str) -> None:
    """Options that were not given get their values.  UsageError names those that have no effect.

    other: what is written instead of an ONNX model
    """
    def given(options: dict[str, Any]) -> list[str]:
        return [f"--{args.form if name == 'form' else name.replace('_', '-')}" for name in options
                if getattr(args, name) is not None]
    wrong = given({**MODEL, **SUPPRESSION}) if other else given(SUPPRESSION) if args.form != "nms" else []
    if other:
        wrong += ["--size dynamic"] if args.size == "dynamic" else []
        wrong += ["--names"] if args.names and other != "a folder" else []
    if wrong:
        verb = "is" if len(wrong) == 1 else "are"
        raise UsageError(f"{', '.join(wrong)} {verb} of ONNX models, but --to names {other}" if other else
                         f"{', '.join(wrong)} {verb} of --nms, which is not given")
    for name, value in {**MODEL, **SUPPRESSION}.items():
        if getattr(args, name) is None:
            setattr(args, name, value)


def export_onnx(args: argparse.Namespace, net: "Network", chosen: "ChosenRun", target: Path) -> int:
    """Write an ONNX model; 1 where it does not compute the same."""
    from runner.export import OnnxOptions
    from runner.export.files import save_onnx
    from runner.export.verify import UNITS
    from runner.inference.detect import THRESHOLD
    batch = None if args.batch == "dynamic" else args.batch
    thresh = runs.threshold(args, chosen) if args.form == "nms" else THRESHOLD
    options = OnnxOptions(args.form, batch, args.size == "dynamic", args.opset, args.keep_batchnorm, thresh,
                          args.iou, args.max_boxes, args.agnostic_nms)
    x, source = sample_input(args, net)
    found = save_onnx(net, target, options, x, names=class_names(args, net, chosen), half=args.half,
                      threshold=chosen.threshold)
    same = all(one.fits for one in found)
    if same:
        console.say(f"{target}: opset {args.opset}, {target.stat().st_size:,} bytes")
    console.say(f"compared with ONNX Runtime on {source} ({UNITS[args.form]}):")
    print_differences(found)
    suppression_remark(net, args.form)
    if not same:
        console.remark(f"{target} is not written: the model does not compute what the network computes")
    return 0 if same else 1


def print_differences(found: "list") -> None:
    """A table of runner.export.verify.Difference."""
    rows = [["output", "largest difference", "largest value", "may differ by", ""]]
    rows += [[one.output, f"{one.largest:.3g}", f"{one.scale:.4g}", f"{one.tolerance:.3g}",
              "same" if one.fits else f"DIFFERS {one.remark}".strip()] for one in found]
    console.say(console.table(rows, left=(0, 4)))


def suppression_remark(net: "Network", form: str) -> None:
    """Say where the suppression in the model is not the one `detect` would use."""
    from runner.detection import detection_heads
    kinds = {getattr(net.layers[index].options, "nms_kind", "default") for index in detection_heads(net.layers)}
    other = sorted(kinds - {"default", "cornersnms"})
    if form == "nms" and other:
        console.remark(f"the cfg asks for nms_kind={other[0]}, which `detect` uses; ONNX has suppression by IoU only")


def class_names(args: argparse.Namespace, net: "Network", chosen: "ChosenRun") -> list[str]:
    """As `detect` and `predict` find them; empty where the outputs have no names."""
    from runner.cli import detect, predict
    from runner.detection import detection_heads
    if detection_heads(net.layers):
        return detect.class_names(args, net, chosen)
    return predict.class_names(args, chosen, math.prod(net.out_shape))


def sample_input(args: argparse.Namespace, net: "Network") -> "tuple[np.ndarray, str]":
    """Input to compare on, in a few rows, and what it is: the image asked for, the photo of the checkout, a pattern."""
    import numpy as np

    from runner.export.onnx_model import is_recurrent
    from runner.export.verify import pattern
    from runner.program import ROOT
    rows = (args.batch if args.batch != "dynamic" else 2) * (net.env.time_steps if is_recurrent(net) else 1)
    photo = Path(args.check_on) if args.check_on else ROOT / "docs" / "images" / "photo.jpg"
    x = pattern(net, rows)
    if len(net.in_shape) != 3 or not (args.check_on or photo.is_file()):
        return x, "a test pattern" if len(net.in_shape) == 3 else "random symbols"
    from runner.images import prepare, read_image
    c, h, w = net.require_images()
    x[0] = prepare(read_image(photo, c), w, h, "stretch").astype(np.float32)
    return x, str(args.check_on or "docs/images/photo.jpg")


README = """# {name}

A network in darknet's format.

| file | what it is |
|---|---|
| {name}.cfg | the network: a text file, one section for each layer |
| {name}.weights | its weights |
{names_row}
In this folder, with cfgrunner installed:

    {command}

With a checkout that is not installed, start its script with Python in place of `cfgrunner`.
"""


def _use(net: "Network", chosen: "ChosenRun", name: str, names: bool) -> list[str]:
    """The command that runs the network of a folder, typed there."""
    from runner.detection import detection_heads
    from runner.program import INSTALLED
    verb = "detect" if detection_heads(net.layers) else "predict" if len(net.in_shape) == 3 else "generate"
    words = [INSTALLED, verb, f"{name}.cfg", *(["IMAGES"] if verb != "generate" else []), "--weights",
             f"{name}.weights"]
    if names and verb != "generate":
        words += ["--names", f"{name}.names"]
    if verb == "detect" and chosen.threshold is not None:
        words += ["--thresh", f"{chosen.threshold:g}"]
    return words + (["--compat", net.env.compat.name] if net.env.compat.name != common.EXACT else [])


def export_folder(args: argparse.Namespace, net: "Network", chosen: "ChosenRun", target: Path) -> int:
    """Write the cfg, the weights, the names and a README into a new folder."""
    from runner import weights
    from runner.config import write
    from runner.files import atomic_write
    name = target.resolve().name
    if target.exists() and any(target.iterdir()):
        raise UsageError(f"--to: the folder {target} is not empty. Name a new one")
    target.mkdir(exist_ok=True)
    names = class_names(args, net, chosen)
    cfg, stored = target / f"{name}.cfg", target / f"{name}.weights"
    with atomic_write(cfg, "w") as file:
        file.write(write(net.sections))
    weights.save(net, stored)
    if names:
        with atomic_write(target / f"{name}.names", "w") as file:
            file.write("\n".join(names) + "\n")
    with atomic_write(target / "README.md", "w") as file:
        file.write(README.format(name=name, names_row=f"| {name}.names | its classes, in order |\n" if names else "",
                                 command=shlex.join(_use(net, chosen, name, bool(names)))))
    console.say(f"{target}: {', '.join(sorted(path.name for path in target.iterdir()))}")
    return 0
