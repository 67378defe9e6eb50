"""Darknet's .data files: lines `key = value`, some of which name other files.  What the keys mean is in
classification/darknet_data.py and detection/darknet_data.py."""
import os
from pathlib import Path

from runner.datasets.lists import read_lines, relocate
from runner.datasets.names_file import MAX_CLASSES
from runner.errors import DataError
from runner.reading.numbers import shown, whole

DataOptions = dict[str, tuple[str, int]]        # key -> value, line number


def read_data_file(path: str | os.PathLike) -> DataOptions:
    """The options of a .data file.  `#` and `;` start comment lines; the first of repeated keys counts."""
    options: DataOptions = {}
    for number, line in read_lines(path):
        if line[0] in "#;":
            continue
        key, equals, value = line.partition("=")
        if not equals:
            raise DataError(f"{path}:{number}: a line of a .data file is key = value. Got {shown(line)}")
        options.setdefault(key.strip(), (value.strip(), number))
    return options


def named_file(path: str | os.PathLike, options: DataOptions, key: str) -> str | None:
    """The file that a key of a .data file names, in its folder or the current one, also without the first folders of
    its path; None without the key."""
    if key not in options:
        return None
    (name, number), folder = options[key], Path(path).parent
    found = relocate(name, [folder])
    if found is None:
        raise DataError(f"{path}:{number}: {key} names {shown(name)}, which is neither in the current folder nor in "
                        f"{folder}")
    return found


def class_count(path: str | os.PathLike, options: DataOptions) -> int | None:
    """classes=; None without the key.  DataError unless it is a whole number of at least 1."""
    if "classes" not in options:
        return None
    value, number = options["classes"]
    try:
        return whole(value, 1, MAX_CLASSES)
    except ValueError as error:
        raise DataError(f"{path}:{number}: classes {error}") from None
