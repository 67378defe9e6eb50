"""Boxes written in pixels: what is said of those that do not fit, decimal commas, and sizes of images in tables."""
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from runner.datasets import open_any_dataset, open_detection_dataset
from runner.errors import DataError
from tests.datasets.examples import write
from tests.datasets.splits import training_split

SIZE = (40, 30)


def photo(path: Path, orientation: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", SIZE).save(path, exif=exif)
    return path


def xml(*corners: str) -> str:
    box = "".join(f"<{key}>{text}</{key}>" for key, text in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True))
    return f"<annotation><object><name>cat</name><bndbox>{box}</bndbox></object></annotation>"


def voc(root: Path, *corners: str) -> Path:
    write(root / "Annotations" / "a.xml", xml(*corners))
    photo(root / "JPEGImages" / "a.jpg")
    return root


def table(root: Path, *corners: str) -> Path:
    photo(root / "a.jpg")
    return write(root / "t.csv", "filename;class;xmin;ymin;xmax;ymax\na.jpg;cat;" + ";".join(corners) + "\n")


def coco(root: Path, *corners: str) -> Path:
    left, top, right, bottom = map(float, corners)
    photo(root / "a.jpg")
    return write(root / "t.json", json.dumps({
        "images": [{"id": 1, "file_name": "a.jpg"}], "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [left, top, right - left, bottom - top]}]}))


def lines(root: Path, *corners: str) -> Path:
    photo(root / "a.jpg")
    write(root / "l.txt", f"a.jpg {','.join(corners)},0\n")
    return write(root / "t.yaml", "train: l.txt\nnames: [cat]\n")


@pytest.mark.parametrize(("make", "words"), [
    (voc, "xmin, ymin, xmax, ymax 5 5 200 300"), (table, "left, top, right, bottom 5 5 200 300"),
    (coco, "left, top, width, height 5 5 195 295"), (lines, "left, top, right, bottom 5 5 200 300")])
def test_a_box_outside_its_image_is_shown_as_it_is_written(make: Callable[..., Path], words: str,
                                                           tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        open_detection_dataset(make(tmp_path, "5", "5", "200", "300"))
    assert f"a box must be within its image. Got {words} in an image of 40 x 30 pixels" in str(raised.value)
    assert "relative" not in str(raised.value)


@pytest.mark.parametrize("make", [voc, table])
def test_decimal_commas_are_read_and_reported(make: Callable[..., Path], tmp_path: Path) -> None:
    comma = open_detection_dataset(make(tmp_path / "a", "5,5", "6", "15,5", "12,0"))
    point = open_detection_dataset(make(tmp_path / "b", "5.5", "6", "15.5", "12.0"))
    assert (training_split(comma)[0].boxes == training_split(point)[0].boxes).all()
    assert any("1 label has decimal commas" in text for text in comma.warnings)
    assert not any("decimal commas" in text for text in point.warnings)


def test_what_is_not_a_number_is_shown(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"numbers xmin, ymin, xmax and ymax\. Got xmin '5', ymin 'x', xmax '9', ymax "
                                         "'9'"):
        open_detection_dataset(voc(tmp_path, "5", "x", "9", "9"))


def sized(root: Path, *rows: str, orientation: int = 6) -> Path:
    photo(root / "a.jpg", orientation)
    return write(root / "t.csv", "filename,width,height,class,xmin,ymin,xmax,ymax\n" + "\n".join(rows))


def test_a_table_annotated_on_the_image_as_stored(tmp_path: Path) -> None:
    """EXIF 6: what is at the left of the stored image is at the top of the upright one."""
    stored = open_detection_dataset(sized(tmp_path / "a", "a.jpg,40,30,cat,4,3,12,9"))
    assert any("1 image was annotated as stored" in text for text in stored.warnings)
    assert training_split(stored)[0].boxes[0, :4] == pytest.approx([.8, .2, .2, .2])
    upright = open_detection_dataset(sized(tmp_path / "b", "a.jpg,30,40,cat,3,4,9,12"))
    assert training_split(upright)[0].boxes[0, :4] == pytest.approx([.2, .2, .2, .2])
    assert not any("annotated as stored" in text for text in upright.warnings)


def test_columns_with_the_size_of_the_boxes_are_not_sizes_of_images(tmp_path: Path) -> None:
    data = open_detection_dataset(sized(tmp_path, "a.jpg,8,6,cat,4,3,12,9", orientation=1))
    assert training_split(data)[0].boxes[0, :4] == pytest.approx([.2, .2, .2, .2])
    assert not any("another size" in text or "sizes" in text for text in data.warnings)


@pytest.mark.parametrize("line", ['"my photo 1"', "JPEGImages\\my photo 1.jpg", "C:\\x\\JPEGImages\\my photo 1.jpg",
                                  "'my photo 1' 1", "my photo 1.JPG"])
def test_lists_of_voc_with_quotes_and_backslashes(line: str, tmp_path: Path) -> None:
    write(tmp_path / "Annotations" / "my photo 1.xml", xml("5", "5", "15", "15"))
    photo(tmp_path / "JPEGImages" / "my photo 1.jpg")
    write(tmp_path / "ImageSets" / "Main" / "train.txt", line + "\n")
    assert len(training_split(open_detection_dataset(tmp_path))[0].boxes) == 1


def test_lists_of_voc_that_name_nothing(tmp_path: Path) -> None:
    voc(tmp_path, "5", "5", "15", "15")
    listed = write(tmp_path / "ImageSets" / "Main" / "train.txt", "b\nc\n")
    with pytest.raises(DataError) as raised:
        open_detection_dataset(tmp_path)
    assert str(raised.value) == (f"{tmp_path}: none of the 2 images has an XML file. For the first, {listed}:1, looked "
                                 f"for {tmp_path}/Annotations/b.xml")


def test_a_heading_of_coco_that_the_other_split_does_not_have(tmp_path: Path) -> None:
    for split, names in (("train", ["animals", "cat"]), ("valid", ["cat"])):
        photo(tmp_path / split / "a.jpg")
        write(tmp_path / split / "_annotations.coco.json", json.dumps({
            "images": [{"id": 1, "file_name": "a.jpg", "width": 40, "height": 30}],
            "categories": [{"id": i, "name": name, "supercategory": "animals"} for i, name in enumerate(names)],
            "annotations": [{"id": 1, "image_id": 1, "category_id": names.index("cat"), "bbox": [4, 3, 8, 6]}]}))
    assert open_detection_dataset(tmp_path).names == ["cat"]


@pytest.mark.parametrize("rest", ["1,2,3,4", "1,2,3,4,cat", "1.5,2,3,4 5"])
def test_what_begins_like_a_box_behind_a_path(rest: str, tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    write(tmp_path / "l.txt", f"a.jpg {rest}\n")
    with pytest.raises(DataError, match="a box is left,top,right,bottom,class in pixels, the class a number"):
        open_any_dataset(write(tmp_path / "t.yaml", "train: l.txt\nnames: [cat]\n"))


def test_labels_without_names_are_not_class_folders(tmp_path: Path) -> None:
    photo(tmp_path / "images" / "a.jpg")
    write(tmp_path / "labels" / "a.txt", "0 .5 .5 .2 .2\n")
    path = write(tmp_path / "t.yaml", "train: images\n")
    with pytest.raises(DataError) as raised:
        open_any_dataset(path)
    assert str(raised.value) == (f"{path}: names must be a list of class names, or numbers and names, or a file with "
                                 "one per line. There is none (nor nc, the number of classes)")
