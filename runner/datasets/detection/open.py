"""Opening a detection data set, whatever form it has: darknet's .data, YAML, COCO's JSON, Pascal VOC, or a folder.

    data = open_detection_dataset(find_data("cfg/scenes.cfg"))
    data.train[0].boxes             (k, 5): x, y, w, h as parts of the picture, class

A folder is looked through for what it is:
  data.yaml, or the only .yaml or .data file in it        that file describes it
  Annotations/ and JPEGImages/                            Pascal VOC
  *.json in it, in annotations/ or in train/, valid/      COCO
  images/train/, images/val/ or train/images/, val/images/   YOLO labels in labels/ beside images/
  pictures, or train/ and val/ with pictures              labels (.txt, or .xml) beside them
"""
import os
from pathlib import Path
from typing import Any

from runner.datasets.classification.darknet_data import named_file, read_data_file
from runner.datasets.classification.folders import TEST_FOLDERS, TRAIN_FOLDERS, images_in
from runner.datasets.description import place_of, read_description
from runner.datasets.detection import coco, voc
from runner.datasets.detection.dataset import DetectionDataset, DetectionSplit, LabelReport, hold_out_pictures
from runner.datasets.detection.yolo_labels import highest_class, inside, listed
from runner.datasets.lists import locate, read_lines
from runner.errors import DataError

NAMES_FILES = ("classes.txt", "names.txt", "labels.txt", "obj.names")
FORMS = ("a .data file, a .yaml file, a COCO .json file, or a folder (of Pascal VOC, of COCO, or of pictures with YOLO "
         "labels)")


def open_detection_dataset(path: str | os.PathLike, *, on_bad: str = "skip",
                           split_share: float = 0.) -> DetectionDataset:
    """The detection data set at `path`; its warnings tell the mistakes in its labels.

    on_bad       "skip": bad labels are left out; "error": they are a DataError that names them
    split_share  this share of the pictures to train on is kept to test with; 0: as the data set has it
    Raises DataError, with file and line, for anything that cannot be used.
    """
    data = _open(path, on_bad)
    return hold_out_pictures(data, split_share) if split_share else data


def _open(path: str | os.PathLike, on_bad: str) -> DetectionDataset:
    place, report = Path(path), LabelReport()
    if place.is_dir():
        return _open_folder(place, report, on_bad)
    if not place.exists():
        raise DataError(f"{path}: there is no such data folder or file")
    suffix = place.suffix.lower()
    if suffix == ".data":
        return _finish(*_data_file(place, report), str(path), report, on_bad)
    if suffix in (".yaml", ".yml"):
        return _finish(*_description(place, report), str(path), report, on_bad)
    if suffix == ".json":
        names = coco.class_names(place)
        return _finish(names, coco.pictures(place, names, report), None, str(path), report, on_bad)
    raise DataError(f"{path}: a detection data set is {FORMS}. Got a file ending in {place.suffix or 'nothing'!r}")


def _finish(names: list[str], train: DetectionSplit | None, test: DetectionSplit | None, source: str,
            report: LabelReport, on_bad: str) -> DetectionDataset:
    warnings = report.finish(source, on_bad)
    if train is not None and test is None:
        warnings.append(f"{source}: there are no pictures apart from those for training: nothing to test with")
    shared = {os.path.abspath(p.path) for p in train or ()} & {os.path.abspath(p.path) for p in test or ()}
    if shared:
        warnings.append(f"{source}: {len(shared)} pictures are both for training and for testing, {min(shared)} for "
                        "one: what is measured with them says little")
    return DetectionDataset(names, train, test, source, warnings, report.problems)


# --- darknet ---------------------------------------------------------------------------------------------


def _data_file(path: Path, report: LabelReport) -> tuple[list[str], DetectionSplit | None, DetectionSplit | None]:
    options, folder = read_data_file(path), path.parent

    names_file, (value, number) = named_file(path, options, "names"), options.get("classes", ("", 0))
    names = [line for _, line in read_lines(names_file)] if names_file else []
    if value and not (value.isdecimal() and int(value)):
        raise DataError(f"{path}:{number}: classes must be a whole number of at least 1. Got {value!r}")
    classes = int(value) if value else len(names)
    if not classes:
        raise DataError(f"{path}: a detector's .data file needs names=, a file with one class per line, or classes=")
    if names_file and len(names) < classes:
        raise DataError(f"{names_file}: {classes} names are needed, one per line, because {path}:{number} says "
                        f"classes={classes}. Got {len(names)}")
    names = names[:classes] or [str(k) for k in range(classes)]
    lists = [named_file(path, options, key) for key in ("train", "valid")]
    if not any(lists):
        raise DataError(f"{path}: neither train= nor valid= is given, so there are no images")
    train, test = (_part(Path(file), names, report, [folder]) if file else None for file in lists)
    return names, train, test


def _part(place: Path, names: list[str], report: LabelReport, folders: list[Path]) -> DetectionSplit:
    """What train= or val: names: a COCO file, a folder of pictures, or a list."""
    if place.suffix.lower() == ".json":
        return coco.pictures(place, names, report, folders)
    return inside(place, len(names), report) if place.is_dir() else listed(place, len(names), report, folders)


