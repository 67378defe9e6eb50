"""YOLO labels: beside or near each picture a text file with a line `class x y w h` for each thing in it."""
import os
from collections.abc import Iterable
from pathlib import Path

from runner.datasets.classification.folders import images_in
from runner.datasets.detection.dataset import (
    DetectionSplit,
    LabelledImage,
    LabelReport,
    check_box,
    checked_class,
    label_places,
    no_boxes,
    rows_of,
)
from runner.datasets.lists import read_lines, read_list
from runner.errors import DataError

FIELDS = 5


def read_labels(path: str | os.PathLike, classes: int, report: LabelReport) -> list[tuple[tuple[float, ...], str]]:
    """The good lines of a label file as (x, y, w, h, class) and `file:line`; `report` is told of the others.

    A line with more pairs of numbers is the outline of a thing (segmentation labels): its box is taken.
    """
    found = []
    try:
        lines = list(read_lines(path))
    except DataError as error:
        report.add("label files that cannot be read, left out", str(path), str(error).removeprefix(f"{path}: "))
        return []
    for number, line in lines:
        where, words = f"{path}:{number}", line.replace(",", " ").split()
        try:
            values = [float(word) for word in words]
            kind = int(values[0])
            if kind != values[0]:
                raise ValueError
        except (ValueError, OverflowError):
            report.add("lines that are no labels, left out", where,
                       f"a label is `class x y w h`, the class a whole number. Got {line!r}")
            continue
        if len(values) >= 7 and len(values) % 2:
            xs, ys = values[1::2], values[2::2]
            box = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2, max(xs) - min(xs), max(ys) - min(ys)
        elif len(values) == FIELDS:
            box = values[1], values[2], values[3], values[4]
        else:
            report.add("lines that are no labels, left out", where,
                       f"a label has 5 numbers, `class x y w h`. Got {len(values)}: {line!r}")
            continue
        if checked_class(kind, classes, where, report):
            row = check_box(box, kind, where, report)
            if row is not None:
                found.append((row, where))
    return found


def labelled(images: Iterable[tuple[str, str]], classes: int, report: LabelReport) -> DetectionSplit:
    """images (where it is named, path) with the labels that lie near them.  One without a label file shows nothing."""
    items = []
    for where, path in images:
        report.pictures += 1
        if not os.path.isfile(path):
            report.add("pictures that do not exist, left out", where, f"there is no {path!r}")
            continue
        labels = next((place for place in label_places(path) if os.path.isfile(place)), "")
        if labels:
            boxes = rows_of(read_labels(labels, classes, report), report)
        else:
            report.without.append(path)
            boxes = no_boxes()
        items.append(LabelledImage(path, boxes, no_boxes(), labels))
    return DetectionSplit(items, classes)


def listed(list_file: str | os.PathLike, classes: int, report: LabelReport,
           folders: Iterable[Path] = ()) -> DetectionSplit:
    """The pictures of a list file, one path on each line."""
    lines = read_list(list_file, folders)
    return labelled(((f"{list_file}:{number}", path) for number, _, path in lines), classes, report)


def inside(folder: str | os.PathLike, classes: int, report: LabelReport) -> DetectionSplit:
    """All pictures below a folder.  DataError when there is none."""
    images = images_in(folder)
    if not images:
        raise DataError(f"{folder}: there are no images in this folder")
    return labelled(((str(folder), path) for path in images), classes, report)


def highest_class(images: Iterable[str]) -> int:
    """The largest class number in the labels of these pictures, to know how many classes there are; -1: none."""
    highest = -1
    for path in images:
        labels = next((place for place in label_places(path) if os.path.isfile(place)), "")
        words = Path(labels).read_text(encoding="utf-8-sig", errors="replace").split("\n") if labels else []
        numbers = [word for line in words for word in line.split()[:1] if word.isdecimal()]
        highest = max([highest, *map(int, numbers)])
    return highest
