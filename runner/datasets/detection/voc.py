"""Pascal VOC: an XML file for each image, with `object`s that have a `name` and a `bndbox` in pixels.

    Annotations/*.xml, JPEGImages/, ImageSets/Main/{train,val,trainval,test}.txt     the folders of the challenge
    annotations/*.xml, images/                                                       other names of them
    a.jpg and a.xml in one folder, in train/ and val/ or all together               as written by labelling tools

Boxes are converted as in darknet's voc_label.py: centre (min + max) / 2 - 1, size max - min, divided by the size of the
image.  `difficult` objects are kept separately: neither learned nor counted.
"""
import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

from runner.datasets.detection.annotated_size import MAX_SIDE, AnnotatedImage, annotated_image
from runner.datasets.detection.dataset import DetectionDataset, DetectionSplit, LabelledImage, no_boxes
from runner.datasets.detection.report import (
    MISSING_IMAGES,
    InPixels,
    LabelReport,
    PlacedRow,
    Row,
    check_box,
    read_pixels,
    unique_rows,
)
from runner.datasets.detection.yolo import class_names_in, split_folders
from runner.datasets.folders import (
    IMAGE_FOLDERS,
    LABEL_FOLDERS,
    file_beside,
    folder_below,
    images_in,
    natural_key,
)
from runner.datasets.format import Format
from runner.datasets.lists import read_lines, spellings
from runner.errors import DataError, closest, counted
from runner.images.arrays import SUFFIXES as ARRAY_SUFFIXES
from runner.images.decode import SUFFIXES
from runner.reading.numbers import is_whole, shown, whole
from runner.reading.xml_text import read_xml

MAX_NAME = 100          # characters of a name for which a similar one is searched
PROBED = 100        # images that are checked for an XML file in their folder


CORNERS = ("xmin", "ymin", "xmax", "ymax")


class Entry(NamedTuple):
    """An image to be read: where it is named, its path, the path of its XML file."""
    where: str
    image: str
    xml: str


def open_voc(folder: Path) -> DetectionDataset:
    """Annotations/, JPEGImages/ (or images/) and ImageSets/Main.  Without lists all images are for training."""
    images = next(filter(None, (folder_below(folder, name) for name in ("JPEGImages", *IMAGE_FOLDERS))), folder)
    annotations = annotation_folder(folder) or folder
    files = {_key(path, annotations): str(path) for path in annotations.rglob("*") if path.suffix.lower() == ".xml"}
    known = {_key(Path(path), images): path for path in images_in(images)}
    flat_files, flat_known = _names(files), _names(known)
    sets = folder / "ImageSets" / "Main"
    lists = {name: sets / f"{name}.txt" for name in ("train", "val", "trainval", "test")
             if (sets / f"{name}.txt").is_file()}
    train_list = lists.get("trainval") if "test" in lists else None
    train_list = train_list or lists.get("train") or lists.get("trainval")
    test_list = lists.get("test") or lists.get("val")
    if not lists:
        chosen = {"train": [(str(annotations), stem) for stem in sorted(files, key=natural_key)]}
    else:
        there = {*known, *files, *flat_known}
        chosen = {split: [(f"{file}:{number}", _stem(line, there)) for number, line in read_lines(file)]
                  for split, file in (("train", train_list), ("test", test_list)) if file}

    def entries(split: str) -> list[Entry]:
        return [Entry(where, known.get(stem) or flat_known.get(_name(stem)) or str(images / f"{stem}.jpg"),
                      files.get(stem) or flat_files.get(_name(stem)) or str(annotations / f"{stem}.xml"))
                for where, stem in chosen[split]]
    return _open(folder, [entries(split) if split in chosen else None for split in ("train", "test")])


def _key(path: Path, folder: Path) -> str:
    """The path of a file below a folder, without its ending."""
    return path.relative_to(folder).with_suffix("").as_posix()


def _name(key: str) -> str:
    return key.rpartition("/")[2]


def _names(paths: dict[str, str]) -> dict[str, str]:
    """Files by their names without folders, of those whose name occurs once: for images in other folders than their
    XML files."""
    count = Counter(map(_name, paths))
    return {_name(key): path for key, path in paths.items() if count[_name(key)] == 1}


def annotation_folder(folder: Path) -> Path | None:
    """Annotations/; else annotations/ or labels/ in any letter case, if the files in it are XML; None where there is
    none."""
    if (folder / "Annotations").is_dir():
        return folder / "Annotations"
    for place in filter(None, (folder_below(folder, name) for name in LABEL_FOLDERS)):
        suffixes = {path.suffix.lower() for path in place.iterdir()}
        if ".xml" in suffixes and ".txt" not in suffixes:
            return place
    return None


def _stem(line: str, known: Collection[str]) -> str:
    """The name of an image in a line of ImageSets: with blanks, with the suffix of an image, or with a 1, -1 or 0 at
    the end, which says whether a class occurs in it."""
    names = spellings(line)
    words = line.rsplit(maxsplit=1)
    if len(words) == 2 and words[1] in ("1", "-1", "0"):
        names += spellings(words[0])
    names += [os.path.splitext(name)[0] for name in names
              if os.path.splitext(name)[1].lower() in SUFFIXES | ARRAY_SUFFIXES]
    names += [os.path.basename(name) for name in names]
    return next((name for name in names if name in known), names[-1])


def _labelmap(folder: Path) -> list[str]:
    """The classes of labelmap.txt as CVAT writes it, `name:colour:parts:actions`, without the background."""
    file = folder / "labelmap.txt"
    lines = [line.split(":")[0].strip() for _, line in read_lines(file)] if file.is_file() else []
    return [line for line in lines if line and not line.startswith("#") and line != "background"]


