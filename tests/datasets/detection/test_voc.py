"""Pascal VOC: difficult objects, class names, and mistakes in the XML files."""
from pathlib import Path

import pytest

from runner.datasets import open_detection_dataset
from runner.datasets.detection.report import LabelReport
from runner.datasets.detection.yolo import class_names_in
from tests.datasets.examples import image, voc, voc_text, write
from tests.datasets.splits import training_split


def test_difficult_objects_are_kept_apart(tmp_path: Path) -> None:
    write(tmp_path / "Annotations" / "a.xml", voc_text("a", difficult="1"))
    image(tmp_path / "JPEGImages" / "a.png")
    first = training_split(open_detection_dataset(tmp_path))[0]
    assert first.boxes.shape == (0, 5) and first.crowd.shape == (2, 5)


@pytest.mark.parametrize("text, sentence", [
    (voc_text("a").replace("cat", "catt"), "name must be one of the 2 classes. Got 'catt' (did you mean 'cat'?)"),
    (voc_text("a").replace("<xmin>5</xmin>", ""), "bndbox needs the numbers xmin, ymin, xmax and ymax"),
    (voc_text("a").replace("<xmin>5</xmin>", "<xmin>15</xmin>"), "width and height must be above 0"),
    ("<annotation>", "this is not XML"),
])
def test_a_mistake_in_an_xml_file(text: str, sentence: str, tmp_path: Path) -> None:
    folder = voc(tmp_path)
    write(tmp_path / "Annotations" / "a.xml", text)
    data = open_detection_dataset(folder)
    assert len(data.problems) == 1 and sentence in data.warnings[0] and "a.xml" in data.warnings[0]


def test_names_of_xml_files_are_sorted_when_no_file_lists_them(tmp_path: Path) -> None:
    folder = voc(tmp_path)
    (folder / "voc.names").unlink()
    assert open_detection_dataset(folder).names == ["cat", "owl"] and class_names_in(folder, LabelReport()) == []
