"""Darknet's .data files for classifiers: lists, labels, names, and mistakes in each."""
from pathlib import Path
from typing import Any

import pytest

from runner.datasets import open_dataset
from runner.datasets.data_file import read_data_file
from runner.errors import DataError
from tests.datasets.examples import images
from tests.datasets.splits import evaluation_split, names_of, training_split


def data_file(root: Path, lines: str = "", train: str = "images/my cat.png\r\n\nimages/dog1.png  \r\n") -> Path:
    images(root, "images/my cat.png", "images/dog1.png")
    images(root, "images/cat and dog.png")
    (root / "cats.list").write_text("images/cat and dog.png\n")
    (root / "labels.txt").write_text("cat\ndog\n")
    (root / "names.txt").write_text("Cat, domestic\nDog\n")
    (root / "train.list").write_bytes(train.encode())
    (root / "birds.data").write_text("# mine\nclasses = 2\ntrain = train.list\nlabels=labels.txt\n" + lines)
    return root / "birds.data"


def test_a_data_file(tmp_path: Path) -> None:
    data = open_dataset(data_file(tmp_path, "names = names.txt\nclasses=7\nvalid = train.list\nbackup = b\n"))
    assert data.names == ["Cat, domestic", "Dog"]
    assert len(data.warnings) == 1 and "training and test images are the same" in data.warnings[0]
    assert names_of(training_split(data)) == names_of(evaluation_split(data)) == [("my cat.png", 0), ("dog1.png", 1)]
    assert all(Path(path).exists() for path, _ in training_split(data))


def test_lists_may_be_in_another_folder_and_relative_to_the_current_one(tmp_path: Path,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    path = data_file(tmp_path)
    (tmp_path / "lists").mkdir()
    (tmp_path / "train.list").rename(tmp_path / "lists" / "train.list")
    path.write_text(path.read_text().replace("train.list", "lists/train.list"))
    assert len(training_split(open_dataset(path))) == 2          # images relative to the .data file
    monkeypatch.chdir(tmp_path)
    assert training_split(open_dataset("birds.data"))[0][0] == "images/my cat.png"


def test_a_path_with_several_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    listed = "images/dog1.png\nimages/my cat.png\nimages/dog and cat.png\n"
    data = open_dataset(data_file(Path(), train=listed), several_labels=False)
    assert names_of(training_split(data)) == [("dog1.png", 1), ("my cat.png", 0)]
    assert len(data.warnings) == 2 and "valid= is not given" in data.warnings[1]
    assert "several classes: 1 of 3, left out, for instance images/dog and cat.png (cat, dog). A network that ends " \
        "in [logistic] learns all labels of an image" in data.warnings[0]
    for several in (None, True):
        data = open_dataset("birds.data", several_labels=several)
        assert names_of(training_split(data))[1:] == [("my cat.png", 0), ("dog and cat.png", (0, 1))]


@pytest.mark.parametrize("change, message", [
    ({"train": "images/my cat.png\nimages/bird.png\n"},
     r"train\.list:2: none of the 2 classes occurs in .*bird"),
    ({"train": "x/cat.png\ny/dog.png\n"}, r"train\.list:1: there is no 'x/cat\.png'"),
    ({"train": "\n"}, "the list is empty"),
    ({"train": "images/dog1.png\n", "lines": "valid=cats.list\n"},
     r"several classes: 1 of 1, for instance .*/cat and dog\.png \(cat, dog\), so no image is left\. .*logistic"),
    ({"lines": "valid=none.list\n"}, r"birds\.data:5: valid names 'none\.list'"),
    ({"lines": "rubbish\n"}, r"birds\.data:5: .*key = value"),
])
def test_mistakes_in_a_data_file(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_dataset(data_file(tmp_path, **change), several_labels=False)


@pytest.mark.parametrize("classes, message", [("3", "classes=3, but .* has 2 labels"), ("0", "at least 1"),
                                              ("two", "classes must be a whole")])
def test_the_number_of_classes_is_checked(tmp_path: Path, classes: str, message: str) -> None:
    path = data_file(tmp_path)
    path.write_text(path.read_text().replace("classes = 2", f"classes = {classes}"))
    with pytest.raises(DataError, match=rf"birds\.data:2: .*{message}"):
        open_dataset(path)


def test_labels_beyond_classes_are_ignored(tmp_path: Path) -> None:
    path = data_file(tmp_path)
    (tmp_path / "labels.txt").write_text("cat\ndog\nbird\n")
    assert open_dataset(path).names == ["cat", "dog"]


def test_the_first_of_repeated_keys_counts(tmp_path: Path) -> None:
    (tmp_path / "a.data").write_text("; c\n a = 1 \na=2\n\nb=x = y\n")
    assert read_data_file(tmp_path / "a.data") == {"a": ("1", 2), "b": ("x = y", 5)}
