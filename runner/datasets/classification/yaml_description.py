"""Classification datasets described by a YAML file.

    path: ../birds          # the folder of the other paths; default: the folder of this file
    train: images/train     # a folder of class folders, a list file, or a file of many images (idx, CIFAR, npz)
    test: images/val        # or val:; {images: FILE, labels: FILE} where the labels of an idx file have another name
    names: [crow, owl]      # or {0: crow, 1: owl}; optional unless train is a list
"""
from functools import partial
from pathlib import Path
from typing import Any

from runner.datasets.classification.class_folders import split_of_folder
from runner.datasets.classification.containers import split_of_arrays
from runner.datasets.classification.dataset import NO_TEST_IMAGES, Dataset, Split
from runner.datasets.classification.path_labels import split_of_paths
from runner.datasets.containers.stored_images import ImageArrays, is_container, read_container
from runner.datasets.folders import description_of, subfolders
from runner.datasets.format import Format, has_description
from runner.datasets.lists import read_list
from runner.datasets.yaml_file import check_class_count, class_names, named_path, read_description
from runner.errors import DataError

ACCEPTED = "a folder, a list file, a file of many images, or {images: FILE, labels: FILE}"


def open_yaml(path: Path, every_label: bool = False) -> Dataset:
    """A Dataset from a YAML description, or a folder with one.  DataError names file, key and, where known, line."""
    path = description_of(path) or path
    content = read_description(path)
    test_key = next((key for key in ("test", "val", "valid") if content.get(key)), "test")
    places = [_place(path, content, key) for key in ("train", test_key)]
    given = [place for place in places if place is not None]
    if not given:
        raise DataError(f"{path}: neither train nor test (or val) is given, so there are no images")
    names = _names(path, content, given)
    check_class_count(path, content, names)
    warnings: list[str] = []
    train, test = (_split(place, names, warnings, every_label) if place else None for place in places)
    warnings = list(dict.fromkeys(warnings))        # a list may serve for both
    if test is None:
        warnings.append(f"{path}: neither test nor val is given: {NO_TEST_IMAGES}")
    return Dataset(names, train, test, str(path), warnings)


def _place(path: Path, content: dict[str, Any], key: str) -> Path | ImageArrays | None:
    """The folder or list a key names; a file of many images is read."""
    value = content.get(key)
    if value is None:
        return None
    if isinstance(value, dict) and set(value) == {"images", "labels"}:
        images, labels = (named_path(path, content, key, value[part], ACCEPTED) for part in ("images", "labels"))
        return read_container(images, labels)
    found = named_path(path, content, key, value, ACCEPTED)
    return read_container(found) if is_container(found) else found


def _names(path: Path, content: dict[str, Any], places: list[Path | ImageArrays]) -> list[str]:
    if content.get("names") is not None:
        return class_names(path, content["names"])
    for place in places:
        if isinstance(place, ImageArrays):
            return place.class_names()
        if place.is_dir():
            return subfolders(place)
    raise DataError(f"{path}: names is needed when the images come from list files")


def _split(place: Path | ImageArrays, names: list[str], warnings: list[str], every_label: bool) -> Split:
    """A file of many images, a folder of class folders, or a list of paths that name the class."""
    if isinstance(place, ImageArrays):
        return split_of_arrays([place], len(names))
    if place.is_dir():
        return split_of_folder(place, names)
    return split_of_paths(place, read_list(place), names, warnings, every_label)


FORMAT = Format("YAML", "classification",
                "a `.yaml` file: `path:`, `train:`, `test:` (or `val:`), `names:`; or a folder with one",
                has_description(".yaml", ".yml"), open_yaml, suffixes=(".yaml", ".yml"),
                open_every_label=partial(open_yaml, every_label=True))
