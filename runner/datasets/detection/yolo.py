"""YOLO labels: for each image a text file with a line `class x y w h` for each object."""
import os
from collections.abc import Iterable
from pathlib import Path

from runner.datasets.detection.dataset import DetectionDataset, DetectionSplit, LabelledImage, no_boxes
from runner.datasets.detection.report import LabelReport, PlacedRow, check_box, class_exists, unique_rows
from runner.datasets.folders import TEST_FOLDERS, TRAIN_FOLDERS, has_images, images_in
from runner.datasets.format import Format
from runner.datasets.lists import read_lines, read_list
from runner.errors import DataError

FIELDS = 5
NAME_FILES = ("classes.txt", "names.txt", "labels.txt", "obj.names")


def label_places(path: str, suffix: str = ".txt") -> list[str]:
    """Where the label file of an image may be, in the order it is looked for.

    A folder `images` or `JPEGImages` in the path, the last first, is replaced by `labels`; else the file is in the
    folder of the image.  (darknet: src/utils.c:replace_image_to_label, src/data.c:fill_truth_detection.)
    """
    same_folder = os.path.splitext(path.replace("\\", "/"))[0] + suffix
    parts = same_folder.split("/")
    found = ["/".join([*parts[:at], "labels", *parts[at + 1:]]) for at in reversed(range(len(parts) - 1))
             if parts[at] in ("images", "JPEGImages")]
    return [*found, same_folder]


def label_file(path: str) -> str:
    """The label file of an image; "" where there is none."""
    return next((place for place in label_places(path) if os.path.isfile(place)), "")


def read_labels(path: str | os.PathLike, classes: int, report: LabelReport) -> list[PlacedRow]:
    """The valid lines of a label file as (x, y, w, h, class) and `file:line`; the others go to the report.

    A line with more pairs of numbers is the outline of an object (segmentation labels) and becomes its bounding box.
    """
    found = []
    try:
        lines = list(read_lines(path))
    except DataError as error:
        report.add("label files that cannot be read, left out", str(path), str(error).removeprefix(f"{path}: "))
        return []
    for number, line in lines:
        where, words = f"{path}:{number}", line.replace(",", " ").split()
        try:
            values = [float(word) for word in words]
            index = int(values[0])
            if index != values[0]:
                raise ValueError
        except (ValueError, OverflowError):
            report.add("lines that are not labels, left out", where,
                       f"a label is `class x y w h`, the class a whole number. Got {line!r}")
            continue
        if len(values) >= 7 and len(values) % 2:
            xs, ys = values[1::2], values[2::2]
            box = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2, max(xs) - min(xs), max(ys) - min(ys)
        elif len(values) == FIELDS:
            box = values[1], values[2], values[3], values[4]
        else:
            report.add("lines that are not labels, left out", where,
                       f"a label has 5 numbers, `class x y w h`. Got {len(values)}: {line!r}")
            continue
        if class_exists(index, classes, where, report):
            row = check_box(box, index, where, report)
            if row is not None:
                found.append((row, where))
    return found


def labelled_split(images: Iterable[tuple[str, str]], classes: int, report: LabelReport) -> DetectionSplit:
    """images (where it is named, path) with their labels.  An image without a label file has no boxes."""
    items = []
    for where, path in images:
        report.images += 1
        if not os.path.isfile(path):
            report.add("images that do not exist, left out", where, f"there is no {path!r}")
            continue
        labels = label_file(path)
        if labels:
            boxes = unique_rows(read_labels(labels, classes, report), report)
        else:
            report.unlabelled.append((path, label_places(path)))
            boxes = no_boxes()
        items.append(LabelledImage(path, boxes, no_boxes(), labels))
    return DetectionSplit(items, classes)


def split_of_list(list_file: str | os.PathLike, classes: int, report: LabelReport,
                  folders: Iterable[Path] = ()) -> DetectionSplit:
    """The images of a list file, one path per line."""
    lines = read_list(list_file, folders)
    return labelled_split(((f"{list_file}:{number}", path) for number, _, path in lines), classes, report)


def split_of_folder(folder: str | os.PathLike, classes: int, report: LabelReport) -> DetectionSplit:
    """All images below a folder.  DataError when there are none."""
    images = images_in(folder)
    if not images:
        raise DataError(f"{folder}: there are no images in this folder")
    return labelled_split(((str(folder), path) for path in images), classes, report)


def highest_class(images: Iterable[str]) -> int:
    """The highest class number in the labels of these images, which says how many classes there are; -1: none."""
    highest = -1
    for path in images:
        labels = label_file(path)
        lines = Path(labels).read_text(encoding="utf-8-sig", errors="replace").split("\n") if labels else []
        numbers = [word for line in lines for word in line.split()[:1] if word.isdecimal()]
        highest = max([highest, *map(int, numbers)])
    return highest


def class_names_in(folder: Path) -> list[str]:
    """Class names from a file in the folder; [] where there is none."""
    files = [folder / name for name in NAME_FILES if (folder / name).is_file()] or sorted(folder.glob("*.names"))
    return [line for _, line in read_lines(files[0])] if files else []


def split_folders(folder: Path) -> tuple[Path | None, Path | None]:
    """The folders of the training and of the test images; (the folder itself, None) where it is not divided."""
    for pattern in ("images/{}", "{}/images", "JPEGImages/{}", "{}"):
        train, test = (next((folder / pattern.format(name) for name in wanted
                             if (folder / pattern.format(name)).is_dir()), None)
                       for wanted in ((*TRAIN_FOLDERS, "train2017"), ("val", "valid", "val2017", *TEST_FOLDERS)))
        if train or test:
            return train, test
    return (folder / "images" if (folder / "images").is_dir() else folder), None


def _matches(path: Path) -> bool:
    return path.is_dir() and any(has_images(part) for part in split_folders(path) if part)


def open_folder(folder: Path) -> DetectionDataset:
    """A folder of images with YOLO labels; without a file of class names the classes are numbered."""
    report, parts, names = LabelReport(), split_folders(folder), class_names_in(folder)
    named = bool(names)
    if not named:
        images = [image for part in parts if part for image in images_in(part)]
        names = [str(k) for k in range(highest_class(images) + 1)] or ["0"]
    train, test = (split_of_folder(part, len(names), report) if part and has_images(part) else None for part in parts)
    data = report.dataset(names, train, test, folder)
    if not named:
        data.warnings.append(f"{folder}: there is no file with class names ({', '.join(NAME_FILES)} or *.names): the "
                             f"classes are numbered 0 to {len(names) - 1}")
    return data


FORMAT = Format(
    "YOLO", "detection",
    "a folder with `images/train/`, `images/val/` and the same folders in `labels/`; or `train/images/`, "
    "`train/labels/`, `val/...`; or each `.txt` label file in the folder of its image, in `train/` and `val/`, or all "
    "in one folder, without test images",
    _matches, open_folder)
