"""YAML descriptions of datasets: keys and values, paths, class names.

    path: ../birds          # the folder of the other paths; default: the folder of this file
    train: images/train     # what train and test may name is in yaml_description.py of classification/ and detection/
    test: images/val        # or val:
    names: [crow, owl]      # or {0: crow, 1: owl}
"""
import os
from pathlib import Path
from typing import Any

from runner.datasets.lists import relocate
from runner.datasets.names_file import MAX_CLASSES
from runner.errors import DataError, counted
from runner.reading.numbers import is_whole, shown, whole
from runner.reading.text import bad_character
from runner.reading.yaml_text import read_yaml

NUMBERS_SHOWN = 20
TEXTS = ("path", "train", "val", "valid", "validation", "test", "images", "names")     # keys of names and paths


def read_description(path: str | os.PathLike) -> dict[str, Any]:
    """The keys and values of a description; names and paths stay as they are written.  DataError where it is not
    one."""
    content = read_yaml(path, texts=TEXTS)
    if not isinstance(content, dict):
        raise DataError(f"{path}: the description of a dataset has the keys path, train, test (or val) and names. Got "
                        f"{type(content).__name__}")
    return content


def named_path(path: str | os.PathLike, content: dict[str, Any], key: str, value: Any, accepted: str) -> Path:
    """The file or folder that a value of a key names: below `path:`, in the folder of the description, or in the
    current one; else the longest end of it in the folder of the description.

    DataError where there is none; `accepted` says what the key may name.
    """
    if not isinstance(value, str):
        raise DataError(f"{path}: {key} must be {accepted}. Got {shown(value)}")
    here, base = Path(path).parent, base_of(path, content)
    places = [here / base / value, Path(base) / value, here / value, Path(value)]
    found = next((place for place in places if os.path.exists(place)), None)
    if found is None:
        end = relocate(str(Path(base) / value), [here])
        found = Path(end) if end else None
    if found is None:
        searched = ", ".join(dict.fromkeys(shown(str(place)) for place in places))
        raise DataError(f"{path}: {key} names {shown(value)}, which does not exist. Looked for {searched}")
    return found


def base_of(path: str | os.PathLike, content: dict[str, Any]) -> str:
    """`path:`, the folder of the other paths; "" without the key.  DataError where it is not a path."""
    base = content.get("path")
    if base is not None and not isinstance(base, str):
        raise DataError(f"{path}: path must be a folder. Got {shown(base)}")
    return base or ""


def class_names(path: str | os.PathLike, names: Any, accepted: str = "") -> list[str]:
    """The value of `names:` as a list.  DataError where it is neither a list nor numbers and names."""
    if isinstance(names, dict):
        numbered = {whole(key): name for key, name in names.items() if is_whole(key)}
        if len(numbered) < len(names) or sorted(numbered) != list(range(len(names))):
            more = " ..." if len(names) > NUMBERS_SHOWN else ""
            hint = " (class numbers start at 0)" if numbered and min(numbered) == 1 else ""
            more += ": write the number first, 0: name" if all(map(is_whole, map(str, names.values()))) else ""
            raise DataError(f"{path}: names must be numbered 0 to {len(names) - 1} without gaps. Got "
                            f"{', '.join(list(names)[:NUMBERS_SHOWN])}{more}{hint}")
        names = [numbered[index] for index in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DataError(f"{path}: names must be a list of class names, or numbers and names{accepted}. Got "
                        f"{shown(names)}")
    for index, name in enumerate(names):
        if not isinstance(name, str) or not name.strip() or bad_character(name):
            raise DataError(f"{path}: names: the name of class {index} must be a word. Got {shown(name)}")
    return names


def check_class_count(path: str | os.PathLike, content: dict[str, Any], names: list[str]) -> None:
    """DataError where `nc:` is given, and is not the number of names."""
    count = class_count(path, content)
    if count is not None and count != len(names):
        raise DataError(f"{path}: nc={count}, and there {'is' if len(names) == 1 else 'are'} "
                        f"{counted(len(names), 'name')}: nc must be their number")


def class_count(path: str | os.PathLike, content: dict[str, Any]) -> int | None:
    """`nc:`, the number of classes; None without the key.  DataError unless it is a whole number of at least 1."""
    count = content.get("nc")
    if count is None:
        return None
    if isinstance(count, str) and is_whole(count):
        count = whole(count)
    if type(count) is not int or count < 1:
        raise DataError(f"{path}: nc must be a whole number of at least 1. Got {shown(count)}")
    if count > MAX_CLASSES:
        raise DataError(f"{path}: nc must be at most {MAX_CLASSES:,}. Got {shown(count)}")
    return count
