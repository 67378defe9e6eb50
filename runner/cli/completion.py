"""Print a completion script for a shell: verbs, options, their choices, and files.

  python run.py completion bash > cfgrunner.bash         and `source` that file in ~/.bashrc
  python run.py completion zsh > _cfgrunner              into a folder of $fpath
  python run.py completion tcsh > cfgrunner.csh          and `source` that file in ~/.cshrc

The scripts complete the command cfgrunner.  In a checkout, `alias cfgrunner="python run.py"` is completed too.
"""
import argparse
from typing import Any

from runner.cli import console
from runner.program import INSTALLED

SHELLS = ("bash", "zsh", "tcsh")
FILES = {"FILE", "PATH", "DATA", "IMAGE", "PHOTO", "CFG", "RUN"}     # metavars of arguments that name a file or folder
NAMED = {"cfg", "images", "model", "file", "other", "out", "files"}     # positional arguments that do


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def run(args: argparse.Namespace) -> int:
    console.say(script(args.shell))
    return 0


def script(shell: str) -> str:
    """The completion script of a shell.  MissingExtra without shtab."""
    from runner.cli import full_parser
    from runner.errors import MissingExtra
    try:
        import shtab
    except ImportError:
        raise MissingExtra("shtab", "the completion of shells", "completion") from None
    parser = full_parser()
    parser.prog = INSTALLED
    _mark(parser, {"file": shtab.FILE, "folder": shtab.DIRECTORY}, _known_words())
    text: str = shtab.complete(parser, shell)
    return text.rstrip("\n")


def _known_words() -> dict[str, list[str]]:
    """Positional argument -> the words it takes."""
    from runner.datasets.public_datasets import PUBLIC_DATASETS, PUBLISHED_WEIGHTS
    from runner.layers import LAYERS
    return {"what": sorted(LAYERS), "layer": sorted(LAYERS), "name": [*PUBLIC_DATASETS, *PUBLISHED_WEIGHTS]}


def _mark(parser: argparse.ArgumentParser, completers: dict[str, Any], words: dict[str, list[str]]) -> None:
    """Say in the parser, and in those of its verbs, which arguments are files, folders or known words."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                _mark(one, completers, words)
        elif action.metavar in FILES or (action.dest in NAMED and not action.option_strings):
            action.complete = completers["file"]        # type: ignore[attr-defined]
        elif action.metavar == "FOLDER" or (action.dest == "folder" and not action.option_strings):
            action.complete = completers["folder"]      # type: ignore[attr-defined]
        elif not action.option_strings and action.dest in words:
            action.choices = words[action.dest]
