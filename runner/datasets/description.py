"""Data sets described by a YAML file.

    path: ../birds          # where the other paths start; default: the folder of this file
    train: images/train     # a folder with a folder per class, a list file, or a file of many images (idx, CIFAR, npz)
    test: images/val        # or val:; {images: FILE, labels: FILE} where an idx file's labels have another name
    names: [crow, owl]      # or {0: crow, 1: owl}; may be left out when train is no list
"""
import os
from pathlib import Path
from typing import Any

import yaml

from runner.datasets.classification.darknet_data import label_of
from runner.datasets.classification.dataset import Dataset, Split
from runner.datasets.classification.folders import class_folders, split_of
from runner.datasets.containers.arrays import Part, is_array_file, read_part
from runner.datasets.containers.arrays import split_of as split_of_parts
from runner.datasets.lists import read_list
from runner.errors import DataError


def open_description(path: str | os.PathLike) -> Dataset:
    """A Dataset from a YAML description.  Raises DataError naming file, key and, where known, line."""
    content = read_description(path)
    parts = {"train": place_of(path, content, "train")}
    test_key = next((key for key in ("test", "val", "valid") if content.get(key)), "test")
    parts[test_key] = place_of(path, content, test_key)
    if not any(parts.values()):
        raise DataError(f"{path}: neither train nor test (or val) is given, so there are no images")
    names = _names(path, content, parts)
    warnings: list[str] = []
    train, test = (_split(where, names, warnings) if where else None for where in parts.values())
    if test is None:
        warnings.append(f"{path}: neither test nor val is given: nothing to test with")
    return Dataset(names, train, test, str(path), warnings)


def read_description(path: str | os.PathLike) -> dict[str, Any]:
    """The keys and values of a YAML description.  Raises DataError where it is none."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: this is not a text file in UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise DataError(f"{path}{line}: this is not YAML "
                        f"({getattr(error, 'problem', None) or error})") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: a data description holds the keys path, train, test (or val) and names. "
                        f"Got {type(content).__name__}")
    return content


def place_of(path: str | os.PathLike, content: dict, key: str) -> Path | Part | None:
    """The folder or list a key names, below `path:`, beside the description, or in the current folder; a file of many
    images is read."""
    value = content.get(key)
    if value is None:
        return None
    if isinstance(value, dict) and sorted(value) == ["images", "labels"]:
        return read_part(_find(path, content, key, value["images"]), _find(path, content, key, value["labels"]))
    found = _find(path, content, key, value)
    return read_part(found) if is_array_file(found) else found


def _find(path: str | os.PathLike, content: dict, key: str, value: Any) -> Path:
    if not isinstance(value, str):
        raise DataError(f"{path}: {key} must be a folder, a list file, a file of many images, or "
                        f"{{images: FILE, labels: FILE}}. Got {value!r}")
    here, base = Path(path).parent, str(content.get("path") or "")
    places = [here / base / value, Path(base) / value, here / value, Path(value)]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        looked = ", ".join(dict.fromkeys(str(place) for place in places))
        raise DataError(f"{path}: {key} names {value!r}, which does not exist. Looked for {looked}")
    return found


def _names(path: str | os.PathLike, content: dict, parts: dict[str, Path | Part | None]) -> list[str]:
    names: Any = content.get("names")
    if names is None:
        for where in parts.values():
            if isinstance(where, Part):
                return where.names or [str(i) for i in range(int(where.labels.max(initial=0)) + 1)]
            if where and where.is_dir():
                return class_folders(where)
        raise DataError(f"{path}: names is needed when the images come from list files")
    if isinstance(names, dict):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise DataError(f"{path}: names must be numbered 0 to {len(names) - 1} without gaps. Got "
                            f"{list(names)}")
        names = [names[index] for index in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DataError(f"{path}: names must be a list of class names, or numbers and names. Got {names!r}")
    return [str(name) for name in names]


def _split(where: Path | Part, names: list[str], warnings: list[str]) -> Split:
    """A file of many images, a folder, or a list whose paths tell the class: by the nearest folder in them, else as
    darknet does."""
    if isinstance(where, Part):
        return split_of_parts([where], len(names))
    if where.is_dir():
        return split_of(where, names)
    number = {name: index for index, name in enumerate(names)}
    items, doubtful = [], 0
    for line, written, path in read_list(where):
        folders = written.replace("\\", "/").split("/")[-2::-1]
        index = next((number[folder] for folder in folders if folder in number), None)
        if index is None:
            match = label_of(written, names)
            if match is None:
                raise DataError(f"{where}:{line}: none of the {len(names)} classes occurs in the path "
                                f"{written!r}")
            index = match[0]
            doubtful += match[1] > 1
        items.append((path, index))
    if doubtful:
        warnings.append(f"{where}: {doubtful} of {len(items)} paths contain several class names and get the "
                        "first")
    return Split(items, len(names))
