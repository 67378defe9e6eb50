"""Train the network of a cfg on images, or a character model on a text.

The data is found in this order: --data, [net] data=, data/<cfg name>.yaml or .data, data/<cfg name>/.  The weights
go to weights/<cfg name>/: best.weights (by accuracy on the test images) and last.weights.  Ctrl-C finishes the
update, saves last.weights and says how to go on; a second one stops at once.

  python run.py train cfg/net.cfg
  python run.py train cfg/net.cfg --data photos/ --set net.learning_rate=0.01 --set 5.probability=0.3
  python run.py train cfg/chars.cfg --data novel.txt                          learn to write like it
  python run.py train cfg/net.cfg --weights weights/net/last.weights          go on from there
  python run.py train my.cfg --weights published.weights --cutoff 20          keep its first 20 layers, learn the rest
"""
import argparse
import math
import signal
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING, Any

from runner.cli import common, console

if TYPE_CHECKING:
    from runner.datasets import Dataset
    from runner.network import Network
    from runner.training import Metrics, RunFolder

SAVE_EVERY = 300        # seconds a crash may cost


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cfg", help="the network")
    common.data_options(parser)
    parser.add_argument("--weights", metavar="FILE", help="start from these weights instead of random ones")
    parser.add_argument("--cutoff", type=common.positive, metavar="N",
                        help="take only the layers before N from --weights")
    parser.add_argument("--clear", action="store_true", help="with --weights: count updates from 0 again")
    parser.add_argument("--validate-every", type=common.positive, metavar="N",
                        help="updates between two looks at the test images (default: a tenth of max_batches)")
    parser.add_argument("--quiet", action="store_true", help="no progress: only warnings, errors and the results")
    common.json_option(parser)
    common.network_options(parser)


def run(args: argparse.Namespace) -> int:
    from runner.training import RunFolder
    net = common.load_network(args)
    common.no_detector(args.cfg, net)
    if args.weights:
        _start_from(args, net)
    elif args.clear or args.cutoff:
        from runner.errors import UsageError
        raise UsageError("--cutoff and --clear say how to use the file that --weights names; there is none")
    from runner.characters import is_character_model
    if is_character_model(net):
        from runner.cli import train_characters
        return train_characters.learn(args, net, _Interrupt())
    data, folder = common.open_data(args, net), RunFolder(args.cfg)
    folder.path.mkdir(parents=True, exist_ok=True)      # if that cannot be, it is said before the hours of work
    _introduce(args, net, data)
    began, best = time.perf_counter(), _Best(args, net, data, folder)
    with _Interrupt() as interrupt:
        _learn(args, net, data, best, interrupt)
        stopped = interrupt.asked
        best.save() if stopped else best.look()
    _finish(args, net, best, stopped, time.perf_counter() - began)
    return 0


def _start_from(args: argparse.Namespace, net: "Network") -> None:
    from runner import weights
    weights.load(net, args.weights, cutoff=args.cutoff)
    if args.clear or args.cutoff is not None:
        net.progress.seen = net.progress.iteration = 0
    limit = net.options.max_batches
    if limit and net.progress.iteration >= limit:
        from runner.errors import UsageError
        raise UsageError(f"{args.weights}: these weights have seen all {limit} updates of max_batches. Add --clear to "
                         f"count from 0 again, or --set net.max_batches={2 * limit} to go on")


def _introduce(args: argparse.Namespace, net: "Network", data: "Dataset") -> None:
    from runner.errors import DataError
    if data.train is None:
        raise DataError(f"{data.source} has no training images")
    if args.quiet:
        return
    test = f", {len(data.test)} to test" if data.test else "; no test images, so the last weights count as the best"
    console.remark(f"{args.cfg}: {len(net.layers)} layers, {net.param_count:,} parameters; {data.source}: "
                   f"{len(data.train)} images to train{test}, {len(data.names)} classes")
    if net.progress.iteration:
        console.remark(f"going on after update {net.progress.iteration} of {args.weights}")


