"""Train the network of a cfg on images, or a character model on a text.

The data is found in this order: --data, [net] data=, data/<cfg name>.yaml or .data, data/<cfg name>/.  The run is
kept in weights/<cfg name>/: best.weights (by the score on the test part), last.weights, log.csv, run.yaml and what
--resume needs; docs/training.md tells all of it.  Ctrl-C finishes the update and saves; a second one stops at once.

  python run.py train cfg/net.cfg
  python run.py train cfg/net.cfg --resume                                    go on after a stop or a crash
  python run.py train cfg/net.cfg --name slow --set net.learning_rate=0.01    another run beside it
  python run.py train cfg/chars.cfg --data novel.txt                          learn to write like it
  python run.py train my.cfg --weights published.weights --cutoff 20          keep its first 20 layers, learn the rest
"""
import argparse
import contextlib
import shlex
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING, Any

from runner.cli import common, console

if TYPE_CHECKING:
    from runner.network import Network
    from runner.training import Control, Run, RunFolder
    from runner.training.monitor import Monitor

# options that belong to one call, not to the run: --resume does not take them over
OF_THE_CALL = ("cfg", "name", "resume", "weights", "cutoff", "clear", "partial", "freeze", "quiet", "json", "log_json",
               "no_report", "tensorboard", "threads", "time_limit", "strict", "run", "settings", "words")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cfg", help="the network")
    common.data_options(parser)
    parser.add_argument("--balance", action=common.Setting, key="net.balance", nargs="?", const="1", metavar="B",
                        help="show all classes equally often, however many images they have (B between 0 and 1: in "
                             "part). Short for --set net.balance=")
    run = parser.add_argument_group("the run")
    run.add_argument("--name", metavar="NAME", help="keep the run in weights/NAME (default: the cfg's name)")
    run.add_argument("--resume", action="store_true",
                     help="go on with the run that is there, with its options, to the same bits as if it had never "
                          "been interrupted")
    run.add_argument("--save-every", type=_save_every, metavar="N|TIME",
                     help="updates, or time (10m, 30s), between two saved states: what a crash costs (default 5m)")
    run.add_argument("--backup-every", action=common.Setting, key="net.backup_every", metavar="N",
                     help="updates between two numbered copies of the weights. Short for --set net.backup_every=")
    run.add_argument("--keep", type=common.positive, default=0, metavar="K",
                     help="keep the newest K of the numbered copies (default: all)")
    start = parser.add_argument_group("where it starts")
    start.add_argument("--weights", metavar="FILE", help="start from these weights instead of random ones")
    start.add_argument("--cutoff", type=common.positive, metavar="N",
                       help="take only the layers before N from --weights")
    start.add_argument("--partial", nargs="?", const="", metavar="CFG",
                       help="--weights belong to another cfg (default: the one of its run): take the layers that are "
                            "alike, and leave the others fresh")
    start.add_argument("--clear", action="store_true", help="with --weights: count updates from 0 again")
    start.add_argument("--freeze", type=common.positive, metavar="N",
                       help="the first N layers do not learn. Short for --set N-1.stopbackward=1")
    control = parser.add_argument_group("control")
    control.add_argument("--validate-every", type=common.positive, metavar="N",
                         help="updates between two looks at the test part (default: a tenth of max_batches)")
    control.add_argument("--patience", type=common.positive, default=0, metavar="N",
                         help="end after N such looks without a better score")
    control.add_argument("--time-limit", type=common.minutes, default=0.0, metavar="TIME",
                         help="save and end after this time: 90 (minutes), 1h30m; --resume goes on")
    shown = parser.add_argument_group("what is told")
    shown.add_argument("--quiet", action="store_true", help="no progress: only warnings, errors and the results")
    shown.add_argument("--log-json", metavar="FILE",
                       help="a line of JSON for everything that happens, for a program to read; - is stdout, which "
                            "then holds nothing else")
    shown.add_argument("--tensorboard", action="store_true",
                       help="event files in the run's folder, for tensorboard --logdir weights (needs tensorboardX)")
    shown.add_argument("--no-report", action="store_true", help="do not write report.html at the end")
    common.json_option(shown)
    common.network_options(parser)


def _save_every(text: str) -> str:
    if not (text.isdecimal() and int(text)):
        common.period(text)     # tells what is wrong
    return text


