"""YOLO labels: where they are looked for, and the message for every mistake in them."""
from pathlib import Path

import numpy as np
import pytest

from runner.datasets import open_detection_dataset
from runner.datasets.detection.yolo import label_places
from runner.errors import DataError
from tests.datasets.examples import darknet, image, write
from tests.datasets.splits import training_split


def test_where_labels_are_looked_for() -> None:
    assert label_places("set/images/train/a.jpg") == ["set/labels/train/a.txt", "set/images/train/a.txt"]
    assert label_places("VOC/JPEGImages/a.jpeg") == ["VOC/labels/a.txt", "VOC/JPEGImages/a.txt"]
    assert label_places("images/old/images/a.b.png") == ["images/old/labels/a.b.txt", "labels/old/images/a.b.txt",
                                                         "images/old/images/a.b.txt"]
    assert label_places(r"d:\images\a.png") == ["d:/labels/a.txt", "d:/images/a.txt"]
    assert label_places("photos/a.png") == ["photos/a.txt"]


def test_a_folder_of_images_without_class_names_is_numbered_with_a_warning(tmp_path: Path) -> None:
    for name in "ab":
        image(tmp_path / f"{name}.png")
    write(tmp_path / "a.txt", "3 .5 .5 .2 .2\n")
    data = open_detection_dataset(tmp_path)
    assert data.names == ["0", "1", "2", "3"] and data.test is None
    said = "\n".join(data.warnings)
    assert "numbered 0 to 3" in said and "1 of 2 images has no label file" in said and "nothing to test" in said


