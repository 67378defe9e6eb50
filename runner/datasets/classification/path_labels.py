"""The class of an image by its path, as in darknet's lists: `train/0004_sun.png` is an image of `sun`.

darknet takes every label that occurs anywhere in the path, "rain" in "train" too.  Here the most exact match counts:
a label within another one does not (person in noperson), the file name decides before the folders, and whole words
(between / _ - . blanks and digits) before parts of words.  For a network that learns several labels, all whole words
of the file name and of the folders are labels.
"""
import os
from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

from runner.datasets.classification.dataset import Label, Split, as_label, merged
from runner.datasets.classification.labelled_lists import labels_behind_paths
from runner.datasets.lists import ListedImage
from runner.errors import DataError


class Match(NamedTuple):
    """An occurrence of a label in a path, path[start:stop]."""
    label: int
    start: int
    stop: int


def labels_in(path: str, labels: list[str]) -> list[int]:
    """The classes whose labels the path names, ascending: none, one, or several where it does not say which one.

    Whole words of the file name decide.  Else parts of the file name and whole words of the nearest folder that has any
    must agree; else it is parts of the nearest folder.
    """
    path = os.path.splitext(path.replace("\\", "/").strip("\"'"))[0]
    name = path.rfind("/") + 1
    whole: list[Match] = []
    parts: list[Match] = []
    for match in _longest(path, labels):
        (whole if _is_word(path, match) else parts).append(match)
    found = [match for match in whole if match.stop > name]
    if not found:
        found = [match for match in parts if match.stop > name] + _nearest(path, whole)
    return sorted({match.label for match in found or _nearest(path, parts)})


def every_label_in(path: str, labels: list[str], outside: int = 0) -> list[int]:
    """All classes whose labels are whole words of the path, behind its first `outside` characters; ascending.

    As `labels_in` where there are none.
    """
    stem = os.path.splitext(path.replace("\\", "/").strip("\"'"))[0]
    found = {match.label for match in _longest(stem, labels) if match.start >= outside and _is_word(stem, match)}
    return sorted(found) if found else labels_in(path, labels)


def split_of_paths(list_file: str | os.PathLike, lines: Sequence[ListedImage], labels: list[str],
                   warnings: list[str], every_label: bool = False) -> Split:
    """The images of a list, each with the labels behind its path, else the ones that its path names.

    every_label: for a network that learns several labels: the words of all folders count, except of those that all
    images of the list share; and an image may be listed once for each of its labels.  DataError for a path that names
    no class.
    """
    behind = labels_behind_paths(list_file, lines, labels)
    if behind is not None:
        listed = [(line.path, label) for line, label in zip(lines, behind, strict=True)]
        return Split(merged(listed) if every_label else listed, len(labels))
    shared = _shared_folders([line.written for line in lines])
    if every_label and shared and (words := every_label_in(shared, labels)):
        named = ", ".join(labels[label] for label in words)
        warnings.append(f"{list_file}: {shared} names {named}, and all images are in that folder: it is not taken as a "
                        "label")
    items: list[tuple[str, Label]] = []
    for number, written, path, _ in lines:
        found = every_label_in(written, labels, len(shared)) if every_label else labels_in(written, labels)
        if not found:
            none = f"none of the {len(labels)} classes occurs" if len(labels) > 1 else f"{labels[0]!r} does not occur"
            near = labels_in(written.casefold(), [label.casefold() for label in labels])
            hint = f" ({labels[near[0]]!r} does, in another case; names are compared as written)" if near else ""
            raise DataError(f"{list_file}:{number}: {none} in the path {written!r}{hint}")
        items.append((path, as_label(found)))
    return Split(items, len(labels))


def _shared_folders(paths: Sequence[str]) -> str:
    """The folders that all paths begin with, "a/b/"; "" where there are none."""
    folders = [path.replace("\\", "/").strip("\"'").split("/")[:-1] for path in paths]
    same = takewhile(lambda names: len(set(names)) == 1, zip(*folders, strict=False))
    return "".join(names[0] + "/" for names in same)


def _longest(path: str, labels: list[str]) -> list[Match]:
    """All occurrences of the labels, without those that overlap a longer one."""
    found = []
    for label, text in enumerate(labels):
        start = path.find(text)
        while start >= 0:
            found.append(Match(label, start, start + len(text)))
            start = path.find(text, start + 1)
    kept: list[Match] = []
    for one in sorted(found, key=lambda match: match.start - match.stop):
        if not any(one.start < other.stop and other.start < one.stop and one.stop - one.start < other.stop - other.start
                   for other in kept):
            kept.append(one)
    return kept


def _is_word(path: str, match: Match) -> bool:
    return _parted(path[match.start - 1:match.start + 1] if match.start else "") and \
        _parted(path[match.stop - 1:match.stop + 1])


def _parted(pair: str) -> bool:
    """Whether a word ends between two characters: at the end of the path, at a sign, or between letter and digit."""
    return len(pair) < 2 or not pair.isalnum() or pair[0].isdecimal() != pair[1].isdecimal()


def _nearest(path: str, matches: list[Match]) -> list[Match]:
    """The matches that end in the folder nearest to the file among those with any."""
    depth = {match: path.count("/", 0, match.stop - 1) for match in matches}
    return [match for match in matches if depth[match] == max(depth.values())]
