"""Darknet's .data files for classifiers: key=value lines that name list files, labels and names.

    classes = 10
    train   = train.list        one image path per line; or a file of many images, such as MNIST's idx
    valid   = test.list
    labels  = labels.txt        a class per line: the text that identifies it in the path of an image
    names   = names.txt         (optional) a class per line: its name for display
"""
from functools import partial
from pathlib import Path

from runner.datasets.classification.containers import split_of_arrays
from runner.datasets.classification.dataset import NO_TEST_IMAGES, Dataset, Split
from runner.datasets.classification.path_labels import split_of_paths
from runner.datasets.containers.stored_images import is_container, read_container
from runner.datasets.data_file import class_count, named_file, read_data_file
from runner.datasets.folders import description_of
from runner.datasets.format import Format, has_description
from runner.datasets.lists import read_list
from runner.datasets.names_file import first_ones, read_names
from runner.errors import DataError, counted


def open_data_file(path: Path, every_label: bool = False) -> Dataset:
    """A Dataset from a .data file, or a folder with one.

    Paths in lists are relative to the current folder or to the .data file.
    Raises DataError with file and line.
    """
    path = description_of(path) or path
    options, warnings = read_data_file(path), list[str]()
    labels_file = named_file(path, options, "labels") or named_file(path, options, "names")
    if labels_file is None:
        raise DataError(f"{path}: a classifier's .data file needs labels=, a file with one class per line")
    labels = read_names(labels_file, warnings)
    names_file = named_file(path, options, "names") or labels_file
    names = read_names(names_file, []) if names_file == labels_file else read_names(names_file, warnings)
    classes = class_count(path, options) or len(labels)
    if classes > len(labels):       # more labels than classes are allowed, as in darknet's imagenet files
        raise DataError(f"{path}:{options['classes'][1]}: classes={classes}, but {labels_file} has {len(labels)} "
                        "labels")
    if len(names) < classes:
        raise DataError(f"{names_file}: {counted(classes, 'name')} {'is' if classes == 1 else 'are'} needed, one per "
                        f"line. Got {len(names)}")
    for given, words in {labels_file: labels, names_file: names}.items():
        if len(words) > classes:
            warnings.append(f"{given}: {counted(len(words), 'name')}, but {path} says classes={classes}: "
                            f"{first_ones(classes)}")
    labels, names = labels[:classes], names[:classes]
    files = [named_file(path, options, key) for key in ("train", "valid")]
    splits: dict[str | None, Split | None] = {None: None}
    for file in files:
        if file and is_container(file):
            splits[file] = split_of_arrays([read_container(file)], classes)
        elif file and file not in splits:       # a list that serves for both is read once
            splits[file] = split_of_paths(file, read_list(file, [path.parent]), labels, warnings, every_label)
    train, test = (splits[file] for file in files)
    if train is None and test is None:
        raise DataError(f"{path}: neither train= nor valid= is given, so there are no images")
    if test is None:
        warnings.append(f"{path}: valid= is not given: {NO_TEST_IMAGES}")
    return Dataset(names, train, test, str(path), warnings)


FORMAT = Format("darknet", "classification",
                "a `.data` file: `classes=`, `train=`, `valid=`, `labels=`, `names=`; or a folder with one",
                has_description(".data"), open_data_file, suffixes=(".data",),
                open_every_label=partial(open_data_file, every_label=True))
