"""Names of folders and files in other letter cases, as on Windows, and other names of the folders with XML files."""
from pathlib import Path

import pytest

from runner.datasets import open_any_dataset, open_detection_dataset
from runner.datasets.detection.yolo import label_places
from runner.datasets.folders import folder_below
from runner.errors import DataError
from tests.datasets.examples import image, voc_text, write
from tests.datasets.splits import training_split


@pytest.mark.parametrize("images, label", [
    ("images/train", "labels/train/a.TXT"), ("Images/Train", "Labels/Train/a.txt"), ("Images", "labels/a.txt"),
    ("IMAGES", "LABELS/a.TXT"), ("Train/Images", "Train/Labels/a.txt"), (".", "a.TXT")])
def test_labels_in_capitals(images: str, label: str, tmp_path: Path) -> None:
    image(tmp_path / images / "a.PNG")
    write(tmp_path / label, "1 .5 .5 .2 .2\n")
    write(tmp_path / "Classes.TXT", "cat\ndog\n")
    data = open_any_dataset(tmp_path)
    assert data.names == ["cat", "dog"]
    assert training_split(open_detection_dataset(tmp_path))[0].boxes[:, 4].tolist() == [1]


def test_where_labels_of_capital_folders_are_looked_for() -> None:
    assert label_places("set/Images/a.png") == ["set/Labels/a.txt", "set/labels/a.txt", "set/Images/a.txt"]


def test_a_folder_below(tmp_path: Path) -> None:
    (tmp_path / "A" / "b").mkdir(parents=True)
    (tmp_path / "a").mkdir()
    write(tmp_path / "c", "")
    assert folder_below(tmp_path, "A", "B") == tmp_path / "A" / "b"
    assert folder_below(tmp_path, "a") == tmp_path / "a", "the exact name comes first"
    assert folder_below(tmp_path, "a", "b") is None and folder_below(tmp_path, "c") is None


@pytest.mark.parametrize("images, labels", [
    ("images", "labels"), ("Images", "Labels"), ("train/images", "train/labels"), ("IMGS", "labels")])
def test_an_empty_folder_of_labels_beside_images_is_no_class(images: str, labels: str, tmp_path: Path) -> None:
    image(tmp_path / images / "a.png")
    (tmp_path / labels).mkdir()
    with pytest.raises(DataError, match="of 1 image none has a label file"):
        open_any_dataset(tmp_path)


@pytest.mark.parametrize("images, annotations", [("images", "annotations"), ("Images", "labels"), (".", "Annotations"),
                                                 ("JPEGImages", "annotations"), ("imgs", "ANNOTATIONS")])
@pytest.mark.parametrize("suffix", ["xml", "XML"])
def test_folders_of_xml_files(images: str, annotations: str, suffix: str, tmp_path: Path) -> None:
    image(tmp_path / images / "a.png")
    write(tmp_path / annotations / f"a.{suffix}", voc_text("a"))
    data = open_detection_dataset(tmp_path)
    assert data.names == ["cat", "owl"] and len(training_split(data)[0].boxes) == 2
    assert not any("no label file" in warning for warning in data.warnings)


def test_xml_files_beside_text_labels_are_not_the_dataset(tmp_path: Path) -> None:
    image(tmp_path / "images" / "a.png")
    write(tmp_path / "labels" / "a.xml", voc_text("a"))
    write(tmp_path / "labels" / "a.txt", "0 .5 .5 .2 .2\n")
    assert len(training_split(open_detection_dataset(tmp_path))[0].boxes) == 1


def test_xml_files_in_folders(tmp_path: Path) -> None:
    """As in CVAT's exports; a name that is in two folders is not another image."""
    for name in ("one/a", "two/a"):
        image(tmp_path / "JPEGImages" / f"{name}.png")
    write(tmp_path / "Annotations" / "two" / "a.xml", voc_text("a"))
    write(tmp_path / "ImageSets" / "Main" / "default.txt", "two/a\n")
    split = training_split(open_detection_dataset(tmp_path))
    assert [item.path for item in split] == [str(tmp_path / "JPEGImages" / "two" / "a.png")]
    assert len(split[0].boxes) == 2
    image(tmp_path / "JPEGImages" / "b.png")
    write(tmp_path / "Annotations" / "x" / "b.xml", voc_text("b"))
    assert len(training_split(open_detection_dataset(tmp_path))) == 2, "its folder is another one"
    write(tmp_path / "Annotations" / "a.xml", voc_text("a"))
    warnings = open_detection_dataset(tmp_path).warnings
    assert any("JPEGImages/a.jpg" in warning for warning in warnings), "which a.png is not certain"


def test_annotations_without_an_image(tmp_path: Path) -> None:
    write(tmp_path / "Annotations" / "a.xml", voc_text("a"))
    write(tmp_path / "ImageSets" / "Main" / "train.txt", "")
    write(tmp_path / "classes.txt", "cat\nowl\n")
    with pytest.raises(DataError, match="there are no images in this dataset"):
        open_any_dataset(tmp_path)


@pytest.mark.parametrize("file, tool", [("annotations.xml", "CVAT"), ("images/a.json", "LabelMe"),
                                        ("images/_annotations.createml.json", "CreateML")])
def test_formats_of_tools_that_are_not_read_are_named(file: str, tool: str, tmp_path: Path) -> None:
    image(tmp_path / "images" / "a.png")
    write(tmp_path / file, "{}")
    with pytest.raises(DataError, match=f"{file} (is|may be) of {tool}.* to YOLO|{file} is of {tool}.*as YOLO"):
        open_any_dataset(tmp_path)


def test_a_folder_of_images_alone_is_no_class(tmp_path: Path) -> None:
    image(tmp_path / "images" / "a.png")
    with pytest.raises(DataError, match="of 1 image none has a label file"):
        open_any_dataset(tmp_path)
