"""COCO's JSON: images, annotations and categories of one split in one file (https://cocodataset.org).

Category ids need not be contiguous: class numbers follow the ids in ascending order, as in darknet's coco.names.
`bbox` is left, top, width, height in pixels.  `iscrowd` boxes are kept separately: neither learned nor counted.
"""
import os
import re
from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from runner.datasets.detection.annotated_size import MAX_SIDE, AnnotatedImage, annotated_image
from runner.datasets.detection.dataset import DetectionDataset, DetectionSplit, LabelledImage
from runner.datasets.detection.report import MISSING_IMAGES, InPixels, LabelReport, PlacedRow, check_box, unique_rows
from runner.datasets.detection.yolo import class_names_in
from runner.datasets.format import Format
from runner.datasets.lists import relocate
from runner.errors import DataError, counted
from runner.reading.json_text import has_lists, read_json
from runner.reading.numbers import shown, whole
from runner.reading.schema import Record, field
from runner.reading.text import open_reason

LISTS = ("images", "annotations")
LEFT_OUT = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}     # of the ids 1 to 90, COCO's boxes have 80
COCO_IDS = tuple(number for number in range(1, 91) if number not in LEFT_OUT)
SMALL = 1 << 24     # bytes of a file that is parsed to recognise it; a larger one is searched for its keys
WRONG = "annotations that cannot be used, left out"
Id = float | str            # of images and categories; most are whole numbers


class Category(Record):
    """One of `categories`."""
    id: int = field(doc="number that annotations refer to")
    name: str = field(doc="name of the class")


class Image(Record):
    """One of `images`.  Its size is read leniently: an image without one is measured."""
    id: Id = field(doc="number or name that annotations refer to")
    file_name: str = field(doc="path of the image")


class Annotation(Record):
    """One of `annotations`."""
    bbox: list[float] = field(doc="box", length=4, nan=True, words="four numbers: left, top, width, height")
    image_id: Id | None = field(None, "the image")
    category_id: Id | None = field(None, "the class")


class Content(Record):
    """A whole file."""
    images: list = field(doc="images")
    annotations: list = field(doc="boxes")
    categories: list[Category] = field(doc="classes")


def class_names(paths: Sequence[str | os.PathLike]) -> tuple[list[str], list[str]]:
    """The names of the categories of the first file, by their ids, without headings; and these.

    A heading is the supercategory of others and has no annotation in any of the files, as Roboflow writes it.
    """
    names = [category["name"] for category in _categories(paths[0], _read(os.fspath(paths[0])))]
    headings = set(_headings(paths[0]))
    for path in paths[1:]:
        if headings:
            known = {category["name"] for category in _categories(path, _read(os.fspath(path)))}
            headings -= known - set(_headings(path))
    return [name for name in names if name not in headings], [name for name in names if name in headings]


def remark(path: str | os.PathLike, headings: list[str]) -> list[str]:
    """The warning about headings, if there are any."""
    return [f"{path}: the category {name!r} is the heading of others and has no annotations: it is not a class"
            for name in headings]


def _headings(path: str | os.PathLike) -> list[str]:
    """Categories that are the supercategory of others and have no annotation in this file."""
    content = _read(os.fspath(path))
    categories = _categories(path, content)
    above = {name for one in categories
             if isinstance(name := one.get("supercategory"), str) and name != one["name"]}
    found = [one for one in categories if one["name"] in above]
    used = {number for one in content["annotations"] if isinstance(one, dict)
            and isinstance(number := one.get("category_id"), int | float)} if found else set()
    return [one["name"] for one in found if one["id"] not in used]


def annotation_files(folder: Path) -> dict[str, Path]:
    """The COCO files of a folder: "train" and "test", as far as there are such; {} where there are none."""
    files = [*sorted(folder.glob("*.json")), *sorted(folder.glob("annotations/*.json")),
             *sorted(folder.glob("*/_annotations.coco.json"))]
    named = {file: (file.parent.name if file.name.startswith("_") else file.stem).lower() for file in files
             if _looks_right(file)}
    found = {}
    for split, words in (("train", ("train",)), ("test", ("val", "test"))):
        file = next((file for word in words for file in named if word in named[file]), None)
        if file:
            found[split] = file
    return found or ({"train": next(iter(named))} if len(named) == 1 else {})


