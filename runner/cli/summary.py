"""Show a network layer by layer: shapes, parameters, BFLOPs and memory.

BFLOPs are counted as darknet prints them (2 per multiply-add, per image).  The memory in the table is that of the
layer's output for one image.  Below the table, the memory of the whole network is estimated, without Python and its
packages (some 100 MB).  Nothing is allocated.

  python run.py summary cfg/net.cfg
  python run.py summary cfg/net.cfg --set net.width=64 --set net.height=64
"""
import argparse
from typing import TYPE_CHECKING, Any

from runner.cli import common, console, runs
from runner.errors import counted, plural
from runner.machine import bytes_text

if TYPE_CHECKING:
    from runner.network import Network


def arguments(parser: argparse.ArgumentParser) -> None:
    runs.network_argument(parser)
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.OPTION=VALUE", dest="settings",
                        help="override a cfg option")
    parser.add_argument("--strict", action="store_true", help="treat unknown options as errors")
    common.compat_option(parser)
    common.json_option(parser)


def run(args: argparse.Namespace) -> int:
    import runner
    from runner.api.summary import bflops_text
    from runner.config import Report
    runs.choose_network(args)
    report = Report(args.strict)
    net = runner.load(args.cfg, settings=args.settings, compat=common.compat_of(args), allocate=False, report=report,
                      folder=args.home)
    console.warn(report.warnings)
    rows, sums = net.summary(), totals(net)
    if args.json:
        console.write_json(args.json, {"layers": [row.__dict__ for row in rows], **sums})
    if args.json == "-":
        return 0
    cells, left = rows.cells()
    console.say(console.table(cells, left=left))
    console.say(f"\n{sums['parameters']:,} {plural(sums['parameters'], 'parameter')} "
                f"({bytes_text(4 * sums['parameters'])}), {bflops_text(sums['bflops'])} BFLOPs per image")
    console.say(f"estimated memory: {bytes_text(sums['inference_bytes'])} for one image at inference; "
                f"{bytes_text(sums['training_bytes'])} to train on {counted(sums['training_images'], 'image')} at a "
                "time")
    parts = (f"{name} {bytes_text(count)}" for name, count in sums["training_memory"].items() if count)
    console.say(f"                  {', '.join(parts)}")
    return 0


def totals(net: "Network") -> dict[str, Any]:
    """Sums over the layers, and the estimated memory of inference on one image and of training."""
    from runner.analysis import footprint
    rows, need = net.summary(), footprint.training(net)
    names = ("weights", "gradients", "optimizer", "activations", "inputs", "scratch")
    parts = {name: getattr(need, name) for name in names}
    return {"parameters": net.param_count, "bflops": sum(row.bflops for row in rows),
            "inference_bytes": footprint.inference(net).total, "training_images": need.images,
            "training_bytes": need.total, "training_memory": parts}
