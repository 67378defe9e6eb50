"""Train the network of a cfg on images, or a character model on a text.

The data is looked for in this order: --data, [net] data=, data/<cfg name>.yaml or .data, data/<cfg name>/.  The run
is written to weights/<cfg name>/: best.weights (by the score on the test split), last.weights, log.csv, run.yaml and
the checkpoint for --resume; see docs/training.md.  Ctrl-C finishes the update and saves; a second one stops at once.

  python run.py train cfg/net.cfg
  python run.py train cfg/net.cfg --resume                                    continue after a stop or a crash
  python run.py train cfg/net.cfg --name slow --set net.learning_rate=0.01    another run
  python run.py train slow --resume                                           continue that one
  python run.py train cfg/chars.cfg --data novel.txt                          a character model
  python run.py train my.cfg --weights published.weights --cutoff 20          load only the first 20 layers
"""
import argparse
import contextlib
import math
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from runner.cli import common, console, process, several, train_results
from runner.cli.restored import restore
from runner.errors import counted
from runner.program import command
from runner.reading.numbers import is_whole

if TYPE_CHECKING:
    from runner.network import Network
    from runner.process_group import Group
    from runner.training import Control, Run, RunFolder, Task
    from runner.training.monitor import Monitor

# options of a single call, which --resume does not restore
NOT_RESTORED = ("cfg", "name", "resume", "weights", "cutoff", "clear", "partial", "freeze", "quiet", "json", "log_json",
               "no_report", "epochs", "tensorboard", "threads", "time_limit", "strict", "run", "settings", "words",
                "word", "home", "started_with", "np", "max_restarts")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cfg", help="the network; with --resume also the name or the folder of a run")
    common.data_options(parser)
    parser.add_argument("--balance", action=common.Setting, key="net.balance", nargs="?", const="1", metavar="B",
                        help="sample all classes equally often, regardless of their number of images (B between 0 and "
                             "1: partly). Short for --set net.balance=")
    often = parser.add_argument_group("often set")
    often.add_argument("--epochs", type=common.positive, metavar="N",
                       help="passes over the training data: sets [net] max_batches from the number of images and batch")
    often.add_argument("--batch", action=common.Setting, key="net.batch", metavar="N",
                       help="images per update. Short for --set net.batch=")
    often.add_argument("--lr", action=common.Setting, key="net.learning_rate", metavar="RATE",
                       help="learning rate. Short for --set net.learning_rate=")
    common.size_option(often)
    run = parser.add_argument_group("the run")
    run.add_argument("--name", metavar="NAME", help="write the run to weights/NAME (default: the cfg's name)")
    run.add_argument("--resume", action="store_true",
                     help="continue an interrupted run with its options; the result is bit-identical to that of an "
                          "uninterrupted run")
    run.add_argument("--save-every", type=_save_every, metavar="N|TIME",
                     help="updates, or time (10m, 30s), between two checkpoints (default 5m)")
    run.add_argument("--backup-every", action=common.Setting, key="net.backup_every", metavar="N",
                     help="updates between numbered copies of the weights. Short for --set net.backup_every=")
    run.add_argument("--keep", type=common.positive, default=0, metavar="K",
                     help="keep the K newest numbered copies (default: all)")
    start = parser.add_argument_group("initial weights")
    start.add_argument("--weights", metavar="FILE", help="start from these weights instead of random ones")
    start.add_argument("--cutoff", type=common.positive, metavar="N",
                       help="load only the first N layers of --weights")
    start.add_argument("--partial", nargs="?", const="", metavar="CFG",
                       help="--weights belong to another cfg (default: the one of their run): load the layers that "
                            "match, and initialize the others")
    start.add_argument("--clear", action="store_true", help="with --weights: restart counting updates from 0")
    start.add_argument("--freeze", type=common.positive, metavar="N",
                       help="do not update the first N layers. Short for --set N-1.stopbackward=1")
    control = parser.add_argument_group("evaluation and early stopping")
    control.add_argument("--validate-every", type=common.positive, metavar="N",
                         help="updates between two evaluations on the test split (default: a tenth of max_batches)")
    control.add_argument("--patience", type=common.positive, default=0, metavar="N",
                         help="early stopping: end after N evaluations without a better score")
    control.add_argument("--time-limit", type=common.minutes, default=0.0, metavar="TIME",
                         help="save and end after this time: 90 (minutes), 1h30m; --resume continues")
    shown = parser.add_argument_group("output")
    shown.add_argument("--quiet", action="store_true", help="no progress, only warnings, errors and results")
    shown.add_argument("--log-json", metavar="FILE", action=common.Output, content="log",
                       help="write each event as a line of JSON; - is stdout, which then contains nothing else")
    shown.add_argument("--tensorboard", action="store_true",
                       help="write event files for tensorboard --logdir weights (needs tensorboardX)")
    shown.add_argument("--no-report", action="store_true", help="do not write report.html")
    common.json_option(shown)
    several.options(parser)
    common.network_options(parser)


