"""Small datasets in the layouts that labelling tools and dataset sites export, written anew.

Every detection export holds the same images with the same objects (IMAGES), every classification export
(class_exports.py) the same images with the same classes; only the layout is the tool's.  So one test opens them all
and expects one result.  An export is a function that writes its files below a folder; EXPORTS says what a user would
then type.
"""
import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 64, 48
CLASSES = ("cat", "dog")
# split -> image -> objects: class, then left, top, right, bottom in pixels
IMAGES: dict[str, dict[str, list[tuple[int, int, int, int, int]]]] = {
    "train": {"one": [(0, 8, 6, 24, 30)], "two": [(1, 32, 12, 60, 44), (0, 2, 2, 18, 14)], "three": [],
              "four": [(1, 10, 20, 40, 40)]},
    "val": {"five": [(0, 20, 8, 44, 32)], "six": [(1, 4, 4, 36, 28), (1, 40, 24, 62, 46)]},
}


@dataclass(frozen=True)
class Export:
    """One layout.

    opens    paths below the folder that a user may give, each of which must open the dataset; "." is the folder
    write    writes the files below a folder
    splits   does the layout have a test split; without one all images are for training
    """
    name: str
    task: str
    opens: tuple[str, ...]
    write: Callable[[Path], None]
    splits: bool = True


EXPORTS: dict[str, Export] = {}


def export(name: str, *opens: str, task: str = "detection",
           splits: bool = True) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """Register the function that writes a layout."""
    def register(write: Callable[[Path], None]) -> Callable[[Path], None]:
        assert name not in EXPORTS
        EXPORTS[name] = Export(name, task, opens, write, splits)
        return write
    return register


# --- parts of layouts -----------------------------------------------------------------------------------


def image(path: Path, number: int = 0) -> None:
    """A small image of its own, as JPEG or PNG by the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number + 256 * len(path.stem)).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def yolo_lines(objects: list[tuple[int, int, int, int, int]]) -> str:
    """class, centre x, centre y, width, height, relative to the image."""
    return "".join(f"{c} {(x0 + x1) / 2 / WIDTH:.6f} {(y0 + y1) / 2 / HEIGHT:.6f} {(x1 - x0) / WIDTH:.6f} "
                   f"{(y1 - y0) / HEIGHT:.6f}\n" for c, x0, y0, x1, y1 in objects)


def voc_xml(path: Path, file: str, objects: list[tuple[int, int, int, int, int]], folder: str = "",
            place: str = "") -> None:
    root = ElementTree.Element("annotation")
    for tag, value in (("folder", folder), ("filename", file), ("path", place or file)):
        ElementTree.SubElement(root, tag).text = value
    size = ElementTree.SubElement(root, "size")
    for tag, count in (("width", WIDTH), ("height", HEIGHT), ("depth", 3)):
        ElementTree.SubElement(size, tag).text = str(count)
    ElementTree.SubElement(root, "segmented").text = "0"
    for c, *corners in objects:
        thing = ElementTree.SubElement(root, "object")
        for tag, value in (("name", CLASSES[c]), ("pose", "Unspecified"), ("truncated", "0"), ("difficult", "0")):
            ElementTree.SubElement(thing, tag).text = value
        box = ElementTree.SubElement(thing, "bndbox")
        for tag, at in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True):
            ElementTree.SubElement(box, tag).text = str(at)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(ElementTree.tostring(root))


def coco(images: dict[str, list[tuple[int, int, int, int, int]]], file_name: str = "{}.jpg",
         heading: bool = False) -> str:
    """heading: category 0 is the group the others belong to, as Roboflow writes it."""
    first = 1
    categories = [{"id": first + c, "name": name, "supercategory": "animals" if heading else ""}
                  for c, name in enumerate(CLASSES)]
    if heading:
        categories.insert(0, {"id": 0, "name": "animals", "supercategory": "none"})
    files, annotations = [], []
    for number, (stem, objects) in enumerate(images.items(), 1):
        files.append({"id": number, "width": WIDTH, "height": HEIGHT, "file_name": file_name.format(stem),
                      "license": 1, "date_captured": "2024-05-01T09:30:00+00:00"})
        annotations += [{"id": 100 * number + k, "image_id": number, "category_id": first + c, "iscrowd": 0,
                         "bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0), "segmentation": []}
                        for k, (c, x0, y0, x1, y1) in enumerate(objects)]
    return json.dumps({"info": {"description": "made for a test", "year": "2024", "version": "1"},
                       "licenses": [{"id": 1, "name": "CC BY 4.0", "url": ""}], "categories": categories,
                       "images": files, "annotations": annotations})


def table(path: Path, rows: list[list[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def numbered() -> list[tuple[str, str, int, list[tuple[int, int, int, int, int]]]]:
    """(split, stem, number, objects) of every image."""
    rows = [(split, stem, objects) for split, images in IMAGES.items() for stem, objects in images.items()]
    return [(split, stem, number, objects) for number, (split, stem, objects) in enumerate(rows)]


def every() -> dict[str, list[tuple[int, int, int, int, int]]]:
    return {stem: objects for images in IMAGES.values() for stem, objects in images.items()}


# --- Roboflow -------------------------------------------------------------------------------------------

FOLDERS = {"train": "train", "val": "valid"}


def roboflow_name(stem: str) -> str:
    return f"{stem}_jpg.rf.{stem.encode().hex():0>32}"


ROBOFLOW_YAML = """train: ../train/images
val: ../valid/images
test: ../test/images

