"""MNIST's idx files: images, labels, names, and mistakes in each."""
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.datasets import open_dataset
from runner.datasets.containers.idx import read_idx
from runner.errors import DataError
from tests.datasets.examples import idx_bytes
from tests.datasets.splits import evaluation_split, training_split

RNG = np.random.default_rng(3)
PIXELS = RNG.integers(0, 256, (5, 4, 3), dtype=np.uint8)
LABELS = np.array([2, 0, 1, 0, 2], np.uint8)


def mnist(folder: Path, part: str = "train", suffix: str = "", images: np.ndarray = PIXELS,
          labels: np.ndarray = LABELS) -> Path:
    """A folder with the images and labels of one split."""
    folder.mkdir(exist_ok=True)
    for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
        content = idx_bytes(values)
        (folder / f"{part}-{kind}-ubyte{suffix}").write_bytes(gzip.compress(content) if suffix else content)
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_folder_of_idx_files(tmp_path: Path, suffix: str) -> None:
    mnist(tmp_path / "m", "train", suffix)
    mnist(tmp_path / "m", "t10k", suffix, PIXELS[:2], LABELS[:2])
    data = open_dataset(tmp_path / "m")
    assert data.names == ["0", "1", "2"] and not data.warnings
    assert [label for _, label in training_split(data)] == LABELS.tolist() and len(evaluation_split(data)) == 2
    np.testing.assert_array_equal(training_split(data).read(3, 1)[0], PIXELS[3])
    np.testing.assert_array_equal(training_split(data).read(3, 3)[2], PIXELS[3])
    assert training_split(data)[3][0].endswith(f"train-images-idx3-ubyte{suffix}#3")
    assert training_split(data).counts().tolist() == [2, 1, 2]


def test_an_unpacked_file_is_read_instead_of_the_packed_one(tmp_path: Path) -> None:
    mnist(mnist(tmp_path / "m"), suffix=".gz")
    assert len(training_split(open_dataset(tmp_path / "m"))) == 5


def test_one_idx_file_and_a_file_of_names(tmp_path: Path) -> None:
    folder = mnist(tmp_path / "m")
    data = open_dataset(folder / "train-images-idx3-ubyte")
    assert len(training_split(data)) == 5 and data.test is None and "nothing to test with" in data.warnings[0]
    (folder / "names.txt").write_text("shirt\nshoe\nbag\n")
    assert open_dataset(folder).names == ["shirt", "shoe", "bag"]
    (folder / "names.txt").write_text("shirt\nshoe\n")
    with pytest.raises(DataError, match=r"ubyte#0 has class 2, and there are 2 classes, 0 to 1"):
        open_dataset(folder)


@pytest.mark.parametrize("content, message", [
    (idx_bytes(PIXELS)[:-1], "5 x 4 x 3 values, and there are 59: the file is truncated"),
    (b"\0\0\x08\x03\0\0", "truncated"), (b"PK\3\4", "not an idx file"),
    (b"\0\0\x0d\x03", "unsigned bytes .type 8.. Got type 13"),
    (idx_bytes(LABELS), "images have 3 dimensions .* This file has 1"),
    (gzip.compress(idx_bytes(PIXELS))[:-9], "file is truncated"),
])
def test_idx_mistakes(tmp_path: Path, content: Any, message: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_idx(tmp_path / "a", 3)


def test_labels_must_exist_one_for_each_image(tmp_path: Path) -> None:
    folder = mnist(tmp_path / "m", labels=LABELS[:4])
    with pytest.raises(DataError, match=r"has 5 images, and .*train-labels-idx1-ubyte has 4 labels"):
        open_dataset(folder)
    (folder / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="the labels are missing: there is no train-labels-idx1-ubyte in its folder"):
        open_dataset(folder)