def _save_every(text: str) -> str:
    if not (is_whole(text) and text.strip("0")):
        common.period(text)     # raises the error
    return text


def run(args: argparse.Namespace) -> int:
    if several.is_launcher(args):
        return several.launch(args)
    group = several.join(args)
    if group is None:
        task, folder, start = _prepare(args)
        with folder.lock():
            return _run(args, task, folder, start)
    with several.ending_together(group):
        task, folder, start = several.agreed(group, lambda: _prepare(args, group), args)
        with folder.lock() if group.is_root else contextlib.nullcontext():
            return _run(args, task, folder, start, group)
    return process.CANNOT       # another process has reported why


def _prepare(args: argparse.Namespace, group: "Group | None" = None) -> "tuple[Task, RunFolder, str | None]":
    """-> the task with its network and data, the folder of the run, the weights to start from."""
    from runner.analysis.footprint import check_fits
    from runner.errors import CfgError, UsageError
    from runner.network_checks import file_problems, untrainable
    folder = choose_folder(args)
    console.detail(f"cfg: {args.cfg}; run folder: {folder.path} ({'--resume' if args.resume else 'a new run'})")
    if group is None or group.is_root:
        folder.require_free()       # before the data is read; `run` locks the folder
    if args.freeze:
        args.settings = [*args.settings, f"{args.freeze - 1}.stopbackward=1"]
    task = _task_of_epochs(args) if args.epochs else None
    net = common.load_network(args)
    why = untrainable(net.layers)
    if why:
        raise CfgError(f"{args.cfg}: {why}")
    if problems := file_problems(net.sections[1:], net.layers):
        raise CfgError(*problems)
    if group:
        several.share(net, group, args)
    else:
        check_fits(net)
    args.cfg = args.started_with
    start = args.weights
    if args.weights:
        _load_weights(args, net)
    elif args.clear or args.cutoff or args.partial is not None:
        raise UsageError("--cutoff, --partial and --clear need --weights")
    task = task or common.open_network_task(args, net)
    task.net = net
    task.require_training_data()
    if console.verbose():
        _describe(task)
    if args.tensorboard:        # a missing package is reported before the folder of the previous run is renamed
        from runner.training.monitor import summary_writer
        summary_writer()
    return task, folder, start


# --- before training -------------------------------------------------------------------------------------------

def _describe(task: "Task") -> None:
    """--verbose: what an update is, how many there will be, and the memory."""
    from runner.analysis import footprint
    from runner.machine import bytes_text
    net, need = task.net, footprint.training(task.net)
    options = net.options
    end = f"{options.max_batches:,} updates" if options.max_batches else "without end"
    console.detail(f"training: {end}, batch {options.batch} in {options.subdivisions}, {task.updates_per_epoch:.1f} "
                   f"updates an epoch, learning rate {options.learning_rate:g}; score: {task.score_name}")
    console.detail(f"memory, estimated to train on {counted(need.images, 'image')} at a time: {bytes_text(need.total)}")