nc: 2
names: ['cat', 'dog']

roboflow:
  workspace: pet-lab
  project: pets-xyz
  version: 1
  license: CC BY 4.0
  url: https://example.com/pets-xyz/dataset/1
"""


@export("roboflow-yolo", ".", "data.yaml")
def roboflow_yolo(at: Path) -> None:
    """The paths of data.yaml begin one folder too high; test/ is named and not exported."""
    text(at / "data.yaml", ROBOFLOW_YAML)
    text(at / "README.roboflow.txt", "pets - v1\n\nThe dataset includes 6 images.\n")
    for split, stem, number, objects in numbered():
        image(at / FOLDERS[split] / "images" / f"{roboflow_name(stem)}.jpg", number)
        text(at / FOLDERS[split] / "labels" / f"{roboflow_name(stem)}.txt", yolo_lines(objects))


@export("roboflow-darknet", ".")
def roboflow_darknet(at: Path) -> None:
    """Labels beside the images; the names in a hidden-looking file of each split."""
    for split in IMAGES:
        text(at / FOLDERS[split] / "_darknet.labels", "cat\ndog\n")
    for split, stem, number, objects in numbered():
        image(at / FOLDERS[split] / f"{roboflow_name(stem)}.jpg", number)
        text(at / FOLDERS[split] / f"{roboflow_name(stem)}.txt", yolo_lines(objects))


@export("roboflow-coco", ".")
def roboflow_coco(at: Path) -> None:
    """Category 0 is a heading without annotations."""
    for split, images in IMAGES.items():
        text(at / FOLDERS[split] / "_annotations.coco.json",
             coco({roboflow_name(stem): objects for stem, objects in images.items()}, heading=True))
    for split, stem, number, _ in numbered():
        image(at / FOLDERS[split] / f"{roboflow_name(stem)}.jpg", number)


@export("roboflow-voc", ".")
def roboflow_voc(at: Path) -> None:
    for split, stem, number, objects in numbered():
        image(at / FOLDERS[split] / f"{roboflow_name(stem)}.jpg", number)
        voc_xml(at / FOLDERS[split] / f"{roboflow_name(stem)}.xml", f"{roboflow_name(stem)}.jpg", objects)


@export("roboflow-csv", ".")
def roboflow_csv(at: Path) -> None:
    """"TensorFlow object detection": one row per object; images without objects have none."""
    for split in IMAGES:
        rows = [["filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"]]
        rows += [[f"{roboflow_name(stem)}.jpg", str(WIDTH), str(HEIGHT), CLASSES[c], *map(str, corners)]
                 for stem, objects in IMAGES[split].items() for c, *corners in objects]
        table(at / FOLDERS[split] / "_annotations.csv", rows)
    for split, stem, number, _ in numbered():
        image(at / FOLDERS[split] / f"{roboflow_name(stem)}.jpg", number)


@export("roboflow-keras", ".")
def roboflow_keras(at: Path) -> None:
    for split, images in IMAGES.items():
        text(at / FOLDERS[split] / "_classes.txt", "cat\ndog\n")
        text(at / FOLDERS[split] / "_annotations.txt", "".join(
            " ".join([f"{roboflow_name(stem)}.jpg", *(f"{x0},{y0},{x1},{y1},{c}" for c, x0, y0, x1, y1 in objects)])
            + "\n"
            for stem, objects in images.items()))
    for split, stem, number, _ in numbered():
        image(at / FOLDERS[split] / f"{roboflow_name(stem)}.jpg", number)


# --- Label Studio ---------------------------------------------------------------------------------------

NOTES = json.dumps({"categories": [{"id": c, "name": name} for c, name in enumerate(CLASSES)],
                    "info": {"year": 2024, "version": "1.0", "contributor": "Label Studio"}}, indent=2)


@export("label-studio-yolo", ".", splits=False)
def label_studio_yolo(at: Path) -> None:
    """notes.json has categories and is not COCO."""
    text(at / "classes.txt", "cat\ndog\n")
    text(at / "notes.json", NOTES)
    for _, stem, number, objects in numbered():
        image(at / "images" / f"0a1b2c3d-{stem}.jpg", number)
        text(at / "labels" / f"0a1b2c3d-{stem}.txt", yolo_lines(objects))


@export("label-studio-coco", ".", "result.json", splits=False)
def label_studio_coco(at: Path) -> None:
    """Exported on Windows: backslashes in file_name."""
    text(at / "result.json", coco(every(), "images\\{}.jpg"))
    for _, stem, number, _ in numbered():
        image(at / "images" / f"{stem}.jpg", number)


@export("label-studio-voc", ".", splits=False)
def label_studio_voc(at: Path) -> None:
    for _, stem, number, objects in numbered():
        image(at / "images" / f"{stem}.jpg", number)
        voc_xml(at / "Annotations" / f"{stem}.xml", f"{stem}.jpg", objects)


# --- CVAT -----------------------------------------------------------------------------------------------


@export("cvat-yolo", ".", "obj.data", splits=False)
def cvat_yolo(at: Path) -> None:
    """YOLO 1.1: every path begins with a folder data/ that the archive does not have."""
    text(at / "obj.data", "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n")
    text(at / "obj.names", "cat\ndog\n")
    text(at / "train.txt", "".join(f"data/obj_train_data/{stem}.png\n" for stem in every()))
    for _, stem, number, objects in numbered():
        image(at / "obj_train_data" / f"{stem}.png", number)
        text(at / "obj_train_data" / f"{stem}.txt", yolo_lines(objects))


@export("cvat-ultralytics", ".", "data.yaml")
def cvat_ultralytics(at: Path) -> None:
    text(at / "data.yaml", "names:\n  0: cat\n  1: dog\npath: .\ntrain: train.txt\nval: val.txt\n")
    for split, images in IMAGES.items():
        text(at / f"{split}.txt", "".join(f"data/images/{split}/{stem}.png\n" for stem in images))
    for split, stem, number, objects in numbered():
        image(at / "images" / split / f"{stem}.png", number)
        text(at / "labels" / split / f"{stem}.txt", yolo_lines(objects))


@export("cvat-coco", ".", "annotations/instances_default.json", splits=False)
def cvat_coco(at: Path) -> None:
    text(at / "annotations" / "instances_default.json", coco(every(), "{}.png"))
    for _, stem, number, _ in numbered():
        image(at / "images" / "default" / f"{stem}.png", number)


@export("cvat-voc", ".")
def cvat_voc(at: Path) -> None:
    """labelmap.txt names the classes, after a background that is not one."""
    text(at / "labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:250,50,83::\ndog:61,61,245::\n")
    for split, name in (("train", "train"), ("val", "val")):
        text(at / "ImageSets" / "Main" / f"{name}.txt", "".join(f"{stem}\n" for stem in IMAGES[split]))
    for _, stem, number, objects in numbered():
        image(at / "JPEGImages" / f"{stem}.png", number)
        voc_xml(at / "Annotations" / f"{stem}.xml", f"{stem}.png", objects)


# --- Ultralytics ----------------------------------------------------------------------------------------


def _ultralytics(at: Path, more: str, line: Callable[[tuple[int, int, int, int, int]], str]) -> None:
    """path names the dataset's folder as seen from a folder of datasets elsewhere."""
    text(at / "pets.yaml", "# Pets\npath: ../datasets/pets\ntrain: images/train\nval: images/val\ntest: # optional\n\n"
         f"{more}names:\n  0: cat\n  1: dog\n\n# Download script/URL (optional)\ndownload: https://example.com/pets.zip\n")
    for split, stem, number, objects in numbered():
        image(at / "images" / split / f"{stem}.jpg", number)
        if objects:
            text(at / "labels" / split / f"{stem}.txt", "".join(map(line, objects)))
    text(at / "labels" / "train.cache", "not for us")


