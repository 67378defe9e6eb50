"""What is in a folder: images, subfolders, a description of a dataset."""
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from runner.errors import DataError
from runner.images import arrays
from runner.images.decode import SUFFIXES

TRAIN_FOLDERS = ("train", "training")
TEST_FOLDERS = ("test", "val", "valid", "validation")
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".zip")
LABEL_FOLDERS = ("labels", "Annotations", "annotations")
MAX_OTHERS = 1_000_000      # files and folders that are not images, in a folder with fewer images
PROBED = 100        # images that are checked for a label file beside them
DESCRIPTIONS = (".yaml", ".yml", ".data")


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sorting key that puts 10 after 9 and keeps everything else alphabetical."""
    parts = [part for part in re.split(r"(\d+)", name) if part]
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.casefold()) for part in parts], name


def images_in(folder: str | os.PathLike) -> list[str]:
    """All files below a folder that have the name of an image, in natural order, without hidden ones; see
    `image_names` for arrays.

    Links to folders are followed, each folder once.  DataError for a folder such as /, of which most is something else.
    """
    return list(_images(folder))


def has_images(folder: str | os.PathLike) -> bool:
    """Whether `images_in` finds any."""
    return next(_images(folder), None) is not None


def _images(folder: str | os.PathLike) -> Iterator[str]:
    seen, images, others = set(), 0, 0
    for place, below, files in os.walk(os.fspath(folder), followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted((name for name in below if not name.startswith(".")), key=natural_key)
        found = [name for name in image_names(place, sorted(files, key=natural_key)) if not name.startswith(".")]
        images, others = images + len(found), others + 1 + len(files) - len(found)
        if others > max(MAX_OTHERS, 2 * images):
            raise DataError(f"{folder}: more than {MAX_OTHERS:,} files and folders below this folder are not images. "
                            "Name the folder of the images")
        yield from (os.path.join(place, name) for name in found)


def image_names(place: str, files: Iterable[str]) -> list[str]:
    """Of the files of one folder, those that are images by their names, in the same order.

    Arrays (.npy, and .npz with one array) are images too.  Beside other images, where tools keep arrays of other
    things, only those with three axes, and not those with the name of an image: they are copies that a cache made.
    """
    files = list(files)
    images = {os.path.splitext(name)[0] for name in files if os.path.splitext(name)[1].lower() in SUFFIXES}

    def counts(name: str) -> bool:
        stem, suffix = os.path.splitext(name)
        if suffix.lower() not in arrays.SUFFIXES:
            return suffix.lower() in SUFFIXES
        path = os.path.join(place, name)
        if images:
            return stem not in images and arrays.holds_channels(path)
        return suffix.lower() == ".npy" or arrays.is_archive_of_one(path)
    return [name for name in files if counts(name)]


def subfolders(folder: Path) -> list[str]:
    """Names of the folders inside, in natural order, without hidden ones."""
    found = (entry.name for entry in folder.iterdir() if entry.is_dir())
    return sorted((name for name in found if not name.startswith(".")), key=natural_key)


def holds_labels(folder: Path) -> bool:
    """Whether a folder has labels for detection: in labels/ or annotations/, or in files beside its images."""
    for place in (folder, *(folder / name for name in (*TRAIN_FOLDERS, *TEST_FOLDERS))):
        if any(next((place / name).rglob(f"*{suffix}"), None) for name in LABEL_FOLDERS
               for suffix in (".txt", ".xml", ".json")):
            return True
    first = [path for path, _ in zip(_images(folder), range(PROBED), strict=False)]
    return any(os.path.isfile(os.path.splitext(path)[0] + suffix) for path in first for suffix in (".txt", ".xml"))


def description_of(path: Path) -> Path | None:
    """The file that describes a dataset: the path itself, or of a folder data.yaml, dataset.yaml, or the only .yaml or
    .data file in it, or in a folder data/ in it; None where there is none."""
    if not path.is_dir():
        return path if path.suffix.lower() in DESCRIPTIONS else None
    for folder in (path, path / "data"):
        for name in ("data.yaml", "dataset.yaml"):
            if (folder / name).is_file():
                return folder / name
        found = [entry for entry in folder.glob("*") if entry.suffix.lower() in DESCRIPTIONS]
        if found:
            return found[0] if len(found) == 1 else None
    return None
