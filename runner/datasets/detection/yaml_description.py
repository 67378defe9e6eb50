"""Detection datasets described by a YAML file, as in Ultralytics' tools.

    path: ../cells              # the folder of the other paths; default: the folder of this file
    train: images/train         # a folder of images, a list file, a COCO .json, or several of them: [a, b]
    val: images/val             # or test:
    names: [red, white]         # or {0: red, 1: white}, or a file with one name per line
    nc: 2                       # optional: how many
    kpt_shape: [17, 3]          # optional: key points follow the box in each label
    images: photos              # optional: where the images of a COCO .json are
"""
from pathlib import Path
from typing import Any

from runner.datasets.detection import coco
from runner.datasets.detection.dataset import DetectionDataset, DetectionSplit
from runner.datasets.detection.report import LabelReport, NoBoxes
from runner.datasets.detection.split_files import read_split
from runner.datasets.detection.yolo import label_file
from runner.datasets.folders import description_of, images_in
from runner.datasets.format import Format
from runner.datasets.lists import locate
from runner.datasets.names_file import read_names
from runner.datasets.yaml_file import (
    base_of,
    check_class_count,
    class_count,
    class_names,
    named_path,
    read_description,
)
from runner.errors import DataError
from runner.reading.numbers import shown

SUFFIXES = (".yaml", ".yml")
MAX_KEYPOINTS = 10_000
PROBED = 100            # images whose label files are looked for
ACCEPTED = "a folder, a list file, a COCO .json, or a list of them"


def _matches(path: Path) -> bool:
    file = description_of(path)
    return file is not None and file.suffix.lower() in SUFFIXES


def open_yaml(path: Path) -> DetectionDataset:
    """A YAML description, or a folder with one.  DataError names file, key and, where known, line."""
    file, report = description_of(path), LabelReport()
    assert file
    content = read_description(file)
    report.keypoints = _keypoints(file, content.get("kpt_shape"))
    splits = [_places(file, content, "train"), _test_places(file, content)]
    if not any(splits):
        raise DataError(f"{file}: neither train nor val (or test) is given, so there are no images")
    names = _names(file, content, [place for places in splits for place in places], report)
    root = file.parent / base_of(file, content)
    folders = [root, file.parent]
    if isinstance(content.get("images"), str):
        folders[:0] = [root / content["images"], file.parent / content["images"]]
    every_place = dict.fromkeys(place for places in splits for place in places)
    read = {place: read_split(place, names, report, folders) for place in every_place}
    train, test = (_joined([read[place] for place in places], len(names)) for places in splits)
    return report.dataset(names, train, test, file)


def _places(path: Path, content: dict[str, Any], key: str) -> list[Path]:
    """The folders, lists or JSON files a key names: one, or a list of them."""
    value = content.get(key)
    values = value if isinstance(value, list) else [value] if value is not None else []
    if any(isinstance(one, dict) for one in values):
        raise NoBoxes(f"{path}: {key} must be {ACCEPTED}. Got {shown(value)}")
    return [named_path(path, content, key, one, ACCEPTED) for one in values]


def _keypoints(path: Path, value: Any) -> int:
    """How many numbers kpt_shape: [points, 2 or 3] puts behind the box of a label."""
    if value is None:
        return 0
    if not (isinstance(value, list) and len(value) == 2 and all(type(size) is int for size in value)
            and 0 < value[0] <= MAX_KEYPOINTS and value[1] in (2, 3)):
        raise DataError(f"{path}: kpt_shape must be [number of points, 2 or 3]. Got {shown(value)}")
    return value[0] * value[1]


def _test_places(path: Path, content: dict[str, Any]) -> list[Path]:
    """Those of val, else of test.  Exports name folders that they leave out: the first key whose files exist counts."""
    errors = []
    for key in ("val", "valid", "validation", "test"):
        try:
            places = _places(path, content, key)
        except DataError as error:
            errors.append(error)
            continue
        if places:
            return places
    if errors:
        raise errors[0]
    return []


def _has_labels(place: Path) -> bool:
    """Whether one of the first images of a folder has a label file."""
    return place.is_dir() and any(map(label_file, images_in(place)[:PROBED]))


def _joined(splits: list[DetectionSplit], classes: int) -> DetectionSplit | None:
    if not splits:
        return None
    ids = {split.category_ids for split in splits}
    return DetectionSplit([image for split in splits for image in split], classes, ids.pop() if len(ids) == 1 else ())


def _names(path: Path, content: dict[str, Any], places: list[Path], report: LabelReport) -> list[str]:
    names, count = content.get("names"), class_count(path, content)
    if isinstance(names, str):
        found = locate(names, [path.parent])
        if found is None:
            hint = f": class names are written as a list, names: [{names}]" if "," in names else ""
            raise DataError(f"{path}: names is the file {shown(names)}, which is neither in the current folder nor in "
                            f"that of the description{hint}")
        names = read_names(found, report.notes)
    if names is None and places[0].suffix.lower() == ".json":
        names, headings = coco.class_names([place for place in places if place.suffix.lower() == ".json"])
        report.notes += coco.remark(path, headings)
    if names is None and count is not None:
        return [str(k) for k in range(count)]
    if names is None:
        message = (f"{path}: names must be a list of class names, or numbers and names, or a file with one per line. "
                   "There is none")
        if any(map(_has_labels, places)):
            raise DataError(f"{message} (nor nc, the number of classes)")
        raise NoBoxes(message)
    names = class_names(path, names, ", or a file with one per line")
    check_class_count(path, content, names)
    return names


FORMAT = Format("YAML", "detection",
                "a `.yaml` file: `path:`, `train:`, `val:` (or `test:`), `names:`, as in Ultralytics' tools; or a "
                "folder with one", _matches, open_yaml, suffixes=SUFFIXES)
