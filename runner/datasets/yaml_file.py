"""YAML descriptions of datasets: keys and values, paths, class names.

    path: ../birds          # the folder of the other paths; default: the folder of this file
    train: images/train     # what train and test may name is in yaml_description.py of classification/ and detection/
    test: images/val        # or val:
    names: [crow, owl]      # or {0: crow, 1: owl}
"""
import os
from pathlib import Path
from typing import Any

import yaml

from runner.datasets.lists import read_utf8, relocate
from runner.errors import DataError

TEXTS = ("path", "train", "val", "valid", "validation", "test", "images", "names")     # keys of names and paths
NULL = "tag:yaml.org,2002:null"


def read_yaml(path: str | os.PathLike) -> dict[str, Any]:
    """The keys and values of a description.  DataError where it is not one."""
    text = read_utf8(path)
    try:
        content = _load(text)
    except (yaml.YAMLError, ValueError) as error:       # ValueError: of a date such as 2024-02-30
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise DataError(f"{path}{line}: this is not YAML ({getattr(error, 'problem', None) or error})") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: the description of a dataset has the keys path, train, test (or val) and names. Got "
                        f"{type(content).__name__}")
    return content


def _load(text: str) -> Any:
    """The content of a YAML text.  Names and paths stay as they are written: YAML 1.1 takes yes and no for True and
    False, 010 for 8, 1:30 for 90, null for None, 2024-01-01 for a date."""
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if isinstance(root, yaml.MappingNode):
            for key, value in root.value:
                if key.value in TEXTS and not (isinstance(value, yaml.ScalarNode) and value.tag == NULL):
                    _keep_text(value)
        return None if root is None else loader.construct_document(root)
    finally:
        loader.dispose()


def _keep_text(node: yaml.Node) -> None:
    if isinstance(node, yaml.ScalarNode):
        node.tag = "tag:yaml.org,2002:str"
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _keep_text(item)
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            for item in pair:
                _keep_text(item)


def named_path(path: str | os.PathLike, content: dict[str, Any], key: str, value: Any, accepted: str) -> Path:
    """The file or folder that a value of a key names: below `path:`, in the folder of the description, or in the
    current one; else the longest end of it in the folder of the description.

    DataError where there is none; `accepted` says what the key may name.
    """
    if not isinstance(value, str):
        raise DataError(f"{path}: {key} must be {accepted}. Got {value!r}")
    here, base = Path(path).parent, str(content.get("path") or "")
    places = [here / base / value, Path(base) / value, here / value, Path(value)]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        end = relocate(str(Path(base) / value), [here])
        found = Path(end) if end else None
    if found is None:
        searched = ", ".join(dict.fromkeys(str(place) for place in places))
        raise DataError(f"{path}: {key} names {value!r}, which does not exist. Looked for {searched}")
    return found


def class_names(path: str | os.PathLike, names: Any, accepted: str = "") -> list[str]:
    """The value of `names:` as a list.  DataError where it is neither a list nor numbers and names."""
    if isinstance(names, dict):
        numbered = {int(key): name for key, name in names.items() if key.isdecimal()}
        if len(numbered) < len(names) or sorted(numbered) != list(range(len(names))):
            raise DataError(f"{path}: names must be numbered 0 to {len(names) - 1} without gaps. Got "
                            f"{', '.join(names)}")
        names = [numbered[index] for index in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DataError(f"{path}: names must be a list of class names, or numbers and names{accepted}. Got {names!r}")
    for index, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            raise DataError(f"{path}: names: the name of class {index} must be a word. Got {name!r}")
    return names


def check_class_count(path: str | os.PathLike, content: dict[str, Any], names: list[str]) -> None:
    """DataError where `nc:` is given, and is not the number of names."""
    count = class_count(path, content)
    if count is not None and count != len(names):
        raise DataError(f"{path}: nc={count}, and there are {len(names)} names")


def class_count(path: str | os.PathLike, content: dict[str, Any]) -> int | None:
    """`nc:`, the number of classes; None without the key.  DataError unless it is a whole number of at least 1."""
    count = content.get("nc")
    if count is None:
        return None
    if isinstance(count, bool) or not str(count).isdecimal() or int(count) < 1:
        raise DataError(f"{path}: nc must be a whole number of at least 1. Got {count!r}")
    return int(count)
