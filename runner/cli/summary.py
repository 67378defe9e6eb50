"""Show a network layer by layer: what goes in and out, parameters, BFLOPs and memory.

BFLOPs are counted as darknet prints them (2 per multiply-add, per image).  Memory is that of the layer's output for
one image.

  python run.py summary cfg/net.cfg
  python run.py summary cfg/net.cfg --set net.width=64 --set net.height=64
"""
import argparse

from runner.cli import console


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cfg", help="the network")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.OPTION=VALUE", dest="settings",
                        help="show the network with this change")
    parser.add_argument("--strict", action="store_true", help="an option nobody knows is an error")
    parser.add_argument("--json", metavar="FILE", help="write the table for a program to read; - is stdout")


def run(args: argparse.Namespace) -> int:
    import runner
    from runner.config import Report
    report = Report(args.strict)
    net = runner.load(args.cfg, settings=args.settings, allocate=False, report=report)
    console.warn(report.warnings)
    rows = net.rows()
    if args.json:
        console.write_json(args.json, [row.__dict__ for row in rows])
        return 0
    lines = [("", "layer", "reads", "input", "output", "parameters", "BFLOPs", "memory")]
    for row in rows:
        reads = "" if row.reads == (row.index - 1,) else ",".join("input" if r < 0 else str(r) for r in row.reads)
        lines.append((str(row.index), row.name, reads, row.in_shape, row.out_shape,
                      f"{row.params:,}" if row.params else "", f"{row.bflops:.3f}" if row.bflops else "",
                      console.megabytes(4 * row.out_values)))
    console.say(console.table(lines, left=(1, 2)))
    each = 4 * sum(row.out_values for row in rows)
    part = max(net.options.batch // net.options.subdivisions, 1) * net.options.time_steps
    console.say(f"\n{net.param_count:,} parameters ({console.megabytes(4 * net.param_count)}), "
                f"{sum(row.bflops for row in rows):.3f} BFLOPs an image")
    console.say(f"outputs of all layers: {console.megabytes(each)} an image; training on {part} at a time keeps about "
                f"{console.megabytes(2 * each * part + 12 * net.param_count)} (outputs, their gradients, weights)")
    return 0
