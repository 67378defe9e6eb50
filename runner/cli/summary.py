"""Show a network layer by layer: what goes in and out, parameters, BFLOPs and memory.

BFLOPs are counted as darknet prints them (2 per multiply-add, per image).  Memory is that of the layer's output for
one image in float32.  Nothing is allocated.

  python run.py summary cfg/net.cfg
  python run.py summary cfg/net.cfg --set net.width=64 --set net.height=64
"""
import argparse
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runner.cli import common, console

if TYPE_CHECKING:
    from runner.network import Network, Row


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cfg", help="the network")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.OPTION=VALUE", dest="settings",
                        help="show the network with this change")
    parser.add_argument("--strict", action="store_true", help="an option nobody knows is an error")
    common.json_option(parser)


def run(args: argparse.Namespace) -> int:
    import runner
    from runner.config import Report
    report = Report(args.strict)
    net = runner.load(args.cfg, settings=args.settings, allocate=False, report=report)
    console.warn(report.warnings)
    rows, sums = net.rows(), totals(net)
    if args.json:
        console.write_json(args.json, {"layers": [row.__dict__ for row in rows], **sums})
    if args.json == "-":
        return 0
    console.say(_table(rows))
    console.say(f"\n{sums['parameters']:,} parameters ({console.size(4 * sums['parameters'])}), "
                f"{_bflops(sums['bflops'])} BFLOPs an image")
    console.say(f"memory, about: {console.size(sums['inference_bytes'])} for one image at inference; "
                f"{console.size(sums['training_bytes'])} to train on {sums['training_images']} at a time "
                "(outputs, their gradients, weights)")
    return 0


def totals(net: "Network") -> dict[str, Any]:
    """Sums over the layers.  inference_bytes: weights, and the most that is alive at once for one image;
    training_bytes: every output and its gradient for batch / subdivisions images, weights, gradients and momentum."""
    rows, weights = net.rows(), 4 * net.param_count
    images = max(net.options.batch // net.options.subdivisions, 1) * net.options.time_steps
    return {"parameters": net.param_count, "bflops": sum(row.bflops for row in rows),
            "inference_bytes": 4 * most_alive(rows, math.prod(net.in_shape)) + weights,
            "training_images": images,
            "training_bytes": 2 * images * 4 * sum(row.out_values for row in rows) + 3 * weights}


def most_alive(rows: Sequence["Row"], inputs: int) -> int:
    """The largest number of values alive at once, when every output is let go after its last reader."""
    last_reader = {link: row.index for row in rows for link in row.reads}
    alive, most = {-1: inputs}, inputs
    for row in rows:
        alive[row.index] = row.out_values
        most = max(most, sum(alive.values()))
        alive = {link: size for link, size in alive.items() if last_reader.get(link, -1) > row.index}
    return most


def _table(rows: Sequence["Row"]) -> str:
    lines = [("", "layer", "reads", "input", "output", "parameters", "BFLOPs", "memory")]
    for row in rows:
        reads = "" if row.reads == (row.index - 1,) else ",".join("input" if r < 0 else str(r) for r in row.reads)
        lines.append((str(row.index), row.name, reads, row.in_shape, row.out_shape,
                      f"{row.params:,}" if row.params else "", _bflops(row.bflops) if row.bflops else "",
                      console.size(4 * row.out_values)))
    if not any(line[2] for line in lines[1:]):
        return console.table([line[:2] + line[3:] for line in lines], left=(1,))     # nobody skips: nothing to tell
    return console.table(lines, left=(1, 2))


def _bflops(count: float) -> str:
    return f"{count:.3f}" if count >= .01 or not count else f"{count:.6f}"