def open_beside_images(folder: Path) -> DetectionDataset:
    """Images with an XML file of the same name in their folder."""
    return _open(folder, [[Entry(str(part), path, _xml_beside(path)) for path in images_in(part)] if part else None
                          for part in split_folders(folder)])


def _xml_beside(image: str) -> str:
    return file_beside(image, ".xml") or os.path.splitext(image)[0] + ".xml"


def _has_xml_beside_images(path: Path) -> bool:
    if not path.is_dir():
        return False
    images = [image for part in split_folders(path) if part for image in images_in(part)]
    return any(os.path.isfile(_xml_beside(image)) for image in images[:PROBED])


def _open(folder: Path, splits: list[list[Entry] | None]) -> DetectionDataset:
    """Read every XML file once; the classes are those of a names file in the folder, else all that occur, sorted."""
    report, roots = LabelReport(), dict[str, Element | None]()
    for split in splits:
        for _, _, xml in split or ():
            if os.path.isfile(xml) and xml not in roots:
                roots[xml] = _parse(xml, report)
    names = class_names_in(folder, report) or _labelmap(folder)
    names = names or sorted({_text(thing, "name") for root in roots.values() if root is not None
                             for thing in root.iter("object")} - {""})
    entries = [entry for split in splits for entry in split or ()]
    if not names and not roots and entries:
        where, _, xml = entries[0]
        raise DataError(f"{folder}: none of the {counted(len(entries), 'image')} has an XML file. For the first, "
                        f"{where}, looked for {xml}")
    if not names:
        reason = f" ({problem.where}: {problem.text})" if (problem := next(iter(report.problems), None)) else ""
        raise DataError(f"{folder}: there is no object in the XML files, so there are no classes{reason}")
    train, test = (DetectionSplit([image for entry in split if (image := _image(entry, roots, names, report))],
                                  len(names)) if split else None for split in splits)
    return report.dataset(names, train, test, folder)


def _parse(path: str, report: LabelReport) -> Element | None:
    try:
        return read_xml(path)
    except DataError as error:
        line, _, text = str(error).removeprefix(path).removeprefix(":").partition(": ")     # path: text, path:3: text
        report.add("label files that cannot be read, left out", f"{path}:{line}" if is_whole(line) else path,
                   text if is_whole(line) else str(error).removeprefix(f"{path}: "))
        return None


def _image(entry: Entry, roots: dict[str, Element | None], names: list[str],
           report: LabelReport) -> LabelledImage | None:
    where, path, xml = entry
    report.images += 1
    if not os.path.isfile(path):
        report.add(MISSING_IMAGES, where,
                   f"there is no {path!r}, nor one ending in {', '.join(sorted(SUFFIXES)[:3])} ...")
        return None
    if xml not in roots:
        report.unlabelled.append((path, [xml]))
        return LabelledImage(path, no_boxes(), no_boxes())
    root = roots[xml]
    if root is None:
        return None         # its objects are unknown: better to leave it out than to take it for empty
    annotated = annotated_image(path, _size(root), xml, report)
    boxes: list[PlacedRow] = []
    crowd: list[PlacedRow] = []
    for count, thing in enumerate(root.iter("object"), 1):
        row = _row(thing, f"{xml}: object {count}", annotated, names, report)
        if row is not None:
            (crowd if _text(thing, "difficult") == "1" else boxes).append((row, f"{xml}: object {count}"))
    return LabelledImage(path, unique_rows(boxes, report), unique_rows(crowd, report), xml)


def _size(root: Element) -> tuple[int, int] | None:
    try:
        width, height = (whole(root.findtext(f"size/{side}", ""), 1, MAX_SIDE) for side in ("width", "height"))
    except ValueError:
        return None
    return width, height


def _row(thing: Element, where: str, annotated: AnnotatedImage, names: list[str],
         report: LabelReport) -> Row | None:
    name = _text(thing, "name")
    if name not in names:
        near = closest(name, names) if name and len(name) < MAX_NAME else None
        report.add("classes that do not exist, left out", where,
                   f"name must be {f'one of the {len(names)} classes' if len(names) > 1 else repr(names[0])}. Got "
                   f"{shown(name)}"
                   + (f" (did you mean {near!r}?)" if near else ""))
        return None
    written = [thing.findtext(f"bndbox/{key}", "").strip() for key in CORNERS]
    try:
        left, top, right, bottom = numbers = read_pixels(written, where, report)
    except ValueError:
        report.add("annotations that cannot be used, left out", where, "bndbox needs the numbers xmin, ymin, xmax and "
                   f"ymax. Got {', '.join(f'{key} {shown(text)}' for key, text in zip(CORNERS, written, strict=True))}")
        return None
    width, height = annotated.size
    box = (((left + right) / 2 - 1) / width, ((top + bottom) / 2 - 1) / height, (right - left) / width,
           (bottom - top) / height)
    return check_box(annotated.upright(box), names.index(name), where, report,
                     InPixels(numbers, ", ".join(CORNERS), annotated.size))


def _text(thing: Element, key: str) -> str:
    return (thing.findtext(key) or "").strip()


FORMAT = Format("Pascal VOC", "detection",
                "a folder with `Annotations/`, `JPEGImages/` (or `annotations/`, `images/`) and optionally "
                "`ImageSets/Main/`", lambda path: annotation_folder(path) is not None, open_voc)
BESIDE_IMAGES = Format("Pascal VOC XML", "detection",
                       "each `.xml` label file in the folder of its image, in `train/` and `val/`, or all in one "
                       "folder, without test images", _has_xml_beside_images, open_beside_images)
