"""The items of a report, as data; runner/training/report renders them.  (metrics.Table is one of them, too.)"""
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from runner.training.metrics import Table


class LineChart(NamedTuple):
    """A line chart: name of a line -> xs, ys."""
    title: str
    x: str
    y: str
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]


class ConfusionMatrix(NamedTuple):
    """counts[i, j]: images of class i predicted as class j."""
    title: str
    names: Sequence[str]
    counts: np.ndarray


class CaptionedImage(NamedTuple):
    """pixels (h, w, 3) uint8, and a caption of one or more lines."""
    pixels: np.ndarray
    caption: str


class ImageGrid(NamedTuple):
    """Images in a row, the longer side of each `side` pixels."""
    title: str
    images: Sequence[CaptionedImage]
    side: int = 96


ReportItem = Table | LineChart | ConfusionMatrix | ImageGrid
