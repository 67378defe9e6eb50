"""Variations of the exports: other machines' paths, files beside the labels, spellings; and what is not mended."""
import json
from pathlib import Path
from typing import Any

import pytest

from runner.datasets import Dataset, DetectionDataset, open_any_dataset, open_dataset, open_detection_dataset
from runner.errors import DataError
from tests.datasets.class_exports import EXPORTS
from tests.datasets.examples import image, images, write
from tests.datasets.exports import CLASSES, coco, every


def edited(tmp_path: Path, export: str, file: str, *changes: tuple[str, str]) -> Path:
    """An export with changes in one of its files -> that file."""
    EXPORTS[export].write(tmp_path)
    text = (tmp_path / file).read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (tmp_path / file).write_text(text)
    return tmp_path / file


def counts(data: Any) -> list[int | None]:
    return [None if split is None else len(split) for split in (data.train, data.test)]


@pytest.mark.parametrize("base", ["/content/datasets/pets-1", r"C:\Users\me\pets-1", "../../x", "pets-1", "./"])
def test_paths_of_another_machine_in_a_yaml_file(base: str, tmp_path: Path) -> None:
    slash = "\\" if "\\" in base else "/"
    changes = [(f"../{part}/images", f"'{base}{slash}{part}{slash}images'") for part in ("train", "valid", "test")]
    path = edited(tmp_path, "roboflow-yolo", "data.yaml", *changes)
    for place in (path, path.parent):
        assert counts(open_any_dataset(place)) == [4, 2]


@pytest.mark.parametrize("path", ["/kaggle/input/pets", "D:\\data\\pets", "datasets/pets", "../../pets"])
def test_a_path_that_is_elsewhere(path: str, tmp_path: Path) -> None:
    assert counts(open_any_dataset(edited(tmp_path, "ultralytics-detect", "pets.yaml",
                                          ("path: ../datasets/pets", f"path: {path}")))) == [4, 2]


@pytest.mark.parametrize("home", ["D:\\nn\\pets", "build/darknet/x64/data", "nn/pets", "/mnt/disk 2/pets"])
def test_paths_of_another_machine_in_a_data_file(home: str, tmp_path: Path) -> None:
    EXPORTS["darkmark"].write(tmp_path)
    for file in ("pets.data", "pets_train.txt", "pets_valid.txt"):
        text = (tmp_path / file).read_text().replace("/home/me/nn/pets", home)
        (tmp_path / file).write_text(text.replace("/", "\\") if "\\" in home else text)
    data = open_any_dataset(tmp_path / "pets.data")
    assert counts(data) == [4, 2] and tuple(data.names) == CLASSES


def test_a_path_does_not_lose_its_split(tmp_path: Path) -> None:
    """../test/images is not the images/ beside the file, and train/a.png not the a.png of another split."""
    images(tmp_path, "images/a.png", "a.png")
    write(tmp_path / "labels" / "a.txt", "0 .5 .5 .1 .1\n")
    for train in ("../train/images", "train.txt"):
        path = write(tmp_path / "data.yaml", f"train: {train}\nnames: [cat]\n")
        write(tmp_path / "train.txt", "train/a.png\n")
        with pytest.raises(DataError, match=r"which does not exist|there is no 'train/a.png'"):
            open_any_dataset(path)


@pytest.mark.parametrize("name, content", [
    ("package.json", {"name": "pets", "info": "x", "images": 6}),
    ("via.json", {"_via_settings": {}, "_via_img_metadata": {"one.jpg1": {"regions": []}}, "annotations": {}}),
    ("export.json", [{"image": "one.jpg", "annotations": [{"label": "cat"}], "images": []}]),
    ("card.json", {"info": {"images": [], "annotations": []}, "categories": []}),
])
def test_json_that_is_not_coco(name: str, content: Any, tmp_path: Path) -> None:
    EXPORTS["label-studio-yolo"].write(tmp_path)
    write(tmp_path / name, json.dumps(content))
    data = open_any_dataset(tmp_path)
    assert isinstance(data, DetectionDataset) and counts(data) == [6, None] and data.names == list(CLASSES)


def test_a_cut_off_coco_file_is_the_answer(tmp_path: Path) -> None:
    EXPORTS["cvat-coco"].write(tmp_path)
    file = tmp_path / "annotations" / "instances_default.json"
    file.write_text(file.read_text()[:-40])
    with pytest.raises(DataError, match=r"instances_default\.json:1: this is not JSON"):
        open_any_dataset(tmp_path)


@pytest.mark.parametrize("export, labels", [
    ("roboflow-yolo", "**/labels/*.txt"), ("label-studio-yolo", "labels/*.txt"), ("cvat-yolo", "obj_train_data/*.txt"),
    ("roboflow-darknet", "*/*_jpg*.txt"), ("yolo-mark", "data/img/*.txt"), ("labelimg-voc", "*.xml"),
    ("cvat-voc", "Annotations/*.xml")])
