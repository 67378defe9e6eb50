"""Data sets that are folders: a folder per class, with or without train/ and test/ above."""
import os
from pathlib import Path

from runner.datasets.classification.dataset import Dataset, Split, natural_key
from runner.errors import DataError, did_you_mean
from runner.images.decode import SUFFIXES

TRAIN_FOLDERS = ("train", "training")
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".zip")
TEST_FOLDERS = ("test", "val", "valid", "validation")


def images_in(folder: str | os.PathLike) -> list[str]:
    """All files below a folder that are called like images, in natural order; hidden ones are left out.

    Links to folders are followed, each folder once.
    """
    found, seen = [], set()
    for place, below, files in os.walk(os.fspath(folder), followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted((name for name in below if not name.startswith(".")), key=natural_key)
        found += [os.path.join(place, name) for name in sorted(files, key=natural_key)
                  if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES]
    return found


def class_folders(folder: Path) -> list[str]:
    """Names of the folders inside, 10 after 9."""
    found = (entry.name for entry in folder.iterdir() if entry.is_dir())
    return sorted((name for name in found if not name.startswith(".")), key=natural_key)


def split_of(folder: Path, names: list[str]) -> Split:
    """The images of a folder per class.  Raises DataError for a class not in names, or no images."""
    number = {name: index for index, name in enumerate(names)}
    items = []
    for name in class_folders(folder):
        if name not in number:
            raise DataError(f"{folder}: the folder {name!r} is none of the {len(names)} classes"
                            + did_you_mean(name, names))
        items += [(path, number[name]) for path in images_in(folder / name)]
    if not items:
        raise DataError(f"{folder}: there are no images in the class folders "
                        f"{', '.join(class_folders(folder)[:5]) or '(there are none)'}")
    return Split(items, len(names))


def open_folder(folder: str | os.PathLike) -> Dataset:
    """folder/train/<class>/... and folder/test/<class>/... (or val, valid, validation), or
    folder/<class>/... alone.

    Classes are the folder names in natural order.  Raises DataError when there is nothing to find.
    """
    folder = Path(folder)
    inside = {name.lower(): name for name in class_folders(folder)}
    archive = next((entry.name for entry in folder.iterdir() if entry.name.endswith(ARCHIVES)), None)
    if not inside and archive:
        raise DataError(f"{folder}: there is nothing but files here. Is {archive} the data set? Unpack it, and name "
                        "the folder that comes out of it")
    train: Path | None = next((folder / inside[name] for name in TRAIN_FOLDERS if name in inside), None)
    test = next((folder / inside[name] for name in TEST_FOLDERS if name in inside), None)
    warnings = []
    if train is None and test is None:
        if not inside:
            raise DataError(f"{folder}: a data folder holds train/ and test/ (or val/) with a folder per "
                            "class in each, or the folders of the classes. This one holds no folder at all")
        train = folder
        warnings.append(f"{folder}: there is no test/ (or val/) folder: everything is for training, nothing "
                        "to test with")
    elif test is None:
        warnings.append(f"{folder}: there is no test/ (or val/) folder beside train/: nothing to test with")
    names = class_folders(train or test or folder)
    return Dataset(names, split_of(train, names) if train else None, split_of(test, names) if test else None,
                   str(folder), warnings)