@export("ultralytics-detect", ".", "pets.yaml")
def ultralytics_detect(at: Path) -> None:
    """Images without objects have no label file."""
    _ultralytics(at, "", lambda thing: yolo_lines([thing]))


@export("ultralytics-segment", ".", "pets.yaml")
def ultralytics_segment(at: Path) -> None:
    """The outline of each object instead of its box: here an octagon that touches all four sides of the box."""
    def outline(thing: tuple[int, int, int, int, int]) -> str:
        c, x0, y0, x1, y1 = thing
        points = [(x0, y0 + 4), (x0 + 4, y0), (x1 - 4, y0), (x1, y0 + 4), (x1, y1 - 4), (x1 - 4, y1), (x0 + 4, y1),
                  (x0, y1 - 4)]
        return f"{c} " + " ".join(f"{x / WIDTH:.6f} {y / HEIGHT:.6f}" for x, y in points) + "\n"
    _ultralytics(at, "", outline)


def _pose(points: int, values: int) -> Callable[[tuple[int, int, int, int, int]], str]:
    def line(thing: tuple[int, int, int, int, int]) -> str:
        """The box, then key points inside it, in the last value whether one can be seen; hidden ones are zeros."""
        _, x0, y0, x1, y1 = thing
        words = yolo_lines([thing]).split()
        for k in range(points):
            x, y = (x0 + (x1 - x0) * (k + 1) / (points + 3)) / WIDTH, (y0 + (y1 - y0) * (k + 2) / (points + 4)) / HEIGHT
            words += ["0", "0", "0"][:values] if k == 1 else [f"{x:.6f}", f"{y:.6f}", "2"][:values]
        return " ".join(words) + "\n"
    return line


