"""Data-parallel training on several machines: how long an update should take, and how long it does.

  python tools/scaling.py table                                           every shipped network, at assumed speeds
  python tools/scaling.py table cfg/yolov3.cfg --flops 4e11 --rate 25gbit --latency 5us
  python tools/scaling.py compute cfg/net.cfg cfg/resnet18.cfg            time of an update here, without communication
  python tools/scaling.py measure cfg/net.cfg cfg/scenes.cfg              train with 1 and 2 ranks, beside the model
  python tools/scaling.py network cfg/net.cfg --rates 100mbit 1gbit       2 ranks with a network between them (root)

The model.  An update of a batch takes T on one rank.  n ranks compute it in T / n, since each has its share of the
batch, and exchange the gradients, S bytes in buckets.  Each rank gets a part of a bucket from all, and sends its sum to
all; a ring (Patarasu and Yuan 2009) moves as many bytes:

  communication(n) = buckets * 2 (n - 1) * latency + 2 (n - 1) / n * S / rate

It overlaps with the backward pass, which is 2 / 3 of T / n (two of the three products of a layer), except for the last
bucket, that of the first layers.  So an update takes

  T / n + max(communication of one bucket, communication(n) - 2 / 3 T / n)

and the efficiency is T / (n times that).  Communication takes over where it is longer than the computation: then no
overlap can hide it.  `measure` and `network` measure latency and rate of all-reduces beside the training, and print
what the model says with these numbers.
"""
import argparse
import math
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import runner
from runner.errors import RunnerError
from runner.reading.json_text import parse_json
from runner.reading.numbers import real, whole
from runner.text_table import aligned
from runner.training.gradient_sum import BUCKET_BYTES
from tools.two_hosts import Link, two_hosts

ROOT = Path(__file__).resolve().parents[1]
BUCKET = BUCKET_BYTES       # of gradients that are reduced together
BACKWARD = 2 / 3            # of the time of a training step
MOST = 1 << 16              # ranks that are tried
FLOPS = 1e11                # operations per second of a rank, where nothing is measured
RATES = ("1gbit", "10gbit", "100gbit")
UNITS = {"kbit": 1e3, "mbit": 1e6, "gbit": 1e9}
SHORT = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
SIZES = (4, 1 << 22)       # bytes of the all-reduces that are timed

TIMEOUT = 3600              # seconds after which a launch is given up

# prints the seconds of an all-reduce of each size, as training does it: each rank gets a part of all and sends its sum
# to all; the median of 10, of the slowest rank
ALL_REDUCE = """
import json, statistics, sys, time
import numpy as np
from mpi4py import MPI
world = MPI.COMM_WORLD
found = []
for size in map(int, sys.argv[1:]):
    given, got, every = (np.ones((world.size, max(1, size // 4 // world.size)), np.float32) for _ in range(3))
    times = []
    for _ in range(12):
        world.Barrier()
        began = time.perf_counter()
        world.Alltoall(given, got)
        world.Allgather(got.sum(axis=0), every)
        times.append(world.allreduce(time.perf_counter() - began, MPI.MAX))
    found.append(statistics.median(times[2:]))
if world.rank == 0:
    print(json.dumps(found))
"""


class Network(NamedTuple):
    """latency: seconds of a message; rate: bytes per second in one direction."""
    latency: float
    rate: float


@dataclass(frozen=True)
class Work:
    """What an update of a network is: rows of input, bytes of gradients, floating-point operations."""
    name: str
    batch: int
    rows: int
    parameters: int
    flops: float

    @property
    def gradients(self) -> int:
        return 4 * self.parameters

    @classmethod
    def of(cls, cfg: str | Path, batch: int | None = None) -> "Work":
        """That of a cfg.  Training takes three products where inference takes one: the output, and the gradients of
        input and weights."""
        net = runner.load(cfg, allocate=False, settings=[f"net.batch={batch}"] if batch else [])
        rows = net.options.batch * net.env.time_steps
        sizes = [sum(spec.size for spec in layer.specs.values()) for layer in net.layers]
        trained = sum(size for layer, size in zip(net.layers, sizes, strict=True) if not layer.frozen)
        # layers that darknet does not count multiply each weight once
        flops = sum(max(layer.flops(), 2 * size) for layer, size in zip(net.layers, sizes, strict=True))
        return cls(Path(cfg).stem, net.options.batch, rows, trained, 3 * rows * flops)


