"""Errors a user can cause.  The text of each says what is wrong and, where possible, how to fix it.

RunnerError
  CfgError         a .cfg file contains something invalid (file, line, section, option)
  ShapeError       a layer cannot take its input shape
  WeightsError     a .weights file does not fit the network
  DataError        an image, a label or a list file cannot be used
  CheckpointError  a run's training state is damaged, or belongs to a different run
  Diverged         the loss or a gradient became NaN or infinite
  OutOfMemory      it would take more memory than there is
  UsageError       a command line, or a call from Python, asks for something that does not exist
  MissingExtra     an optional package is needed but not installed

The command line prints these without a traceback and exits with status 2.  Any other exception is a bug, and keeps its
traceback.
"""
import difflib
from collections.abc import Iterable

from runner.program import install_command


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


class OutOfMemory(RunnerError, MemoryError):
    """What was asked for takes more memory than there is; nothing was allocated."""


class MissingExtra(RunnerError):
    """An optional package is not installed; the text says how to install the extra that it belongs to."""

    def __init__(self, package: str, purpose: str, extra: str):
        super().__init__(f"{purpose} needs the package {package!r}, which is not installed: {install_command(extra)}")


def plural(count: float, noun: str) -> str:
    """The noun in the form that stands behind a count: 1 box, 2 boxes, 3 classes, 4 entries."""
    if count == 1:
        return noun
    if noun.endswith(("s", "x", "ch", "sh")):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2:-1] not in "aeiou" else f"{noun}s"


LONGEST_WORD = 60       # characters of a word that is compared with known ones
MOST_WORDS = 100        # that a message lists


def counted(count: int, noun: str) -> str:
    """A count with its noun: "1 box", "3 classes"."""
    return f"{count} {plural(count, noun)}"


def closest(word: str, known: Iterable[str], cutoff: float = 0.7) -> str | None:
    """The known word closest to `word`; None if none is similar."""
    if len(word) > LONGEST_WORD:
        return None
    lower = {k.lower(): k for k in known}
    near = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=cutoff)
    if not near and len(word) > 2:      # an abbreviation of a known word: prob, act
        near = [k for k in lower if k.startswith(word.lower())][:1]
    return lower[near[0]] if near else None


def misspelled(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` must be a misspelling of; None where there is none, or more than one.

    The same in another case.  Or one letter more, less, other, or swapped with its neighbour; two in words of eight
    letters and more; never a digit.  Or its first four letters and more.  Short words that are alike mean different
    things: selu, silu, elu.
    """
    if len(word) > LONGEST_WORD:
        return None
    text, known = word.lower(), list(known)
    if len(same := [name for name in known if name.lower() == text]) == 1:
        return same[0]
    names = [name for name in known if _digits(name) == _digits(text) and len(text) > 3]
    slips = {name: _slips(text, name.lower()) for name in names}
    near = [name for name in names if slips[name] == min(slips.values()) <= (2 if len(text) > 7 else 1)]
    near = near or [name for name in names if name.lower().startswith(text)]
    return near[0] if len(near) == 1 else None


def _slips(word: str, name: str) -> int:
    """The distance of two words; of add_this and mul_this, which differ in a short part, too many."""
    parts = list(zip(word.split("_"), name.split("_"), strict=False))
    if word.count("_") == name.count("_") > 0 and any(a != b and len(a) < 4 for a, b in parts):
        return 9
    return _distance(word, name)


def _digits(word: str) -> str:
    return "".join(filter(str.isdigit, word))


def _distance(a: str, b: str) -> int:
    """Letters to insert, leave out, change, or swap with a neighbour (optimal string alignment)."""
    rows = [list(range(len(b) + 1))]
    for i, letter in enumerate(a, 1):
        row = [i]
        for j, other in enumerate(b, 1):
            cost = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (letter != other))
            if i > 1 and j > 1 and (letter, a[i - 2]) == (b[j - 2], other):
                cost = min(cost, rows[-2][j - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """" (did you mean 'x'?)", or the list of known words if none is similar."""
    known = list(known)
    near = closest(word, known, 0.6)
    if near:
        return f" (did you mean {near!r}?)"
    more = f" and {len(known) - MOST_WORDS:,} more" if len(known) > MOST_WORDS else ""
    return f" (known: {', '.join(sorted(known)[:MOST_WORDS])}{more})"
