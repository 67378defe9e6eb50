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
IMAGE_FOLDERS = ("images", "jpegimages", "imgs")        # in any letter case, as below
LABEL_FOLDERS = ("labels", "annotations")
LABEL_SUFFIXES = (".txt", ".xml", ".json")
MAX_OTHERS = 1_000_000      # files and folders that are not images, in a folder with fewer images
DIGITS = 1000       # of a number in a name, by which names are sorted
PROBED = 100        # images that are checked for a label file beside them
DESCRIPTIONS = (".yaml", ".yml", ".data")


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sorting key that puts 10 after 9 and keeps everything else alphabetical."""
    parts = [part for part in re.split(r"(\d+)", name) if part]
    return [(0, int(part[:DIGITS]), "") if part.isdecimal() else (1, 0, part.casefold()) for part in parts], name


def images_in(folder: str | os.PathLike) -> list[str]:
    """All files below a folder that have the name of an image, in natural order, without hidden ones; see
    `image_names` for arrays.

    Links to folders are followed, each folder once.  DataError for the root of a disk, and for a
    folder of which most is something else.
    """
    return list(_images(folder))


def has_images(folder: str | os.PathLike) -> bool:
    """Whether `images_in` finds any."""
    return next(_images(folder), None) is not None


def _images(folder: str | os.PathLike) -> Iterator[str]:
    real_folder = os.path.realpath(folder)
    if os.path.dirname(real_folder) == real_folder:
        raise DataError(f"{folder} is the root of the disk. Name the folder of the images")
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
    """Whether a folder has labels for detection: in labels/ or annotations/, or in files beside its images.  images/
    alone or with labels/ are never classes, even where the labels are missing."""
    for place in (folder, *(folder / name for name in (*TRAIN_FOLDERS, *TEST_FOLDERS))):
        inside = {name.lower(): name for name in subfolders(place)} if place.is_dir() else {}
        if inside and (inside.keys() <= set(IMAGE_FOLDERS) or (place / "annotations.xml").is_file()):
            return True
        if "labels" in inside and any(name in inside for name in IMAGE_FOLDERS):
            return True
        if any(entry.suffix.lower() in LABEL_SUFFIXES for name in LABEL_FOLDERS if name in inside
               for entry in (place / inside[name]).rglob("*")):
            return True
    first = [path for path, _ in zip(_images(folder), range(PROBED), strict=False)]
    return any(file_beside(path, suffix) for path in first for suffix in (".txt", ".xml"))


def file_beside(path: str | os.PathLike, suffix: str) -> str:
    """The file with the name of another one and this ending, or the ending in capitals; "" where there is none."""
    stem = os.path.splitext(os.fspath(path))[0]
    return next((stem + ending for ending in (suffix, suffix.upper()) if os.path.isfile(stem + ending)), "")


def folder_below(folder: Path, *names: str) -> Path | None:
    """A folder in a folder, each also with its name in another letter case; None where there is none."""
    for name in names:
        found = folder / name
        if not found.is_dir():
            same = (entry for entry in subfolders(folder) if entry.lower() == name.lower()) if folder.is_dir() else ()
            found = folder / next(iter(same), name)
        folder = found
    return folder if folder.is_dir() else None


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
