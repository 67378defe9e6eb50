"""Result files that the official evaluators of COCO and Pascal VOC take, of the detections on a split.

    coco  coco_results.json: a list of image_id, category_id, bbox (left, top, width, height in pixels), score
    voc   comp4_det_test_CLASS.txt for every class: image, confidence, left, top, right, bottom in pixels from 1

(darknet: src/detector.c:print_cocos and print_detector_detections.)  The ids of COCO are those of the dataset's own
file.  Where the dataset is not COCO, they follow darknet: the number at the end of the file name, and the ids of
COCO's 80 classes.
"""
import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath

import numpy as np

from runner.datasets import DetectionSplit
from runner.datasets.detection.coco import COCO_IDS, number_in_name, usual_category_ids
from runner.datasets.detection.dataset import LabelledImage
from runner.errors import DataError, counted
from runner.images.box_format import convert, pixel_corners
from runner.outputs import OutputFolder, file_stem, unique_name
from runner.training.detection_metrics import SplitDetections

COCO, VOC = "coco", "voc"
FORMS = (VOC, COCO)
COCO_FILE = "coco_results.json"
Id = int | float | str


class Submission:
    """The result files of one split.  DataError where its images or classes cannot be named in them.

    remarks  what the user should know about the ids
    """

    def __init__(self, form: str, split: DetectionSplit, names: Sequence[str], folder: OutputFolder):
        self.form, self.split, self.names, self.folder = form, split, names, folder
        self.remarks: list[str] = []
        self._ids = [self._image_id(image) for image in split]
        self._require_unique()
        used: set[str] = set()
        self.files = [COCO_FILE] if form == COCO else [
            f"{unique_name(f'comp4_det_test_{file_stem(name)}', used)}.txt" for name in names]
        self._categories = self._category_ids() if form == COCO else []
        folder.require_free(self.files)

    def write(self, results: SplitDetections) -> int:
        """Write the files -> the number of boxes in them."""
        if self.form == COCO:
            rows = list(self._coco(results))
            with self.folder.file(COCO_FILE) as path, open(path, "w", encoding="utf-8") as file:
                file.write("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n" if rows else "[]\n")
            return len(rows)
        lines: list[list[str]] = [[] for _ in self.names]
        for index, line in self._voc(results):
            lines[index].append(line)
        for name, text in zip(self.files, lines, strict=True):
            with self.folder.file(name) as path, open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.writelines(text)
        return sum(map(len, lines))

    def _coco(self, results: SplitDetections) -> Iterator[dict[str, object]]:
        for rows, index, size in zip(results.found, results.indices, results.sizes, strict=True):
            annotated = self.split[index].annotated
            for row in rows:
                category = self._categories[int(row[0])] if row[0] < len(self._categories) else None
                if category is None:
                    continue
                box = row[2:].astype(float)
                width, height = size
                if annotated is not None:
                    box, (width, height) = np.array(annotated.stored(tuple(box.tolist()))), annotated.size
                bbox = convert(box, "cxcywh", "xywh") * (width, height, width, height)
                yield {"image_id": self._ids[index], "category_id": category,
                       "bbox": [_short(value) for value in bbox.tolist()], "score": _short(float(row[1]))}

    def _voc(self, results: SplitDetections) -> Iterator[tuple[int, str]]:
        """Class, and a line: the box is cut at the edges of the image, as darknet does."""
        for rows, index, (width, height) in zip(results.found, results.indices, results.sizes, strict=True):
            for row, (left, top, right, bottom) in zip(rows, pixel_corners(rows[:, 2:], width, height) + 1,
                                                       strict=True):
                if row[0] < len(self.names):
                    corners = max(left, 1), max(top, 1), min(right, width), min(bottom, height)
                    yield int(row[0]), " ".join([str(self._ids[index]), f"{row[1]:.6f}",
                                                 *(f"{value:.6f}" for value in corners)]) + "\n"

    def _image_id(self, image: LabelledImage) -> Id:
        if self.form == VOC:
            stem = PurePath(image.path).stem
            if not stem or re.search(r"\s", stem):
                raise DataError(f"{image.path}: --submit voc writes file names without their ending, separated by "
                                "blanks: this one has blanks. Rename it")
            return stem
        if image.id is not None:
            return image.id
        number = number_in_name(image.path)
        if number is None:
            raise DataError(f"{image.path}: --submit coco needs the number of every image: the id in a COCO dataset, "
                            "else the digits at the end of the file name. There are none")
        return number

    def _require_unique(self) -> None:
        known: dict[Id, str] = {}
        for number, image in zip(self._ids, self.split, strict=True):
            other = known.setdefault(number, image.path)
            if other != image.path:
                raise DataError(f"--submit {self.form}: {other} and {image.path} have the same id, {number}")

    def _category_ids(self) -> list[Id | None]:
        own, count = list(self.split.category_ids), len(self.names)
        if own:
            unknown = [name for name, one in zip(self.names, own, strict=True) if one is None]
            if unknown:
                self.remarks.append(f"{counted(len(unknown), 'class')} ({', '.join(unknown[:5])}"
                                    f"{' ...' if len(unknown) > 5 else ''}) without a category in the file of this "
                                    "split: their boxes are left out")
            return own
        usual = usual_category_ids(self.names)
        if usual == COCO_IDS:
            self.remarks.append("this is not a COCO dataset: the category ids are those of COCO's 80 classes, and the "
                                "image ids the numbers at the end of the file names, as in darknet")
            return list(usual)
        self.remarks.append(f"this is not a COCO dataset: the category ids are 1 to {count}, in the order of the "
                            "classes, and the image ids the numbers at the end of the file names")
        return list(usual)


def _short(value: float) -> float:
    """Rounded to nine significant digits, which tell all float32 apart."""
    return round(value, 8 - math.floor(math.log10(abs(value)))) if value else 0.0