def split_of_file(path: str | os.PathLike, names: list[str], report: LabelReport,
                  folders: Iterable[Path] = ()) -> DetectionSplit:
    """The images of a COCO file with their boxes; a category is the class with its name.

    file_name is looked for in the folder of the file, in its images/, in a folder called like the split (train2017 for
    instances_train2017.json), each also one folder above, and in `folders`.
    """
    content, number = _read(os.fspath(path)), {name: k for k, name in enumerate(names)}
    classes: dict[Id, int] = {}
    headings = set(_headings(path))
    for category in _categories(path, content):
        if category["name"] not in number and category["name"] in headings:
            continue
        if category["name"] not in number:
            raise DataError(f"{path}: the category {shown(category['name'])} is not "
                            f"{f'one of the {len(names)} classes' if len(names) > 1 else 'the class'} "
                            f"{', '.join(names[:5])}{' ...' if len(names) > 5 else ''}")
        classes[category["id"]] = number[category["name"]]
    images: dict[Id, tuple[str, AnnotatedImage]] = {}
    missing: set[Id] = set()
    bases = [base for base in _bases(Path(path), folders) if base.is_dir()]
    for index, image in enumerate(content["images"]):
        report.images += 1
        problem = Image.problem(image, f"images[{index}]")
        if problem:
            report.add("images that cannot be used, left out", str(path), problem)
            continue
        where, found = f"{path}: image {shown(image['id'])}", _locate(image["file_name"], bases)
        if not found:
            missing.add(image["id"])
            report.add(MISSING_IMAGES, where, f"there is no {shown(image['file_name'])}")
        elif image["id"] in images:
            report.add("images given twice, kept once", where, f"the id of {images[image['id']][0]}", lost=False)
        else:
            size = image.get("width"), image.get("height")
            written = size if all(type(s) is int and 0 < s <= MAX_SIDE for s in size) else None
            images[image["id"]] = found, annotated_image(found, written, where, report)
    if content["images"] and not images:
        raise _no_image(path, content["images"], bases)
    boxes, crowd = _boxes(path, content["annotations"], images, missing, classes, report)
    _read_cached.cache_clear()
    ids = {index: category for category, index in classes.items()}
    return DetectionSplit([LabelledImage(found, unique_rows(boxes.get(key, ()), report),
                                         unique_rows(crowd.get(key, ()), report), str(path), key, annotated)
                           for key, (found, annotated) in images.items()], len(names),
                          tuple(ids.get(index) for index in range(len(names))))


def _no_image(path: str | os.PathLike, images: list, bases: list[Path]) -> DataError:
    first = images[0]
    problem = Image.problem(first, "images[0]")
    if problem:
        return DataError(f"{path}: {problem}, and none of the other images can be used")
    return DataError(f"{path}: none of its {counted(len(images), 'image')} exists. Looked for "
                     f"{shown(first['file_name'])} in {', '.join(map(str, bases))}")


BoxesById = dict[Id, list[PlacedRow]]     # of image ids


def _boxes(path: str | os.PathLike, annotations: list, images: dict[Id, tuple[str, AnnotatedImage]], missing: set[Id],
           classes: dict[Id, int], report: LabelReport) -> tuple[BoxesById, BoxesById]:
    """-> boxes and crowds by image id."""
    boxes: BoxesById = {}
    crowd: BoxesById = {}
    for index, one in enumerate(annotations):
        where = f"{path}: annotation {shown(one.get('id', index)) if isinstance(one, dict) else index}"
        problem = Annotation.problem(one)
        if problem:
            report.add(WRONG, where, problem)
            continue
        image, category = one.get("image_id"), one.get("category_id")
        if image in missing:
            continue
        if category not in classes:
            report.add("classes that do not exist, left out", where,
                       f"category_id must be an id of `categories`. Got {shown(category)}")
        elif image not in images:
            report.add(WRONG, where, f"image_id must be an id of `images`, of one that exists. Got {shown(image)}")
        else:
            annotated = images[image][1]
            width, height = annotated.size
            left, top, w, h = one["bbox"]
            centre = (left + w / 2) / width, (top + h / 2) / height
            row = check_box(annotated.upright((*centre, w / width, h / height)), classes[category], where, report,
                            InPixels(one["bbox"], "left, top, width, height", annotated.size))
            if row is not None:
                (crowd if one.get("iscrowd") else boxes).setdefault(image, []).append((row, where))
    return boxes, crowd


@lru_cache(maxsize=1)
def _read_cached(path: str, changed: float) -> dict[str, Any]:
    content = read_json(path)
    missing = [key for key in ("images", "annotations", "categories")
               if not (isinstance(content, dict) and isinstance(content.get(key), list))]
    if missing:
        raise DataError(f"{path}: a COCO file has the lists images, annotations and categories. Missing here: "
                        f"{', '.join(missing)}")
    problem = Content.problem(content)
    if problem or not content["categories"]:
        raise DataError(f"{path}: {problem or 'the list of categories is empty'}")
    return content


def _read(path: str) -> dict[str, Any]:
    """The content of a file.  The latest is cached until its images are read, since the names are read before."""
    try:
        return _read_cached(path, os.path.getmtime(path))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {open_reason(error)}") from None


def _looks_right(path: Path) -> bool:
    """Whether a file seems to hold boxes, by its name, and by the lists `images` and `annotations`."""
    if any(word in path.stem.lower() for word in ("captions", "keypoints", "stuff", "panoptic", "image_info")):
        return False
    return has_lists(path, LISTS, SMALL)


def _categories(path: str | os.PathLike, content: dict[str, Any]) -> list[dict[str, Any]]:
    """The categories in the order of their ids."""
    found = content["categories"]
    for key in ("id", "name"):
        seen: set[Id] = set()
        for one in found:
            if one[key] in seen:
                raise DataError(f"{path}: two categories have the {key} {shown(one[key])}")
            seen.add(one[key])
    return sorted(found, key=lambda one: one["id"])