@export("ultralytics-pose", ".", "pets.yaml")
def ultralytics_pose(at: Path) -> None:
    """Eight key points of three values: 29 numbers a line, an odd number of coordinates no outline has."""
    _ultralytics(at, "kpt_shape: [8, 3]\nflip_idx: [0, 1, 2, 3, 4, 5, 6, 7]\n\n", _pose(8, 3))


@export("ultralytics-pose-2d", ".", "pets.yaml")
def ultralytics_pose_2d(at: Path) -> None:
    """Seven key points of two values: 19 numbers, as an outline of nine points has."""
    _ultralytics(at, "kpt_shape: [7, 2]\n\n", _pose(7, 2))


# --- Yolo_mark, labelImg, DarkMark, keras-yolo3 ---------------------------------------------------------


@export("yolo-mark", "data/obj.data", ".", splits=False)
def yolo_mark(at: Path) -> None:
    """Written beside darknet's program: the paths are seen from there."""
    text(at / "data" / "obj.data", "classes= 2\ntrain  = data/train.txt\nvalid  = data/train.txt\n"
                                   "names = data/obj.names\nbackup = backup/\n")
    text(at / "data" / "obj.names", "cat\ndog\n")
    text(at / "data" / "train.txt", "".join(f"data/img/{stem}.jpg\n" for stem in every()))
    for _, stem, number, objects in numbered():
        image(at / "data" / "img" / f"{stem}.jpg", number)
        text(at / "data" / "img" / f"{stem}.txt", yolo_lines(objects))


