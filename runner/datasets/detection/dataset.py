"""What a detection data set is: class names, and for each part pictures with the boxes of what they show.

A box is (x, y, w, h, class): centre and size as parts of the picture, 0 to 1, whatever the format of the labels was.
Every label is read and checked when the set is opened, so that mistakes are known before hours of training; pictures
are read when they are needed.
"""
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from runner.errors import DataError
from runner.images.decode import Size, read_pixels

SLACK = 0.005           # of the picture: a box may pass its edge by this much without a word (labels are rounded)
SHOWN = 5               # mistakes of one kind that are told in full


class LabelledImage(NamedTuple):
    """A picture of a data set.

    boxes   (k, 5) float32 rows x, y, w, h, class; none: there is nothing to find in it
    crowd   (m, 5) likewise: what is neither to be learned nor to be counted (COCO's iscrowd, VOC's difficult)
    labels  the file the boxes come from; empty where there is none
    """
    path: str
    boxes: np.ndarray
    crowd: np.ndarray
    labels: str = ""


@dataclass(frozen=True)
class DetectionSplit:
    """One part of a detection data set."""
    items: list[LabelledImage]
    classes: int

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> LabelledImage:
        return self.items[index]

    def __iter__(self) -> Iterator[LabelledImage]:
        return iter(self.items)

    def read(self, index: int, channels: int, least: Size | None = None) -> np.ndarray:
        """The picture itself, (channels, height, width), uint8, uint16 or float32; DataError when it cannot be read.

        least: see read_pixels.
        """
        return read_pixels(self.items[index].path, channels, least)

    def boxes(self) -> np.ndarray:
        """Those of all pictures, (k, 5)."""
        return np.concatenate([picture.boxes for picture in self.items] or [no_boxes()])

    def counts(self) -> np.ndarray:
        """How often each class occurs (classes,)."""
        return np.bincount(self.boxes()[:, 4].astype(np.intp), minlength=self.classes)

    def take(self, indices: Sequence[int] | np.ndarray) -> "DetectionSplit":
        """Some of the pictures, in that order."""
        return DetectionSplit([self.items[i] for i in indices], self.classes)


@dataclass(frozen=True)
class DetectionDataset:
    """Class names, pictures to train on and to test with (either may be missing), and what is worth saying.

    problems  every mistake found in the labels; warnings tells the same in short
    """
    names: list[str]
    train: DetectionSplit | None
    test: DetectionSplit | None
    source: str = ""
    warnings: list[str] = field(default_factory=list)
    problems: "list[Problem]" = field(default_factory=list)


def hold_out_pictures(data: DetectionDataset, share: float) -> DetectionDataset:
    """A share of the pictures to train on becomes those to test with; which, depends on their number alone.

    DataError where there are some to test with already, or too few to share.
    """
    if data.test is not None or data.train is None:
        raise DataError(f"{data.source}: split_share={share:g} takes test pictures from those for training, and here "
                        "are " + ("test pictures already" if data.train else "none for training"))
    count = len(data.train)
    chosen = np.random.default_rng(0).permutation(count)[:round(count * share)]
    rest = np.setdiff1d(np.arange(count), chosen)
    if not len(chosen) or not len(rest):
        raise DataError(f"{data.source}: split_share={share:g} of {count} pictures leaves none to "
                        + ("train on" if len(chosen) else "test with"))
    return replace(data, train=data.train.take(rest), test=data.train.take(np.sort(chosen)),
                   warnings=[text for text in data.warnings if "nothing to test with" not in text])


@dataclass(frozen=True)
class Problem:
    """A mistake in the labels.

    kind   what is wrong, as a heading: the same for all mistakes of a kind
    where  file, or file:line
    text   the rule and the value
    lost   the label (or the picture) is left out because of it; else it is used, mended
    """
    kind: str
    where: str
    text: str
    lost: bool = True


