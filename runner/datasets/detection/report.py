"""Checking labels: the problems of a dataset are collected while it is read, and reported together."""
import math
import os
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from runner.datasets.classification.dataset import NO_TEST_IMAGES
from runner.datasets.detection.dataset import DetectionDataset, DetectionSplit, Problem
from runner.datasets.overlap import overlap_warning
from runner.errors import DataError, counted, plural
from runner.reading.numbers import real

TOLERANCE = 0.005       # of the image: a box may cross the edge by this much without a warning (labels are rounded)
FAR = 0.5               # of the image: a box that crosses the edge by more, or is that much larger, is not in fractions
MISSING_IMAGES = "images that do not exist, left out"
SHOWN = 5               # problems of one kind that are listed

DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?")

Row = tuple[float, ...]             # x, y, w, h, class
PlacedRow = tuple[Row, str]         # and where it was read, file:line


class InPixels(NamedTuple):
    """A box as it is written, for messages: the numbers, what they are, and width and height of their image."""
    numbers: Sequence[float]
    words: str
    size: tuple[int, int]

    def __str__(self) -> str:
        width, height = self.size
        return f"{self.words} {_text(self.numbers)} in an image of {width} x {height} pixels"


class NoBoxes(DataError):
    """There are no boxes here, so that it may be a dataset for classification.  Not: there are, and they are wrong."""


