"""YOLO labels: for each image a text file with a line `class x y w h` for each object."""
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from runner.datasets.detection.boxes_in_lists import holds_boxes, resembles_box, split_of_lines
from runner.datasets.detection.dataset import DetectionDataset, DetectionSplit, LabelledImage, no_boxes
from runner.datasets.detection.report import (
    DECIMAL_COMMA,
    MISSING_IMAGES,
    LabelReport,
    NoBoxes,
    PlacedRow,
    check_box,
    class_exists,
    unique_rows,
)
from runner.datasets.folders import (
    PROBED,
    TEST_FOLDERS,
    TRAIN_FOLDERS,
    file_beside,
    folder_below,
    has_images,
    images_in,
)
from runner.datasets.format import Format
from runner.datasets.lists import read_lines, read_list
from runner.datasets.names_file import read_names
from runner.errors import DataError
from runner.reading.numbers import shown
from runner.reading.tables import measure
from runner.reading.text import lines_of, read_text

FIELDS = 5
KEYPOINT_HINT = "for a box and key points describe the dataset by a YAML file with kpt_shape: [points, 2 or 3]"
CONFIDENCE_HINT = "a sixth number may be the confidence of a detection: use `detect --txt` without --save-conf"
OTHER_TOOLS = {"annotations.xml": "CVAT (\"for images\")", "_annotations.createml.json": "CreateML",
               "via_region_data.json": "VIA"}
MAX_NUMBERED = 100_000      # a class number above is not one, where there are no names
_LABEL_FOLDERS = {"images": ("labels",), "JPEGImages": ("labels",), "Images": ("Labels", "labels"),
                  "IMAGES": ("LABELS", "labels")}
NAME_FILES = ("classes.txt", "names.txt", "labels.txt", "obj.names", "_darknet.labels", "_classes.txt")


def label_places(path: str, suffix: str = ".txt") -> list[str]:
    """Where the label file of an image may be, in the order it is looked for.

    A folder `images` or `JPEGImages` in the path, the last first, is replaced by `labels`; else the file is in the
    folder of the image.  `Images` is replaced by `Labels` too.  (darknet: src/utils.c:replace_image_to_label,
    src/data.c:fill_truth_detection.)
    """
    same_folder = os.path.splitext(path.replace("\\", "/"))[0] + suffix
    parts = same_folder.split("/")
    found = ["/".join([*parts[:at], labels, *parts[at + 1:]]) for at in reversed(range(len(parts) - 1))
             for labels in _LABEL_FOLDERS.get(parts[at], ())]
    return [*found, same_folder]


def label_file(path: str) -> str:
    """The label file of an image, also with an ending in capitals; "" where there is none."""
    return next(filter(None, (file_beside(place, ".txt") for place in label_places(path))), "")


def read_label(line: str) -> tuple[int, list[float], bool]:
    """A line of a label file -> class, the numbers after it, and whether they have decimal commas.

    Commas separate numbers where there are no blanks, or after each number; `0 0,5 0,5 0,1 0,2` has decimal commas.
    ValueError says what is wrong.
    """
    words = [word.rstrip(",") for word in line.replace(";", " ").split()]
    with_commas = [word for word in words if "," in word]
    decimal = len(words) > 1 and bool(with_commas) and all(map(DECIMAL_COMMA.fullmatch, with_commas))
    if decimal:
        words = [word.replace(",", ".") for word in words]
    else:
        without_blanks = len(words) == 1 and "." not in line
        words = " ".join(words).replace(",", " ").split()
        if without_blanks and len(words) > FIELDS:
            raise ValueError("these commas may be decimal ones or separate numbers: put blanks between the numbers. "
                             f"Got {shown(line)}")
    try:
        values = [measure(word) for word in words]
        index = int(values[0])
        if index != values[0]:
            raise ValueError
    except (ValueError, OverflowError, IndexError):
        raise ValueError(f"a label is `class x y w h`, the class a whole number. Got {shown(line)}") from None
    return index, values[1:], decimal


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
        where = f"{path}:{number}"
        try:
            index, values, decimal = read_label(line)
        except ValueError as error:
            report.add("lines that are not labels, left out", where, str(error))
            continue
        box = _box(values, report)
        if box is None:
            wanted = f"{FIELDS + report.keypoints} numbers, as kpt_shape says" if report.keypoints else \
                "5 numbers, `class x y w h`"
            hint = f": {KEYPOINT_HINT}" if len(values) > 6 and not report.keypoints else \
                f": {CONFIDENCE_HINT}" if len(values) == FIELDS and 0 <= values[-1] <= 1 else ""
            report.add("lines that are not labels, left out", where,
                       f"a label has {wanted}. Got {len(values) + 1}: {shown(line)}{hint}")
            continue
        if class_exists(index, classes, where, report):
            row = check_box(box, index, where, report)
            if row is not None:
                found.append((row, where))
                report.decimal_commas += [where] * decimal
    return found


