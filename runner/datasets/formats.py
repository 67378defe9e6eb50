"""The table of dataset formats, and opening a dataset by its path.

    data = open_dataset("data/digits")                          a classification dataset, whatever its format
    data = open_detection_dataset("data/cells.yaml")            one with boxes

Opening has two steps.  The path is recognised by the first format of the table that matches it; then that format opens
it, and an error there is the answer.  Error messages and the tables in docs/ are derived from FORMATS: to add a format,
write a module with a Format and add its line here.  The tests then require an example of it
(tests/datasets/examples.py).
"""
import os
from pathlib import Path

from runner.datasets.classification import class_folders, csv_labels
from runner.datasets.classification import darknet_data as classification_darknet
from runner.datasets.classification import yaml_description as classification_yaml
from runner.datasets.classification.containers import container_format
from runner.datasets.classification.dataset import Dataset
from runner.datasets.containers import cifar, idx, npz
from runner.datasets.detection import coco, csv_boxes, keras_lists, voc, yolo
from runner.datasets.detection import darknet_data as detection_darknet
from runner.datasets.detection import yaml_description as detection_yaml
from runner.datasets.detection.dataset import DetectionDataset
from runner.datasets.detection.report import NoBoxes, refuse_problems
from runner.datasets.folders import ARCHIVES
from runner.datasets.format import Format, Task
from runner.datasets.hold_out import hold_out
from runner.datasets.names_file import same_names
from runner.datasets.overlap import overlap_warning
from runner.errors import DataError

FORMATS: tuple[Format, ...] = (
    # of formats that match the same path the first one is used
    detection_yaml.FORMAT,
    detection_darknet.FORMAT,
    voc.FORMAT,
    coco.FORMAT,
    voc.BESIDE_IMAGES,
    csv_boxes.FORMAT,
    keras_lists.FORMAT,
    yolo.FORMAT,
    classification_yaml.FORMAT,
    classification_darknet.FORMAT,
    container_format(idx.CONTAINER),
    container_format(cifar.CONTAINER),
    container_format(npz.CONTAINER),
    csv_labels.FORMAT,
    class_folders.FORMAT,
)


def open_dataset(path: str | os.PathLike, split_share: float = 0., *, several_labels: bool | None = None) -> Dataset:
    """The classification dataset at `path`, in any of the formats above.

    split_share     this share of the training images becomes the test images (see hold_out)
    several_labels  whether the network learns several labels of an image.  False: only images with one label are kept,
                    and a warning counts the others.  True: words of folders and blanks in cells are read as labels,
                    too.  None: as written
    Raises DataError, with file and line where there is one, for anything that cannot be used.
    """
    data = _opened(recognise(path, "classification"), Path(path), bool(several_labels))
    assert isinstance(data, Dataset)
    if several_labels is False:
        data = data.with_one_label()
    return hold_out(data, split_share) if split_share else data


def open_detection_dataset(path: str | os.PathLike, *, on_bad: str = "skip",
                           split_share: float = 0.) -> DetectionDataset:
    """The detection dataset at `path`, in any of the formats above; its warnings list the problems in its labels.

    on_bad       "skip": bad labels are left out; "error": they are a DataError that lists them
    split_share  this share of the training images becomes the test images; 0: as in the dataset
    Raises DataError, with file and line, for anything that cannot be used.
    """
    data = _opened(recognise(path, "detection"), Path(path))
    assert isinstance(data, DetectionDataset)
    if on_bad == "error":
        refuse_problems(data)
    return hold_out(data, split_share) if split_share else data


def open_any_dataset(path: str | os.PathLike, *, every_label: bool = False) -> Dataset | DetectionDataset:
    """The dataset at `path`: with boxes if it has labels for detection, else with classes.

    every_label: as several_labels=True of open_dataset.

    DataError where the labels for detection cannot be used, or where it is neither, with the reasons of both.
    """
    place = _existing(path)
    found = {fmt.task: fmt for fmt in reversed(FORMATS) if fmt.matches(place)}      # the first of each task
    without_boxes = ""
    if "detection" in found:
        try:
            return _opened(found["detection"], place)
        except NoBoxes as error:
            without_boxes = str(error)
            if "classification" not in found:
                raise
    if "classification" not in found:
        raise DataError(_unknown(place, "classification"))
    try:
        return _opened(found["classification"], place, every_label)
    except DataError as error:
        if without_boxes and without_boxes != str(error):
            raise DataError(f"{error}\n(as a detection dataset: {without_boxes})") from None
        raise


def _opened(fmt: Format, path: Path, every_label: bool = False) -> Dataset | DetectionDataset:
    """The dataset at `path`, with a warning if an image is in both splits, or two classes have one name."""
    data = ((every_label and fmt.open_every_label) or fmt.open)(path)
    if twice := same_names(data.names):
        data.warnings.append(f"{data.source}: {twice}")
    if isinstance(data, Dataset) and (overlap := overlap_warning(data.train, data.test, data.source)):
        data.warnings.append(overlap)
    return data


def recognise(path: str | os.PathLike, task: Task) -> Format:
    """The format of what is at `path`.  DataError where there is nothing, or nothing in a known format of the task."""
    place = _existing(path)
    for fmt in FORMATS:
        if fmt.task == task and fmt.matches(place):
            return fmt
    other = next((fmt for fmt in FORMATS if fmt.matches(place)), None) if place.is_dir() else None
    if other and any(place.iterdir()):
        raise DataError(f"{place}: a {task} dataset is needed. This is one for {other.task} ({other.name})")
    raise DataError(_unknown(place, task))


def _existing(path: str | os.PathLike) -> Path:
    if not os.path.exists(path):
        raise DataError(f"{path}: there is no such data folder or file")
    return Path(path)


def _unknown(path: Path, task: Task) -> str:
    if path.name.lower().endswith(ARCHIVES):
        return f"{path}: this is an archive: unpack it, and use the folder that comes out of it"
    got = f"a file ending in {path.suffix!r}" if path.suffix else "a file whose name has no ending"
    if path.suffix.lower() == ".txt":
        got = ("a text file: character models read it, which have a recurrent layer, [softmax] at the end, and as many "
               "outputs as inputs=; a list of images is named in a .data or .yaml file")
    got = "a folder in none of these formats" if path.is_dir() else got
    return f"{path}: the formats of a {task} dataset are: {format_names(task)}. Got {got}"


def format_names(*tasks: Task) -> str:
    """The formats of some tasks in words: "YAML (.yaml), darknet (.data), ..."."""
    return ", ".join(dict.fromkeys(fmt.name + (f" ({fmt.suffixes[0]})" if fmt.suffixes else "")
                                   for fmt in FORMATS if fmt.task in tasks))


def described_suffixes() -> tuple[str, ...]:
    """The endings with which data/<cfg name> is looked for, in this order."""
    return tuple(dict.fromkeys(suffix for fmt in FORMATS for suffix in fmt.suffixes))