def communication(size: float, ranks: int, network: Network, bucket: int = BUCKET) -> float:
    """Seconds of the all-reduces of `size` bytes."""
    if ranks == 1 or not size:
        return 0.0
    buckets = math.ceil(size / bucket)
    return buckets * 2 * (ranks - 1) * network.latency + 2 * (ranks - 1) / ranks * size / network.rate


def update_time(compute: float, size: float, ranks: int, network: Network, bucket: int = BUCKET) -> float:
    """Seconds of an update on `ranks` ranks.  compute: seconds on one; size: bytes of gradients."""
    if ranks == 1:
        return compute
    own = compute / ranks
    last = communication(min(size, bucket), ranks, network, bucket)
    return own + max(last, communication(size, ranks, network, bucket) - BACKWARD * own)


def efficiency(compute: float, size: float, ranks: int, network: Network) -> float:
    """The time of one rank divided by that of all ranks together."""
    return compute / (ranks * update_time(compute, size, ranks, network))


def takes_over(compute: float, size: float, network: Network) -> int:
    """The smallest number of ranks whose communication takes longer than their computation; MOST where there is
    none below it."""
    low, high = 1, MOST
    while high - low > 1:       # communication grows with the ranks, computation falls
        middle = (low + high) // 2
        low, high = (low, middle) if communication(size, middle, network) > compute / middle else (middle, high)
    return high


def needed_rate(compute: float, size: float, ranks: int, latency: float) -> float:
    """The rate, bytes per second, below which the communication of this number of ranks takes longer than their
    computation; infinite where the latency alone does."""
    left = compute / ranks - communication(size, ranks, Network(latency, math.inf))
    return 2 * (ranks - 1) / ranks * size / left if left > 0 else math.inf


# --- quantities as text -----------------------------------------------------------------------------------------------

def rate_of(text: str) -> float:
    """Argument type: bytes per second, from 100mbit or 10gbit, as `tc` writes rates."""
    return _quantity(text, UNITS, "a rate such as 100mbit or 10gbit") / 8


def latency_of(text: str) -> float:
    """Argument type: seconds, from 20us or 1ms."""
    return _quantity(text, SHORT, "a time such as 20us or 1ms")


def _quantity(text: str, units: dict[str, float], what: str) -> float:
    unit = next((unit for unit in sorted(units, key=len, reverse=True) if text.endswith(unit)), "")
    try:
        value = real(text.removesuffix(unit)) * units[unit]
    except (ValueError, KeyError):
        value = -1.0
    if value <= 0:
        raise argparse.ArgumentTypeError(f"must be {what}. Got {text!r}")
    return value