def choose_folder(args: argparse.Namespace) -> "RunFolder":
    """The folder of the run.  With --resume the cfg may be a run: then args.cfg is the cfg that the run has written.

    args.word          what was typed
    args.started_with  the path of the cfg that run.yaml records
    """
    from runner.chosen_run import choose
    from runner.errors import UsageError
    from runner.training import RunFolder
    args.word = args.cfg
    named = choose(args.word)
    a_cfg = os.path.isfile(args.word) and args.word.endswith(".cfg")
    if named.is_run and not a_cfg:
        if not args.resume:
            raise UsageError(f"{args.word} is a run. {command('train', args.word, '--resume')} continues it, and "
                             f"{command('train', named.cfg, '--name', 'NEW')} trains its cfg again")
        if args.name:
            raise UsageError(f"{args.word} is a run, so --name has no meaning. Got {args.name!r}")
    args.cfg, args.home = str(named.cfg), named.home
    if not named.is_run or args.name:
        folder = RunFolder(args.cfg, args.name)
        args.started_with = args.cfg
    else:
        folder = named.folder
        args.started_with = str(named.facts.get("cfg") or args.cfg) if args.resume and named.as_trained else args.cfg
    if named.is_run and not args.data and not any(setting.startswith("net.data=") for setting in args.settings):
        args.data = named.data
    if args.resume:
        _restore_options(args, folder)
    elif named.is_run:
        if args.compat is None and named.compat not in (None, common.EXACT):
            args.compat = named.compat
            console.remark(f"{folder.path} was trained with --compat {named.compat}, which is used here too")
    return folder


def _restore_options(args: argparse.Namespace, folder: "RunFolder") -> None:
    """--resume: restore the options of the run that are not set in this call."""
    from runner.errors import UsageError
    if args.weights or args.clear or args.cutoff or args.partial is not None:
        raise UsageError("--resume continues with the weights of the run itself: omit --weights, --cutoff, --partial "
                         "and --clear")
    facts = folder.facts()
    if not facts or not (folder.checkpoint.exists() or folder.previous_checkpoint.exists()):
        raise UsageError(f"{folder.path}: there is no run to resume. Omit --resume to start one")
    parser = argparse.ArgumentParser()
    arguments(parser)
    restore(args, facts.get("options") or {}, folder.path / "run.yaml", parser, NOT_RESTORED)
    # of two settings of one option the last counts, and only that is recorded
    settings = [*(facts.get("settings") or []), *args.settings]
    args.settings = list({setting.partition("=")[0]: setting for setting in settings}.values())


def _task_of_epochs(args: argparse.Namespace) -> "Task":
    """--epochs: sets the number of updates from that of the images -> the task, which was opened to count them."""
    from dataclasses import replace

    import runner
    from runner.config import Report
    from runner.errors import UsageError
    from runner.training import open_task
    if not args.resume and any(setting.startswith("net.max_batches=") for setting in args.settings):
        raise UsageError("--epochs sets net.max_batches: give only one of them")
    shapes = runner.load(args.cfg, settings=args.settings, compat=common.compat_of(args), allocate=False,
                         report=Report(args.strict), folder=args.home)
    task = open_task(shapes, replace(common.task_options(args), cfg=args.started_with))
    task.require_training_data()
    updates = max(math.ceil(args.epochs * task.updates_per_epoch), 1)
    args.settings = [*(setting for setting in args.settings if not setting.startswith("net.max_batches=")),
                     f"net.max_batches={updates}"]
    return task


def _load_weights(args: argparse.Namespace, net: "Network") -> None:
    """--weights, with --cutoff, --partial and --clear."""
    from runner import weights
    from runner.errors import UsageError
    console.detail(f"weights: {args.weights} (--weights) replace the random ones")
    if args.partial is not None:
        _transfer(args, net)
    else:
        remark = weights.load(net, args.weights, cutoff=args.cutoff).remark
        console.warn([remark] if remark else [])
    if args.clear or args.cutoff is not None or args.partial is not None:
        net.progress.seen = net.progress.iteration = 0
    limit = net.options.max_batches
    if limit and net.progress.iteration >= limit:
        raise UsageError(f"{args.weights}: these weights are trained for all {counted(limit, 'update')} of "
                         f"max_batches. Add --clear to restart from 0, or --set net.max_batches={2 * limit} to train "
                         "longer")


