"""The items of a report, as data; runner/training/report renders them.  (metrics.Table is one of them, too.)"""
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from runner.images.draw import Style
from runner.training.metrics import Table


class LineChart(NamedTuple):
    """A line chart: name of a line -> xs, ys.

    clip  whether the axis may end below the highest values of the first tenth of the lines, which would flatten the
          rest; its label then says so
    main  the name of a line that is drawn thicker than the others, in the colour of the text
    """
    title: str
    x: str
    y: str
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    clip: bool = False
    main: str = ""


class ConfusionMatrix(NamedTuple):
    """counts[i, j]: images, or objects, of class i predicted as class j.

    columns  the names of the columns, where they are not those of the rows
    note     a sentence about it
    """
    title: str
    names: Sequence[str]
    counts: np.ndarray
    columns: Sequence[str] = ()
    note: str = ""


class FoldedTable(NamedTuple):
    """A table that is opened by a click on its summary; the first row is the header; columns in `left` are aligned
    left."""
    title: str
    summary: str
    rows: Sequence[Sequence[str]]
    left: Sequence[int] = (0,)


class CaptionedImage(NamedTuple):
    """pixels (h, w, 3) uint8, and a caption of one or more lines."""
    pixels: np.ndarray
    caption: str


class ImageGrid(NamedTuple):
    """Images in a row, the longer side of each `side` pixels.  legend: how boxes are drawn -> what they mean."""
    title: str
    images: Sequence[CaptionedImage]
    side: int = 96
    legend: Mapping[Style, str] = {}


ReportItem = Table | FoldedTable | LineChart | ConfusionMatrix | ImageGrid
