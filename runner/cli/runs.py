"""The network that a call is about: a cfg, or a training run with its weights, settings, data and class names."""
import argparse
import os
import shlex
from typing import TYPE_CHECKING, Any

from runner.cli import console
from runner.cli.common import EXACT, load_network
from runner.program import command

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from runner.chosen_run import ChosenRun
    from runner.network import Network

BEST_F1 = "the best F1 on the test images"      # what the threshold of a run is
SHAPE = ("width", "height", "channels", "inputs", "time_steps", "letter_box")     # what predictions depend on in [net]


def network_argument(parser: argparse.ArgumentParser, more: str = "") -> None:
    """The network a verb is about."""
    parser.add_argument("cfg", help=f"the network: a cfg, or a training run: its name, its folder or its weights{more}")


def choose_network(args: Any, trained: bool = False) -> "ChosenRun":
    """The cfg or the run that args.cfg names.

    The cfg, settings, compat and data of a run become those of `args`; options of the call replace them, with a remark
    where that matters.  trained: also those of the run of a cfg, whose weights the verb uses.
    """
    from runner.chosen_run import choose, or_shipped
    word = args.cfg
    run = choose(word, getattr(args, "weights", None) if trained else None)
    run = or_shipped(run) if trained else run
    if run.hidden:
        console.warn([f"{word} means {run.folder.path if run.is_run else 'the file of that name'} here; there is also "
                      f"the run {run.hidden}"])
    args.cfg, args.home = str(run.cfg), run.home
    console.detail(f"cfg: {args.cfg}, " + (f"of the run {run.folder.path}" if run.is_run else "a file"))
    if trained or run.is_run:
        _apply_run(args, run)
    return run


def _apply_run(args: Any, run: "ChosenRun") -> None:
    """The settings, compat and data of the run become those of `args`, where the call does not give others."""
    where, cfg = run.folder.path, run.facts.get("cfg")
    if run.facts and not run.belongs and cfg and not getattr(args, "weights", None):
        console.warn([f"{where} is a run of {cfg}, not of {args.cfg}: its settings and its data are not used"])
    for setting in run.facts.get("settings") or []:
        key = setting.partition("=")[0]
        for own in args.settings:
            if run.belongs and own.partition("=")[0] == key and own != setting:
                console.remark(f"{where} was trained with --set {setting}; here it is {own.partition('=')[2]}")
    if run.settings:
        console.remark(f"{where} was trained with {_options(run.settings)}, which is used here too")
    own_data = getattr(args, "data", None) or any(setting.startswith("net.data=") for setting in args.settings)
    args.settings = [*run.settings, *args.settings]
    if run.compat and args.compat is None and run.belongs:
        args.compat = run.compat
    elif run.compat and run.compat != (args.compat or EXACT):
        trained = "without --compat" if run.compat == EXACT else f"with --compat {run.compat}"
        console.warn([f"{where} was trained {trained}: use the same here"])
    if hasattr(args, "data") and not own_data:
        args.data = run.data
    elif getattr(args, "data", None) and run.belongs and not _is_data(run, args.data):
        console.remark(f"{where} was trained on {run.facts.get('data')}; here the data is {args.data}")


def _options(settings: "Iterable[str]") -> str:
    return " ".join(f"--set {shlex.quote(setting)}" for setting in settings)


def _is_data(run: "ChosenRun", data: str) -> bool:
    """Is this the dataset of the run?"""
    found = run.located(str(run.facts.get("data") or ""))
    return found is None or not os.path.exists(data) or os.path.samefile(found, data)


def _check_cfg(args: Any, run: "ChosenRun") -> None:
    """A warning where the cfg of a run has changed since, in options that change what the network computes."""
    from runner.config import Report, differences, override, read, write
    from runner.model import ALIASES
    from runner.reading.text import read_text
    trained = run.folder.trained_cfg()
    if run.as_trained or not run.belongs or trained is None:
        return
    sections = read(run.cfg, Report())
    override(sections, run.settings, ALIASES, Report())
    changed = [line for line in differences(read_text(trained, latin1=True), write(sections))
               if not line.startswith("[net] ") or line.split()[1] in SHAPE]
    if changed:
        console.warn([f"{run.cfg} has changed since {run.folder.path} was trained: {'; '.join(changed[:3])}"
                      f"{'; ...' * (len(changed) > 3)}. {trained} is the cfg as it was"])


