"""What a dataset format is: one entry of the table in formats.py."""
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runner.datasets.classification.dataset import Dataset
from runner.datasets.detection.dataset import DetectionDataset
from runner.datasets.folders import description_of, holds_labels

Task = Literal["classification", "detection"]


@dataclass(frozen=True)
class Format:
    """A form in which datasets are stored.

    name      in error messages and in the documentation
    task      what the dataset is for
    example   the files it consists of, for the documentation; Markdown
    matches   path -> whether what is there has this format; by names and the first bytes of files, so it is quick
    open      path -> the dataset: Dataset for classification, DetectionDataset for detection.  DataError with file and
              line for anything that cannot be used; called only where `matches`, so its error is the answer
    suffixes  endings of its files; data/<cfg name> is looked for with these
    open_every_label  as `open`, for a network that learns several labels, where that reads labels which are ambiguous
              otherwise; None: as `open`
    """

    name: str
    task: Task
    example: str
    matches: Callable[[Path], bool]
    open: Callable[[Path], Dataset | DetectionDataset]
    suffixes: tuple[str, ...] = ()
    open_every_label: Callable[[Path], Dataset] | None = None


def has_description(*suffixes: str) -> Callable[[Path], bool]:
    """A `matches` that accepts a description of a dataset with such an ending, or a folder with one and
    without labels for detection."""
    def matches(path: Path) -> bool:
        file = None if path.is_dir() and holds_labels(path) else description_of(path)
        return file is not None and file.suffix.lower() in suffixes and file.is_file()
    return matches
