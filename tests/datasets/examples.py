"""A small example of each dataset format, made in a folder.  All of a task hold the same images and labels."""
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

Maker = Callable[[Path], Path]      # an empty folder -> the path that opens the dataset

W, H = 40, 20


def image(path: Path, width: int = W, height: int = H) -> Path:
    """A black RGB image file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(path)
    return path


def images(root: Path, *names: str) -> Path:
    """Image files below a folder."""
    for name in names:
        image(root / name)
    return root


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


# --- classification: two training images and one test image of two classes ------------------------------------

CLASSES, TRAIN_LABELS, TEST_LABELS = ["cat", "owl"], [0, 1], [1]


def class_folders(root: Path) -> Path:
    return images(root, "train/cat/1.png", "train/owl/2.png", "test/owl/3.png")


def classification_yaml(root: Path) -> Path:
    class_folders(root)
    return write(root / "birds.yaml", "train: train\ntest: test\nnames: [cat, owl]\n")


def classification_data_file(root: Path) -> Path:
    class_folders(root)
    write(root / "train.list", "train/cat/1.png\ntrain/owl/2.png\n")
    write(root / "test.list", "test/owl/3.png\n")
    write(root / "labels.txt", "cat\nowl\n")
    return write(root / "birds.data", "classes = 2\ntrain = train.list\nvalid = test.list\nlabels = labels.txt\n")


def idx_bytes(values: np.ndarray) -> bytes:
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


def idx_folder(root: Path) -> Path:
    for split, labels in (("train", TRAIN_LABELS), ("t10k", TEST_LABELS)):
        pixels = np.zeros((len(labels), H, W), np.uint8)
        (root / f"{split}-images-idx3-ubyte").write_bytes(idx_bytes(pixels))
        (root / f"{split}-labels-idx1-ubyte").write_bytes(idx_bytes(np.array(labels, np.uint8)))
    write(root / "names.txt", "cat\nowl\n")
    return root


def cifar_binary(root: Path) -> Path:
    for name, labels in (("data_batch_1.bin", TRAIN_LABELS), ("test_batch.bin", TEST_LABELS)):
        records = np.zeros((len(labels), 3073), np.uint8)
        records[:, 0] = labels
        (root / name).write_bytes(records.tobytes())
    write(root / "batches.meta.txt", "cat\nowl\n")
    return root


def cifar_python(root: Path) -> Path:
    for name, labels in (("data_batch_1", TRAIN_LABELS), ("test_batch", TEST_LABELS)):
        batch = {b"data": np.zeros((len(labels), 3072), np.uint8), b"labels": labels, b"padding": bytes(3072)}
        (root / name).write_bytes(pickle.dumps(batch, 2))
    (root / "batches.meta").write_bytes(pickle.dumps({b"label_names": [b"cat", b"owl"]}, 2))
    return root


def npz_file(root: Path) -> Path:
    np.savez(root / "birds.npz", x_train=np.zeros((2, H, W, 3), np.uint8), y_train=TRAIN_LABELS,
             x_test=np.zeros((1, H, W, 3), np.uint8), y_test=TEST_LABELS, names=CLASSES)
    return root / "birds.npz"


def labels_csv(root: Path) -> Path:
    images(root, "img/1.png", "img/2.png", "img/3.png")
    return write(root / "birds.csv", "path,label,data_set\nimg/1.png,cat,train\n"
                                    "img/2.png,owl,train\nimg/3.png,owl,test\n")


# --- detection: a.png with two objects and b.png without are for training, c.png with one is for testing -------

OBJECTS = {"a": [("cat", 4, 2, 14, 12), ("owl", 20, 10, 40, 20)], "b": [], "c": [("owl", 10, 5, 30, 15)]}   # pixels
NAMES = ["owl", "cat"]


def row(name: str, left: float, top: float, right: float, bottom: float) -> tuple[float, ...]:
    """x, y, w, h, class of an object."""
    return (left + right) / 2 / W, (top + bottom) / 2 / H, (right - left) / W, (bottom - top) / H, NAMES.index(name)


def yolo_text(name: str) -> str:
    return "".join("{4} {0} {1} {2} {3}\n".format(*row(*one)) for one in OBJECTS[name])


def voc_text(name: str, difficult: str = "0", size: bool = True) -> str:
    objects = "".join(f"<object><name>{label}</name><difficult>{difficult}</difficult><bndbox><xmin>{x0 + 1}</xmin>"
                      f"<ymin>{y0 + 1}</ymin><xmax>{x1 + 1}</xmax><ymax>{y1 + 1}</ymax></bndbox></object>"
                      for label, x0, y0, x1, y1 in OBJECTS[name])
    size_text = f"<size><width>{W}</width><height>{H}</height><depth>3</depth></size>" if size else ""
    return f"<annotation>{size_text}{objects}</annotation>"


def coco_text(names: list[str], crowd: int = 0, ids: tuple[int, int] = (7, 90)) -> str:
    files = [{"id": 10 + k, "file_name": f"{name}.png", "width": W, "height": H} for k, name in enumerate(names)]
    boxes = [{"id": 100 * k + i, "image_id": 10 + k, "category_id": ids[NAMES.index(label)], "iscrowd": crowd,
              "bbox": [x0, y0, x1 - x0, y1 - y0]}
             for k, name in enumerate(names) for i, (label, x0, y0, x1, y1) in enumerate(OBJECTS[name])]
    categories = [{"id": ids[1], "name": "cat"}, {"id": ids[0], "name": "owl"}]
    return json.dumps({"images": files, "annotations": boxes, "categories": categories})


def darknet(root: Path) -> Path:
    for name in OBJECTS:
        image(root / "images" / f"{name}.png")
        write(root / "labels" / f"{name}.txt", yolo_text(name))
    write(root / "train.txt", "images/a.png\nimages/b.png\n")
    write(root / "valid.txt", "images/c.png\n")
    write(root / "my.names", "\n".join(NAMES))
    return write(root / "my.data", "classes=2\ntrain=train.txt\nvalid=valid.txt\nnames=my.names\nbackup=backup\n")


def darknet_folder(root: Path) -> Path:
    return darknet(root).parent


def yaml_of_folders(root: Path) -> Path:
    for name in OBJECTS:
        split = "val" if name == "c" else "train"
        image(root / "set" / "images" / split / f"{name}.png")
        write(root / "set" / "labels" / split / f"{name}.txt", yolo_text(name))
    return write(root / "my.yaml", "path: set\ntrain: images/train\nval: images/val\ntest:\nnc: 2\n"
                                   "names: {0: owl, 1: cat}\n")


def yaml_of_lists(root: Path) -> Path:
    darknet(root)
    return write(root / "my.yaml", "train: [train.txt]\nval: valid.txt\nnames: [owl, cat]\n")


def yolo_folder(root: Path) -> Path:
    yaml_of_folders(root)
    write(root / "set" / "classes.txt", "owl\ncat\n")
    return root / "set"


def exported_folder(root: Path) -> Path:
    """train/images, train/labels, valid/... and a data.yaml, as exported by labelling tools."""
    for name in OBJECTS:
        split = "valid" if name == "c" else "train"
        image(root / split / "images" / f"{name}.png")
        write(root / split / "labels" / f"{name}.txt", yolo_text(name))
    write(root / "data.yaml", "train: train/images\nval: valid/images\nnc: 2\nnames: ['owl', 'cat']\n")
    return root


def coco_folder(root: Path) -> Path:
    for name in OBJECTS:
        image(root / ("val2017" if name == "c" else "train2017") / f"{name}.png")
    write(root / "annotations" / "instances_train2017.json", coco_text(["a", "b"]))
    write(root / "annotations" / "instances_val2017.json", coco_text(["c"]))
    write(root / "annotations" / "captions_val2017.json", json.dumps({"images": [], "annotations": []}))
    return root


def coco_yaml(root: Path) -> Path:
    coco_folder(root)
    return write(root / "coco.yaml", "train: annotations/instances_train2017.json\n"
                                     "val: annotations/instances_val2017.json\n")


def coco_exported(root: Path) -> Path:
    for name in OBJECTS:
        image(root / ("valid" if name == "c" else "train") / f"{name}.png")
    write(root / "train" / "_annotations.coco.json", coco_text(["a", "b"]))
    write(root / "valid" / "_annotations.coco.json", coco_text(["c"]))
    return root


def voc(root: Path) -> Path:
    for name in OBJECTS:
        image(root / "JPEGImages" / f"{name}.png")
        write(root / "Annotations" / f"{name}.xml", voc_text(name))
    write(root / "ImageSets" / "Main" / "trainval.txt", "a\nb\n")
    write(root / "ImageSets" / "Main" / "train.txt", "a\n")
    write(root / "ImageSets" / "Main" / "test.txt", "c\n")
    write(root / "voc.names", "owl\ncat\n")
    return root


def voc_beside_images(root: Path) -> Path:
    for name in OBJECTS:
        split = "test" if name == "c" else "train"
        image(root / split / f"{name}.png")
        write(root / split / f"{name}.xml", voc_text(name, size=False))
    write(root / "classes.txt", "owl\ncat\n")
    return root


def boxes_csv(root: Path) -> Path:
    """A table in train/ and test/, as for TensorFlow; images without a row have no objects."""
    for name in OBJECTS:
        image(root / ("test" if name == "c" else "train") / f"{name}.png")
    for split, names in (("train", "ab"), ("test", "c")):
        rows = [f"{name}.png,{W},{H},{label},{x0},{y0},{x1},{y1}" for name in names
                for label, x0, y0, x1, y1 in OBJECTS[name]]
        write(root / split / "_annotations.csv", "\n".join(["filename,width,height,class,xmin,ymin,xmax,ymax", *rows]))
    write(root / "classes.txt", "owl\ncat\n")
    return root


def keras_lists(root: Path) -> Path:
    for name in OBJECTS:
        image(root / ("valid" if name == "c" else "train") / f"{name}.png")
    for split, names in (("train", "ab"), ("valid", "c")):
        write(root / split / "_annotations.txt", "\n".join(
            " ".join([f"{name}.png", *(f"{x0},{y0},{x1},{y1},{NAMES.index(label)}"
                                       for label, x0, y0, x1, y1 in OBJECTS[name])]) for name in names))
        write(root / split / "_classes.txt", "owl\ncat\n")
    return root


# task and name of a format -> examples of it; test_formats.py asks for one of every format of the table
EXAMPLES: dict[tuple[str, str], list[Maker]] = {
    ("classification", "YAML"): [classification_yaml],
    ("classification", "darknet"): [classification_data_file],
    ("classification", "MNIST IDX"): [idx_folder],
    ("classification", "CIFAR"): [cifar_binary, cifar_python],
    ("classification", "NumPy"): [npz_file],
    ("classification", "CSV"): [labels_csv],
    ("classification", "class folders"): [class_folders],
    ("detection", "YAML"): [yaml_of_folders, yaml_of_lists, exported_folder, coco_yaml],
    ("detection", "darknet"): [darknet, darknet_folder],
    ("detection", "Pascal VOC"): [voc],
    ("detection", "COCO"): [coco_folder, coco_exported],
    ("detection", "Pascal VOC XML"): [voc_beside_images],
    ("detection", "CSV"): [boxes_csv],
    ("detection", "keras-yolo3"): [keras_lists],
    ("detection", "YOLO"): [yolo_folder],
}
