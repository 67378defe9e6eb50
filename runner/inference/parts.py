"""Reading the parts of `shards.py` in order, and writing their records as one file: JSON, CSV or COCO results.

Everything goes through line by line, so memory does not depend on the number of images.
"""
import csv
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.datasets.detection.coco import ResultIds
from runner.errors import DataError, UsageError, counted
from runner.files import json_utf8
from runner.inference.detect import Detection
from runner.inference.shards import MANIFEST, Manifest, missing_parts, named, part_name, read_manifest
from runner.reading.json_text import parse_json
from runner.reading.schema import Record, field

FORMATS = ("json", "csv", "coco")
ONLY_IN_LINES = ("schema_version", "index", "width", "height")
Line = dict[str, Any]


class Box(Record):
    """relative_coordinates of an object."""
    center_x: float = field(doc="fraction of the width")
    center_y: float = field(doc="fraction of the height")
    width: float = field(doc="fraction of the width")
    height: float = field(doc="fraction of the height")


class Object(Record):
    """A detection."""
    class_id: int = field(doc="class number", low=0)
    name: str = field(doc="class name")
    confidence: float | None = field(doc="its confidence; null where it is not finite")
    relative_coordinates: Box = field(doc="its box")


class Prediction(Record):
    """A class of an image."""
    index: int = field(doc="class number", low=0)
    spread: float | None = field(None, "deviation of several samples")
    probability: float | None = field(None, "of the class")
    value: float | None = field(None, "instead of a probability")


class Bad(Record):
    """An image that could not be read."""
    error: str = field(doc="why")


class Detected(Record):
    """An image of `detect`."""
    filename: str = field(doc="its path")
    width: int = field(doc="pixels", low=1)
    height: int = field(doc="pixels", low=1)
    objects: list[Object] = field(doc="detections")


class Predicted(Record):
    """An image of `predict`."""
    image: str = field(doc="its path")
    predictions: list[Prediction] = field(doc="classes, most probable first")


KINDS: dict[str, type[Record]] = {"detect": Detected, "predict": Predicted}