def test_broken_labels_are_no_classes(export: str, labels: str, tmp_path: Path) -> None:
    EXPORTS[export].write(tmp_path)
    for file in tmp_path.glob(labels):
        file.write_text("nothing of use\n")
    with pytest.raises(DataError) as raised:
        open_any_dataset(tmp_path)
    assert "class folder" not in str(raised.value) and "as a detection dataset" not in str(raised.value)
    with pytest.raises(DataError, match=r"a classification dataset is needed\. This is one for detection"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("folder", ["", "train/"])
def test_images_and_labels_are_no_classes_either_without_a_label_for_an_image(folder: str, tmp_path: Path) -> None:
    image(tmp_path / folder / "images" / "a.png")
    write(tmp_path / folder / "labels" / "b.txt", "0 .5 .5 .1 .1\n")
    with pytest.raises(DataError, match="of 1 image none has a label file"):
        open_any_dataset(tmp_path)


def test_a_heading_with_annotations_in_any_split_is_a_class(tmp_path: Path) -> None:
    EXPORTS["roboflow-coco"].write(tmp_path)
    file = tmp_path / "valid" / "_annotations.coco.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["category_id"] = 0
    file.write_text(json.dumps(content))
    data = open_any_dataset(tmp_path)
    assert data.names == ["animals", *CLASSES] and not any("heading" in warning for warning in data.warnings)


def test_a_heading_in_a_file_named_by_a_yaml_description(tmp_path: Path) -> None:
    EXPORTS["cvat-coco"].write(tmp_path)
    write(tmp_path / "all.json", coco(every(), "{}.png", heading=True))
    data = open_any_dataset(write(tmp_path / "pets.yaml", "train: all.json\nimages: images/default\n"))
    assert data.names == list(CLASSES) and any("heading" in warning for warning in data.warnings)


@pytest.mark.parametrize("line", ["my photo 1", "my photo 1.png", "my photo 1  1", "my photo 1 -1", "my photo 1.png 0"])
def test_lines_of_imagesets(line: str, tmp_path: Path) -> None:
    EXPORTS["cvat-voc"].write(tmp_path)
    for folder, suffix in (("JPEGImages", ".png"), ("Annotations", ".xml")):
        (tmp_path / folder / f"one{suffix}").rename(tmp_path / folder / f"my photo 1{suffix}")
    write(tmp_path / "ImageSets" / "Main" / "train.txt", f"{line}\ntwo\n")
    data = open_detection_dataset(tmp_path)
    assert data.train is not None and [Path(one.path).stem for one in data.train] == ["my photo 1", "two"]
    assert data.problems == []


@pytest.mark.parametrize("values, line", [
    (2, "0 .5 .5 .4 .4 .4 .4 .6 .6 .5 .6"), (2, "0 .5 .5 .4 .4 .4 .4 0 0 .5 .6"),
    (3, "0 .5 .5 .4 .4 .4 .4 2 .6 .6 1")])
def test_key_points_without_kpt_shape_are_hinted_at(values: int, line: str, tmp_path: Path) -> None:
    image(tmp_path / "images" / "a.png")
    write(tmp_path / "labels" / "a.txt", line + "\n")
    path = write(tmp_path / "data.yaml", "train: images\nnames: [cat]\n")
    if "2 .6" in line:       # not a coordinate
        with pytest.raises(DataError, match=r"for a box and key points .* kpt_shape"):
            open_detection_dataset(path)
    else:
        assert any("kpt_shape" in warning for warning in open_detection_dataset(path).warnings)
    points = (len(line.split()) - 5) // values
    write(path, f"train: images\nnames: [cat]\nkpt_shape: [{points}, {values}]\n")
    data = open_detection_dataset(path)
    assert data.train is not None and data.train[0].boxes.tolist()[0] == pytest.approx([.5, .5, .4, .4, 0])
    assert not any("kpt_shape" in warning for warning in data.warnings)


def test_outlines_are_not_hinted_at_and_a_wrong_kpt_shape_is_refused(tmp_path: Path) -> None:
    image(tmp_path / "images" / "a.png")
    write(tmp_path / "labels" / "a.txt", "0 .1 .1 .9 .1 .9 .9 .1 .9\n")
    path = write(tmp_path / "data.yaml", "train: images\nnames: [cat]\n")
    assert not any("kpt_shape" in warning for warning in open_detection_dataset(path).warnings)
    write(path, "train: images\nnames: [cat]\nkpt_shape: [3, 2]\n")
    with pytest.raises(DataError, match=r"a label has 11 numbers, as kpt_shape says. Got 9"):
        open_detection_dataset(path)
    write(path, "train: images\nnames: [cat]\nkpt_shape: 17\n")
    with pytest.raises(DataError, match=r"kpt_shape must be \[number of points, 2 or 3\]. Got 17"):
        open_detection_dataset(path)


@pytest.mark.parametrize("rest", [("0", "1"), ("cat", "dog")])
def test_classes_behind_paths(rest: tuple[str, str], tmp_path: Path) -> None:
    images(tmp_path, "dog/my cat.png", "x/b.png")
    write(tmp_path / "names.txt", "cat\ndog\n")
    path = write(tmp_path / "a.data", "classes=2\ntrain=l.txt\nlabels=names.txt\n")
    write(tmp_path / "l.txt", f"dog/my cat.png {rest[0]}\nx/b.png\t{rest[1]}\n")
    data = open_any_dataset(path)
    assert isinstance(data, Dataset) and data.train is not None and data.train.labels().tolist() == [0, 1]
    write(tmp_path / "l.txt", "dog/my cat.png 1\nx/b.png 2\n")
    with pytest.raises(DataError, match=r"l\.txt:2: .* its number, 0 to 1. Got '2': class numbers start at 0"):
        open_dataset(path)


@pytest.mark.parametrize("rest, says", [
    (",1,2,20,20,cat", r"l\.txt:1: boxes behind a path are written left,top,right,bottom,class, .* Got '1,2,20,"),
    (" 1 2 20 20 0", "Got '1 2 20 20 0'"),
    (" 0.1,0.1,0.5,0.5,0", r"l\.txt:1: a box behind a path is in pixels. .*: this looks like fractions"),
])
def test_boxes_behind_paths_in_another_form(rest: str, says: str, tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    write(tmp_path / "l.txt", f"a.png{rest}\n")
    path = write(tmp_path / "a.data", "classes=2\ntrain=l.txt\n")
    with pytest.raises(DataError, match=says):
        open_detection_dataset(path)


def test_a_list_for_both_splits_is_read_once(tmp_path: Path) -> None:
    """So that of its images, one of which is missing, none has labels, and it is a dataset for classification."""
    images(tmp_path, "a.png", "b.png")
    write(tmp_path / "names.txt", "cat\ndog\n")
    write(tmp_path / "l.txt", "a.png 0\nmissing.png 1\nb.png 1\n")
    path = write(tmp_path / "a.data", "classes=2\ntrain=l.txt\nvalid=l.txt\nlabels=names.txt\n")
    assert isinstance(open_any_dataset(path), Dataset)
    with pytest.raises(DataError, match="of 3 images none has a label file"):
        open_detection_dataset(path)
    with pytest.raises(DataError, match="of 3 images none has a label file"):
        open_detection_dataset(write(tmp_path / "a.yaml", "train: l.txt\nval: l.txt\nnames: [cat, dog]\n"))


def test_tables_without_a_header_and_with_empty_images(tmp_path: Path) -> None:
    """As for keras-retinanet; a semicolon separates as well."""
    images(tmp_path, "img/a.png", "img/b.png")
    for delimiter in ",;":
        path = write(tmp_path / "boxes.csv", "img/a.png,4,2,14,12,cat\nimg/a.png,20,10,40,20,owl\nimg/b.png,,,,,\n"
                     .replace(",", delimiter))
        data = open_any_dataset(path)
        assert isinstance(data, DetectionDataset) and data.train is not None and data.names == ["cat", "owl"]
        assert [len(one.boxes) for one in data.train] == [2, 0] and data.problems == []


def test_a_table_beside_class_folders_with_splits_is_not_the_dataset(tmp_path: Path) -> None:
    EXPORTS["folders-of-classes"].write(tmp_path)
    write(tmp_path / "all.csv", "path,label\ntrain/cat/a.png,cat\nval/cat/e.png,cat\n")
    assert counts(open_any_dataset(tmp_path)) == [4, 2] and counts(open_any_dataset(tmp_path / "all.csv")) == [2, None]


def test_rows_of_tables_that_cannot_be_used(tmp_path: Path) -> None:
    images(tmp_path, "a.png", "b.png")
    path = write(tmp_path / "boxes.csv", "filename,class,xmin,ymin,xmax,ymax\na.png,cat,4,2,14,12\n"
                                         "a.png,cat,x,2,14,12\na.png,cat\nc.png,cat,4,2,14,12\n")
    kinds = [problem.kind for problem in open_detection_dataset(path).problems]
    assert kinds == ["rows that cannot be used, left out"] * 2 + ["images that do not exist, left out"]
    path = write(tmp_path / "labels.csv", "filename,cat,owl\na.png,0,1\nb.png,0,0\nc.png,1,0\n")
    data = open_dataset(path)
    assert data.names == ["cat", "owl"] and data.train is not None and len(data.train) == 2
    assert "1 of 3 rows cannot be used" in data.warnings[0] and "there is no image 'c.png'" in data.warnings[0]
    with pytest.raises(DataError, match=r"labels\.csv:2: there is no image 'x.png', and none of the other rows"):
        open_dataset(write(path, "filename,label\nx.png,cat\ny.png,owl\n"))
    with pytest.raises(DataError, match="a table of images has the columns"):
        open_dataset(write(path, "a,b\n1,2\n"))
