"""Every mistake a user can make, as an exception whose text is the whole answer.

RunnerError
  CfgError      a .cfg file says something that cannot be accepted (file, line, section, option)
  ShapeError    a layer cannot take the shape it is given
  WeightsError  a .weights file does not fit the network
  DataError     an image, a label or a list file cannot be used
  CheckpointError    the state of a run is damaged, or another run's
  Diverged      training came to a number that is none
  UsageError    a command line, or a call from Python, asks for something that does not exist
  MissingExtra  an optional package is wanted and not installed

The command line prints these without a traceback and exits with status 2.  Anything else is our own mistake and
keeps its traceback.
"""
import difflib
from collections.abc import Iterable


class RunnerError(Exception):
    """Base of all errors worth showing without a traceback."""


class CfgError(RunnerError):
    """One or more mistakes in a .cfg file, each `file:line: [section] rule. Got value (hint)`."""

    def __init__(self, *messages: str):
        super().__init__("\n".join(messages))
        self.messages = messages


class ShapeError(RunnerError):
    """Layer geometry that cannot work."""


class WeightsError(RunnerError):
    """A .weights file that does not fit the network."""


class DataError(RunnerError):
    """Images, labels or lists that cannot be used."""


class CheckpointError(RunnerError):
    """A run cannot go on from this state."""


class Diverged(RunnerError):
    """A loss or a gradient is not a number; the network's weights are those before the update."""


class UsageError(RunnerError):
    """A request that makes no sense, on the command line or from Python."""


class MissingExtra(RunnerError):
    """An optional package is needed: the text says which requirements file brings it."""

    def __init__(self, package: str, purpose: str, requirements: str):
        super().__init__(f"{purpose} needs the package {package!r}, which is not installed: "
                         f"pip install -r {requirements}")


def closest(word: str, known: Iterable[str], cutoff: float = 0.7) -> str | None:
    """The known word nearest to `word`, or None when none resembles it."""
    lower = {k.lower(): k for k in known}
    near = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=cutoff)
    if not near and len(word) > 2:      # a word cut short stands for the whole: prob, act
        near = [k for k in lower if k.startswith(word.lower())][:1]
    return lower[near[0]] if near else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """" (did you mean 'x'?)", or the known words when none is close."""
    known = list(known)
    near = closest(word, known, 0.6)
    return f" (did you mean {near!r}?)" if near else f" (known: {', '.join(sorted(known))})"