@export("labelimg-yolo", ".", splits=False)
def labelimg_yolo(at: Path) -> None:
    text(at / "classes.txt", "cat\ndog\n")
    for _, stem, number, objects in numbered():
        image(at / f"{stem}.jpg", number)
        text(at / f"{stem}.txt", yolo_lines(objects))


@export("labelimg-voc", ".", splits=False)
def labelimg_voc(at: Path) -> None:
    for _, stem, number, objects in numbered():
        image(at / f"{stem}.jpg", number)
        voc_xml(at / f"{stem}.xml", f"{stem}.jpg", objects, "photos", f"C:\\Users\\me\\photos\\{stem}.jpg")


@export("darkmark", "pets.data", ".")
def darkmark(at: Path) -> None:
    """Project files with absolute paths of the machine they were made on; a .json with marks beside each image."""
    home = "/home/me/nn/pets"
    text(at / "pets.names", "cat\ndog\n")
    text(at / "pets.data", f"classes = 2\ntrain = {home}/pets_train.txt\nvalid = {home}/pets_valid.txt\n"
                           f"names = {home}/pets.names\nbackup = {home}\n")
    for split, name in (("train", "train"), ("val", "valid")):
        text(at / f"pets_{name}.txt", "".join(f"{home}/set_01/{stem}.jpg\n" for stem in IMAGES[split]))
    for _, stem, number, objects in numbered():
        image(at / "set_01" / f"{stem}.jpg", number)
        text(at / "set_01" / f"{stem}.txt", yolo_lines(objects))
        text(at / "set_01" / f"{stem}.json", json.dumps({
            "image": {"width": WIDTH, "height": HEIGHT, "scale": 1}, "timestamp": 1714555800, "version": "1.8",
            "mark": [{"class_idx": c, "name": CLASSES[c], "rect": {"int_x": x0, "int_y": y0, "int_w": x1 - x0,
                                                                 "int_h": y1 - y0}} for c, x0, y0, x1, y1 in objects]}))


@export("keras-yolo3", "pets.data", ".")
def keras_yolo3(at: Path) -> None:
    """The boxes of an image behind its path, in pixels."""
    text(at / "pets.data", "classes=2\ntrain=train.txt\nvalid=val.txt\nnames=classes.names\n")
    text(at / "classes.names", "cat\ndog\n")
    for split, images in IMAGES.items():
        text(at / f"{split}.txt", "".join(
            " ".join([f"img/{stem}.jpg", *(f"{x0},{y0},{x1},{y1},{c}" for c, x0, y0, x1, y1 in objects)]) + "\n"
            for stem, objects in images.items()))
    for _, stem, number, _ in numbered():
        image(at / "img" / f"{stem}.jpg", number)


def stem_of(path: str | Path) -> str:
    """The image's name in IMAGES or LABELS, whatever the tool made of it."""
    name = Path(path).stem
    return name.split("_jpg.rf.")[0].removeprefix("0a1b2c3d-")
