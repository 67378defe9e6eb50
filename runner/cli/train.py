"""Train the network of a cfg on images, or a character model on a text.

The data is found in this order: --data, [net] data=, data/<cfg name>.yaml or .data, data/<cfg name>/.  The weights
go to weights/<cfg name>/: best.weights (by the score on the test part) and last.weights.  Ctrl-C finishes the
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
    from runner.network import Network
    from runner.training import Run, RunFolder

SAVE_EVERY = 300        # seconds a crash may cost


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cfg", help="the network")
    common.data_options(parser)
    parser.add_argument("--balance", action=common.Setting, key="net.balance", nargs="?", const="1", metavar="B",
                        help="show all classes equally often, however many images they have (B between 0 and 1: in "
                             "part). Short for --set net.balance=")
    parser.add_argument("--weights", metavar="FILE", help="start from these weights instead of random ones")
    parser.add_argument("--cutoff", type=common.positive, metavar="N",
                        help="take only the layers before N from --weights")
    parser.add_argument("--clear", action="store_true", help="with --weights: count updates from 0 again")
    parser.add_argument("--validate-every", type=common.positive, metavar="N",
                        help="updates between two looks at the test part (default: a tenth of max_batches)")
    parser.add_argument("--quiet", action="store_true", help="no progress: only warnings, errors and the results")
    common.json_option(parser)
    common.network_options(parser)


def run(args: argparse.Namespace) -> int:
    from runner.errors import DataError, UsageError
    from runner.training import Run, RunFolder, open_job
    net = common.load_network(args)
    if args.weights:
        _start_from(args, net)
    elif args.clear or args.cutoff:
        raise UsageError("--cutoff and --clear say how to use the file that --weights names; there is none")
    job = open_job(net, common.asked(args))
    if not job.trains:
        raise DataError(f"{job.source} has no training {job.thing}")
    run = Run(job, RunFolder(args.cfg), start=args.weights, compat=args.compat or "exact", settings=args.settings)
    if not args.quiet:
        console.remark(f"{args.cfg}: {len(net.layers)} layers, {net.param_count:,} parameters; {job.source}: "
                       f"{job.content()}")
        if net.progress.iteration:
            console.remark(f"going on after update {net.progress.iteration} of {args.weights}")
    began = time.perf_counter()
    with _Interrupt() as interrupt:
        _learn(args, run, interrupt)
        stopped = interrupt.asked
        run.save() if stopped else run.look()
    _finish(args, run, stopped, time.perf_counter() - began)
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


def _learn(args: argparse.Namespace, run: "Run", interrupt: "_Interrupt") -> None:
    """Train until max_batches, or until Ctrl-C; measure now and then."""
    from tqdm import tqdm

    import runner
    net, job = run.net, run.job
    total = net.options.max_batches
    every = args.validate_every or max(total // 10, 50)
    smooth, seconds, seen = math.nan, 0.0, 0
    with job.batches() as batches, tqdm(
            total=total or None, initial=net.progress.iteration, file=sys.stderr, dynamic_ncols=True,
            disable=args.quiet or not sys.stderr.isatty(),
            bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]") as bar:
        for step in runner.train(net, batches):
            loss = job.loss(step)
            if not math.isfinite(loss):
                _not_a_number(net, step.number, run.folder)
            smooth = loss if math.isnan(smooth) else 0.9 * smooth + 0.1 * loss
            seconds, seen = seconds + step.seconds, seen + step.images
            bar.update(1)
            bar.set_postfix_str(f"{seen / seconds:,.0f} {job.thing}/s, {job.loss_name} {smooth:.4f}, "
                                f"rate {step.rate:.3g}", refresh=False)
            if interrupt.asked:
                return
            if step.number % every == 0 and step.number != total:
                bar.set_description_str("testing")
                metrics = run.look()
                bar.set_description_str("")
                if metrics and not args.quiet:
                    bar.write(f"update {step.number}: {job.loss_name} {smooth:.4f}, {job.score_name} "
                              f"{job.score_text(metrics.score)}", file=sys.stderr)
            elif time.perf_counter() - run.saved > SAVE_EVERY:
                run.save()
            if interrupt.asked:
                return


def _not_a_number(net: "Network", number: int, folder: "RunFolder") -> None:
    from runner.errors import RunnerError
    kept = f" {folder.last} is from before" if folder.last.exists() else ""
    raise RunnerError(f"the loss of update {number} is not a number: the learning rate is too high, or the data holds "
                      f"nonsense. Try --set net.learning_rate={net.options.learning_rate / 10:g}, or a longer burn_in."
                      f"{kept}")


def _finish(args: argparse.Namespace, run: "Run", stopped: bool, seconds: float) -> None:
    """Say how it went, where the weights are, and what to type next."""
    net, job, folder, best = run.net, run.job, run.folder, run.best
    number, latest = net.progress.iteration, None if stopped else run.latest
    kept = [str(path) for path in (folder.best, folder.last) if path.exists()]
    if args.json:
        console.write_json(args.json, {
            "updates": number, job.thing: net.progress.seen, "seconds": round(seconds, 3), "stopped": stopped,
            "score_name": job.score_name, "score": latest.score if latest else None,
            "metrics": latest.as_json() if latest else None, "best": best, "weights": kept})
        if args.json == "-":
            return
    if stopped:
        total = f" of {net.options.max_batches}" if net.options.max_batches else ""
        console.say(f"stopped after update {number}{total}, {console.duration(seconds)}")
    else:
        console.say(f"{number} updates, {net.progress.seen:,} {job.thing}, {console.duration(seconds)}")
    if best:
        last = f"{job.score_text(latest.score)}, " if latest else ""
        console.say(f"{job.score_name}: {last}best {job.score_text(best['score'])} (after update {best['update']})")
    console.say(f"weights: {', '.join(kept)}")
    if stopped:
        console.say(f"go on:   python run.py train {args.cfg} --weights {folder.last}")
    for i, command in enumerate(job.next_commands()):
        console.say(f"{'' if i else 'next:':8} {command}")


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
