"""What is worth showing of a trained network, as data: a report draws it.  (metrics.Table is another of them.)"""
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from runner.training.metrics import Table


class Curves(NamedTuple):
    """Lines over one axis: name -> xs, ys."""
    title: str
    x: str
    y: str
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]


class ConfusionMatrix(NamedTuple):
    """counts[i, j]: how many of class i were taken for class j."""
    title: str
    names: Sequence[str]
    counts: np.ndarray


class Picture(NamedTuple):
    """pixels (h, w, 3) uint8, and what is to be said of them."""
    pixels: np.ndarray
    caption: str


class Pictures(NamedTuple):
    """Side by side, each no larger than `side` pixels."""
    title: str
    pictures: Sequence[Picture]
    side: int = 96


ReportItem = Table | Curves | ConfusionMatrix | Pictures
