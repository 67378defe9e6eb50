"""Errors a user can cause.  The text of each says what is wrong and, where possible, how to fix it.

RunnerError
  CfgError         a .cfg file contains something invalid (file, line, section, option)
  ShapeError       a layer cannot take its input shape
  WeightsError     a .weights file does not fit the network
  DataError        an image, a label or a list file cannot be used
  CheckpointError  a run's training state is damaged, or belongs to a different run
  Diverged         the loss or a gradient became NaN or infinite
  UsageError       a command line, or a call from Python, asks for something that does not exist
  MissingExtra     an optional package is needed but not installed

The command line prints these without a traceback and exits with status 2.  Any other exception is a bug, and keeps its
traceback.
"""
import difflib
from collections.abc import Iterable


class RunnerError(Exception):
    """Base class of all errors shown without a traceback."""


class CfgError(RunnerError):
    """One or more errors in a .cfg file, each `file:line: [section] rule. Got value (hint)`."""

    def __init__(self, *messages: str):
        super().__init__("\n".join(messages))
        self.messages = messages


class ShapeError(RunnerError):
    """A layer cannot take its input shape."""


class WeightsError(RunnerError):
    """A .weights file does not fit the network."""


class DataError(RunnerError):
    """Images, labels or lists cannot be used."""


class CheckpointError(RunnerError):
    """A run cannot be resumed from this checkpoint."""


class Diverged(RunnerError):
    """The loss or a gradient is NaN or infinite; the network keeps its weights from before the update."""


class UsageError(RunnerError):
    """An invalid request, on the command line or from Python."""


class MissingExtra(RunnerError):
    """An optional package is not installed; the text names the requirements file that lists it."""

    def __init__(self, package: str, purpose: str, requirements: str):
        super().__init__(f"{purpose} needs the package {package!r}, which is not installed: "
                         f"pip install -r {requirements}")


def closest(word: str, known: Iterable[str], cutoff: float = 0.7) -> str | None:
    """The known word closest to `word`; None if none is similar."""
    lower = {k.lower(): k for k in known}
    near = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=cutoff)
    if not near and len(word) > 2:      # an abbreviation of a known word: prob, act
        near = [k for k in lower if k.startswith(word.lower())][:1]
    return lower[near[0]] if near else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """" (did you mean 'x'?)", or the list of known words if none is similar."""
    known = list(known)
    near = closest(word, known, 0.6)
    return f" (did you mean {near!r}?)" if near else f" (known: {', '.join(sorted(known))})"