def test_outlines_become_boxes(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    write(tmp_path / "a.txt", "0 .1 .2 .5 .2 .5 .8 .3 .6\n")
    boxes = training_split(open_detection_dataset(tmp_path))[0].boxes
    np.testing.assert_allclose(boxes, [[.3, .5, .4, .6, 0]], rtol=1e-6)


MISTAKES = {
    "7 .5 .5 .1 .1": ("left out", "a class is 0 to 1 (2 names). Got 7"),
    "-1 .5 .5 .1 .1": ("left out", "a class is 0 to 1 (2 names). Got -1"),
    "0 .5 .5 .1": ("left out", "a label has 5 numbers, `class x y w h`. Got 4: '0 .5 .5 .1'"),
    "0 .5 .5 .1 .1 .9": ("left out", "Got 6"),
    "owl .5 .5 .1 .1": ("left out", "a label is `class x y w h`, the class a whole number. Got 'owl .5 .5 .1 .1'"),
    "0.5 .5 .5 .1 .1": ("left out", "the class a whole number"),
    "0 nan .5 .1 .1": ("left out", "x, y, w, h must be numbers. Got nan 0.5 0.1 0.1"),
    "0 .5 .5 0 .1": ("left out", "width and height must be above 0. Got 0 and 0.1"),
    "0 .5 .5 .1 -.1": ("left out", "width and height must be above 0. Got 0.1 and -0.1"),
    "0 1.4 .5 .1 .1": ("left out", "x, y, w, h are relative to the image, 0 to 1. Got 1.4 0.5 0.1 0.1"),
    "0 20 12 8 8": ("left out", "these look like pixels"),
    "0 .5 .5 2.5 .1": ("left out", "x, y, w, h are relative to the image, 0 to 1. Got 0.5 0.5 2.5 0.1"),
    "0 .5 .5 .2 1.8": ("left out", "x, y, w, h are relative to the image, 0 to 1. Got 0.5 0.5 0.2 1.8"),
    "0 .1 .1 2.5 .1 2.5 5 .1 5": ("left out", "these look like pixels"),
    "0 1,0 0.5,0,5 1 1": ("left out", "a label has 5 numbers, `class x y w h`. Got 8"),
    "0,0,5,0,5,0,1,0,1": ("left out", "these commas may be decimal ones or separate numbers"),
    "0 0,5 0,5 0,1": ("left out", "Got 4: '0 0,5 0,5 0,1'"),
    "0\t1\t1\t1\t1\t1": ("left out", "Got 6"),
    "1_0 .5 .5 .1 .1": ("left out", "the class a whole number"),
    "0 .95 .5 .2 .1": ("clipped", "0.95 0.5 0.2 0.1 extends over the edge by 0.05 of the image"),
    "1 .5 .5 .1 .1": ("kept once", "the same as line 1"),
}


@pytest.mark.parametrize("line", MISTAKES, ids=str)
def test_a_mistake_in_a_label(line: str, tmp_path: Path) -> None:
    heading, sentence = MISTAKES[line]
    data_file = darknet(tmp_path)
    write(tmp_path / "labels" / "b.txt", f"1 .5 .5 .1 .1\n\n{line}\n")
    data = open_detection_dataset(data_file)
    (warning,) = data.warnings
    assert heading in warning.split("\n")[0] and warning.split("\n")[0].endswith(": 1")
    assert f"{Path('labels') / 'b.txt'}:3: " in warning and sentence in warning
    (problem,) = data.problems
    assert problem.where.endswith("b.txt:3") and problem.lost == (heading == "left out")
    assert len(training_split(data)[1].boxes) == (2 if heading == "clipped" else 1)
    if heading == "left out":
        with pytest.raises(DataError, match="have mistakes") as raised:
            open_detection_dataset(data_file, on_bad="error")
        assert sentence in str(raised.value)
    else:
        open_detection_dataset(data_file, on_bad="error")


@pytest.mark.parametrize("line", ["1 0,25 0,25 0,1 0,2", "1\t0,25\t0,25\t,1\t0,2", "1;0,25;0,25;0,1;0,2",
                                  "1, 0,25, 0,25, 0,1, 0,2", "1 0,25 0.25 1e-1 0,2"])
def test_decimal_commas_are_read_and_said_once(line: str, tmp_path: Path) -> None:
    data_file = darknet(tmp_path)
    write(tmp_path / "labels" / "b.txt", f"{line}\n0 1 1 0,5 0,5\n")
    data = open_detection_dataset(data_file)
    np.testing.assert_allclose(training_split(data)[1].boxes[0], [.25, .25, .1, .2, 1], rtol=1e-6)
    said = [text for text in data.warnings if "decimal commas" in text]
    assert len(said) == 1 and "2 labels have decimal commas" in said[0] and "b.txt:1" in said[0]


def test_outlines_with_decimal_commas(tmp_path: Path) -> None:
    data_file = darknet(tmp_path)
    write(tmp_path / "labels" / "b.txt", "0 0,1 0,2 0,5 0,2 0,5 0,8 0,3 0,6\n")
    boxes = training_split(open_detection_dataset(data_file))[1].boxes
    np.testing.assert_allclose(boxes, [[.3, .5, .4, .6, 0]], rtol=1e-6)


@pytest.mark.parametrize("line", ["1,.25,.25,.1,.2", "1, .25, .25, .1, .2", "1 .25,.25,.1,.2", "1.0 .25 .25 .1 .2",
                                  "1,\t0.25,\t0.25,\t0.1,\t0.2,", "1e0 .25 .25 .1 .2"])
def test_commas_and_class_words_are_read_alike_with_and_without_names(line: str, tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    write(tmp_path / "a.txt", line)
    unnamed = open_detection_dataset(tmp_path)
    assert unnamed.names == ["0", "1"] and not unnamed.problems
    np.testing.assert_allclose(training_split(unnamed)[0].boxes, [[.25, .25, .1, .2, 1]], rtol=1e-6)
    write(tmp_path / "classes.txt", "red\nwhite\n")
    named = open_detection_dataset(tmp_path)
    np.testing.assert_array_equal(training_split(named)[0].boxes, training_split(unnamed)[0].boxes)


def test_words_that_are_not_classes_do_not_count(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    write(tmp_path / "a.txt", "0 .5 .5 .1 .1\n7.5 .5 .5 .1 .1\n9_0 .5 .5 .1 .1\n1e300 .5 .5 .1 .1\n\nsaved in 2024\n")
    assert open_detection_dataset(tmp_path).names == ["0"]


@pytest.mark.parametrize("names", ["red\nwhite\nblue\n", None])
def test_class_numbers_from_one_are_said(names: str | None, tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    write(tmp_path / "a.txt", "".join(f"{k} .5 .5 .{k} .1\n" for k in (1, 2, 3)))
    if names:
        write(tmp_path / "classes.txt", names)
    said = open_detection_dataset(tmp_path).warnings
    assert any("class numbers start at 0; here they are 1 to 3" in text for text in said)
    if names:
        with pytest.raises(DataError, match="class numbers start at 0; here they are 1 to 3"):
            open_detection_dataset(tmp_path, on_bad="error")


@pytest.mark.parametrize("numbers", [(1, 2), (0, 3), (0, 1)])
def test_other_class_numbers_are_not_taken_for_numbers_from_one(numbers: tuple[int, ...], tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    write(tmp_path / "a.txt", "".join(f"{k} .5 .5 .{k + 1} .1\n" for k in numbers))
    write(tmp_path / "classes.txt", "red\nwhite\nblue\n")
    assert not any("start at 0" in text for text in open_detection_dataset(tmp_path).warnings)


def test_a_box_over_the_edge_is_clipped(tmp_path: Path) -> None:
    data_file = darknet(tmp_path)
    write(tmp_path / "labels" / "b.txt", "0 .95 .5 .2 .1\n0 .5 .501 .5 1\n")
    data = open_detection_dataset(data_file)
    boxes = training_split(data)[1].boxes
    np.testing.assert_allclose(boxes, [[.925, .5, .15, .1, 0], [.5, .5005, .5, .999, 0]], rtol=1e-6)
    assert len(data.problems) == 1, "rounding is not a mistake"


def test_many_mistakes_are_counted_and_a_few_listed(tmp_path: Path) -> None:
    data_file = darknet(tmp_path)
    write(tmp_path / "labels" / "b.txt", "9 .5 .5 .1 .1\n" * 12)
    (warning,) = open_detection_dataset(data_file).warnings
    lines = warning.split("\n")
    assert lines[0].endswith(": 12") and len(lines) == 7 and lines[-1] == "  and 7 more"


def test_missing_images_are_left_out(tmp_path: Path) -> None:
    data_file = darknet(tmp_path)
    (tmp_path / "images" / "b.png").unlink()
    data = open_detection_dataset(data_file)
    assert [Path(p.path).stem for p in training_split(data)] == ["a"]
    assert "train.txt:2: there is no 'images/b.png'" in data.warnings[0]


def test_an_image_without_a_label_file_has_no_boxes_and_is_counted(tmp_path: Path) -> None:
    data_file = darknet(tmp_path)
    (tmp_path / "labels" / "b.txt").unlink()
    data = open_detection_dataset(data_file)
    _, without = training_split(data)
    assert len(without.boxes) == 0 and without.labels == ""
    assert "1 of 3 images has no label file" in data.warnings[0]
    open_detection_dataset(data_file, on_bad="error")


def test_no_label_file_at_all_is_an_error(tmp_path: Path) -> None:
    data_file = darknet(tmp_path)
    for file in (tmp_path / "labels").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"of 3 images none has a label file.*labels/a\.txt, .*images/a\.txt"):
        open_detection_dataset(data_file)


def test_only_bad_labels_is_an_error(tmp_path: Path) -> None:
    data_file = darknet(tmp_path)
    for file in (tmp_path / "labels").iterdir():
        file.write_text("5 .5 .5 .1 .1\n")
    with pytest.raises(DataError, match="none of the labels can be used") as raised:
        open_detection_dataset(data_file)
    assert "a.txt:1: a class is 0 to 1" in str(raised.value)


def test_an_image_in_both_splits_is_reported(tmp_path: Path) -> None:
    data_file = darknet(tmp_path)
    write(tmp_path / "valid.txt", "images/a.png\n")
    assert "1 image is both for training and for testing" in open_detection_dataset(data_file).warnings[-1]


def test_a_label_file_that_is_not_text(tmp_path: Path) -> None:
    data_file = darknet(tmp_path)
    (tmp_path / "labels" / "b.txt").write_bytes(b"\xff\xfe\x00 1")
    assert "b.txt:1: this is not a text file" in open_detection_dataset(data_file).warnings[0]