def _transfer(args: argparse.Namespace, net: "Network") -> None:
    """--partial: load the layers that match between both cfgs, and report the others."""
    import runner
    from runner import weights
    from runner.errors import UsageError
    from runner.training import RunFolder
    path = args.partial or RunFolder.cfg_of(args.weights)
    if path is None:
        raise UsageError(f"a .weights file does not describe its layers, and there is no cfg of a run in the folder of "
                         f"{args.weights}: name the cfg it belongs to, --partial CFG")
    loaded = weights.transfer(net, runner.load(path, args.weights, compat=args.compat))
    others = [f"{i} [{layer.names[0]}]" for i, layer in enumerate(net.layers) if layer.stored and i not in loaded]
    if not loaded:
        raise UsageError(f"{args.weights}: no layer of {path} matches one of {args.cfg}")
    if not args.quiet:
        console.remark(f"{args.weights}: {counted(len(loaded), 'layer')} loaded; initialized: "
                       f"{', '.join(others) or 'none'}")


def _control(args: argparse.Namespace) -> "Control":
    from runner.training import Control
    more: dict[str, Any] = {}
    if args.save_every:
        more = ({"save_updates": int(args.save_every)} if args.save_every.isdecimal() else
                {"save_seconds": common.period(args.save_every)})
    return Control(validate_every=args.validate_every, keep=args.keep, patience=args.patience, seconds=args.time_limit,
                   **more)


def _facts(args: argparse.Namespace, folder: "RunFolder") -> dict[str, Any]:
    """What run.yaml records of the call: the command, and the options that --resume restores."""
    typed, first = command(*args.words), folder.facts() if args.resume else {}
    commands = {"command": first.get("command") or typed} | ({"resumed": typed} if args.resume else {})
    home = first.get("home") or (str(args.home) if args.home != Path(args.started_with).parent else None)
    defaults = argparse.ArgumentParser()
    arguments(defaults)
    options = {key: value for key, value in vars(args).items()
               if key not in NOT_RESTORED and value is not None and value != defaults.get_default(key)}
    return {**commands, "options": options, "compat": args.compat or common.EXACT, "settings": list(args.settings),
            **({"home": home} if home else {})}


# --- training -------------------------------------------------------------------------------------------------

def _run(args: argparse.Namespace, task: "Task", folder: "RunFolder", start: str | None,
         group: "Group | None" = None) -> int:
    """Train, and write and print the results, in a locked folder -> exit status."""
    from runner.errors import Diverged, RunnerError
    from runner.process_group import Elsewhere
    from runner.training import Run
    net = task.net
    facts = _facts(args, folder)
    if group:
        from runner.training.shared_run import SharedRun
        run: Run = SharedRun(task, folder, group, _control(args), start_weights=start, facts=facts)
    else:
        run = Run(task, folder, _control(args), start_weights=start, facts=facts)
    if args.resume:
        console.warn(run.resume())
    else:
        moved = run.begin()
        if moved and not args.quiet:
            console.remark(f"the previous run in {folder.path} has been moved to {moved}")
    if not args.quiet:
        console.remark(f"{args.cfg}: {counted(len(net.layers), 'layer')}, {net.param_count:,} parameters; "
                       f"{task.source}: "
                       f"{task.data_summary()}")
        if group:
            console.remark(several.description(net, group))
        if net.progress.iteration:
            console.remark(f"continuing {args.weights or folder.path} after update {net.progress.iteration}")
    with _Interrupt(run) as interrupt, contextlib.ExitStack() as files:
        monitors: list[Monitor] = []
        try:
            monitors = _monitors(args, run, files)
            _train(args, run, monitors)
        except Diverged as error:
            if several.leave(group):
                raise Elsewhere(str(error)) from None
            saved = f". {folder.last} holds the weights from before that" if folder.last.exists() else ""
            raise RunnerError(f"{error}. The learning rate may be too high, or the data invalid. Try --set "
                              f"net.learning_rate={net.options.learning_rate / 10:g}, a longer burn_in, or "
                              f"max_grad_norm{saved}") from None
        except BrokenPipeError:     # the reader of --log-json - has ended
            run.ended = "interrupted"
            process.discard_output()
        run.finish()
        stopped = run.ended == "interrupted" or interrupt.stopping
        if several.leave(group):
            return process.INTERRUPTED if stopped else process.DONE
        task.group = net.env.share = None       # what follows is done by this process
        for monitor in monitors:
            monitor.end(run)
    train_results.write_report(args, run)
    train_results.print_results(args, run)
    # so that `train && test` does not go on
    return process.INTERRUPTED if stopped or interrupt.stopping else process.DONE


