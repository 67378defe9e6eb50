"""Darknet's .data files for classifiers: key=value lines that name list files, labels and names.

    classes = 10
    train   = train.list        one image path per line; or a file of many images, as MNIST's idx
    valid   = test.list
    labels  = labels.txt        a class per line: the text that marks it in an image's path
    names   = names.txt         (optional) a class per line: what to call it
"""
import os
from pathlib import Path

from runner.datasets.classification.dataset import Dataset, Split
from runner.datasets.containers.arrays import is_array_file, read_part, split_of
from runner.datasets.lists import locate, read_lines, read_list
from runner.errors import DataError


def read_data_file(path: str | os.PathLike) -> dict[str, tuple[str, int]]:
    """key -> (value, line number).  `#` and `;` start comment lines, the first of repeated keys holds."""
    options: dict[str, tuple[str, int]] = {}
    for number, line in read_lines(path):
        if line[0] in "#;":
            continue
        key, equals, value = line.partition("=")
        if not equals:
            raise DataError(f"{path}:{number}: a line of a .data file is key = value. Got {line!r}")
        options.setdefault(key.strip(), (value.strip(), number))
    return options


def label_of(path: str, labels: list[str]) -> tuple[int, int] | None:
    """The first class whose label occurs anywhere in the path, and how many do; None when none does."""
    first = next((index for index, label in enumerate(labels) if label in path), None)
    return None if first is None else (first, sum(label in path for label in labels[first:]))


def labelled(list_file: str, labels: list[str], folders: list[Path], warnings: list[str]) -> Split:
    """The images of a list with the class found in each path as it is written.

    A path with no label is a DataError; where several match the first holds, and a warning tells how often.
    """
    items, doubtful = [], []
    for number, written, path in read_list(list_file, folders):
        match = label_of(written.replace("\\", "/"), labels)
        if match is None:
            raise DataError(f"{list_file}:{number}: none of the {len(labels)} labels occurs in the path "
                            f"{written!r}")
        items.append((path, match[0]))
        if match[1] > 1:
            doubtful.append((number, written, match[0]))
    if doubtful:
        number, written, first = doubtful[0]
        warnings.append(f"{list_file}:{number}: {len(doubtful)} of {len(items)} paths contain several "
                        f"labels and get the first that matches, for instance {written!r} becomes "
                        f"{labels[first]!r}")
    return Split(items, len(labels))


def named_file(path: str | os.PathLike, options: dict[str, tuple[str, int]], key: str) -> str | None:
    """The file a key of a .data file names, beside it or in the current folder; None without the key."""
    if key not in options:
        return None
    (name, number), folder = options[key], Path(path).parent
    found = locate(name, [folder])
    if found is None:
        raise DataError(f"{path}:{number}: {key} names {name!r}, which is neither in the current folder nor in "
                        f"{folder}")
    return found


def open_data_file(path: str | os.PathLike) -> Dataset:
    """A Dataset from a .data file.  Lists may lie relative to the current folder or to the .data file.

    Raises DataError naming file and line.
    """
    options, folder = read_data_file(path), Path(path).parent
    warnings: list[str] = []

    labels_file = named_file(path, options, "labels") or named_file(path, options, "names")
    if labels_file is None:
        raise DataError(f"{path}: a classifier's .data file needs labels=, a file with one class per line")
    labels = [line for _, line in read_lines(labels_file)]
    names_file = named_file(path, options, "names") or labels_file
    names = [line for _, line in read_lines(names_file)]
    classes = _classes(path, options, len(labels), labels_file)
    if len(names) < classes:
        raise DataError(f"{names_file}: {classes} names are needed, one per line. Got {len(names)}")
    labels, names = labels[:classes], names[:classes]
    parts: list[Split | None] = []
    for key in ("train", "valid"):
        list_file = named_file(path, options, key)
        if list_file and is_array_file(list_file):
            parts.append(split_of([read_part(list_file)], classes))
        else:
            parts.append(labelled(list_file, labels, [folder], warnings) if list_file else None)
    if parts == [None, None]:
        raise DataError(f"{path}: neither train= nor valid= is given, so there are no images")
    if parts[1] is None:
        warnings.append(f"{path}: valid= is not given: nothing to test with")
    return Dataset(names, parts[0], parts[1], str(path), warnings)


def _classes(path: str | os.PathLike, options: dict[str, tuple[str, int]], labels: int,
             labels_file: str) -> int:
    """classes=, checked; more labels than classes are allowed, as in darknet's imagenet files."""
    value, number = options.get("classes", (str(labels), 0))
    if not value.isdecimal() or int(value) < 1:
        raise DataError(f"{path}:{number}: classes must be a whole number of at least 1. Got {value!r}")
    if int(value) > labels:
        raise DataError(f"{path}:{number}: classes={value}, but {labels_file} has {labels} labels")
    return int(value)
