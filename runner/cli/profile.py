"""Time every layer of a network, and compare it with the peak performance of this machine (roofline model).

Inference is timed as `predict` runs it; with --train a training step is timed: forward, loss, backward, update.
Weights and images are random, which does not affect the time.

GFLOP/s counts 2 operations per multiply-add; GB/s counts every input, output and weight once, the minimum memory
traffic.  Two roofs are measured first, with a large matrix product and a large copy; "of roof" is the time the layer
would need at peak compute or bandwidth, divided by its actual time.  A layer far below 100 % can be made faster.  More
than 100 % is possible: Winograd convolution needs fewer multiplications than are counted, and small images stay in the
cache.

  python run.py profile cfg/yolov3-tiny.cfg
  python run.py profile cfg/net.cfg --train --batch 64
  python run.py profile cfg/darknet19.cfg --backend numpy --threads 1 --json profile.json
"""
import argparse
from typing import TYPE_CHECKING, Any

from runner.cli import common, console, runs
from runner.errors import counted

if TYPE_CHECKING:
    from runner.analysis.profiling import LayerTime, Profile, Roof


def arguments(parser: argparse.ArgumentParser) -> None:
    runs.network_argument(parser)
    parser.add_argument("--train", action="store_true", help="time a training step instead of inference")
    parser.add_argument("--batch", type=common.positive, metavar="N",
                        help="images or sequences at a time (default 1; with --train [net] batch / subdivisions)")
    parser.add_argument("--runs", type=common.positive, metavar="N",
                        help="number of runs; their median is shown (default: two seconds of them, at least 3)")
    common.network_options(parser)
    common.json_option(parser)


def run(args: argparse.Namespace) -> int:
    from runner import ops
    from runner.analysis.profiling import profile
    from runner.ops import parallel
    runs.choose_network(args)
    net = common.load_network(args)
    count = args.batch or (max(net.options.batch // net.options.subdivisions, 1) if args.train else 1)
    found = profile(net, count, train=args.train, runs=args.runs)
    if args.json:
        console.write_json(args.json, _facts(args, found, count, ops.backend(), parallel.threads()))
    if args.json == "-":
        return 0
    what = "a training step on" if args.train else "inference of"
    things = ("image" if net.env.time_steps == 1 else f"sequence of {net.env.time_steps}") + "s" * (count > 1)
    console.say(f"{args.cfg}: {what} {count} {things}, median of {counted(found.runs, 'run')}; backend: "
                f"{ops.backend()}, threads: {parallel.threads()}")
    console.say(f"roofs measured: {found.roof.flops / 1e9:.0f} GFLOP/s compute, {found.roof.bandwidth / 1e9:.1f} "
                "GB/s bandwidth\n")
    console.say(_table(found, args.train))
    console.say(f"\ntotal {_ms(found.total)} ms, {count / found.total:.1f} {things.partition(' ')[0].rstrip('s')}s per "
                f"second; {sum(layer.flops for layer in found.layers) / found.total / 1e9:.0f} GFLOP/s")
    console.say(_shares(found))
    return 0


def _table(found: "Profile", train: bool) -> str:
    heading = ("", "layer", "output", *(("forward", "backward") if train else ()), "ms", "share", "GFLOP/s", "GB/s",
               "of roof")
    lines = [heading, *(_line(layer, found, train) for layer in found.layers)]
    blank = [""] * (2 if train else 0)
    rest = [("update", found.update)] * train + [("outside the layers", found.rest)]
    lines += [("", name, "", *blank, _ms(seconds), _share(seconds, found.total), "", "", "") for name, seconds in rest]
    return console.table(lines, left=(1,))


def _line(layer: "LayerTime", found: "Profile", train: bool) -> tuple[str, ...]:
    from runner.layers.shared.base import shape_text
    parts = (_ms(layer.forward), _ms(layer.backward)) if train else ()
    if not layer.seconds:       # an alias in the plan, which needs no time
        return (str(layer.index), layer.name, shape_text(layer.out_shape), *parts, "", "", "", "", "")
    roof: Roof = found.roof
    by_memory = layer.bound_by_memory(roof)
    return (str(layer.index), layer.name, shape_text(layer.out_shape), *parts, _ms(layer.seconds),
            _share(layer.seconds, found.total), f"{layer.flops / layer.seconds / 1e9:.1f}" if layer.flops else "",
            f"{layer.traffic / layer.seconds / 1e9:.1f}" if by_memory else "", f"{100 * layer.of_roof(roof):.0f} %")


def _shares(found: "Profile") -> str:
    """Shares by section name, the largest first."""
    sums: dict[str, float] = {}
    for layer in found.layers:
        sums[layer.name] = sums.get(layer.name, 0.0) + layer.seconds
    if found.update:
        sums["update"] = found.update
    sums["outside the layers"] = found.rest
    order = sorted(sums, key=lambda name: -sums[name])
    return ", ".join(f"{name} {_share(sums[name], found.total)}" for name in order if sums[name] / found.total >= .005)


def _facts(args: argparse.Namespace, found: "Profile", count: int, backend: str, threads: int) -> dict[str, Any]:
    return {"cfg": args.cfg, "train": args.train, "batch": count, "rows": found.rows, "runs": found.runs,
            "kernels": backend, "threads": threads, "roof_flops": found.roof.flops,
            "roof_bandwidth": found.roof.bandwidth, "total_seconds": found.total, "update_seconds": found.update,
            "rest_seconds": found.rest,
            "layers": [layer.__dict__ | {"seconds": layer.seconds, "of_roof": layer.of_roof(found.roof)}
                       for layer in found.layers]}


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.3f}" if seconds < .01 else f"{1000 * seconds:.1f}"


def _share(seconds: float, total: float) -> str:
    return f"{100 * seconds / total:.1f} %"
