"""Find every mistake in cfg files, all at once, each as `file:line: [section] rule. Got value`.

Nothing is allocated, so large networks are checked in an instant.  Exit status 1 if any file has a mistake.

  python run.py check cfg/*.cfg
  python run.py check --strict my.cfg                       unknown options are mistakes too
  python run.py check my.cfg --weights my.weights           does the file fit the network?
"""
import argparse

from runner.cli import console


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cfg", nargs="+", help="the files to check")
    parser.add_argument("--strict", action="store_true", help="an option nobody knows is a mistake")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.OPTION=VALUE", dest="settings",
                        help="check the cfg with this change")
    parser.add_argument("--weights", metavar="FILE", help="check that this file fits (one cfg only)")


def run(args: argparse.Namespace) -> int:
    import runner
    from runner.errors import WeightsError
    wrong = 0
    for cfg in args.cfg:
        net, report = runner.check(cfg, settings=args.settings, strict=args.strict)
        for sentence in report.warnings:
            console.say(f"{console.paint('warning', 'yellow')}: {sentence}")
        if net is None:
            wrong += 1
            for sentence in report.errors:
                console.say(f"{console.paint('error', 'red')}: {sentence}")
            continue
        if args.weights:
            try:
                runner.load(cfg, args.weights, settings=args.settings)
            except WeightsError as error:
                wrong += 1
                console.say(f"{console.paint('error', 'red')}: {error}")
                continue
        console.say(f"{cfg}: {console.paint('ok', 'green')} ({len(net.layers)} layers, "
                    f"{net.param_count:,} parameters)")
    return 1 if wrong else 0
