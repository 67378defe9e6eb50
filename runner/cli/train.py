"""Train the network of a cfg on images.

The data is found in this order: --data, [net] data=, data/<cfg name>.yaml or .data, data/<cfg name>/.  The weights
go to weights/<cfg name>/: best.weights (by accuracy on the test images) and last.weights.  Ctrl-C finishes the
update, saves and says how to go on.

  python run.py train cfg/net.cfg
  python run.py train cfg/net.cfg --data photos/ --set net.learning_rate=0.01 --set 5.probability=0.3
  python run.py train cfg/net.cfg --weights weights/net/last.weights          go on from there
"""
import argparse
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


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cfg", help="the network")
    common.data_options(parser)
    parser.add_argument("--weights", metavar="FILE", help="start from these weights instead of random ones")
    parser.add_argument("--cutoff", type=int, metavar="N", help="take only the layers before N from --weights")
    parser.add_argument("--clear", action="store_true", help="with --weights: count updates from 0 again")
    parser.add_argument("--validate-every", type=int, metavar="N", help="updates between two looks at the test images "
                                                                      "(default: a tenth of max_batches)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    common.network_options(parser)


def run(args: argparse.Namespace) -> int:
    from runner.training import RunFolder
    net = common.load_network(args)
    if args.weights:
        _start_from(args, net)
    data, folder = common.open_data(args, net), RunFolder(args.cfg)
    _introduce(args, net, data)
    began = time.perf_counter()
    with _Interrupt() as interrupt:
        best = _Best(args, net, data, folder)
        _learn(args, net, data, best, interrupt)
    folder.save(net, folder.last)
    _finish(args, net, best, folder, interrupt, time.perf_counter() - began)
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
    test = f", {len(data.test)} to test" if data.test else "; no test images, so the last weights count as the best"
    console.remark(f"{args.cfg}: {len(net.layers)} layers, {net.param_count:,} parameters; {data.source}: "
                   f"{len(data.train)} images to train{test}, {len(data.names)} classes")


def _learn(args: argparse.Namespace, net: "Network", data: "Dataset", best: "_Best", interrupt: "_Interrupt") -> None:
    from tqdm import tqdm

    import runner
    total = net.options.max_batches
    every = args.validate_every or max(total // 10, 50)
    smooth = None
    with _training_batches(args, net, data) as batches, tqdm(
            total=total or None, initial=net.progress.iteration, file=sys.stderr, dynamic_ncols=True,
            disable=args.quiet or not sys.stderr.isatty(),
            bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]") as bar:
        began, images = time.perf_counter(), 0
        for step in runner.train(net, batches):
            smooth = step.loss if smooth is None else 0.9 * smooth + 0.1 * step.loss
            images += step.images
            bar.update(1)
            bar.set_postfix_str(f"{images / (time.perf_counter() - began):,.0f} images/s, loss {smooth:.4f}, "
                                f"rate {step.rate:.3g}", refresh=False)
            if smooth != smooth:
                _not_a_number(net, step.number, best.folder)
            if step.number % every == 0 and step.number != total:
                metrics = best.look()
                if metrics:
                    bar.write(f"update {step.number}: loss {smooth:.4f}, test accuracy {100 * metrics.top1:.2f} %",
                              file=sys.stderr)
            if interrupt.asked:
                break


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
    raise RunnerError(f"the loss of update {number} is not a number: the learning rate is too high, or the data holds "
                      f"nonsense. Try --set net.learning_rate={net.options.learning_rate / 10:g}, or a longer burn_in. "
                      f"The weights saved before are in {folder.path}/")


class _Best:
    """Looks at the test images now and again, and keeps the weights that did best."""

    def __init__(self, args: argparse.Namespace, net: "Network", data: "Dataset", folder: "RunFolder"):
        self.args, self.net, self.data, self.folder = args, net, data, folder
        self.metrics: Metrics | None = None
        self.latest: Metrics | None = None
        self.update = 0

    def look(self) -> "Metrics | None":
        """Measure, save last.weights, and best.weights if it is the best so far."""
        from runner.training import evaluate
        self.folder.save(self.net, self.folder.last)
        if self.data.test is not None:
            with common.evaluation_batches(self.args, self.net, self.data.test) as batches:
                self.latest = evaluate(self.net, batches)
        if self.latest is None or self.metrics is None or self.latest.top1 >= self.metrics.top1:
            self.metrics, self.update = self.latest, self.net.progress.iteration
            self.folder.save(self.net, self.folder.best)
        self.describe()
        return self.latest

    def describe(self) -> None:
        import numpy

        from runner import __version__
        self.folder.describe(
            cfg=str(self.args.cfg), data=str(self.data.source), seed=self.args.seed, settings=self.args.settings,
            classes=list(self.data.names), updates=self.net.progress.iteration, seen=self.net.progress.seen,
            best={"update": self.update, "top1": self.metrics.top1} if self.metrics else None,
            versions={"runner": __version__, "numpy": numpy.__version__, "python": sys.version.split()[0]})


def _finish(args: argparse.Namespace, net: "Network", best: _Best, folder: "RunFolder", interrupt: "_Interrupt",
            seconds: float) -> None:
    metrics = best.look()
    took = console.duration(seconds)
    if interrupt.asked:
        console.say(f"stopped after update {net.progress.iteration} of {net.options.max_batches or 'many'}, {took}")
    else:
        console.say(f"{net.progress.iteration} updates, {net.progress.seen:,} images, {took}")
    if metrics and best.metrics:
        console.say(f"test accuracy {100 * metrics.top1:.2f} % (best {100 * best.metrics.top1:.2f} %, "
                    f"after update {best.update})")
    console.say(f"weights: {folder.best}, {folder.last}")
    if interrupt.asked:
        console.say(f"go on:   python run.py train {args.cfg} --weights {folder.last}")
    console.say(f"next:    python run.py test {args.cfg}")
    example = best.data.test or best.data.train
    if example:
        console.say(f"         python run.py predict {args.cfg} {example[0][0]}")


class _Interrupt:
    """Ctrl-C once: finish the update, save, stop.  Twice: stop at once."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> "_Interrupt":
        try:
            self._before = signal.signal(signal.SIGINT, self._ask)
        except ValueError:      # not the main thread: nobody presses Ctrl-C here
            self._before = None
        return self

    def __exit__(self, *exception: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        console.remark("\nstopping after this update (Ctrl-C again: at once) ...")
