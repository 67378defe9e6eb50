"""NumPy's .npz archives, and mistakes in them."""
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.datasets import open_dataset
from runner.errors import DataError
from tests.datasets.containers.test_idx import LABELS, PIXELS
from tests.datasets.splits import evaluation_split, training_split

RNG = np.random.default_rng(3)


def test_an_archive_with_both_splits_and_names(tmp_path: Path) -> None:
    x = RNG.integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=np.array([[0], [1], [1], [0], [1], [0]]), x_test=x[:2],
             y_test=np.eye(2)[[1, 0]], names=["crow", "owl"])
    data = open_dataset(tmp_path / "a.npz")
    assert data.names == ["crow", "owl"] and training_split(data).labels().tolist() == [0, 1, 1, 0, 1, 0]
    assert evaluation_split(data).labels().tolist() == [1, 0] and evaluation_split(data)[1][0].endswith("a.npz:test#1")
    np.testing.assert_array_equal(training_split(data).read(4, 3), x[4].transpose(2, 0, 1))
    grey = training_split(data).read(4, 1)[0].astype(int)
    red, green, blue = x[4].astype(int).transpose(2, 0, 1)
    np.testing.assert_array_equal(grey, (77 * red + 150 * green + 29 * blue) >> 8)


def test_floats_in_any_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    x = RNG.random((3, 1, 4, 5))
    np.savez("a.npz", x=x, y=[0, 1, 1])
    data = open_dataset("a.npz")
    assert data.names == ["0", "1"] and data.test is None and "nothing to test with" in data.warnings[0]
    np.testing.assert_allclose(training_split(data).read(0, 3), x[0].repeat(3, 0), rtol=1e-6)
    colours = RNG.random((2, 3, 4, 5)).astype(np.float32)
    np.savez("c.npz", images=colours, labels=[0, 1])
    np.testing.assert_allclose(training_split(open_dataset("c.npz")).read(0, 1)[0],
                               np.tensordot(np.array([77, 150, 29]) / 256, colours[0], 1), rtol=1e-6)


def test_rows_with_several_labels(tmp_path: Path) -> None:
    rows = np.array([[0, 1, 1], [1, 0, 0], [0, 0, 0], [0, 1, 0], [1, 1, 1]], np.float32)
    np.savez(tmp_path / "a.npz", x=PIXELS, y=rows)
    data = open_dataset(tmp_path / "a.npz")
    assert [label for _, label in training_split(data)] == [(1, 2), 0, (), 1, (0, 1, 2)]
    assert data.names == ["0", "1", "2"]


@pytest.mark.parametrize("shape, last", [((3, 6, 8, 4), True), ((3, 4, 6, 8), False), ((3, 9, 9, 20), True),
                                         ((3, 20, 9, 9), False), ((3, 6, 8, 2), True)])
def test_any_number_of_channels(tmp_path: Path, shape: tuple[int, ...], last: bool) -> None:
    x = RNG.integers(0, 256, shape, dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x=x, y=[0, 1, 1])
    split, channels = training_split(open_dataset(tmp_path / "a.npz")), shape[3] if last else shape[1]
    np.testing.assert_array_equal(split.read(1, channels), x[1].transpose(2, 0, 1) if last else x[1])
    with pytest.raises(DataError, match=rf"a\.npz#1: the image has {channels} channels \(an array\), and channels=3 "
                                        "needs an image with 3"):
        split.read(1, 3)


@pytest.mark.parametrize("content, message", [
    ({"x": PIXELS}, "an archive of images has x and y.* This one has x"),
    ({"x": PIXELS, "y": [0]}, "x has 5 images, and y has 1 label"),
    ({"x": PIXELS[0], "y": [0]}, r"x must be images: .* Got an array of shape \(4, 3\)"),
    ({"x": PIXELS.astype(int), "y": LABELS}, "must be uint8, or floats in 0..1. Got int64"),
    ({"x": PIXELS.astype(float), "y": LABELS}, "must be in 0..1"),
    ({"x": PIXELS, "y": [-1, 0, 0, 0, 0]}, "class numbers from 0"),
    ({"x": PIXELS, "y": [.5] * 5}, "class numbers from 0"),
    ({"x": np.array([None] * 5), "y": LABELS}, "x: not an array of plain values: they are Python objects"),
    ({"x": PIXELS, "y": LABELS, "names": ["a", "b"]}, "has class 2, and there are 2 classes"),
    ({"x": PIXELS, "y": np.ones((5, 3)), "names": ["a", "b"]}, "there are 2 classes, and labels for 3"),
    ({"x": PIXELS, "y": np.full((5, 3), 2)}, r"rows of 0 and 1, \(n, classes\)"),
])
def test_mistakes(tmp_path: Path, content: Any, message: str) -> None:
    np.savez(tmp_path / "a.npz", **content)
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path / "a.npz")


@pytest.mark.parametrize(("content", "message"), [
    (b"nothing", r"a\.npz: not an \.npz archive$"), (b"", r"a\.npz: not an \.npz archive: this is an empty file"),
    (b"<!DOCTYPE html><p>", r"a\.npz: not an \.npz archive: this is a web page"),
    (b"PK\x03\x04 and then nothing", r"a\.npz: the \.npz archive is truncated or damaged")])
def test_not_an_npz(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path / "a.npz")