def _monitors(args: argparse.Namespace, run: "Run", files: contextlib.ExitStack) -> "list[Monitor]":
    """The monitors of --log-json and --tensorboard; `files` closes what they open."""
    monitors: list[Monitor] = []
    if args.log_json:
        from runner.training.monitor import JsonLines
        monitors.append(JsonLines(sys.stdout if args.log_json == "-" else
                                  files.enter_context(open(args.log_json, "a", encoding="utf-8")), run))
    if args.tensorboard:
        from runner.training.monitor import TensorBoard
        monitors.append(TensorBoard(run.folder.tensorboard, run))
    return monitors


def _train(args: argparse.Namespace, run: "Run", monitors: "list[Monitor]") -> None:
    """Train until the run ends, with a progress bar."""
    from tqdm import tqdm
    net, task = run.net, run.task
    total = net.options.max_batches
    seconds, waited, seen = 0.0, 0.0, 0
    per_epoch = task.updates_per_epoch
    with tqdm(total=total or None, initial=net.progress.iteration, file=sys.stderr, dynamic_ncols=True,
              disable=args.quiet or not sys.stderr.isatty(),
              bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]") as bar:
        for update in run.updates():
            step = update.step
            try:
                for monitor in monitors:
                    monitor.update(update)
            except BrokenPipeError:
                if task.group is None:
                    raise
                run.stop("interrupted")     # with the other processes, after this update
                monitors.clear()
                process.discard_output()
            if update.metrics:
                bar.set_description_str("")
                if not args.quiet:
                    bar.write(f"update {step.number}: {task.loss_name} {update.smooth:.4f}, {task.score_name} "
                              f"{task.score_text(update.metrics.score)}", file=sys.stderr)
                continue
            seconds, waited, seen = seconds + step.seconds, waited + step.waited, seen + step.images
            bar.update(1)
            bar.set_postfix_str(f"{seen / seconds:,.0f} {task.unit}/s, {task.loss_name} {update.smooth:.4f}, "
                                f"epoch {step.number / per_epoch:.1f}, rate {step.rate:.3g}, "
                                f"waiting {100 * waited / seconds:.0f} %", refresh=False)
            if run.control.evaluation_due(step.number, total):
                bar.set_description_str("evaluating")


class _Interrupt:
    """Ctrl-C (or SIGTERM) once: finish the update, save, stop.  Twice: stop at once."""

    def __init__(self, run: "Run") -> None:
        self.run, self.stopping, self.since = run, False, 0.
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "_Interrupt":
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        except ValueError:      # not the main thread, which alone receives signals
            pass
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.stopping:
            if self.run.task.group and time.monotonic() - self.since < several.ONE_SIGNAL:
                return              # of the terminal and of mpiexec, which passes it on
            raise KeyboardInterrupt
        self.stopping, self.since = True, time.monotonic()
        self.run.stop("interrupted")
        with contextlib.suppress(RuntimeError, OSError):    # stderr is being written to, or is closed
            console.remark("\nstopping after this update (Ctrl-C again: at once) ...")