def _weights_of(run: "ChosenRun", word: str) -> "Path":
    """The best weights of the run, or the last.  WeightsError says what there is instead."""
    from runner.chosen_run import runs_of
    from runner.config import Report, read
    from runner.errors import WeightsError
    try:
        return run.folder.weights()
    except WeightsError as error:
        if run.is_run:
            raise WeightsError(f"{run.folder.best}: there are no weights yet. The run can be continued: "
                               f"{command('train', word, '--resume')}") from None
        read(run.cfg, Report())     # CfgError where there is no such file
        others = runs_of(run.cfg)
        more = f". Runs of this cfg: {', '.join(others)}" if others else ""
        raise WeightsError(f"{error}{more}") from None


def load_trained(args: Any, settings: "Sequence[str]" = (), onnx: bool = False) -> tuple["Network", "ChosenRun"]:
    """The network that args.cfg names, a cfg or a run, with the weights of --weights or those of its run.

    settings: of the verb itself, beside those of the call; onnx: args.cfg may also be an ONNX model
    """
    from runner.errors import WeightsError
    word, own = args.cfg, list(args.settings)
    if onnx and word.lower().endswith(".onnx") and os.path.isfile(word):
        return _load_onnx(args)
    run = choose_network(args, trained=True)
    path = run.weights or _weights_of(run, word)
    why = "--weights" if getattr(args, "weights", None) else "which came with the program" if run.shipped else \
        f"of the run {run.folder.path}"
    console.detail(f"weights: {path} ({why})")
    args.settings = [*args.settings, *settings]
    _check_cfg(args, run)
    if run.shipped:
        console.remark(f"weights: {path}, which came with the program ({run.facts.get('score')} "
                       f"{run.facts.get('best_text')}); `{command('train', word)}` trains your own")
    try:
        return load_network(args, path, training=False), run
    except WeightsError as error:
        if not run.facts or not own:
            raise
        trained = _options(run.facts.get("settings") or []) or "no --set"
        raise WeightsError(f"{error}. They were trained with {trained}: use the same here") from None


def _load_onnx(args: Any) -> tuple["Network", "ChosenRun"]:
    """The network of an ONNX model, computed by ONNX Runtime; see runner/export/onnx_network.py."""
    from pathlib import Path

    from runner.chosen_run import ChosenRun
    from runner.config import Report
    from runner.errors import UsageError
    from runner.export.onnx_network import load_onnx
    from runner.run_folder import RunFolder
    if getattr(args, "weights", None):
        raise UsageError(f"{args.cfg} has its weights in it: leave --weights out")
    report = Report(args.strict)
    try:
        net, names = load_onnx(args.cfg, settings=args.settings, threads=args.threads, report=report)
    finally:
        console.warn(report.warnings)
    path = Path(args.cfg)
    return net, ChosenRun(RunFolder(path), path, path, names=tuple(names),
                          carried=getattr(net.engine, "threshold", None))


def threshold(args: Any, run: "ChosenRun") -> float:
    """The lowest confidence of a box: --thresh, else that of the run, with a remark, else the usual one."""
    from runner.inference.detect import THRESHOLD
    if args.thresh is not None:
        return float(args.thresh)
    if run.threshold is None:
        return THRESHOLD
    console.remark(f"threshold {run.threshold:g}, {BEST_F1}, from {run.threshold_source}; --thresh sets "
                   "another")
    return run.threshold


def class_names(args: Any, run: "ChosenRun", classes: int) -> list[str]:
    """Of a network with this many classes: from --names, else from the training run, else from the only .names file in
    the folder of the weights or of the cfg that has as many lines; [] where there is none."""
    from runner.errors import UsageError
    if args.names:
        console.detail(f"class names: {args.names} (--names)")
        return names_of_file(args.names, classes, args.strict)
    names, source, problem = run.class_names(classes)
    if problem and args.strict:
        raise UsageError(f"{problem}. Use --names")
    console.warn([f"{problem}. Use --names"] if problem else [])
    console.detail(f"class names: {source or 'none, numbers are shown'}")
    return names


def names_of_file(path: str, classes: int, strict: bool) -> list[str]:
    """The class names of --names.  Where there are not as many as the network has classes, a warning has both numbers;
    strict: it is a UsageError."""
    from runner.datasets.names_file import count_mismatch, read_names
    from runner.errors import UsageError
    warnings: list[str] = []
    names = read_names(path, warnings)
    mismatch = count_mismatch(path, names, classes, "the network has")
    warnings += [mismatch] if mismatch else []
    if strict and warnings:
        raise UsageError("\n".join(warnings))
    console.warn(warnings)
    return names