# --- YAML ------------------------------------------------------------------------------------------------


def _description(path: Path, report: LabelReport) -> tuple[list[str], DetectionSplit | None, DetectionSplit | None]:
    content = read_description(path)
    test_key = next((key for key in ("val", "valid", "validation", "test") if content.get(key)), "val")
    places = [_places(path, content, key) for key in ("train", test_key)]
    if not any(places):
        raise DataError(f"{path}: neither train nor val (or test) is given, so there are no images")
    names = _names(path, content, next(place for part in places for place in part))
    root = path.parent / str(content.get("path") or "")
    folders = [root, path.parent]
    if isinstance(content.get("images"), str):
        folders[:0] = [root / content["images"], path.parent / content["images"]]
    train, test = (_joined([_part(place, names, report, folders) for place in part], len(names)) for part in places)
    return names, train, test


def _places(path: Path, content: dict, key: str) -> list[Path]:
    """The folders, lists or JSON files a key names: one, or a list of them."""
    value = content.get(key)
    values = value if isinstance(value, list) else [value] if value is not None else []
    found = (place_of(path, {**content, key: value}, key) for value in values)
    return [place for place in found if isinstance(place, Path)]


def _joined(parts: list[DetectionSplit], classes: int) -> DetectionSplit | None:
    return DetectionSplit([picture for part in parts for picture in part], classes) if parts else None


def _names(path: Path, content: dict[str, Any], first: Path) -> list[str]:
    names, count = content.get("names"), content.get("nc")
    if isinstance(names, str):
        found = locate(names, [path.parent])
        if found is None:
            raise DataError(f"{path}: names is the file {names!r}, which is neither in the current folder nor beside "
                            "the description")
        names = [line for _, line in read_lines(found)]
    if names is None and first.suffix.lower() == ".json":
        return coco.class_names(first)
    if names is None and isinstance(count, int) and count > 0:
        return [str(k) for k in range(count)]
    if isinstance(names, dict):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise DataError(f"{path}: names must be numbered 0 to {len(names) - 1} without gaps. Got {list(names)}")
        names = [names[k] for k in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DataError(f"{path}: names must be a list of class names, numbers and names, or a file with one per line. "
                        f"Got {names!r}")
    if count is not None and count != len(names):
        raise DataError(f"{path}: nc={count}, and there are {len(names)} names")
    return [str(name) for name in names]


# --- folders ---------------------------------------------------------------------------------------------


def _open_folder(folder: Path, report: LabelReport, on_bad: str) -> DetectionDataset:
    described = [folder / name for name in ("data.yaml", "dataset.yaml") if (folder / name).is_file()]
    described = described[:1] or sorted(p for p in folder.iterdir() if p.suffix.lower() in (".yaml", ".yml", ".data"))
    if len(described) == 1:
        return _open(described[0], on_bad)
    names = names_in(folder)
    if (folder / "Annotations").is_dir():
        return _finish(*voc.open_voc(folder, names, report), str(folder), report, on_bad)
    files = coco.annotation_files(folder)
    if files:
        names = names or coco.class_names(next(iter(files.values())))
        train, test = (coco.pictures(files[part], names, report, [folder]) if part in files else None
                       for part in ("train", "test"))
        return _finish(names, train, test, str(folder), report, on_bad)
    parts_of = _parts(folder)
    images = [image for part in parts_of if part for image in images_in(part)]
    if not images:
        raise DataError(f"{folder}: there is nothing to learn to find: no pictures in images/train/, in train/ or in "
                        f"the folder itself. A detection data set is {FORMS}")
    if any(os.path.isfile(os.path.splitext(image)[0] + ".xml") for image in images[:100]):
        return _finish(*voc.open_beside(parts_of, names, report), str(folder), report, on_bad)
    named = bool(names)
    if not named:
        names = [str(k) for k in range(highest_class(images) + 1)] or ["0"]
    train, test = (inside(part, len(names), report) if part and images_in(part) else None for part in parts_of)
    data = _finish(names, train, test, str(folder), report, on_bad)
    if not named:
        data.warnings.append(f"{folder}: no file says what the classes are called ({', '.join(NAMES_FILES)} or *.names"
                             f"): they are numbered 0 to {len(names) - 1}")
    return data


def names_in(folder: Path) -> list[str]:
    """Class names from a file in the folder; none: []."""
    files = [folder / name for name in NAMES_FILES if (folder / name).is_file()] or sorted(folder.glob("*.names"))
    return [line for _, line in read_lines(files[0])] if files else []


def _parts(folder: Path) -> tuple[Path | None, Path | None]:
    """The folders with the pictures to train on and to test with."""
    for pattern in ("images/{}", "{}/images", "JPEGImages/{}", "{}"):
        train, test = (next((folder / pattern.format(name) for name in wanted
                             if (folder / pattern.format(name)).is_dir()), None)
                       for wanted in ((*TRAIN_FOLDERS, "train2017"), ("val", "valid", "val2017", *TEST_FOLDERS)))
        if train or test:
            return train, test
    return (folder / "images" if (folder / "images").is_dir() else folder), None
