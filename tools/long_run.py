"""Long runs: whether memory, open files and threads stay the same while a tiny network trains, predicts or detects.

  python tools/long_run.py                                     20,000 updates, 100,000 images, both backends
  python tools/long_run.py predict detect --images 20000       fewer, of two kinds of work
  python tools/long_run.py train --updates 2000 --backends numpy

The kinds of work: `train` (a classifier with Adam, a moving average, dropout and augmentation), `train-boxes` (a
detector with mosaic=1 and random=1), both with evaluations and checkpoints, `predict` and `detect` (images from files).
Each runs in a process of its own, in a temporary folder, and prints 20 rows of resident memory, open files and threads.
After the warm-up, the first quarter, the highest value of each may be exceeded by --memory MB, by FILES files (those
that the threads of `predict` have open for a moment), and by no thread.  The exit status is 1 if one grows more.  Needs
/proc, as on Linux.
"""
import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests import toy, toy_boxes

ROWS = 20
FILES = 4           # as many threads read images
EVERY = 500         # updates between two evaluations, and between two checkpoints
CLASSIFIER = toy.CFG.replace("momentum=0", "adam=1\nema_alpha=.9\nangle=9\nexposure=1.5").replace(
    "[connected]", "[dropout]\nprobability=.3\n[connected]").replace("filters=3", "filters=3\nbatch_normalize=1")
DETECTOR = toy_boxes.CFG.replace("policy=poly\npower=1", "policy=constant\nmosaic=1").replace(
    "jitter=.1", "jitter=.1\nrandom=1").replace("batch=8", "batch=2").replace("filters=32", "filters=16")


class Usage(NamedTuple):
    """Of this process: resident memory in MB, open files (without the one that lists them), threads."""
    memory: float
    files: int
    threads: int


def usage() -> Usage:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return Usage(int(status["VmRSS"].split()[0]) / 1024, len(os.listdir("/proc/self/fd")) - 1, int(status["Threads"]))


def growth(rows: list[Usage], memory: float) -> list[str]:
    """What grew after the first quarter of the rows: one sentence each.  memory: MB that it may grow."""
    start = -(-len(rows) // 4)
    grown = []
    for name, unit, bound, values in (("memory", " MB", memory, [row.memory for row in rows]),
                                      ("open files", "", FILES, [row.files for row in rows]),
                                      ("threads", "", 0, [row.threads for row in rows])):
        before, after = max(values[:start]), max(values[start:])
        if after - before > bound:
            grown.append(f"{name} grew from {before:,.0f}{unit} to {after:,.0f}{unit}")
    return grown


def train(updates: int, boxes: bool) -> Iterator[int]:
    """Train in the working directory; yields the number of the update."""
    import runner
    from runner.run_folder import RunFolder
    from runner.training.control import Control
    from runner.training.run import Run
    from runner.training.tasks import TaskOptions, open_task
    cfg, data = ("cfg/squares.cfg", "data/squares") if boxes else ("cfg/toy.cfg", "data/toy")
    Path(cfg).write_text(DETECTOR if boxes else CLASSIFIER)
    net = runner.load(cfg, settings=[f"net.max_batches={updates}"] + ["net.learning_rate=.001"] * boxes)
    run = Run(open_task(net, TaskOptions(cfg, data)), RunFolder(cfg), Control(EVERY, EVERY))
    run.begin()
    for update in run.updates():
        if update.metrics is None:
            yield update.step.number
    run.finish()


def infer_images(count: int, boxes: bool) -> Iterator[int]:
    """Predict or detect `count` images in the working directory; yields how many are done."""
    import runner
    from runner.inference.classify import Result, infer
    from runner.inference.detect import ImageDetections, detect
    net = runner.load("cfg/squares.cfg" if boxes else "cfg/toy.cfg")
    paths = itertools.islice(itertools.cycle(sorted(Path("data").rglob("*.png"))), count)
    results: Iterator[ImageDetections | Result] = detect(net, paths, thresh=.05) if boxes else infer(net, paths)
    for done, result in enumerate(results, 1):
        if result.error:
            raise SystemExit(result.error)
        yield done


WORK: dict[str, Callable[[argparse.Namespace], Iterator[int]]] = {
    "train": lambda args: train(args.updates, False), "train-boxes": lambda args: train(args.updates, True),
    "predict": lambda args: infer_images(args.images, False), "detect": lambda args: infer_images(args.images, True)}


def measure(name: str, args: argparse.Namespace) -> int:
    """Do one kind of work in this process, and print its rows."""
    total = args.updates if name.startswith("train") else args.images
    rows, every, start = [], max(total // ROWS, 1), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        (toy_boxes if name in ("train-boxes", "detect") else toy).make(Path("."))
        for done in WORK[name](args):
            if done % every == 0:
                rows.append(usage())
                print(f"{done:>9,} {rows[-1].memory:>11.1f} {rows[-1].files:>11} {rows[-1].threads:>8} "
                      f"{time.perf_counter() - start:>8.0f}", flush=True)
        os.chdir("/")
    grown = growth(rows, args.memory)
    print("; ".join(grown) or "flat", flush=True)
    return 1 if grown else 0


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", nargs="*", choices=[[], *WORK], help=f"default: {' '.join(WORK)}")
    parser.add_argument("--updates", type=int, default=20_000, metavar="N")
    parser.add_argument("--images", type=int, default=100_000, metavar="N")
    parser.add_argument("--backends", default="numpy,fast", help="default: numpy,fast")
    parser.add_argument("--memory", type=float, default=8, metavar="MB", help="memory may grow by this (default: 8)")
    parser.add_argument("--here", action="store_true", help="in this process: one kind of work, one backend")
    args = parser.parse_args(words)
    if not Path("/proc/self/fd").is_dir():
        parser.error("this system has no /proc")
    if min(args.updates, args.images) < ROWS:
        parser.error(f"at least {ROWS} updates and images are needed")
    if args.here:
        from runner import ops
        ops.use(args.backends)
        return measure(args.work[0], args)
    bad = 0
    for backend, name in itertools.product(args.backends.split(","), args.work or WORK):
        print(f"\n{name}, {backend}\n{'done':>9} {'memory, MB':>11} {'open files':>11} {'threads':>8} {'seconds':>8}",
              flush=True)
        bad += subprocess.run([sys.executable, __file__, name, "--here", "--backends", backend, "--updates",
                               str(args.updates), "--images", str(args.images), "--memory", str(args.memory)]
                              ).returncode != 0
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
