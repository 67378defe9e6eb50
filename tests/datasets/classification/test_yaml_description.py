"""YAML descriptions of classification datasets, and mistakes in them."""
import gzip
from pathlib import Path

import pytest

from runner.datasets import open_dataset
from runner.errors import DataError
from tests.datasets.containers.test_idx import LABELS, mnist
from tests.datasets.examples import idx_bytes, images
from tests.datasets.splits import evaluation_split, names_of, training_split


def description(root: Path, text: str) -> Path:
    (root / "d.yaml").write_text(text)
    return root / "d.yaml"


def test_folders_and_lists(tmp_path: Path) -> None:
    images(tmp_path / "pics", "train/owl/1.png", "train/crow/1.png", "test/crow/2.png")
    data = open_dataset(description(tmp_path, "path: pics\ntrain: train\nval: test\n"))
    assert data.names == ["crow", "owl"] and names_of(evaluation_split(data)) == [("2.png", 0)]
    (tmp_path / "pics" / "l.txt").write_text("train/owl/1.png\n./test/crow/2.png\n")
    for names in ("[owl, crow]", "{0: owl, 1: crow}"):
        data = open_dataset(description(tmp_path, f"path: pics\ntrain: l.txt\nnames: {names}\n"))
        assert data.names == ["owl", "crow"] and names_of(training_split(data)) == [("1.png", 0), ("2.png", 1)]
        assert data.test is None and "nothing to test with" in data.warnings[-1]


def test_the_nearest_folder_counts_before_other_parts_of_a_path(tmp_path: Path) -> None:
    images(tmp_path, "owl/crow/1.png", "x/owl7.png")
    (tmp_path / "l.txt").write_text("owl/crow/1.png\nx/owl7.png")
    data = open_dataset(description(tmp_path, "train: l.txt\nnames: [owl, crow]\n"))
    assert [label for _, label in training_split(data)] == [1, 0]


@pytest.mark.parametrize("text, message", [
    ("a: [1\nb: 2", r"d\.yaml:2: this is not YAML"), ("- 1", "Got list"),
    ("names: [a]", "neither train nor test"),
    ("train: none", "train names 'none', which does not exist"), ("train: {a: 3}", "train must be a folder"),
    ("train: 2024-02-30", "train names '2024-02-30'"),
    ("since: 2024-02-30\ntrain: l.txt", "not YAML"),
    ("train: l.txt", "names is needed"), ("train: l.txt\nnames: {1: a}", "numbered 0 to 0"),
    ("train: l.txt\nnames: {yes: a, no: b}", "numbered 0 to 1 without gaps. Got yes, no"),
    ("train: l.txt\nnames: {0: a, 00: b}", "numbered 0 to 1 without gaps"),
    ("train: l.txt\nnames: [a, ]\nnames: [a, '']", "name of class 1 must be a word. Got ''"),
    ("train: l.txt\nnames: [a, b: c]", "name of class 1 must be a word. Got {'b': 'c'}"),
    ("train: l.txt\nnc: '3'\nnames: [owl, crow]", "nc=3, and there are 2 names"),
    ("train: l.txt\nnames: a", "names must be a list"),
    ("train: l.txt\nnames: [zebra]", r"l\.txt:1: 'zebra' does not occur in the path 'owl/1\.png'"),
])
def test_mistakes(tmp_path: Path, text: str, message: str) -> None:
    images(tmp_path, "owl/1.png")
    (tmp_path / "l.txt").write_text("owl/1.png")
    with pytest.raises(DataError, match=message):
        open_dataset(description(tmp_path, text))


WORDS = ["yes", "no", "on", "off", "True", "01", "010", "0x1F", "null", "~", "1_0", "1e3", "1:30", "2024-01-01", "+.5",
         "7", "0.50", "="]


@pytest.mark.parametrize("text", [
    "names: [" + ", ".join(WORDS) + "]",
    "names:\n" + "".join(f"- {word}\n" for word in WORDS),
    "names:\n" + "".join(f"  {k}: {word}\n" for k, word in enumerate(WORDS)),
    "names:\n" + "".join(f"  '{k}': '{word}'\n" for k, word in reversed(list(enumerate(WORDS)))),
], ids=["flow", "block", "mapping", "quoted"])
def test_names_and_paths_stay_as_they_are_written(text: str, tmp_path: Path) -> None:
    images(tmp_path, *(f"010/yes/{word}/1.png" for word in WORDS))
    data = open_dataset(description(tmp_path, f"path: 010\ntrain: yes\ntest: null\n{text}"))
    assert data.names == WORDS and data.test is None
    assert training_split(data).labels().tolist() == [WORDS.index(Path(path).parent.name)
                                                      for path, _ in training_split(data)]
    assert sorted(training_split(data).labels()) == list(range(len(WORDS)))


def test_idx_files_in_descriptions(tmp_path: Path) -> None:
    mnist(tmp_path, suffix=".gz")
    (tmp_path / "other-labels.gz").write_bytes(gzip.compress(idx_bytes(LABELS[::-1])))
    (tmp_path / "d.yaml").write_text("train: train-images-idx3-ubyte.gz\ntest: {images: train-images-idx3-ubyte.gz, "
                                     "labels: other-labels.gz}\nnames: [a, b, c]\n")
    data = open_dataset(tmp_path / "d.yaml")
    assert data.names == ["a", "b", "c"]
    assert training_split(data).labels().tolist() == evaluation_split(data).labels().tolist()[::-1]
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    (tmp_path / "d.data").write_text("train = train-images-idx3-ubyte.gz\nlabels = labels.txt\n")
    assert len(training_split(open_dataset(tmp_path / "d.data"))) == 5
    (tmp_path / "n.yaml").write_text("train: train-images-idx3-ubyte.gz\n")
    assert open_dataset(tmp_path / "n.yaml").names == ["0", "1", "2"]
