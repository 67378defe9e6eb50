"""`train` and `test` for character models: the data is a text file, its last tenth is kept apart to measure on."""
import argparse
import math
import sys
import time
from typing import TYPE_CHECKING, Any

from runner.cli import console

if TYPE_CHECKING:
    import numpy as np

    from runner.network import Network
    from runner.training import RunFolder

HELD_OUT = 0.1
SAVE_EVERY = 60.0           # seconds between two copies of the weights, whatever is measured
MEASURED_STREAMS = 32       # parts the held-out tail is read in, side by side


def learn(args: argparse.Namespace, net: "Network", interrupt: Any) -> int:
    """Train `net` on the text of --data or [net] data=; best.weights are those with the fewest bits per character."""
    from runner.datasets import find_data
    from runner.datasets.text import read_text, split_text
    from runner.training import RunFolder
    source = find_data(args.cfg, args.data, net.options.data or None)
    text, tail = split_text(read_text(source, net.in_shape[0]), HELD_OUT)
    if not args.quiet:
        console.remark(f"{args.cfg}: {len(net.layers)} layers, {net.param_count:,} parameters; {source}: {len(text):,} "
                       f"characters to learn, {len(tail):,} to measure on")
    best = _Best(args, net, tail, RunFolder(args.cfg), str(source))
    began = time.perf_counter()
    with interrupt:
        _updates(args, net, text, best, interrupt)
    best.look()
    _finish(args, net, best, interrupt, time.perf_counter() - began)
    return 0


def _updates(args: argparse.Namespace, net: "Network", text: "np.ndarray", best: "_Best", interrupt: Any) -> None:
    from tqdm import tqdm

    import runner
    from runner.characters import training_batches
    from runner.errors import RunnerError
    total = net.options.max_batches
    every = args.validate_every or max(total // 10, 50)
    smooth = None
    with tqdm(total=total or None, initial=net.progress.iteration, unit="update", file=sys.stderr, dynamic_ncols=True,
              disable=args.quiet or not sys.stderr.isatty()) as bar:
        for step in runner.train(net, training_batches(net, text, args.seed)):
            # nats of the softmax alone: an old cfg may have a [cost] after it, which the step's loss counts too
            nats = net.losses[net.last] * net.options.subdivisions / step.images
            bits = nats / math.log(2)
            smooth = bits if smooth is None else 0.95 * smooth + 0.05 * bits
            bar.update(1)
            bar.set_postfix_str(f"{smooth:.3f} bits/character, rate {step.rate:.3g}", refresh=False)
            if smooth != smooth:
                raise RunnerError(f"the loss of update {step.number} is not a number: the learning rate is too high. "
                                  f"Try --set net.learning_rate={net.options.learning_rate / 10:g}")
            if step.number % every == 0 and step.number != total:
                bits = best.look()
                if not args.quiet:
                    bar.write(f"update {step.number}: {smooth:.3f} bits/character, {bits:.3f} on the held-out text",
                              file=sys.stderr)
            elif time.perf_counter() - best.saved > SAVE_EVERY:
                best.save()
            if interrupt.asked:
                break


def measure(args: argparse.Namespace, net: "Network") -> int:
    """`test`: bits per character on the held-out tail of the text; on the rest of it with --split train."""
    from runner.characters import bits_per_character
    from runner.datasets import find_data
    from runner.datasets.text import read_text, split_text
    source = find_data(args.cfg, args.data, net.options.data or None)
    part = split_text(read_text(source, net.in_shape[0]), HELD_OUT)[args.split == "test"]
    bits = bits_per_character(net, part, streams=MEASURED_STREAMS)
    if args.json:
        console.write_json(args.json, {"characters": len(part), "bits_per_character": bits})
    if args.json != "-":
        console.say(f"{len(part):,} characters, {bits:.3f} bits/character (perplexity {2 ** bits:.2f})")
    return 0


class _Best:
    """Measures on the held-out text now and again, and keeps the weights that did best."""

    def __init__(self, args: argparse.Namespace, net: "Network", tail: "np.ndarray", folder: "RunFolder", source: str):
        self.args, self.net, self.tail, self.folder, self.source = args, net, tail, folder, source
        self.bits, self.latest, self.update, self.saved = float("inf"), float("inf"), 0, time.perf_counter()
        folder.path.mkdir(parents=True, exist_ok=True)      # if that cannot be, it is said before the work

    def look(self) -> float:
        """Bits per character on the tail; saves last.weights, and best.weights if it is the best so far."""
        from runner.characters import bits_per_character
        self.latest = bits_per_character(self.net, self.tail, streams=MEASURED_STREAMS)
        if self.latest <= self.bits:
            self.bits, self.update = self.latest, self.net.progress.iteration
            self.folder.save(self.net, self.folder.best)
        self.save()
        return self.latest

    def save(self) -> None:
        """last.weights, and run.yaml beside it."""
        import numpy

        from runner import __version__
        self.saved = time.perf_counter()
        self.folder.save(self.net, self.folder.last)
        self.folder.describe(
            cfg=str(self.args.cfg), data=self.source, seed=self.args.seed, compat=self.args.compat or "exact",
            settings=self.args.settings, updates=self.net.progress.iteration, seen=self.net.progress.seen,
            best={"update": self.update, "bits_per_character": self.bits} if self.bits < float("inf") else None,
            versions={"runner": __version__, "numpy": numpy.__version__, "python": sys.version.split()[0]})


def _finish(args: argparse.Namespace, net: "Network", best: _Best, interrupt: Any, seconds: float) -> None:
    done, limit = net.progress.iteration, net.options.max_batches
    head = f"stopped after update {done} of {limit or 'many'}" if interrupt.asked else f"{done} updates"
    if args.json:
        console.write_json(args.json, {
            "updates": done, "characters": net.progress.seen, "seconds": round(seconds, 3), "stopped": interrupt.asked,
            "bits_per_character": best.latest, "best": {"update": best.update, "bits_per_character": best.bits},
            "weights": [str(best.folder.best), str(best.folder.last)]})
        if args.json == "-":
            return
    console.say(f"{head}, {net.progress.seen:,} characters, {console.duration(seconds)}")
    console.say(f"held-out text: {best.latest:.3f} bits/character (best {best.bits:.3f}, after update {best.update})")
    console.say(f"weights: {best.folder.best}, {best.folder.last}")
    if interrupt.asked:
        console.say(f"go on:   python run.py train {args.cfg} --weights {best.folder.last}")
    console.say(f'next:    python run.py generate {args.cfg} --seed-text "To be" --temperature .7 --length 500')
