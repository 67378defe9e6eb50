"""Files of class names, one per line: .names, classes.txt, labels.txt."""
import os
import re
from collections.abc import Sequence
from itertools import pairwise

from runner.datasets.lists import read_lines
from runner.errors import DataError, counted
from runner.reading.numbers import shown

_DATA_LINE = re.compile(r"(?:classes|train|valid|names|labels|backup|eval|top|results)\s*=")
MAX_CLASSES = 1_000_000     # more are a mistake: each class has a name, and rows of weights


def read_names(path: str | os.PathLike, warnings: list[str]) -> list[str]:
    """The class names of a file.  A blank line between names is not a class; a warning says so, since darknet counts
    it.  DataError where the file is missing, not text, or another file that belongs to a network."""
    lines = list(read_lines(path))
    if lines and lines[0][1].lower() in ("[net]", "[network]"):
        raise DataError(f"{path}: this is a .cfg file, not a file with one class name per line")
    if lines and all(_DATA_LINE.match(line) for _, line in lines if line[0] not in "#;"):
        raise DataError(f"{path}: this is a .data file, not a file with one class name per line: its names= says where "
                        "that is")
    blank = next((before + 1 for (before, _), (after, _) in pairwise(lines) if after > before + 1),
                 None)
    if blank or (lines and lines[0][0] > 1):
        warnings.append(f"{path}:{blank or 1}: a blank line between class names is not counted as a class: there "
                        f"{'is' if len(lines) == 1 else 'are'} {counted(len(lines), 'name')}. Remove the line, or "
                        "write the name that is missing")
    return [name for _, name in lines]


def same_names(names: Sequence[str]) -> str:
    """"two classes have the name 'cat': 0 and 3", of the first such name; "" where all are different."""
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if first.setdefault(name, index) != index:
            return f"two classes have the name {shown(name)}: {first[name]} and {index}"
    return ""


def first_ones(classes: int) -> str:
    """Which names are used of more than there are classes."""
    return "only the first is used" if classes == 1 else f"only the first {classes} are used"


def count_mismatch(path: str | os.PathLike, names: list[str], classes: int, of: str) -> str | None:
    """The warning where a file does not have as many names as there are classes; `of`: whose classes they are."""
    if len(names) == classes:
        return None
    effect = "the classes behind have numbers" if len(names) < classes else first_ones(classes)
    return (f"{path}: {counted(len(names), 'name')}, but {of} {counted(classes, 'class')}: {effect}. Is it the file of "
            "another network?")
