"""Pascal VOC: an XML file for each picture, with `object`s that have a `name` and a `bndbox` in pixels.

    Annotations/*.xml, JPEGImages/, ImageSets/Main/{train,val,trainval,test}.txt     the folders of the challenge
    a.jpg beside a.xml, in train/ and val/ or in one folder                         as labelling tools leave them

Boxes become parts of the picture as darknet's voc_label.py makes them: centre (min + max) / 2 - 1, size max - min.
`difficult` objects are kept apart: neither learned nor counted.
"""
import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from pathlib import Path
from xml.etree.ElementTree import Element

from runner.datasets.classification.dataset import natural_key
from runner.datasets.classification.folders import images_in
from runner.datasets.detection.dataset import DetectionSplit, LabelledImage, LabelReport, check_box, no_boxes, rows_of
from runner.datasets.image_size import size_of
from runner.datasets.lists import read_lines
from runner.errors import DataError, closest
from runner.images.decode import SUFFIXES

Parts = tuple[list[str], DetectionSplit | None, DetectionSplit | None]
Source = tuple[str, str, str]       # where it is named, the picture, its XML file


def open_voc(folder: Path, names: list[str], report: LabelReport) -> Parts:
    """Annotations/, JPEGImages/ (or images/) and ImageSets/Main.  Without lists everything is for training."""
    images = next((folder / name for name in ("JPEGImages", "images", "Images") if (folder / name).is_dir()), folder)
    known = {Path(path).stem: path for path in images_in(images)}
    sets = folder / "ImageSets" / "Main"
    lists = {name: sets / f"{name}.txt" for name in ("train", "val", "trainval", "test")
             if (sets / f"{name}.txt").is_file()}
    train_list = lists.get("trainval") if "test" in lists else None
    train_list = train_list or lists.get("train") or lists.get("trainval")
    test_list = lists.get("test") or lists.get("val")
    if not lists:
        stems = sorted((path.stem for path in (folder / "Annotations").glob("*.xml")), key=natural_key)
        chosen = {"train": [(str(folder / "Annotations"), stem) for stem in stems]}
    else:
        chosen = {part: [(f"{file}:{number}", line.split()[0]) for number, line in read_lines(file)]
                  for part, file in (("train", train_list), ("test", test_list)) if file}

    def sources(part: str) -> list[Source]:
        found = []
        for where, stem in chosen[part]:
            xml = str(folder / "Annotations" / f"{stem}.xml")
            found.append((where, known.get(stem) or str(images / f"{stem}.jpg"), xml))
        return found
    return _open([sources(part) if part in chosen else None for part in ("train", "test")], names, report)


def open_beside(parts: Iterable[Path | None], names: list[str], report: LabelReport) -> Parts:
    """Pictures with an XML file beside each; parts are the folders to train on and to test with."""
    return _open([[(str(part), path, os.path.splitext(path)[0] + ".xml") for path in images_in(part)] if part else None
                  for part in parts], names, report)


def _open(parts: list[list[Source] | None], names: list[str], report: LabelReport) -> Parts:
    """Read every XML file once; without given names, those that occur, sorted."""
    roots: dict[str, Element | None] = {}
    for part in parts:
        for _, _, xml in part or ():
            if os.path.isfile(xml) and xml not in roots:
                roots[xml] = _parse(xml, report)
    names = names or sorted({_text(thing, "name") for root in roots.values() if root is not None
                             for thing in root.iter("object")} - {""})
    if not names:
        raise DataError("the XML files name no object at all, so there are no classes")
    train, test = (DetectionSplit([picture for source in part if (picture := _picture(source, roots, names, report))],
                            len(names)) if part else None for part in parts)
    return names, train, test


def _parse(path: str, report: LabelReport) -> Element | None:
    try:
        return ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, UnicodeDecodeError, OSError) as error:
        report.add("label files that cannot be read, left out", path, f"this is not XML ({error})")
        return None


def _picture(source: Source, roots: dict[str, Element | None], names: list[str],
             report: LabelReport) -> LabelledImage | None:
    where, path, xml = source
    report.pictures += 1
    if not os.path.isfile(path):
        report.add("pictures that do not exist, left out", where,
                   f"there is no {path!r}, nor one ending in {', '.join(sorted(SUFFIXES)[:3])} ...")
        return None
    if xml not in roots:
        report.without.append(path)
        return LabelledImage(path, no_boxes(), no_boxes())
    root = roots[xml]
    if root is None:
        return None         # what is in it is not known: better no picture than one taken for empty
    size = _size(root) or size_of(path)
    boxes: list[tuple[tuple[float, ...], str]] = []
    crowd: list[tuple[tuple[float, ...], str]] = []
    for count, thing in enumerate(root.iter("object"), 1):
        row = _row(thing, f"{xml}: object {count}", size, names, report)
        if row is not None:
            (crowd if _text(thing, "difficult") == "1" else boxes).append((row, f"{xml}: object {count}"))
    return LabelledImage(path, rows_of(boxes, report), rows_of(crowd, report), xml)


def _size(root: Element) -> tuple[int, int] | None:
    try:
        wide, tall = int(root.findtext("size/width", "")), int(root.findtext("size/height", ""))
    except ValueError:
        return None
    return (wide, tall) if wide > 0 and tall > 0 else None


def _row(thing: Element, where: str, size: tuple[int, int], names: list[str],
         report: LabelReport) -> tuple[float, ...] | None:
    name = _text(thing, "name")
    if name not in names:
        near = closest(name, names) if name else None
        report.add("classes that do not exist, left out", where,
                   f"name must be one of the {len(names)} classes. Got {name!r}"
                   + (f" (did you mean {near!r}?)" if near else ""))
        return None
    try:
        left, top, right, bottom = (float(thing.findtext(f"bndbox/{key}", "")) for key in
                                    ("xmin", "ymin", "xmax", "ymax"))
    except ValueError:
        report.add("annotations that cannot be used, left out", where,
                   "bndbox needs the numbers xmin, ymin, xmax and ymax")
        return None
    wide, tall = size
    return check_box((((left + right) / 2 - 1) / wide, ((top + bottom) / 2 - 1) / tall, (right - left) / wide,
                      (bottom - top) / tall), names.index(name), where, report)


def _text(thing: Element, key: str) -> str:
    return (thing.findtext(key) or "").strip()