def run(args: argparse.Namespace) -> int:
    from runner.analysis.footprint import check_fits
    from runner.errors import CfgError, DataError, Diverged, RunnerError, UsageError
    from runner.network_checks import untrainable
    from runner.training import Run, RunFolder, open_task
    folder = RunFolder(args.cfg, args.name)
    if args.resume:
        _take_over(args, folder)
    if args.freeze:
        args.settings = [*args.settings, f"{args.freeze - 1}.stopbackward=1"]
    net = common.load_network(args)
    why = untrainable(net.layers)
    if why:
        raise CfgError(f"{args.cfg}: {why}")
    check_fits(net)
    start = args.weights
    if args.weights:
        _start_from(args, net)
    elif args.clear or args.cutoff or args.partial is not None:
        raise UsageError("--cutoff, --partial and --clear say how to use the file that --weights names; there is none")
    task = open_task(net, common.asked(args))
    if not task.has_training_data:
        raise DataError(f"{task.source} has no training {task.unit}")
    run = Run(task, folder, _control(args), start_weights=start, facts=_facts(args))
    if args.resume:
        console.warn(run.resume())
    else:
        moved = run.begin()
        if moved and not args.quiet:
            console.remark(f"the run that was in {folder.path} is in {moved} now")
    if not args.quiet:
        console.remark(f"{args.cfg}: {len(net.layers)} layers, {net.param_count:,} parameters; {task.source}: "
                       f"{task.data_summary()}")
        if net.progress.iteration:
            console.remark(f"going on after update {net.progress.iteration} of {args.weights or folder.path}")
    with _Interrupt(run), contextlib.ExitStack() as files:
        watchers = _watchers(args, run, files)
        try:
            _learn(args, run, watchers)
        except Diverged as error:
            kept = f". {folder.last} is from before that" if folder.last.exists() else ""
            raise RunnerError(f"{error}. The learning rate is too high, or the data holds nonsense. Try --set "
                              f"net.learning_rate={net.options.learning_rate / 10:g}, a longer burn_in, or "
                              f"max_grad_norm{kept}") from None
        run.finish()
        for watcher in watchers:
            watcher.end(run)
    _report(args, run)
    _finish(args, run)
    return 0


# --- before it starts ------------------------------------------------------------------------------------------

def _take_over(args: argparse.Namespace, folder: "RunFolder") -> None:
    """--resume: the options of the run, unless this call says otherwise."""
    from runner.errors import UsageError
    if args.weights or args.clear or args.cutoff or args.partial is not None:
        raise UsageError("--resume goes on with the weights of the run itself: leave --weights, --cutoff, --partial "
                         "and --clear out")
    facts = folder.facts()
    if not facts or not (folder.state.exists() or folder.state_before.exists()):
        raise UsageError(f"{folder.path}: there is no run to resume. Omit --resume to start one")
    defaults = argparse.ArgumentParser()
    arguments(defaults)
    for option, value in (facts.get("options") or {}).items():
        if hasattr(args, option) and getattr(args, option) == defaults.get_default(option):
            setattr(args, option, value)
    before = [setting for setting in facts.get("settings") or [] if setting not in args.settings]
    args.settings = [*before, *args.settings]


def _start_from(args: argparse.Namespace, net: "Network") -> None:
    from runner import weights
    from runner.errors import UsageError
    if args.partial is not None:
        _transfer(args, net)
    else:
        weights.load(net, args.weights, cutoff=args.cutoff)
    if args.clear or args.cutoff is not None or args.partial is not None:
        net.progress.seen = net.progress.iteration = 0
    limit = net.options.max_batches
    if limit and net.progress.iteration >= limit:
        raise UsageError(f"{args.weights}: these weights have seen all {limit} updates of max_batches. Add --clear to "
                         f"count from 0 again, or --set net.max_batches={2 * limit} to go on")


def _transfer(args: argparse.Namespace, net: "Network") -> None:
    """--partial: the layers that are alike in both cfgs are taken, the others named."""
    import runner
    from runner import weights
    from runner.errors import UsageError
    from runner.training import RunFolder
    path = args.partial or RunFolder.cfg_beside(args.weights)
    if path is None:
        raise UsageError(f"a .weights file does not tell its layers, and no run's cfg lies beside {args.weights}: say "
                         "which cfg it belongs to, --partial CFG")
    taken = weights.transfer(net, runner.load(path, args.weights, compat=args.compat))
    fresh = [f"{i} [{layer.names[0]}]" for i, layer in enumerate(net.layers) if layer.stored and i not in taken]
    if not taken:
        raise UsageError(f"{args.weights}: no layer of {path} is like one of {args.cfg}")
    if not args.quiet:
        console.remark(f"{args.weights}: {len(taken)} layers taken over; fresh: {', '.join(fresh) or 'none'}")


def _control(args: argparse.Namespace) -> "Control":
    from runner.training import Control
    more: dict[str, Any] = {}
    if args.save_every:
        more = ({"save_updates": int(args.save_every)} if args.save_every.isdecimal() else
                {"save_seconds": common.period(args.save_every)})
    return Control(validate_every=args.validate_every, keep=args.keep, patience=args.patience, seconds=args.time_limit,
                   **more)


def _facts(args: argparse.Namespace) -> dict[str, Any]:
    """What run.yaml tells of the call: the command, and the options --resume takes over."""
    defaults = argparse.ArgumentParser()
    arguments(defaults)
    options = {key: value for key, value in vars(args).items()
               if key not in OF_THE_CALL and value is not None and value != defaults.get_default(key)}
    return {"command": shlex.join(["python", "run.py", *args.words]), "options": options,
            "compat": args.compat or "exact", "settings": list(args.settings)}


