"""The options of a run that --resume restores from its run.yaml."""
import argparse
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from runner.cli.common import Setting
from runner.reading.numbers import shown
from runner.reading.text import bad_character

FORMER_NAMES = {"kernels": "backend"}       # in the run.yaml of older runs


def restore(args: argparse.Namespace, options: Mapping[str, Any], path: Path, parser: argparse.ArgumentParser,
            without: Collection[str]) -> None:
    """Set the options of a run.yaml that are not set in this call.

    parser   with the options of the verb, which say what their values may be
    without  options that are not restored; they are ignored, like those that this version does not know

    CheckpointError, naming file and key, for a value that the option cannot have.
    """
    from runner.errors import CheckpointError
    known = {action.dest: action for action in parser._actions
             if action.option_strings and not isinstance(action, Setting) and action.dest not in without}
    for key, value in options.items():
        action = known.get(FORMER_NAMES.get(key, key))
        if action is None or not hasattr(args, action.dest):
            continue
        try:
            value = _checked(action, value)
        except (ValueError, argparse.ArgumentTypeError) as problem:
            raise CheckpointError(f"{path}: options.{key} {problem}") from None
        if getattr(args, action.dest) == parser.get_default(action.dest):
            setattr(args, action.dest, value)


def _checked(action: argparse.Action, value: Any) -> Any:
    """The value, as the option gives it.  ValueError or ArgumentTypeError with the rule for another one."""
    if action.nargs == 0:
        if type(value) is not bool:
            raise ValueError(f"must be true or false. Got {shown(value)}")
        return value
    is_text = type(value) is str and not bad_character(value)
    if action.choices is not None and (not is_text or value not in action.choices):
        raise ValueError(f"must be one of {', '.join(map(str, action.choices))}. Got {shown(value)}")
    if callable(action.type):
        if type(value) not in (int, float, str):
            raise ValueError(f"must be a number or a text. Got {shown(value)}")
        return action.type(str(value) if is_text or type(value) is float else shown(value))
    if not is_text:
        raise ValueError(f"must be a text. Got {shown(value)}")
    return value
