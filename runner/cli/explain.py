"""List the sections a cfg may have, or what one of them takes, from their declarations.

  python run.py explain                          every section, a line each
  python run.py explain dropout                  its options: default, range, meaning
  python run.py explain convolutional.pad        one option
"""
import argparse
import inspect
from dataclasses import Field

from runner.cli import console


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="?", metavar="SECTION[.OPTION]", help="left out: list the sections")


def run(args: argparse.Namespace) -> int:
    from runner.config import Options
    from runner.errors import UsageError, did_you_mean
    from runner.layers import LAYERS
    from runner.layers.net import NetOptions
    if args.what is None:
        rows = [("section", "also", "what it is"), ("net", "network", "the input and the training; the first section")]
        for kind in sorted(set(LAYERS.values()), key=lambda kind: kind.names[0]):
            rows.append((kind.names[0], ", ".join(kind.names[1:]), _heading(kind)))
        console.say(console.table(rows, left=(0, 1, 2)))
        return 0
    section, _, option = args.what.strip("[]").partition(".")
    options: type[Options]
    if section in ("net", "network"):
        text, options = inspect.getdoc(NetOptions) or "", NetOptions
    elif section in LAYERS:
        kind = LAYERS[section]
        text, options = f"{_module(kind)}\n\n{inspect.getdoc(kind) or ''}", kind.Options
    else:
        known = ["net", *LAYERS]
        raise UsageError(f"there is no section [{section}]{did_you_mean(section, known)}")
    declared = options.declared()
    if option:
        if option not in declared:
            raise UsageError(f"[{section}] has no option {option!r}{did_you_mean(option, declared)}")
        console.say("\n".join(_entry(option, declared[option])))
        return 0
    console.say(f"{console.paint(f'[{section}]', 'bold')}  {text}\n")
    for name, f in declared.items():
        console.say("\n".join(_entry(name, f)))
    return 0


def _entry(name: str, f: Field) -> list[str]:
    from runner.config.options import default_text, describe
    default = default_text(f).strip("*")
    takes = f"{describe(f)}; {default if default == 'required' else 'default ' + default}"
    lines = [f"  {console.paint(name, 'bold')}  ({takes})", f"      {f.metadata['doc']}"]
    return [*lines, f"      ignored: {f.metadata['reason']}"] if f.metadata["reason"] else lines


def _module(kind: type) -> str:
    return (inspect.getmodule(kind).__doc__ or "").strip()      # type: ignore[union-attr]


def _heading(kind: type) -> str:
    return _module(kind).splitlines()[0].partition(": ")[2]
