"""Small classification datasets in the layouts of dataset sites and tools, registered in EXPORTS of exports.py."""
from pathlib import Path

from tests.datasets.exports import CLASSES, EXPORTS, FOLDERS, export, image, roboflow_name, table, text

__all__ = ["EXPORTS", "LABELS"]
# split -> image -> class
LABELS = {"train": {"a": 0, "b": 1, "c": 1, "d": 0}, "val": {"e": 0, "f": 1}}


def labelled() -> list[tuple[str, str, int, int]]:
    """(split, stem, number, class) of every image."""
    rows = [(split, stem, c) for split, labels in LABELS.items() for stem, c in labels.items()]
    return [(split, stem, number, c) for number, (split, stem, c) in enumerate(rows)]


@export("path-label-lines", "pets.data", ".", task="classification")
def path_label_lines(at: Path) -> None:
    """The class number behind each path, as ImageNet's, Caffe's and PaddleX's lists have it."""
    text(at / "pets.data", "classes=2\ntrain=train.txt\nvalid=val.txt\nlabels=labels.txt\n")
    text(at / "labels.txt", "cat\ndog\n")
    for split, labels in LABELS.items():
        text(at / f"{split}.txt", "".join(f"img/{stem}.png {c}\n" for stem, c in labels.items()))
    for _, stem, number, _ in labelled():
        image(at / "img" / f"{stem}.png", number)


@export("csv-path-label", "labels.csv", ".", task="classification", splits=False)
def csv_path_label(at: Path) -> None:
    table(at / "labels.csv", [["path", "label"], *([f"img/{stem}.png", CLASSES[c]] for _, stem, _, c in labelled())])
    for _, stem, number, _ in labelled():
        image(at / "img" / f"{stem}.png", number)


@export("kaggle", "train.csv", ".", task="classification", splits=False)
def kaggle(at: Path) -> None:
    """File names without their ending, in a folder with the table's name; test/ has images without labels."""
    table(at / "train.csv", [["id", "label"], *([stem, CLASSES[c]] for _, stem, _, c in labelled())])
    table(at / "sample_submission.csv", [["id", "label"], ["x", "cat"], ["y", "cat"]])
    for _, stem, number, _ in labelled():
        image(at / "train" / f"{stem}.jpg", number)
    for number, stem in enumerate("xy"):
        image(at / "test" / f"{stem}.jpg", number)


@export("roboflow-classes-csv", ".", task="classification")
def roboflow_classes_csv(at: Path) -> None:
    """One column per class, 1 where the image shows it."""
    for split, labels in LABELS.items():
        table(at / FOLDERS[split] / "_classes.csv", [
            ["filename", " cat", " dog"],
            *([f"{roboflow_name(stem)}.jpg", *(f" {int(c == k)}" for k in range(2))] for stem, c in labels.items())])
    for split, stem, number, _ in labelled():
        image(at / FOLDERS[split] / f"{roboflow_name(stem)}.jpg", number)


@export("folders-of-classes", ".", task="classification")
def folders_of_classes(at: Path) -> None:
    """One folder per class, as Roboflow, Ultralytics and torchvision have them."""
    for split, stem, number, c in labelled():
        image(at / split / CLASSES[c] / f"{stem}.png", number)