def _learn(args: argparse.Namespace, net: "Network", data: "Dataset", best: "_Best", interrupt: "_Interrupt") -> None:
    """Train until max_batches, or until Ctrl-C; look at the test images now and then."""
    from tqdm import tqdm

    import runner
    total = net.options.max_batches
    every = args.validate_every or max(total // 10, 50)
    smooth, seconds, images = math.nan, 0.0, 0
    with _training_batches(args, net, data) as batches, tqdm(
            total=total or None, initial=net.progress.iteration, file=sys.stderr, dynamic_ncols=True,
            disable=args.quiet or not sys.stderr.isatty(),
            bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]") as bar:
        for step in runner.train(net, batches):
            if not math.isfinite(step.loss):
                _not_a_number(net, step.number, best.folder)
            smooth = step.loss if math.isnan(smooth) else 0.9 * smooth + 0.1 * step.loss
            seconds, images = seconds + step.seconds, images + step.images
            bar.update(1)
            bar.set_postfix_str(f"{images / seconds:,.0f} images/s, loss {smooth:.4f}, rate {step.rate:.3g}",
                                refresh=False)
            if interrupt.asked:
                return
            if step.number % every == 0 and step.number != total:
                bar.set_description_str("testing")
                metrics = best.look()
                bar.set_description_str("")
                if metrics and not args.quiet:
                    bar.write(f"update {step.number}: loss {smooth:.4f}, test accuracy {100 * metrics.top1:.2f} %",
                              file=sys.stderr)
            elif time.perf_counter() - best.saved > SAVE_EVERY:
                best.save()
            if interrupt.asked:
                return


def _training_batches(args: argparse.Namespace, net: "Network", data: "Dataset") -> Any:
    from runner.datasets import batches
    from runner.images import Augment
    o = net.options
    channels, height, width = net.in_shape
    augment = Augment(width, height, o.min_crop, o.max_crop, o.angle, o.aspect, o.flip, o.hue, o.saturation, o.exposure)
    assert data.train is not None
    return batches(data.train, batch=max(o.batch // o.subdivisions, 1), width=width, height=height, channels=channels,
                   augment=augment, shuffle=True, seed=args.seed, endless=True, on_bad=args.on_bad,
                   start_batch=net.progress.iteration * o.subdivisions, label_smoothing=o.label_smooth_eps,
                   warn=lambda sentence: console.warn([sentence]))


def _not_a_number(net: "Network", number: int, folder: "RunFolder") -> None:
    from runner.errors import RunnerError
    kept = f" {folder.last} is from before" if folder.last.exists() else ""
    raise RunnerError(f"the loss of update {number} is not a number: the learning rate is too high, or the data holds "
                      f"nonsense. Try --set net.learning_rate={net.options.learning_rate / 10:g}, or a longer burn_in."
                      f"{kept}")


class _Best:
    """Looks at the test images now and again, and keeps the weights that did best.

    top1, update  the best accuracy so far and when it was; a run that goes on from this folder's last.weights
                  starts with what run.yaml tells of the run before
    """

    def __init__(self, args: argparse.Namespace, net: "Network", data: "Dataset", folder: "RunFolder"):
        self.args, self.net, self.data, self.folder = args, net, data, folder
        self.latest: Metrics | None = None
        self.top1, self.update, self.saved = -1.0, 0, time.perf_counter()
        facts = folder.facts()
        before = facts.get("best") or {}
        if (net.progress.iteration and folder.holds(args.weights) and folder.best.exists()
                and facts.get("data") == str(data.source) and facts.get("classes") == list(data.names)):
            self.top1, self.update = float(before.get("top1", -1)), int(before.get("update", 0))

    def look(self) -> "Metrics | None":
        """Measure, save last.weights, and best.weights if it is at least as good as the best so far."""
        from runner.training import evaluate
        if self.data.test is not None:
            with common.evaluation_batches(self.args, self.net, self.data.test) as batches:
                self.latest = evaluate(self.net, batches)
        if self.latest is None or self.latest.top1 >= self.top1:
            self.update = self.net.progress.iteration
            self.top1 = self.latest.top1 if self.latest else -1.0
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
            cfg=str(self.args.cfg), data=str(self.data.source), seed=self.args.seed, compat=self.args.compat or "exact",
            settings=self.args.settings, classes=list(self.data.names), updates=self.net.progress.iteration,
            seen=self.net.progress.seen, best={"update": self.update, "top1": self.top1} if self.top1 >= 0 else None,
            versions={"runner": __version__, "numpy": numpy.__version__, "python": sys.version.split()[0]})


def _finish(args: argparse.Namespace, net: "Network", best: _Best, stopped: bool, seconds: float) -> None:
    """Say how it went, where the weights are, and what to type next."""
    folder, number = best.folder, net.progress.iteration
    kept = [str(path) for path in (folder.best, folder.last) if path.exists()]
    if args.json:
        console.write_json(args.json, {
            "updates": number, "images": net.progress.seen, "seconds": round(seconds, 3), "stopped": stopped,
            "top1": best.latest.top1 if best.latest and not stopped else None,
            "best": {"update": best.update, "top1": best.top1} if best.top1 >= 0 else None, "weights": kept})
        if args.json == "-":
            return
    if stopped:
        total = f" of {net.options.max_batches}" if net.options.max_batches else ""
        console.say(f"stopped after update {number}{total}, {console.duration(seconds)}")
    else:
        console.say(f"{number} updates, {net.progress.seen:,} images, {console.duration(seconds)}")
    if best.top1 >= 0:
        last = f"{100 * best.latest.top1:.2f} %, " if best.latest and not stopped else ""
        console.say(f"test accuracy: {last}best {100 * best.top1:.2f} % (after update {best.update})")
    console.say(f"weights: {', '.join(kept)}")
    if stopped:
        console.say(f"go on:   python run.py train {args.cfg} --weights {folder.last}")
    console.say(f"next:    python run.py test {args.cfg}")
    example = best.data.test or best.data.train
    if example:
        console.say(f"         python run.py predict {args.cfg} {example[0][0]}")


class _Interrupt:
    """Ctrl-C (or a polite kill) once: finish the update, save, stop.  Twice: stop at once."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "_Interrupt":
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        except ValueError:      # not the main thread: nobody presses Ctrl-C here
            pass
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        console.remark("\nstopping after this update (Ctrl-C again: at once) ...")
