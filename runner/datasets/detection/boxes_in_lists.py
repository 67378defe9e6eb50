"""Boxes behind the paths of a list, in pixels, as keras-yolo3 and its relatives write them:

    img/1.jpg 10,20,40,60,0 50,50,80,90,1       left, top, right, bottom, class
    img/2.jpg                                   no objects

Roboflow's "Keras" export has such a list in each split, _annotations.txt, and the class names in _classes.txt.
"""
import os
import re
from collections.abc import Sequence

from runner.datasets.detection.dataset import DetectionSplit, LabelledImage
from runner.datasets.detection.report import (
    MISSING_IMAGES,
    InPixels,
    LabelReport,
    PlacedRow,
    check_box,
    class_exists,
    unique_rows,
)
from runner.datasets.image_size import size_of
from runner.datasets.lists import ListedImage
from runner.reading.numbers import shown

BOX = re.compile(r"(?:-?[0-9]{1,15}(?:\.[0-9]{0,15})?,){4}[0-9]{1,9}")

LIKE_BOX = re.compile(r"(?:-?[0-9]{1,15}(?:\.[0-9]{0,15})?[\s,;]+){4}\S")


def holds_boxes(text: str) -> bool:
    """Whether what is behind a path begins with a box."""
    return bool(BOX.match(text))


def resembles_box(text: str) -> bool:
    """Whether what is behind a path begins with four numbers and something else, and is not a box as above."""
    return bool(LIKE_BOX.match(text)) and not holds_boxes(text)


def split_of_lines(file: str | os.PathLike, lines: Sequence[ListedImage], classes: int,
                   report: LabelReport) -> DetectionSplit:
    """The images of a list with the boxes behind their paths."""
    items = []
    for line in lines:
        where = f"{file}:{line.line}"
        report.images += 1
        if not os.path.isfile(line.path):
            report.add(MISSING_IMAGES, where, f"there is no {line.path!r}")
            continue
        boxes, crowd = unique_rows(_boxes(line, where, classes, report), report), unique_rows((), report)
        items.append(LabelledImage(line.path, boxes, crowd, str(file)))
    return DetectionSplit(items, classes)


def _boxes(line: ListedImage, where: str, classes: int, report: LabelReport) -> list[PlacedRow]:
    found = []
    for word in line.rest.split():
        if not BOX.fullmatch(word):
            report.add("boxes that cannot be read, left out", where,
                       f"a box behind a path is left,top,right,bottom,class in pixels. Got {shown(word)}")
            continue
        left, top, right, bottom, index = map(float, word.split(","))
        if max(left, top, right, bottom) <= 1 and "." in word:
            report.add("boxes that cannot be read, left out", where,
                       f"a box behind a path is in pixels. Got {shown(word)}: this looks like fractions of the image")
            continue
        width, height = size_of(line.path)
        if class_exists(int(index), classes, where, report):
            row = check_box(((left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width,
                             (bottom - top) / height), int(index), where, report,
                            InPixels((left, top, right, bottom), "left, top, right, bottom", (width, height)))
            if row is not None:
                found.append((row, where))
    return found
