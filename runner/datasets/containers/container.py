"""What a container is: a kind of file that holds many images with their classes."""
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from runner.datasets.names_file import MAX_CLASSES
from runner.errors import DataError
from runner.reading.numbers import shown

PixelsAndLabels = tuple[np.ndarray, np.ndarray]     # (n, c, h, w) uint8 or float32 in 0..1, and labels (ImageArrays)


class Contents(NamedTuple):
    """What one file holds.

    train, test  its images; a file that holds only one split has it in `train`, whatever it is used for
    names        of the classes; [] where the file does not say
    """

    train: PixelsAndLabels | None
    test: PixelsAndLabels | None = None
    names: list[str] = []


@dataclass(frozen=True)
class Container:
    """A kind of file that holds many images.

    name         in error messages and in the documentation
    example      what the files are called, for the documentation; Markdown
    matches      file -> whether it is one; by its name and size
    read         file -> Contents; DataError where it is damaged
    read_pixels  file -> (n, c, h, w), for files whose labels are elsewhere; None: as `read`
    in_folders   whether a folder of such files is a dataset
    class_names  folder -> the names in a file of a format of its own; [] where there is none
    suffixes     as in Format
    """

    name: str
    example: str
    matches: Callable[[Path], bool]
    read: Callable[[Path], Contents]
    read_pixels: Callable[[Path], np.ndarray] | None = None
    in_folders: bool = True
    class_names: Callable[[Path], list[str]] = lambda folder: []
    suffixes: tuple[str, ...] = ()


def class_numbers(labels: np.ndarray | list[int], where: str) -> np.ndarray:
    """Whole numbers as the classes of images, (n,) intp.  DataError where one cannot be that of a class."""
    if isinstance(labels, list):
        lowest, highest = min(labels, default=0), max(labels, default=0)
    else:
        lowest, highest = int(labels.min(initial=0)), int(labels.max(initial=0))
    if lowest < 0 or highest >= MAX_CLASSES:
        wrong = lowest if lowest < 0 else highest
        raise DataError(f"{where} must be class numbers, 0 to {MAX_CLASSES - 1:,}. Got {shown(wrong)}")
    return np.asarray(labels).astype(np.intp)