class LabelReport:
    """The problems of a dataset, collected while it is read.

    unlabelled  images without a label file, and where it was looked for
    images      how many were named, usable or not
    boxes       how many can be used
    numbers     the class numbers that occur, also those of classes that do not exist
    decimal_commas  lines with decimal commas
    resized     images of another size than annotated, with the same aspect ratio
    rotated     images that were annotated as they are stored, and are rotated with their boxes
    notes       warnings that are not about labels
    keypoints       how many numbers follow the box in each label (kpt_shape of a YAML description); 0: no key points
    outlines        lines with the outline of an object
    keypoint_like   of these, lines whose first four numbers are a box around all further points
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._known: set[Problem] = set()
        self.unlabelled: list[tuple[str, Sequence[str]]] = []
        self.images = 0
        self.boxes = 0
        self.numbers: set[int] = set()
        self.decimal_commas: list[str] = []
        self.resized: list[str] = []
        self.rotated: list[str] = []
        self.notes: list[str] = []
        self.keypoints = 0
        self.outlines = 0
        self.keypoint_like = 0

    def add(self, kind: str, where: str, text: str, *, lost: bool = True) -> None:
        """Record a problem, once even if the image is in several lists."""
        problem = Problem(kind, where, text, lost)
        if problem not in self._known:
            self._known.add(problem)
            self.problems.append(problem)

    def dataset(self, names: list[str], train: DetectionSplit | None, test: DetectionSplit | None,
                source: str | os.PathLike) -> DetectionDataset:
        """The dataset that was read, with a warning for each kind of problem.  DataError where nothing can be used."""
        if len(names) in self.numbers and min(self.numbers) == 1:
            last = max(self.numbers)
            numbers = f"they are 1 to {last}" if last > 1 else "the only one is 1"
            self.problems.insert(0, Problem("class numbers from 1", str(source), f"class numbers start at 0; here "
                                            f"{numbers}, so each label has the class after the one that is meant"))
        summaries = summaries_of(self.problems)
        missing = sum(problem.kind == MISSING_IMAGES for problem in self.problems)
        if self.unlabelled and len(self.unlabelled) == self.images - missing:
            image, places = self.unlabelled[0]
            raise NoBoxes(f"{source}: of {self.images} {plural(self.images, 'image')} none has a label file. For the "
                          f"first, {image}, looked for {', '.join(places)}")
        if not self.boxes and any(problem.lost for problem in self.problems):
            raise DataError("\n".join([f"{source}: none of the labels can be used", *summaries.values()]))
        if not train and not test:
            raise NoBoxes(f"{source}: there are no images in this dataset")
        warnings = [*summaries.values(), *self.notes]
        if self.unlabelled:
            have = "has" if len(self.unlabelled) == 1 else "have"
            warnings.append(f"{source}: {len(self.unlabelled)} of {counted(self.images, 'image')} {have} no label "
                            f"file, treated as without objects, for instance {self.unlabelled[0][0]} (an empty label "
                            "file says so explicitly)")
        if self.resized:
            warnings.append(f"{source}: {_many(self.resized, 'image', 'has', 'have')} another size than is written "
                            f"with the boxes, with the same aspect ratio, for instance {self.resized[0]}: the boxes "
                            "are scaled")
        if self.rotated:
            warnings.append(f"{source}: {_many(self.rotated, 'image', 'was', 'were')} annotated as stored, without the "
                            f"rotation of the EXIF data, for instance {self.rotated[0]}: the boxes are rotated as well")
        if self.outlines and self.outlines == self.keypoint_like:
            warnings.append(f"{source}: {counted(self.outlines, 'label')} "
                            f"{'is read as an outline' if self.outlines == 1 else 'are read as outlines'}, and the "
                            "first four numbers of each are a box around all further points: if these are key points, "
                            "describe the dataset by a YAML file with kpt_shape: [number of points, 2 or 3], and the "
                            "box is used")
        if self.decimal_commas:
            warnings.append(f"{source}: {_many(self.decimal_commas, 'label', 'has', 'have')} decimal commas, for "
                            f"instance {self.decimal_commas[0]}: they are read, but other programs need points")
        if train is not None and test is None:
            warnings.append(f"{source}: there are only training images: {NO_TEST_IMAGES}")
        overlap = overlap_warning(train, test, source)
        warnings += [overlap] if overlap else []
        return DetectionDataset(names, train, test, str(source), warnings, self.problems)


def refuse_problems(data: DetectionDataset) -> None:
    """DataError where labels or images had to be left out."""
    lost = {problem.kind for problem in data.problems if problem.lost}
    if lost:
        raise DataError("\n".join([f"{data.source}: the labels have mistakes. Correct them, or leave these labels out "
                                   "with --on-bad skip"]
                                  + [text for kind, text in summaries_of(data.problems).items() if kind in lost]))


def _many(items: Sequence[str], noun: str, one: str, several: str) -> str:
    """"1 image has", "3 images have"."""
    return f"{counted(len(items), noun)} {one if len(items) == 1 else several}"


def summaries_of(problems: Sequence[Problem]) -> dict[str, str]:
    """Kind -> how many problems of that kind there are, and the first few with their places."""
    found: dict[str, str] = {}
    for kind in dict.fromkeys(problem.kind for problem in problems):
        of_kind = [problem for problem in problems if problem.kind == kind]
        lines = [f"{kind}: {len(of_kind)}", *(f"  {problem.where}: {problem.text}" for problem in of_kind[:SHOWN])]
        if len(of_kind) > SHOWN:
            lines.append(f"  and {len(of_kind) - SHOWN} more")
        found[kind] = "\n".join(lines)
    return found


def read_pixels(texts: Sequence[str], where: str, report: LabelReport) -> list[float]:
    """The numbers of a box in pixels; decimal commas are read, and reported.  ValueError for anything else."""
    points = [text.replace(",", ".") if DECIMAL_COMMA.fullmatch(text) else text for text in texts]
    numbers = [real(text) for text in points]
    if points != list(texts):
        report.decimal_commas.append(where)
    return numbers


def check_box(values: Sequence[float], index: int, where: str, report: LabelReport,
              written: InPixels | None = None) -> Row | None:
    """x, y, w, h relative to the image and a class that exists -> the row, clipped to the image, or None.

    written: the box in pixels, where it is not written relative to the image.
    As in darknet, what extends over the edge is clipped.  A box outside the image, or far over its edge, is left out.
    """
    x, y, w, h = values
    if not all(map(math.isfinite, values)):
        report.add("boxes with NaN or infinity, left out", where, f"x, y, w, h must be numbers. Got {_text(values)}")
        return None
    if w <= 0 or h <= 0:
        report.add("boxes without an area, left out", where,
                   f"width and height must be above 0. Got {written or f'{w:g} and {h:g}'}")
        return None
    left, right = max(x - w / 2, 0), min(x + w / 2, 1)
    top, bottom = max(y - h / 2, 0), min(y + h / 2, 1)
    excess = max(w / 2 - x, x + w / 2 - 1, h / 2 - y, y + h / 2 - 1)
    if right <= left or bottom <= top or excess > FAR or max(w, h) > 1 + FAR:
        hint = ": these look like pixels" if max(values) > 2 else ""
        report.add("boxes outside their image, left out", where, f"a box must be within its image. Got {written}"
                   if written else f"x, y, w, h are relative to the image, 0 to 1. Got {_text(values)}{hint}")
        return None
    if excess > TOLERANCE:
        report.add("boxes that extend over the edge of their image, clipped", where,
                   f"{written or _text(values)} extends over the edge by {excess:.3g} of the image", lost=False)
    if excess > 0:
        x, y, w, h = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
    report.boxes += 1
    return x, y, w, h, float(index)


def class_exists(index: int, classes: int, where: str, report: LabelReport) -> bool:
    """Whether there is a class of that number; reported if not."""
    report.numbers.add(index)
    if 0 <= index < classes:
        return True
    report.add("classes that do not exist, left out", where,
               f"a class is 0 to {classes - 1} ({classes} {plural(classes, 'name')}). Got {index}")
    return False


def unique_rows(boxes: Sequence[PlacedRow], report: LabelReport) -> np.ndarray:
    """The boxes of one image -> (k, 5) float32; a box that occurs twice is kept once, and reported."""
    first: dict[Row, str] = {}
    for row, where in boxes:
        if row in first:
            report.add("boxes given twice, kept once", where, f"the same as {_short(first[row], where)}", lost=False)
        else:
            first[row] = where
    return np.array(list(first), np.float32).reshape(-1, 5)


def _short(there: str, here: str) -> str:
    """`file:line`, as `line N` when it is in the same file."""
    file, colon, line = there.rpartition(":")
    return f"line {line}" if colon and line.isdecimal() and here.startswith(file + ":") else there


def _text(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in values)