def _box(values: Sequence[float], report: LabelReport) -> tuple[float, float, float, float] | None:
    """The box in the numbers behind a class, or around the outline that they are; None where they are neither."""
    if len(values) == FIELDS - 1 + report.keypoints or len(values) == FIELDS - 1:
        return values[0], values[1], values[2], values[3]
    if report.keypoints or len(values) < 6 or len(values) % 2 or (
            max(values) > 1 and _box_of_keypoints(values, 3)):       # the third value of a point is 0, 1 or 2
        return None
    report.outlines += 1
    report.keypoint_like += _box_of_keypoints(values, 2) or _box_of_keypoints(values, 3)
    xs, ys = values[::2], values[1::2]
    return (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2, max(xs) - min(xs), max(ys) - min(ys)


def _box_of_keypoints(values: Sequence[float], size: int) -> bool:
    """Whether numbers are a box, and then points of `size` numbers that lie in it; points at 0, 0 are hidden ones."""
    (x, y, w, h), points = values[:4], values[4:]
    if len(points) % size:
        return False
    placed = [(px, py) for px, py in zip(points[::size], points[1::size], strict=True) if px or py]
    slack = 1e-3
    return bool(placed) and all(abs(px - x) <= w / 2 + slack and abs(py - y) <= h / 2 + slack for px, py in placed)


def labelled_split(images: Iterable[tuple[str, str]], classes: int, report: LabelReport) -> DetectionSplit:
    """images (where it is named, path) with their labels.  An image without a label file has no boxes."""
    items = []
    for where, path in images:
        report.images += 1
        if not os.path.isfile(path):
            report.add(MISSING_IMAGES, where, f"there is no {path!r}")
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
    """The images of a list file, one path per line; behind the paths there may be boxes (boxes_in_lists.py)."""
    lines = read_list(list_file, folders)
    if any(holds_boxes(line.rest) for line in lines):
        return split_of_lines(list_file, lines, classes, report)
    other = next((line for line in lines if resembles_box(line.rest)), None)
    if other:
        raise NoBoxes(f"{list_file}:{other.line}: boxes behind a path are written left,top,right,bottom,class, each "
                      f"with commas inside, the class a number, and blanks between them. Got {shown(other.rest)}")
    return labelled_split(((f"{list_file}:{number}", path) for number, _, path, _ in lines), classes, report)


def split_of_folder(folder: str | os.PathLike, classes: int, report: LabelReport) -> DetectionSplit:
    """All images below a folder.  DataError when there are none."""
    images = images_in(folder)
    if not images:
        raise NoBoxes(f"{folder}: there are no images in this folder")
    return labelled_split(((str(folder), path) for path in images), classes, report)


def highest_class(images: Iterable[str]) -> int:
    """The highest class number in the labels of these images, which says how many classes there are; -1: none."""
    highest = -1
    for labels in filter(None, map(label_file, images)):
        with suppress(DataError):       # reported when they are read
            for _, line in lines_of(read_text(labels)):
                with suppress(ValueError):
                    index = read_label(line)[0]
                    highest = max(highest, index if index < MAX_NUMBERED else -1)
    return highest


def class_names_in(folder: Path, report: LabelReport) -> list[str]:
    """Class names from a file in the folder, else in its training or test folder; [] where there is none."""
    for place in (folder, *filter(None, split_folders(folder))):
        inside = sorted(os.listdir(place))
        known = {**{name.lower(): name for name in inside}, **{name: name for name in inside}}
        files = [place / known[name] for name in NAME_FILES if name in known and (place / known[name]).is_file()]
        files = files or [place / name for name in inside if name.lower().endswith(".names")]
        if files:
            return read_names(files[0], report.notes)
    return []


def split_folders(folder: Path) -> tuple[Path | None, Path | None]:
    """The folders of the training and of the test images; (the folder itself, None) where it is not divided."""
    for pattern in ("images/{}", "{}/images", "JPEGImages/{}", "{}"):
        train, test = (next((found for name in wanted
                             if (found := folder_below(folder, *pattern.format(name).split("/")))), None)
                       for wanted in ((*TRAIN_FOLDERS, "train2017"), ("val", "valid", "val2017", *TEST_FOLDERS)))
        if train or test:
            return train, test
    return folder_below(folder, "images") or folder, None


def _other_tool(folder: Path, unlabelled: Sequence[tuple[str, Sequence[str]]]) -> str:
    """What the files of a labelling tool here are, where they are of a format that is not read; "" without any."""
    places = [folder, *(place for place in split_folders(folder) if place)]
    for name, tool in OTHER_TOOLS.items():
        found = next((place / name for place in places if (place / name).is_file()), None)
        if found:
            return f". {found} is of {tool}: export as YOLO, COCO or Pascal VOC"
    found = next((Path(file) for image, _ in unlabelled[:PROBED] if (file := file_beside(image, ".json"))), None)
    return f". {found} may be of LabelMe: convert its files to YOLO, COCO or Pascal VOC" if found else ""


def _matches(path: Path) -> bool:
    return path.is_dir() and any(has_images(part) for part in split_folders(path) if part)


def open_folder(folder: Path) -> DetectionDataset:
    """A folder of images with YOLO labels; without a file of class names the classes are numbered."""
    report, parts = LabelReport(), split_folders(folder)
    names = class_names_in(folder, report)
    named = bool(names)
    if not named:
        images = [image for part in parts if part for image in images_in(part)]
        names = [str(k) for k in range(highest_class(images) + 1)] or ["0"]
    train, test = (split_of_folder(part, len(names), report) if part and has_images(part) else None for part in parts)
    try:
        data = report.dataset(names, train, test, folder)
    except NoBoxes as error:
        raise NoBoxes(f"{error}{_other_tool(folder, report.unlabelled)}") from None
    if not named:
        data.warnings.append(f"{folder}: there is no file with class names ({', '.join(NAME_FILES)} or *.names): the "
                             f"classes are numbered 0 to {len(names) - 1}")
        if min(report.numbers, default=0) == 1:
            data.warnings.append(f"{folder}: class numbers start at 0; here they are 1 to {max(report.numbers)}, so "
                                 "class 0 has no boxes")
    return data


FORMAT = Format(
    "YOLO", "detection",
    "a folder with `images/train/`, `images/val/` and the same folders in `labels/`; or `train/images/`, "
    "`train/labels/`, `val/...`; or each `.txt` label file in the folder of its image, in `train/` and `val/`, or all "
    "in one folder, without test images",
    _matches, open_folder)
