"""A dataset of class folders: a folder of images per class, with or without train/ and test/ above."""
from pathlib import Path

from runner.datasets.classification.dataset import NO_TEST_IMAGES, Dataset, Split
from runner.datasets.folders import ARCHIVES, TEST_FOLDERS, TRAIN_FOLDERS, holds_labels, images_in, subfolders
from runner.datasets.format import Format
from runner.errors import DataError, did_you_mean


def split_of_folder(folder: Path, names: list[str]) -> Split:
    """The images of a folder of class folders.  Raises DataError for a class not in names, or without images."""
    if holds_labels(folder):
        raise DataError(f"{folder}: these folders hold images and labels for detection, not classes")
    number = {name: index for index, name in enumerate(names)}
    items = []
    for name in subfolders(folder):
        if name not in number:
            raise DataError(f"{folder}: the folder {name!r} is not "
                            f"{f'one of the {len(names)} classes' if len(names) > 1 else f'the class {names[0]!r}'}"
                            + did_you_mean(name, names))
        items += [(path, number[name]) for path in images_in(folder / name)]
    if not items:
        raise DataError(f"{folder}: there are no images in the class folders "
                        f"{', '.join(subfolders(folder)[:5]) or '(there are none)'}")
    return Split(items, len(names))


def open_class_folders(folder: Path) -> Dataset:
    """folder/train/<class>/... and folder/test/<class>/... (or val, valid, validation), or only folder/<class>/...

    Classes are the names of the folders in natural order.  Raises DataError where there are no images.
    """
    inside = {name.lower(): name for name in subfolders(folder)}
    archive = next((entry.name for entry in folder.iterdir() if entry.name.endswith(ARCHIVES)), None)
    if not inside and archive:
        raise DataError(f"{folder}: there are only files here. Is {archive} the dataset? Unpack it, and use the "
                        "folder that comes out of it")
    train: Path | None = next((folder / inside[name] for name in TRAIN_FOLDERS if name in inside), None)
    test = next((folder / inside[name] for name in TEST_FOLDERS if name in inside), None)
    warnings = []
    if train is None and test is None:
        if not inside:
            raise DataError(f"{folder}: a data folder contains train/ and test/ (or val/) with one folder per class, "
                            "or the class folders themselves. This one contains no folder at all")
        train = folder
        warnings.append(f"{folder}: there is no test/ (or val/) folder: all images are training images, "
                        f"{NO_TEST_IMAGES}")
    elif test is None:
        warnings.append(f"{folder}: there is a train/, but no test/ (or val/) folder: {NO_TEST_IMAGES}")
    names = subfolders(train or test or folder)
    return Dataset(names, split_of_folder(train, names) if train else None,
                   split_of_folder(test, names) if test else None, str(folder), warnings)


def _matches(path: Path) -> bool:
    return path.is_dir() and not holds_labels(path)


FORMAT = Format(
    "class folders", "classification",
    "`birds/train/crow/1.jpg`, `birds/test/crow/2.jpg` (also `val`, `valid`, `validation`); or `birds/crow/1.jpg`, "
    "without test images",
    _matches, open_class_folders)