class LabelReport:
    """Collects the mistakes of a data set while it is read, and says them together."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.without: list[str] = []        # pictures that have no label file
        self.pictures = 0       # named, good or not
        self.kept = 0           # boxes that can be used

    def add(self, kind: str, where: str, text: str, *, lost: bool = True) -> None:
        self.problems.append(Problem(kind, where, text, lost))

    def finish(self, source: str, on_bad: str = "skip") -> list[str]:
        """-> warnings, one for each kind of mistake.  DataError where nothing is left to use, or if on_bad is "error"
        and something had to be left out."""
        kinds = list(dict.fromkeys(problem.kind for problem in self.problems))
        told = [told_of(kind, [p for p in self.problems if p.kind == kind]) for kind in kinds]
        lost = {kind for kind in kinds if any(p.lost for p in self.problems if p.kind == kind)}
        if on_bad == "error" and lost:
            raise DataError("\n".join([f"{source}: the labels have mistakes. Mend them, or go on without these by "
                                       "--on-bad skip"]
                                      + [text for kind, text in zip(kinds, told, strict=True) if kind in lost]))
        if self.without and len(self.without) == self.pictures:
            raise DataError(f"{source}: not one of the {self.pictures} pictures has a label file. For the first, "
                            f"{self.without[0]}, looked for {', '.join(label_places(self.without[0]))}")
        if lost and not self.kept:
            raise DataError("\n".join([f"{source}: not one label can be used", *told]))
        if self.without:
            told.append(f"{source}: {len(self.without)} of {self.pictures} pictures have no label file and are taken "
                        f"for pictures with nothing in them, {self.without[0]} for one (an empty file says so "
                        "explicitly)")
        return told


def told_of(kind: str, problems: Sequence[Problem]) -> str:
    """The mistakes of one kind: how many, and the first few with their places."""
    lines = [f"{kind}: {len(problems)}"]
    lines += [f"  {problem.where}: {problem.text}" for problem in problems[:SHOWN]]
    if len(problems) > SHOWN:
        lines.append(f"  and {len(problems) - SHOWN} more")
    return "\n".join(lines)


def no_boxes() -> np.ndarray:
    return np.zeros((0, 5), np.float32)


def check_box(values: Sequence[float], kind: int, where: str, report: LabelReport) -> tuple[float, ...] | None:
    """x, y, w, h as parts of the picture and a class that is known to exist -> the row, within the picture, or None.

    What reaches over the edge is cut there, as darknet does; what lies outside altogether is no box.
    """
    x, y, w, h = values
    if not all(map(math.isfinite, values)):
        report.add("boxes that are not numbers, left out", where, f"x, y, w, h must be numbers. Got {_row(values)}")
        return None
    if w <= 0 or h <= 0:
        report.add("boxes without an area, left out", where, f"width and height must be above 0. Got {w:g} and {h:g}")
        return None
    left, right = max(x - w / 2, 0), min(x + w / 2, 1)
    top, bottom = max(y - h / 2, 0), min(y + h / 2, 1)
    if right <= left or bottom <= top:
        hint = ": these look like pixels" if max(values) > 2 else ""
        report.add("boxes outside their picture, left out", where,
                   f"x, y, w, h are parts of the picture, 0 to 1. Got {_row(values)}{hint}")
        return None
    beyond = max(w / 2 - x, x + w / 2 - 1, h / 2 - y, y + h / 2 - 1)
    if beyond > SLACK:
        report.add("boxes that reach over the edge of their picture, cut there", where,
                   f"{_row(values)} reaches {beyond:.3g} of the picture too far", lost=False)
    if beyond > 0:
        x, y, w, h = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
    report.kept += 1
    return x, y, w, h, float(kind)


def checked_class(kind: int, classes: int, where: str, report: LabelReport) -> bool:
    """Whether there is such a class; told if not."""
    if 0 <= kind < classes:
        return True
    report.add("classes that do not exist, left out", where,
               f"a class is 0 to {classes - 1} ({classes} name{'s' * (classes != 1)}). Got {kind}")
    return False


def rows_of(boxes: Sequence[tuple[tuple[float, ...], str]], report: LabelReport) -> np.ndarray:
    """(row, where) of one picture -> (k, 5) float32; a box that is there twice is kept once."""
    first: dict[tuple[float, ...], str] = {}
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


def _row(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in values)


def label_places(path: str, suffix: str = ".txt") -> list[str]:
    """Where the labels of a picture may lie, in the order they are looked for.

    A folder `images` or `JPEGImages` in its path, the last first, stands for one called `labels`; else they lie
    beside the picture.  (darknet: src/utils.c:replace_image_to_label, src/data.c:fill_truth_detection.)
    """
    beside = os.path.splitext(path.replace("\\", "/"))[0] + suffix
    parts = beside.split("/")
    found = ["/".join([*parts[:at], "labels", *parts[at + 1:]]) for at in reversed(range(len(parts) - 1))
             if parts[at] in ("images", "JPEGImages")]
    return [*found, beside]
