"""The splits of datasets in tests, known to exist."""
from pathlib import Path
from typing import overload

from runner.datasets import Dataset, DetectionDataset, DetectionSplit, Label, Split


@overload
def training_split(data: Dataset) -> Split: ...
@overload
def training_split(data: DetectionDataset) -> DetectionSplit: ...
def training_split(data: Dataset | DetectionDataset) -> Split | DetectionSplit:
    assert data.train is not None
    return data.train


@overload
def evaluation_split(data: Dataset) -> Split: ...
@overload
def evaluation_split(data: DetectionDataset) -> DetectionSplit: ...
def evaluation_split(data: Dataset | DetectionDataset) -> Split | DetectionSplit:
    assert data.test is not None
    return data.test



def names_of(split: Split) -> list[tuple[str, Label]]:
    """The file name and the label of each image."""
    return [(Path(path).name, label) for path, label in split]