def seconds_text(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Rows, the first of them the header, as a table."""
    head, *rest = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rest])


# --- what is printed --------------------------------------------------------------------------------------------------

def table(cfgs: Sequence[str], flops: float, latency: float, rates: Sequence[str]) -> list[list[str]]:
    """For each network: the work of an update, and the ranks at which communication takes over at each rate; a rank
    has at least one image of the batch."""
    rows = [["network", "batch", "parameters", "all-reduced, MB", "GFLOP", "time of 1 rank", *rates]]
    for cfg in cfgs:
        work = Work.of(cfg)
        compute = work.flops / flops
        limits = [takes_over(compute, work.gradients, Network(latency, rate_of(rate))) for rate in rates]
        shown = [f"{limit:,}" if limit <= work.batch else f"over {work.batch:,}" for limit in limits]
        rows.append([work.name, f"{work.batch}", f"{work.parameters:,}", f"{work.gradients / 1e6:.3g}",
                     f"{work.flops / 1e9:,.3g}" if work.flops < 1e12 else f"{work.flops / 1e9:,.0f}",
                     seconds_text(compute), *shown])
    return rows


def shipped() -> list[str]:
    """The cfgs of the program that can be trained."""
    found = []
    for path in sorted((ROOT / "cfg").glob("*.cfg")):
        if runner.load(path, allocate=False).heads:
            found.append(str(path))
    return found


def compute_rows(cfgs: Sequence[str], count: int | None, runs: int | None) -> list[list[str]]:
    """For each network: the time of an update on this machine, in one process."""
    from runner.analysis.profiling import profile
    rows = [["network", "batch", "time of an update", "backward", "GFLOP/s"]]
    for cfg in cfgs:
        net, work = runner.load(cfg), Work.of(cfg)
        images = min(count or max(1, net.options.batch // net.options.subdivisions), work.batch)
        found = profile(net, images, train=True, runs=runs)
        each = (found.total - found.update) * work.batch / images + found.update
        backward, layers = (sum(times) for times in zip(*((one.backward, one.seconds) for one in found.layers),
                                                        strict=True))
        rows.append([work.name, f"{work.batch}", seconds_text(each), f"{100 * backward / max(layers, 1e-9):.0f} %",
                     f"{work.flops / each / 1e9:.3g}"])
    return rows


# --- measured ---------------------------------------------------------------------------------------------------------

class Launch(NamedTuple):
    """How ranks are started: words before the program, and variables of the environment."""
    words: tuple[str, ...] = ("mpiexec",)
    environment: tuple[tuple[str, str], ...] = ()

    def command(self, ranks: int, *words: str) -> list[str]:
        """One process is started without a launcher."""
        return [*(self.words if ranks > 1 else ()), *(("-n", str(ranks)) if ranks > 1 else ()), *words]

    def run(self, ranks: int, *words: str, cwd: str | None = None) -> str:
        """-> stdout.  SystemExit with what was printed where it fails."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        command = self.command(ranks, *words)
        try:
            done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, timeout=TIMEOUT,
                                  env=os.environ | {"PATH": path} | dict(self.environment), stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise SystemExit(f"has not ended after {TIMEOUT} s: {shlex.join(command)}") from None
        if done.returncode:
            raise SystemExit(f"{shlex.join(command)}\n{done.stdout}{done.stderr}")
        return done.stdout


def all_reduce_times(ranks: int, launch: Launch) -> dict[int, float]:
    """Bytes -> seconds of an all-reduce, for SIZES."""
    text = launch.run(ranks, sys.executable, "-c", ALL_REDUCE, *map(str, SIZES))
    return dict(zip(SIZES, parse_json(text.strip().splitlines()[-1], "all-reduce"), strict=True))


def measured_network(times: dict[int, float], ranks: int) -> Network:
    """The latency and the rate with which `communication` gives these times, for the smallest and largest size."""
    small, large = min(times), max(times)
    latency = times[small] / (2 * (ranks - 1))
    rate = 2 * (ranks - 1) / ranks * (large - small) / max(times[large] - times[small], 1e-9)
    return Network(latency, rate)


def trained(cfg: str, ranks: int, threads: int, updates: int, launch: Launch, more: Sequence[str] = ()) -> float:
    """Train for some updates -> seconds of an update, the median without the first quarter."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.jsonl"
        launch.run(ranks, sys.executable, str(ROOT / "run.py"), "train", str(Path(cfg).resolve()), "--name", "scaling",
                   "--quiet", "--no-report", "--log-json", str(log), "--threads", str(threads), "--validate-every",
                   str(updates), "--set", f"net.max_batches={updates}", *data_of(cfg), *more, cwd=folder)
        events = [parse_json(line, log) for line in log.read_text().splitlines()]
    times = [event["seconds"] for event in events if event["event"] == "update"]
    if len(times) != updates:
        raise SystemExit(f"{cfg}: {updates} updates were asked for, and the log has {len(times)}")
    return statistics.median(times[len(times) // 4:])


def data_of(cfg: str) -> list[str]:
    """--data for a run in another folder: that of the cfg, where it is in the checkout."""
    named = runner.load(cfg, allocate=False).options.data
    place = ROOT / (named or f"data/{Path(cfg).stem}")
    return ["--data", str(place)] if place.exists() else []


def measure(cfgs: Sequence[str], ranks: Sequence[int], cores: int, updates: int, launch: Launch,
            more: Sequence[str] = ()) -> list[list[str]]:
    """Each network with each number of ranks, which share the cores, and what the model says.

    The model's T is that of one rank with as many threads as one of the ranks has; the efficiency is against one rank
    with all cores.
    """
    rows = [["network", "ranks", "threads of each", "update", "efficiency", "model", "measured / model"]]
    networks = {n: measured_network(all_reduce_times(n, launch), n) for n in ranks if n > 1}
    for cfg in cfgs:
        work, one = Work.of(cfg), trained(cfg, 1, cores, updates, launch, more)
        rows.append([work.name, "1", str(cores), seconds_text(one), "", "", ""])
        for n in ranks:
            if n == 1:
                continue
            threads = max(1, cores // n)
            alone = one if threads == cores else trained(cfg, 1, threads, updates, launch, more)
            expected = update_time(alone, work.gradients, n, networks[n])
            found = trained(cfg, n, threads, updates, launch, more)
            rows += [[work.name, "1", str(threads), seconds_text(alone), "", "", ""]] * (threads != cores)
            rows.append([work.name, str(n), str(threads), seconds_text(found), f"{100 * one / found:.0f} %",
                         seconds_text(expected), f"{found / expected:.2f}"])
    for n, network in networks.items():
        print(f"all-reduce of {n} ranks: latency {1e6 * network.latency:.3g} us, {8e-9 * network.rate:.3g} Gbit/s")
    return rows


def network_rows(cfgs: Sequence[str], rates: Sequence[str], latency: str | None, updates: int,
                 more: Sequence[str] = ()) -> list[list[str]]:
    """Two ranks of one thread with a network of each rate between them, and what the model says."""
    rows = [["network", "rate", "latency, measured", "rate, measured", "update", "efficiency", "model",
             "measured / model"]]
    alone = {cfg: trained(cfg, 1, 1, updates, Launch(), more) for cfg in cfgs}
    for rate in rates:
        with two_hosts(Link(rate, latency)) as hosts:
            launch = Launch(*hosts)
            network = measured_network(all_reduce_times(2, launch), 2)
            for cfg in cfgs:
                work, found = Work.of(cfg), trained(cfg, 2, 1, updates, launch, more)
                expected = update_time(alone[cfg], work.gradients, 2, network)
                rows.append([work.name, rate, f"{1e6 * network.latency:.3g} us", f"{8e-6 * network.rate:.3g} Mbit/s",
                             seconds_text(found), f"{100 * alone[cfg] / (2 * found):.0f} %", seconds_text(expected),
                             f"{found / expected:.2f}"])
    return rows


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)

    def natural(text: str) -> int:
        return whole(text, 1)

    def command(name: str, cfgs: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name)
        one.add_argument("cfgs", nargs=cfgs, help="the networks")
        one.add_argument("--markdown", action="store_true", help="print a table for the documentation")
        return one
    one = command("table", "*")
    one.add_argument("--flops", type=real, default=FLOPS, help=f"operations per second of a rank (default {FLOPS:g})")
    one.add_argument("--latency", type=latency_of, default=2e-5, help="of a message (default 20us)")
    one.add_argument("--rate", nargs="+", default=RATES, help=f"of the network (default {' '.join(RATES)})")
    one = command("compute", "+")
    one.add_argument("--count", type=natural, help="images computed together (default: those of a subdivision)")
    one.add_argument("--runs", type=natural, help="steps that are timed (default: two seconds of them)")
    for name in ("measure", "network"):
        one = command(name, "+")
        one.add_argument("--updates", type=natural, default=100, help="of each run (default 100)")
        one.add_argument("--backend", default="auto", help="as of `train`")
        if name == "measure":
            one.add_argument("--ranks", type=natural, nargs="+", default=[2], help="default 2")
            one.add_argument("--cores", type=natural, default=os.cpu_count() or 1, help="that the ranks share")
        else:
            one.add_argument("--rates", nargs="+", default=["100mbit", "1gbit"], help="default 100mbit 1gbit")
            one.add_argument("--latency", help="added to each packet, such as 1ms; needs the kernel's netem")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args: Any = arguments().parse_args(argv)
    try:
        if args.command == "table":
            rows = table(args.cfgs or shipped(), args.flops, args.latency, args.rate)
        elif args.command == "compute":
            rows = compute_rows(args.cfgs, args.count, args.runs)
        elif args.command == "measure":
            rows = measure(args.cfgs, args.ranks, args.cores, args.updates, Launch(), ["--backend", args.backend])
        else:
            rows = network_rows(args.cfgs, args.rates, args.latency, args.updates, ["--backend", args.backend])
    except (RunnerError, argparse.ArgumentTypeError) as error:
        raise SystemExit(str(error)) from None
    print(markdown(rows) if args.markdown else "\n".join(aligned(rows, (0,))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
