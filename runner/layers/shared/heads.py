"""What [yolo], [Gaussian_yolo], [region] and [detection] share: the truth they read, the boxes they return, options."""
import os
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from runner import ops
from runner.config import opt
from runner.errors import DataError, ShapeError, counted
from runner.layers.shared.base import Head, LayerOptions, Shape
from runner.reading.numbers import whole
from runner.reading.text import lines_of, read_text

TRACKING = "it is for tracking in videos"
MOST_ANCHORS = 4096     # of a head
CLASS_ONLY = 100000         # a truth with x and y above this has a class and no box ([region] with a tree)


class Candidates(NamedTuple):
    """Boxes of one image, in darknet's order, before suppression.

    boxes        (k, 4) centre x, y, width, height relative to the network's input
    objectness   (k,)
    probability  (k, classes): of box and class together, 0 where it is not above the threshold
    uncertainty  (k, 4) of x, y, w, h, where the head knows it
    """
    boxes: np.ndarray
    objectness: np.ndarray
    probability: np.ndarray
    uncertainty: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class DetectionOptions(LayerOptions):
    """Options of every detection head."""
    jitter: float = opt(0.2, "augmentation: largest shift of an edge, as a share of the image", low=0, high=1)
    resize: float = opt(1.0, "augmentation: largest zoom factor", above=0, neutral=1)
    random: float = opt(0.0, "above 0: the size of the input changes in training; another meaning in [detection]",
                        low=0)


class DetectionHead(Head):
    """A head whose output is boxes."""

    @abstractmethod
    def boxes(self, output: np.ndarray, thresh: float) -> Candidates:
        """The boxes of one image: `output` is one row of what forward gave, thresh is the lowest probability."""

    @property
    def network_size(self) -> tuple[int, int]:
        """Width and height of the network's input, pixels; a layer on its own takes its own input for it."""
        shape = self.env.in_shape if len(self.env.in_shape) == 3 else self.in_shapes[0]
        return (shape[2], shape[1]) if len(shape) == 3 else (1, 1)

    def check_channels(self, shape: Shape, anchors: int, entries: int, classes: int) -> tuple[int, int]:
        """-> h, w of the grid.  ShapeError says how many filters the layer before needs."""
        c, h, w = self.image(shape)
        if c != anchors * (entries + classes):
            needed = anchors * (entries + classes)
            raise ShapeError(f"expects {needed} channels, {counted(anchors, 'anchor')} x "
                             f"({counted(classes, 'class')} + {entries}): set filters={needed} in the [convolutional] "
                             f"before it. Got {c}")
        return h, w

    def truth(self, truth: np.ndarray, images: int) -> Iterator[np.ndarray]:
        """For each image its rows (x, y, w, h, class), without the padding.

        truth  (images, boxes, 5 or more), or flat as darknet has it: `max` rows of 6 values (AlexeyAB) or of 5
        """
        if truth.ndim != 3:
            flat = truth.reshape(images, -1)
            truth = flat.reshape(images, -1, self._row_length(flat.shape[1]))
        for rows in truth:
            empty = np.flatnonzero(rows[:, 0] == 0)
            rows = rows[:empty[0]] if len(empty) else rows
            yield rows[(rows[:, 2] > 0) & (rows[:, 3] > 0) | (rows[:, 0] > CLASS_ONLY)]

    def _row_length(self, values: int) -> int:
        coords = getattr(self.options, "coords", 4)
        lengths = (coords + 1,) if coords > 4 else (5, 6) if self.env.compat.truth_values == 5 else (6, 5)
        most = getattr(self.options, "max", 0)
        for length in lengths:
            if values == most * length:
                return length
        for length in lengths:
            if values % length == 0:
                return length
        raise DataError(f"[{self.names[0]}] truth must be rows of 5 or 6 values for each image. Got "
                        f"{counted(values, 'value')}")

    def find_file(self, name: str) -> Path:
        """A file a section names, relative to the folder of the cfg or to the working directory."""
        for path in (Path(self.env.folder) / name, Path(name)):
            if os.path.isfile(path):
                return path
        raise DataError(f"[{self.names[0]}] names the file {name!r}, which is neither in the folder of the cfg "
                        f"({self.env.folder}) nor in the working directory")

    @cached_property
    def class_map(self) -> np.ndarray | None:
        """The class numbers in the file of map=, one on each line; read on first use."""
        if not getattr(self.options, "map", ""):
            return None
        path = self.find_file(self.options.map)
        numbers = []
        for number, line in lines_of(read_text(path)):
            try:
                numbers += [whole(word, 0, self.options.classes - 1) for word in line.split()]
            except ValueError as error:
                raise DataError(f"{path}:{number}: a class map has one class on each line, 0 to "
                                f"{self.options.classes - 1} (classes={self.options.classes}): it {error}") from None
        return np.array(numbers, np.intp)

    def mapped(self, label: int) -> int:
        """The class to train for a truth of class `label`."""
        if self.class_map is None:
            return label
        if label >= len(self.class_map):
            raise DataError(f"[{self.names[0]}] {self.options.map} has {counted(len(self.class_map), 'line')}, and a "
                            f"truth is of class {label}")
        return int(self.class_map[label])


def anchor_pairs(values: tuple[float, ...], count: int) -> np.ndarray:
    """(count, 2) widths and heights; those missing in the cfg are .5, as in darknet."""
    pairs = np.full(2 * count, .5)
    given = values[:2 * count]
    pairs[:len(given)] = given
    return pairs.reshape(-1, 2)


def cells(h: int, w: int, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Column and row of every cell, shapes (1, w) and (h, 1)."""
    return np.arange(w, dtype=dtype)[None, :], np.arange(h, dtype=dtype)[:, None]


def overlaps(pred: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """IoU of pred (..., 4) with every truth row -> (..., rows); the last column is 0, for no truth at all."""
    table = np.zeros((*pred.shape[:-1], len(rows) + 1), pred.dtype)
    for t, row in enumerate(rows):      # one truth at a time: the whole table at once would not stay in the cache
        table[..., t] = ops.iou(pred, row[:4])
    return table


def focal_factor(p: float) -> float:
    """Lin et al. 2017 (arXiv 1708.02002) with gamma 2 and alpha .5 as darknet derives it; p of the right class."""
    p = p + 1e-15
    return 0.5 * -(1 - p) * (2 * p * np.log(p) + p - 1)
