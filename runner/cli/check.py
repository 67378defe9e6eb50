"""Find every error in cfg files, all at once, each as `file:line: [section] rule. Got value (did you mean ...)`.

Nothing is allocated, so large networks are checked at once.  Exit status 1 if any file has an error, 2 if one does not
exist.

  python run.py check cfg/*.cfg
  python run.py check --strict my.cfg                       unknown options are errors too
  python run.py check my.cfg --weights my.weights           does the file fit the network?
"""
import argparse
import glob
import os
from typing import TYPE_CHECKING, Any

from runner.cli import common, console
from runner.errors import counted, plural
from runner.program import program
from runner.shipped import find

if TYPE_CHECKING:
    from runner.network import Network


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cfg", nargs="+", help="the files to check, or globs, or training runs")
    parser.add_argument("--strict", action="store_true", help="treat unknown options as errors")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.OPTION=VALUE", dest="settings",
                        help="override a cfg option before checking")
    common.compat_option(parser)
    parser.add_argument("--weights", metavar="FILE", help="check that this file fits (one cfg only)")
    parser.add_argument("--quiet", action="store_true", help="print nothing about files without errors")
    common.json_option(parser)


def run(args: argparse.Namespace) -> int:
    from runner.errors import UsageError
    if args.weights and len(args.cfg) > 1:
        raise UsageError(f"--weights needs exactly one cfg. Got {len(args.cfg)}")
    if args.weights and not os.path.exists(args.weights):
        raise UsageError(f"{args.weights}: no such weights file")
    missing = [word for word in args.cfg if not _files(word)]
    for word in missing:
        console.remark(f"{program()}: {word}: no such file")
    findings = [_check(cfg, args) for word in args.cfg for cfg in _files(word)]
    if args.json:
        console.write_json(args.json, findings)
    if args.json != "-":
        for finding in findings:
            _print_finding(finding, args.quiet)
    return 2 if missing else int(any(finding["errors"] for finding in findings))


def _files(word: str) -> list[str]:
    """The cfg files that a word stands for: a file, a glob that the shell has left as it is, a run."""
    from runner.chosen_run import choose
    from runner.errors import UsageError
    from runner.shipped import matches
    if os.path.isfile(find(word)):
        return [word]
    if found := matches(word) if glob.has_magic(word) else []:
        return found
    try:
        run = choose(word)
    except UsageError:
        return [word] if os.path.exists(find(word)) else []
    return [str(run.cfg)] if run.is_run else []


def _check(cfg: str, args: argparse.Namespace) -> dict[str, Any]:
    """The errors and warnings of one file, as for --json."""
    import runner
    from runner.errors import ShapeError, WeightsError
    from runner.inference.generate import is_character_model
    from runner.network_checks import untrainable
    net, report = runner.check(cfg, settings=args.settings, strict=args.strict, compat=args.compat)
    errors = list(report.errors)
    if net is not None and (why := untrainable(net.layers)):
        report.warn(f"{cfg}: {why}")
    elif net is not None and not is_character_model(net):
        try:
            net.require_images(cfg)
        except ShapeError as error:
            report.warn(str(error))
    if net is not None and args.weights:
        try:
            runner.load(cfg, args.weights, settings=args.settings, compat=args.compat, report=report)
        except WeightsError as error:
            errors.append(str(error))
    if net is not None and (problem := _channel_problem(cfg, net)):
        errors.append(problem)
    if net is not None and net.options.data and (problem := _missing_data(cfg, net.options.data)):
        report.warn(problem)
    return {"file": cfg, "layers": len(net.layers) if net else None, "parameters": net.param_count if net else None,
            "error_count": report.count + len(errors) - len(report.errors), "errors": errors,
            "warnings": list(report.warnings)}


def _missing_data(cfg: str, data: str) -> str:
    """That [net] data= names nothing; "" where it does, or where `download` would get it."""
    from runner.chosen_run import choose
    from runner.datasets import find_data
    from runner.datasets.public_datasets import PUBLIC_DATASETS
    from runner.errors import DataError, UsageError
    try:
        if (run := choose(cfg)).is_run and run.data:
            return ""       # run.yaml names it, relative to where the run was started
    except UsageError as error:
        return str(error)
    try:
        find_data(cfg, None, data)
    except DataError as error:
        return "" if os.path.basename(data) in PUBLIC_DATASETS else f"{error}. Training needs it, or --data"
    return ""


def _channel_problem(cfg: str, net: "Network") -> str:
    """Why the dataset of a network that takes neither grey nor colour images does not fit; "" where it does, or where
    there is none."""
    from runner.datasets import check_image_channels, find_data, open_any_dataset
    from runner.errors import DataError
    if len(net.in_shape) != 3 or net.in_shape[0] in (1, 3):
        return ""
    try:
        data = open_any_dataset(find_data(cfg, None, net.options.data or None))
    except DataError:
        return ""       # not a question of the cfg
    try:
        check_image_channels(data, net.in_shape[0], every=False)
    except DataError as error:
        return str(error)
    return ""


def _print_finding(finding: dict[str, Any], quiet: bool) -> None:
    for sentence in finding["warnings"]:
        console.say(f"{console.paint('warning:', 'yellow')} {sentence}")
    for sentence in finding["errors"]:
        console.say(sentence)       # file:line first, so that editors can jump to it
    count, file = finding["error_count"], console.one_line(finding["file"])
    if count:
        errors = f"{count:,} {plural(count, 'error')}"
        console.say(f"{file}: {console.paint(errors, 'red')}")
    elif not quiet:
        console.say(f"{file}: {console.paint('ok', 'green')} "
                    f"({counted(finding['layers'], 'layer')}, {finding['parameters']:,} "
                    f"{plural(finding['parameters'], 'parameter')})")
