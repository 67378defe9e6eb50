"""Files of class names: lines, blank lines, and how many there are."""
from pathlib import Path

import pytest

from runner.datasets import open_dataset, open_detection_dataset
from runner.datasets.names_file import count_mismatch, first_ones, read_names, same_names
from runner.errors import DataError
from tests.datasets.examples import darknet, image, write


@pytest.mark.parametrize("text, names, line", [
    ("cat\ndog\n", ["cat", "dog"], 0), ("cat\r\ndog\r\n\r\n \n", ["cat", "dog"], 0), ("cat\n\ndog", ["cat", "dog"], 2),
    ("\ncat\ndog", ["cat", "dog"], 1), ("cat\ndog\n  \n\nowl\n\n", ["cat", "dog", "owl"], 3), ("", [], 0),
])
def test_a_blank_line_between_names_is_said(text: str, names: list[str], line: int, tmp_path: Path) -> None:
    warnings: list[str] = []
    assert read_names(write(tmp_path / "my.names", text), warnings) == names
    assert [warning.split(": ")[0] for warning in warnings] == ([f"{tmp_path}/my.names:{line}"] if line else [])


@pytest.mark.parametrize("text, says", [
    ("# pets\nclasses=2\ntrain = a.txt\nnames=a.names\n", "this is a .data file, .*: its names= says where that is"),
    ("[net]\nwidth=8\n", "this is a .cfg file"),
])
def test_another_file_of_the_network(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=says):
        read_names(write(tmp_path / "my.names", text), [])
    assert read_names(write(tmp_path / "my.names", "classes=2\ncat\n"), []) == ["classes=2", "cat"]


def test_counts() -> None:
    assert count_mismatch("my.names", ["a", "b"], 2, "the network has") is None
    assert count_mismatch("my.names", ["a"], 2, "the network has") == (
        "my.names: 1 name, but the network has 2 classes: the classes behind have numbers. "
        "Is it the file of another network?")


def test_detection_datasets_say_both(tmp_path: Path) -> None:
    path = darknet(tmp_path)
    (names_file,) = tmp_path.rglob("*.names")
    names_file.write_text("owl\n\ncat\nbird\n")
    warnings = open_detection_dataset(path).warnings
    assert any(f"{names_file}:2: a blank line" in text for text in warnings)
    assert any(f"{names_file}: 3 names, but {path} says classes=2: only the first 2 are used" in text
               for text in warnings)


def test_classification_datasets_say_both(tmp_path: Path) -> None:
    image(tmp_path / "cat.png")
    write(tmp_path / "l.txt", "cat.png\n")
    write(tmp_path / "labels.txt", "cat\n\nowl\ndog\n")
    path = write(tmp_path / "d.data", "classes=2\ntrain=l.txt\nvalid=l.txt\nlabels=labels.txt\n")
    first, second, _ = open_dataset(path).warnings
    assert f"{tmp_path}/labels.txt:2: a blank line" in first and "3 names" in first
    assert f"{tmp_path}/labels.txt: 3 names, but {path} says classes=2: only the first 2 are used" in second


def test_a_name_given_twice_is_said(tmp_path: Path) -> None:
    assert same_names(["a", "b", "c"]) == ""
    assert same_names(["a", "b", "c", "b", "a"]) == "two classes have the name 'b': 1 and 3"
    path = darknet(tmp_path)
    (names_file,) = tmp_path.rglob("*.names")
    names_file.write_text("owl\nowl\n")
    assert f"{path}: two classes have the name 'owl': 0 and 1" in open_detection_dataset(path).warnings


def test_one_is_not_plural() -> None:
    assert count_mismatch("my.names", ["a", "b"], 1, "the network has") == (
        "my.names: 2 names, but the network has 1 class: only the first is used. Is it the file of another network?")
    assert first_ones(3) == "only the first 3 are used"
