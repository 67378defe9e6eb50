"""YAML descriptions of detection datasets, and mistakes in them."""
from pathlib import Path

import pytest

from runner.datasets import open_detection_dataset
from runner.errors import DataError
from tests.datasets.examples import yaml_of_folders


@pytest.mark.parametrize("text, sentence", [
    ("names: [owl, cat]\n", "neither train nor val"),
    ("train: nowhere\nnames: [owl, cat]\n", "train names 'nowhere', which does not exist"),
    ("train: set/images/train\n", "names must be a list"),
    ("train: set/images/train\nnc: 3\nnames: [owl, cat]\n", "nc=3, and there are 2 names"),
    ("train: set/images/train\nnc: two\nnames: [owl, cat]\n", "nc must be a whole number of at least 1. Got 'two'"),
    ("train: set/images/train\nnc: true\n", "nc must be a whole number of at least 1. Got True"),
    ("train: set/images/train\nnames: {0: owl, 2: cat}\n", "numbered 0 to 1 without gaps"),
    ("train: set/images/train\nnames: my.txt\n", "names is the file 'my.txt'"),
    ("train: set/images/train\nnames: owl, cat\n", r"written as a list, names: \[owl, cat\]"),
    ("train: set/images/train\nnames: {owl: 0, cat: 1}\n", "Got owl, cat: write the number first, 0: name"),
    ('train: "set\\images"\nnames: [owl, cat]\n', r":1: this is not YAML .*: in double quotes \\ begins an escape"),
    ("train: [[3]]\nnames: [owl, cat]\n", "train must be a folder, a list file"),
])
def test_mistakes_in_a_description(text: str, sentence: str, tmp_path: Path) -> None:
    path = yaml_of_folders(tmp_path)
    path.write_text(text)
    with pytest.raises(DataError, match=sentence):
        open_detection_dataset(path)


@pytest.mark.parametrize("names", ["[yes, 010]", "{1: 010, 0: yes}"])
def test_names_stay_as_they_are_written(names: str, tmp_path: Path) -> None:
    path = yaml_of_folders(tmp_path)
    path.write_text(f"train: set/images/train\nnc: 2\nnames: {names}\n")
    assert open_detection_dataset(path).names == ["yes", "010"]
