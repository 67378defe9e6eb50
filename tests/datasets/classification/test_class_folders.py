"""Datasets of class folders, with and without train/ and test/."""
from pathlib import Path

import pytest

from runner.datasets import open_dataset
from runner.errors import DataError
from tests.datasets.examples import images, write
from tests.datasets.splits import evaluation_split, names_of, training_split
from tests.paths import ROOT


@pytest.mark.parametrize("test_name", ["test", "val", "valid", "Validation"])
def test_train_and_test_folders(tmp_path: Path, test_name: str) -> None:
    images(tmp_path, "train/10/x.png", "train/9/b10.jpg", "train/9/b9.PNG", "train/9/deep/c.png",
         f"{test_name}/10/y.bmp")
    (tmp_path / "train/9/notes.txt").write_text("no image")
    (tmp_path / "train/.hidden").mkdir()
    data = open_dataset(tmp_path)
    assert data.names == ["9", "10"] and data.warnings == []
    assert names_of(training_split(data)) == [("b9.PNG", 0), ("b10.jpg", 0), ("c.png", 0), ("x.png", 1)]
    assert names_of(evaluation_split(data)) == [("y.bmp", 1)] and evaluation_split(data).classes == 2


def test_class_folders_alone_are_for_training_with_a_warning(tmp_path: Path) -> None:
    data = open_dataset(images(tmp_path, "cat/1.png", "dog/1.png"))
    assert data.names == ["cat", "dog"] and len(training_split(data)) == 2 and data.test is None
    assert "nothing to test with" in data.warnings[0]


def test_folder_mistakes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder at all"):
        open_dataset(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(DataError, match="no images in the class folders cat"):
        open_dataset(tmp_path)
    images(tmp_path / "b", "train/cat/1.png", "test/cta/1.png")
    with pytest.raises(DataError, match=r"'cta' is not the class 'cat' .did you mean 'cat'"):
        open_dataset(tmp_path / "b")
    with pytest.raises(DataError, match="no such data folder"):
        open_dataset(tmp_path / "c")
    (tmp_path / "list.csv").write_text("x")
    with pytest.raises(DataError, match=r"\.csv"):
        open_dataset(tmp_path / "list.csv")


def test_the_digits_open() -> None:
    data = open_dataset(ROOT / "data" / "digits")
    assert data.names == [str(digit) for digit in range(10)]
    assert (len(training_split(data)), len(evaluation_split(data)), data.warnings) == (1442, 355, [])


def test_a_folder_with_an_archive_says_to_unpack_it(tmp_path: Path) -> None:
    write(tmp_path / "a.tar.gz", "x")
    with pytest.raises(DataError, match=r"Is a\.tar\.gz the dataset\? Unpack it"):
        open_dataset(tmp_path)