class Parts:
    """The parts of a folder.  DataError where some are missing, and while reading, where one is not complete or does
    not belong to the others."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.manifest: Manifest = read_manifest(folder)
        self.bad = 0
        missing = missing_parts(self.folder, self.manifest.shards)
        if missing:
            raise DataError(f"{folder}: {len(missing):,} of {counted(self.manifest.shards, 'part')} "
                            f"{'is' if len(missing) == 1 else 'are'} missing: {named(missing)}. The command that wrote "
                            "the others computes what is missing")
        own = {part_name(number) for number in range(self.manifest.shards)}
        if foreign := sorted(path.name for path in self.folder.glob("part-*.jsonl") if path.name not in own):
            raise DataError(f"{self.folder / foreign[0]}: this is not one of the "
                            f"{counted(self.manifest.shards, 'part')} of {self.folder / MANIFEST}. Move it away")

    def records(self) -> Iterator[Line]:
        """The records of the images that could be read, in the order of the list; the others are counted in `bad`."""
        size, total, self.bad = self.manifest.shard_size, self.manifest.images.count, 0
        index = 0
        for number in range(self.manifest.shards):
            path, stop = self.folder / part_name(number), min((number + 1) * size, total)
            with open(path, "rb") as file:
                for row, text in enumerate(file, 1):
                    line = self._checked(parse_json(text, f"{path}:{row}"), f"{path}:{row}", index)
                    index += 1
                    if "error" in line:
                        self.bad += 1
                    else:
                        yield line
            if index != stop:
                raise DataError(f"{path}: this part has {counted(index - number * size, 'line')}, and not "
                                f"{stop - number * size}, as {self.folder / MANIFEST} says")

    def _checked(self, line: Any, where: str, index: int) -> Line:
        kind = Bad if isinstance(line, dict) and "error" in line else KINDS[self.manifest.verb]
        problem = kind.problem(line)
        if not problem and line.get("index") != index:
            problem = f"index must be {index}"
        if not problem and line.get("schema_version") != self.manifest.schema_version:
            problem = f"schema_version must be {self.manifest.schema_version}"
        if problem:
            raise DataError(f"{where}: this line does not belong to the others: {problem}")
        found: Line = line
        return found


def write(parts: Parts, form: str, emit: Callable[[str], object], annotations: str | None = None) -> int:
    """Write the records in one of FORMATS, piece by piece -> how many images had one.

    annotations: for "coco": the COCO file with the ids of images and categories
    """
    count = 0

    def counting() -> Iterator[Line]:
        nonlocal count
        for record in parts.records():
            count += 1
            yield record
    verb = parts.manifest.verb
    if form == "coco" and verb != "detect":
        raise UsageError(f"{parts.folder}: these are the parts of `{verb}`, and COCO results are boxes")
    if form == "csv":
        _write_csv(_rows_of_detect(counting()) if verb == "detect" else _rows_of_predict(counting()), emit)
    else:
        ids = ResultIds(annotations, parts.manifest.network.classes)
        _write_list(_coco(counting(), ids) if form == "coco" else _as_json(counting()), emit)
    return count


def _write_list(values: Iterator[Mapping[str, Any]], emit: Callable[[str], object]) -> None:
    """A JSON list with the line breaks of `json_text(list, 1)`."""
    before = "[\n"
    for value in values:
        emit(before + json_utf8([value], 1)[2:-2])
        before = ",\n"
    emit("[]\n" if before == "[\n" else "\n]\n")


def _as_json(records: Iterator[Line]) -> Iterator[Line]:
    """As --json has them: without the keys that only lines have; frame_id counts the images that could be read."""
    for number, record in enumerate(records, 1):
        found = {key: value for key, value in record.items() if key not in ONLY_IN_LINES}
        yield {"frame_id": number, **{key: value for key, value in found.items() if key != "frame_id"}} \
            if "frame_id" in found else found


def _corners(one: Line, record: Line) -> tuple[float, float, float, float]:
    """left, top, right, bottom of an object, pixels."""
    box = one["relative_coordinates"]
    found = Detection(one["name"], one["class_id"], one["confidence"] or 0.0,
                      (box["center_x"], box["center_y"], box["width"], box["height"]))
    return found.corners(record["width"], record["height"])


def _coco(records: Iterator[Line], ids: ResultIds) -> Iterator[Line]:
    for record in records:
        image = ids.image(record["filename"])
        for one in record["objects"]:
            left, top, right, bottom = _corners(one, record)
            yield {"image_id": image, "category_id": ids.category(one["class_id"], one["name"]),
                   "bbox": [_short(value) for value in (left, top, right - left, bottom - top)],
                   "score": None if one["confidence"] is None else _short(one["confidence"])}
    ids.require_unique()


def _short(value: float) -> float:
    """The value as float32 has it, with as few digits as possible."""
    return float(f"{value:.9g}")


def _write_csv(rows: Iterator[list[Any]], emit: Callable[[str], object]) -> None:
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    for row in rows:
        table.writerow(row)
        emit(buffer.getvalue())
        buffer.seek(0)
        buffer.truncate()


def _rows_of_detect(records: Iterator[Line]) -> Iterator[list[Any]]:
    """The table of `detect --csv`."""
    yield ["image", "class_id", "name", "confidence", "left", "top", "right", "bottom"]
    for record in records:
        for one in record["objects"]:
            yield [record["filename"], one["class_id"], one["name"], f"{one['confidence'] or 0:.6f}",
                   *(f"{value:.1f}" for value in _corners(one, record))]


def _rows_of_predict(records: Iterator[Line]) -> Iterator[list[Any]]:
    """A row for each class of each image, most probable first."""
    head = True
    for record in records:
        for rank, one in enumerate(record["predictions"], 1):
            names = ["probability" if "probability" in one else "value", *["spread"] * ("spread" in one)]
            if head:
                yield ["image", "rank", "class_id", "name", *names]
            head = False
            yield [record["image"], rank, one["index"], one["class"],
                   *("" if one.get(name) is None else f"{one[name]:.6g}" for name in names)]
    if head:
        yield ["image", "rank", "class_id", "name", "probability"]