def _bases(path: Path, folders: Iterable[Path]) -> list[Path]:
    """Folders in which the images may be."""
    split = path.stem.rpartition("_")[2]
    near = [path.parent, path.parent.parent]
    return [*folders, *(base / name for base in near for name in (".", "images", split, f"images/{split}"))]


def _locate(name: str, bases: list[Path]) -> str:
    if not name:
        return ""
    found = next((os.path.normpath(base / name) for base in bases if os.path.isfile(base / name)), None)
    found = found or relocate(name, bases)
    return found if found and os.path.isfile(found) else ""


def _matches(path: Path) -> bool:
    return bool(annotation_files(path)) if path.is_dir() else path.suffix.lower() == ".json"


def open_coco(path: Path) -> DetectionDataset:
    """A COCO file, whose images are all for training, or a folder with one for each split."""
    report = LabelReport()
    if not path.is_dir():
        names, headings = class_names([path])
        report.notes += remark(path, headings)
        return report.dataset(names, split_of_file(path, names, report), None, path)
    files = annotation_files(path)
    names = class_names_in(path, report)
    if not names:
        names, headings = class_names(list(files.values()))
        report.notes += remark(path, headings)
    train, test = (split_of_file(files[split], names, report, [path]) if split in files else None
                   for split in ("train", "test"))
    return report.dataset(names, train, test, path)


FORMAT = Format("COCO", "detection",
                "a `.json` file with `images`, `annotations`, `categories`; or a folder with such files in "
                "`annotations/`, or in `train/` and `valid/`", _matches, open_coco)


def number_in_name(file: str) -> int | None:
    """The number at the end of the name of an image, its id in COCO: 139 of COCO_val2014_000000000139.jpg."""
    digits = re.search(r"([0-9]{1,18})$", PurePath(file).stem)
    return whole(digits[1]) if digits else None


def usual_category_ids(names: Sequence[str]) -> tuple[int, ...]:
    """The ids of classes that no file gives one: those of COCO for its 80 classes, as in darknet, else 1, 2, ..."""
    if len(names) == len(COCO_IDS) and (names[0], names[-1]) == ("person", "toothbrush"):
        return COCO_IDS
    return tuple(range(1, len(names) + 1))


class ResultIds:
    """The ids of images and categories in results: those of a COCO file; without one, the number at the end of the name
    of an image, and `usual_category_ids`.

    names: of the classes; [] where they have none
    DataError where an image or a class has no id, or two images have the same.
    """

    def __init__(self, path: str | os.PathLike | None, names: Sequence[str]):
        self.path, self._used = path, array("q")
        self._images: dict[str, list[tuple[str, Id]]] = {}
        self._usual = usual_category_ids(names)
        self._categories: list[dict[str, Any]] = []
        if path is None:
            return
        content = _read(os.fspath(path))
        _read_cached.cache_clear()
        self._categories = _categories(path, content)
        for index, image in enumerate(content["images"]):
            if problem := Image.problem(image, f"images[{index}]"):
                raise DataError(f"{path}: {problem}")
            name = image["file_name"].replace("\\", "/")
            self._images.setdefault(name.rpartition("/")[2], []).append((name, image["id"]))

    def image(self, file: str) -> Id:
        """The id of an image, by its path."""
        name = file.replace("\\", "/")
        if self.path is None:
            number = number_in_name(name)
            if number is None:
                raise DataError(f"{file}: COCO results need the number of every image, and this name has no digits at "
                                "its end. Name the COCO file with the ids")
            self._used.append(number)
            return number
        same = self._images.get(name.rpartition("/")[2], [])
        if len(same) > 1:       # in several folders
            same = [one for one in same if f"/{name}".endswith("/" + one[0].removeprefix("./"))]
        if len(same) != 1:
            raise DataError(f"{self.path}: {'several' if same else 'none'} of its images may be {shown(file)}, by the "
                            "name of the file")
        return same[0][1]

    def require_unique(self) -> None:
        """DataError where two images had the same number; 8 bytes of memory for each."""
        numbers = np.sort(np.frombuffer(self._used, np.int64)) if self._used else np.zeros(0, np.int64)
        same = numbers[1:][numbers[1:] == numbers[:-1]]
        if len(same):
            raise DataError(f"two images have the same id, {same[0]}: the number at the end of their names. Name the "
                            "COCO file with the ids")

    def category(self, number: int, name: str) -> Id:
        """The id of a class, by its name; of one without a name, whose name is its number, by the order of the ids."""
        if self.path is None:
            return self._usual[number] if number < len(self._usual) else number + 1
        found = next((one["id"] for one in self._categories if one["name"] == name), None)
        if found is None and name == str(number) and number < len(self._categories):
            found = self._categories[number]["id"]
        if found is None:
            raise DataError(f"{self.path}: {shown(name)} is not one of its categories")
        known: Id = found
        return known
