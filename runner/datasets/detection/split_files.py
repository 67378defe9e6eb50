"""What train= and valid= of a .data file, or train: and val: of a YAML description, may name."""
from pathlib import Path

from runner.datasets.containers.stored_images import is_container
from runner.datasets.detection import coco, yolo
from runner.datasets.detection.dataset import DetectionSplit
from runner.datasets.detection.report import LabelReport, NoBoxes


def read_split(place: Path, names: list[str], report: LabelReport, folders: list[Path]) -> DetectionSplit:
    """The images of a COCO file, a folder or a list; `folders`: where relative paths are looked for as well."""
    if is_container(place):
        raise NoBoxes(f"{place}: a file of many images has no boxes")
    if place.suffix.lower() == ".json":
        return coco.split_of_file(place, names, report, folders)
    if place.is_dir():
        return yolo.split_of_folder(place, len(names), report)
    return yolo.split_of_list(place, len(names), report, folders)
