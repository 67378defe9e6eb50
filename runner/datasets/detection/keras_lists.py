"""Roboflow's "Keras" export: in each split a list of images with the boxes behind their paths (boxes_in_lists.py)."""
from pathlib import Path

from runner.datasets.detection.dataset import DetectionDataset
from runner.datasets.detection.report import LabelReport
from runner.datasets.detection.yolo import class_names_in, split_folders, split_of_list
from runner.datasets.format import Format
from runner.errors import DataError

LIST = "_annotations.txt"


def _lists(folder: Path) -> list[Path | None]:
    """Of the training and of the test images."""
    return [part / LIST if part and (part / LIST).is_file() else None for part in split_folders(folder)]


def _matches(path: Path) -> bool:
    return path.is_dir() and any(_lists(path))


def open_lists(folder: Path) -> DetectionDataset:
    """A folder with such lists.  DataError without class names."""
    report = LabelReport()
    names = class_names_in(folder, report)
    if not names:
        raise DataError(f"{folder}: there is no file with class names (_classes.txt) beside {LIST}")
    train, test = (split_of_list(one, len(names), report) if one else None for one in _lists(folder))
    return report.dataset(names, train, test, folder)


FORMAT = Format("keras-yolo3", "detection",
                "a folder with `train/_annotations.txt`, `valid/_annotations.txt` (or one without splits): a line per "
                "image, `a.jpg left,top,right,bottom,class ...`; class names in `_classes.txt`", _matches, open_lists)
