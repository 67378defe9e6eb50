"""Darknet's .data files for detectors: the lists of images, and the names of the classes.

    classes = 3
    train   = train.list        one image path per line, its YOLO labels near the image; or a COCO .json, or a folder
    valid   = test.list
    names   = cells.names       a class per line
"""
from pathlib import Path

from runner.datasets.data_file import class_count, named_file, read_data_file
from runner.datasets.detection.dataset import DetectionDataset
from runner.datasets.detection.report import LabelReport, NoBoxes
from runner.datasets.detection.split_files import read_split
from runner.datasets.folders import description_of
from runner.datasets.format import Format
from runner.datasets.names_file import first_ones, read_names
from runner.errors import DataError, counted


def _matches(path: Path) -> bool:
    file = description_of(path)
    return file is not None and file.suffix.lower() == ".data"


def open_data_file(path: Path) -> DetectionDataset:
    """A .data file, or a folder with one.  DataError names file and line."""
    file = description_of(path)
    assert file
    options, report = read_data_file(file), LabelReport()
    names_file = named_file(file, options, "names")
    names = read_names(names_file, report.notes) if names_file else []
    classes = class_count(file, options) or len(names)
    if not classes:
        raise NoBoxes(f"{file}: a detector's .data file needs names=, a file with one class per line, or classes=")
    if names_file and len(names) < classes:
        line = options["classes"][1]
        raise DataError(f"{names_file}: {counted(classes, 'name')} {'is' if classes == 1 else 'are'} needed, one per "
                        f"line, because {file}:{line} says classes={classes}. Got {len(names)}")
    if len(names) > classes:
        report.notes.append(f"{names_file}: {counted(len(names), 'name')}, but {file} says classes={classes}: "
                            f"{first_ones(classes)}")
    names = names[:classes] or [str(k) for k in range(classes)]
    lists = [named_file(file, options, key) for key in ("train", "valid")]
    if not any(lists):
        raise DataError(f"{file}: neither train= nor valid= is given, so there are no images")
    splits = {one: read_split(Path(one), names, report, [file.parent]) if one else None
              for one in dict.fromkeys(lists)}
    train, test = (splits[one] for one in lists)        # a list that serves for both is read once
    return report.dataset(names, train, test, file)


FORMAT = Format("darknet", "detection",
                "a `.data` file: `classes=`, `train=`, `valid=`, `names=`; each of the two lists has one image path "
                "per line", _matches, open_data_file, suffixes=(".data",))