# --- while it learns ------------------------------------------------------------------------------------------

def _watchers(args: argparse.Namespace, run: "Run", files: contextlib.ExitStack) -> "list[Monitor]":
    """What --log-json and --tensorboard ask for; `files` closes what is opened."""
    found: list[Monitor] = []
    if args.log_json:
        from runner.training.monitor import JsonLines
        found.append(JsonLines(sys.stdout if args.log_json == "-" else
                               files.enter_context(open(args.log_json, "a", encoding="utf-8")), run))
    if args.tensorboard:
        from runner.training.monitor import TensorBoard
        found.append(TensorBoard(run.folder.events, run))
    return found


def _learn(args: argparse.Namespace, run: "Run", watchers: "list[Monitor]") -> None:
    """Train until the run ends; show how it goes."""
    from tqdm import tqdm
    net, task = run.net, run.task
    total = net.options.max_batches
    seconds, waited, seen = 0.0, 0.0, 0
    with tqdm(total=total or None, initial=net.progress.iteration, file=sys.stderr, dynamic_ncols=True,
              disable=args.quiet or not sys.stderr.isatty(),
              bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]") as bar:
        for update in run.updates():
            step = update.step
            for watcher in watchers:
                watcher.update(update)
            if update.metrics:
                bar.set_description_str("")
                if not args.quiet:
                    bar.write(f"update {step.number}: {task.loss_name} {update.smooth:.4f}, {task.score_name} "
                              f"{task.score_text(update.metrics.score)}", file=sys.stderr)
                continue
            seconds, waited, seen = seconds + step.seconds, waited + step.waited, seen + step.images
            bar.update(1)
            bar.set_postfix_str(f"{seen / seconds:,.0f} {task.unit}/s, {task.loss_name} {update.smooth:.4f}, "
                                f"rate {step.rate:.3g}, waiting {100 * waited / seconds:.0f} %", refresh=False)
            if run.control.evaluation_due(step.number, total):
                bar.set_description_str("testing")


class _Interrupt:
    """Ctrl-C (or a polite kill) once: finish the update, save, stop.  Twice: stop at once."""

    def __init__(self, run: "Run") -> None:
        self.run, self.stopping = run, False
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
        if self.stopping:
            raise KeyboardInterrupt
        self.stopping = True
        self.run.stop("interrupted")
        console.remark("\nstopping after this update (Ctrl-C again: at once) ...")


# --- afterwards ------------------------------------------------------------------------------------------------

def _stdout_taken(args: argparse.Namespace) -> bool:
    """Does a program read stdout?"""
    return "-" in (args.json, args.log_json)


def _report(args: argparse.Namespace, run: "Run") -> None:
    """report.html; after an interruption only what the folder tells, so that nobody has to wait."""
    if args.no_report:
        return
    from runner.training.report import write_report
    problem = write_report(run.folder, task=run.task, evaluate=run.ended in ("finished", "patience"))
    console.warn([problem] if problem else [])


def _finish(args: argparse.Namespace, run: "Run") -> None:
    """Say how it went, where the weights are, and what to type next."""
    net, task, folder, best = run.net, run.task, run.folder, run.best
    stopped = run.ended in ("interrupted", "time")
    number, latest = net.progress.iteration, None if stopped else run.latest
    kept = [str(path) for path in (folder.best, folder.last) if path.exists()]
    if args.json:
        console.write_json(args.json, {
            "updates": number, task.unit: net.progress.seen, "seconds": round(run.elapsed(), 3), "ended": run.ended,
            "stopped": stopped, "score_name": task.score_name, "score": latest.score if latest else None,
            "metrics": latest.as_json() if latest else None, "best": best, "weights": kept})
    if _stdout_taken(args):
        return
    total = f" of {net.options.max_batches}" if net.options.max_batches else ""
    took = console.duration(run.elapsed())
    if stopped:
        why = "the time is up" if run.ended == "time" else "stopped"
        console.say(f"{why} after update {number}{total}, {took}")
    elif run.ended == "patience":
        console.say(f"{number} updates{total}, {took}: no better score in the last {run.stale} measurements")
    else:
        console.say(f"{number} updates, {net.progress.seen:,} {task.unit}, {took}")
    if best:
        last = f"{task.score_text(latest.score)}, " if latest else ""
        console.say(f"{task.score_name}: {last}best {task.score_text(best['score'])} (after update {best['update']})")
    console.say(f"weights: {', '.join(kept)}")
    if not args.no_report:
        console.say(f"report:  {folder.report}")
    name = f" --name {args.name}" if args.name else ""
    if stopped:
        console.say(f"go on:   python run.py train {args.cfg}{name} --resume")
    for i, command in enumerate(task.next_commands()):
        console.say(f"{'' if i else 'next:':8} {command}")
