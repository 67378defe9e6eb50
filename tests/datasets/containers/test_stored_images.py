"""Images in containers by name, and batches of them."""
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.datasets import batches, expand_images, open_dataset, read_named
from runner.errors import DataError
from tests.datasets.containers.test_idx import LABELS, PIXELS, mnist
from tests.datasets.splits import evaluation_split, training_split


def test_an_image_in_a_container_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mnist(tmp_path / "m"))
    np.savez("a.npz", x_train=PIXELS, y_train=LABELS, x_test=PIXELS[1:3], y_test=LABELS[1:3])
    file = "train-images-idx3-ubyte"
    assert expand_images([file]) == [f"{file}#{i}" for i in range(5)]
    assert expand_images([f"{file}#3", "a.npz:test#1"]) == [f"{file}#3", "a.npz:test#1"]
    np.testing.assert_array_equal(read_named(f"{file}#3", 1)[0], PIXELS[3])
    np.testing.assert_array_equal(read_named("a.npz:test#1", 3)[1], PIXELS[2])
    for name, _ in evaluation_split(open_dataset("a.npz")):
        assert read_named(name, 1).shape == (1, 4, 3)
    with pytest.raises(DataError, match="has 5 images, 0 to 4"):
        read_named(f"{file}#5", 1)
    with pytest.raises(DataError, match=r"characters\): the name is too long for a file"):
        read_named(f"{file}#{'9' * 5000}", 1)
    with pytest.raises(DataError, match="no such file"):
        expand_images(["other#5"])
    Path("train-labels-idx1-ubyte").unlink()
    assert len(expand_images([file])) == 5, "labels are not needed to predict"


def test_batches_from_memory_equal_those_from_files(tmp_path: Path) -> None:
    for i, pixels in enumerate(PIXELS):
        place = tmp_path / "files" / "train" / str(LABELS[i])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{i}.png")
    files = training_split(open_dataset(tmp_path / "files"))
    memory = training_split(open_dataset(mnist(tmp_path / "m")))
    memory = memory.take([int(Path(path).stem) for path, _ in files])
    for (x, truth), (x2, truth2) in zip(*(batches(split, batch=2, width=3, height=4) for split in (files, memory)),
                                        strict=True):
        np.testing.assert_array_equal(x, x2)
        np.testing.assert_array_equal(truth, truth2)


def test_a_file_that_was_written_again_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (1, 2):
        folder = tmp_path / str(value)
        folder.mkdir()
        monkeypatch.chdir(folder)
        np.savez("a.npz", x=np.full((2, 4, 5), value, np.uint8), y=[0, 1])
        assert (read_named("a.npz#1", 1) == value).all()
    np.savez("a.npz", x=np.full((3, 4, 5), 3, np.uint8), y=[0, 1, 1])
    assert (read_named("a.npz#2", 1) == 3).all()
