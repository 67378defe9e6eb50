"""CIFAR batches, binary and pickled, and mistakes in each."""
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.datasets import open_dataset
from runner.datasets.containers.cifar import unpickle
from runner.errors import DataError
from tests.datasets.containers.test_idx import mnist
from tests.datasets.splits import evaluation_split, training_split

RNG = np.random.default_rng(3)
IMAGES = RNG.integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)
CLASSES = [1, 0, 1, 2]


def binary(folder: Path, name: str, before: int = 1, count: int = 4) -> Path:
    folder.mkdir(exist_ok=True)
    labels = np.array([[9, n][-before:] for n in CLASSES[:count]], np.uint8)
    (folder / name).write_bytes(np.concatenate([labels, IMAGES[:count].reshape(count, -1)], axis=1).tobytes())
    return folder


def test_cifar10_binary(tmp_path: Path) -> None:
    for k in (1, 2, 10):
        binary(tmp_path / "c", f"data_batch_{k}.bin")
    binary(tmp_path / "c", "test_batch.bin", count=3)
    (tmp_path / "c" / "batches.meta.txt").write_text("airplane\ncar\nbird\n\n")
    data = open_dataset(tmp_path / "c")
    assert data.names == ["airplane", "car", "bird"]
    assert len(training_split(data)) == 12 and len(evaluation_split(data)) == 3
    assert [Path(path).name for path, _ in training_split(data)][::4] == [f"data_batch_{k}.bin#0" for k in (1, 2, 10)]
    np.testing.assert_array_equal(training_split(data).read(6, 3), IMAGES[2])


def test_cifar100_binary_has_the_fine_labels(tmp_path: Path) -> None:
    binary(binary(tmp_path / "c", "train.bin", 2), "test.bin", 2)
    (tmp_path / "c" / "fine_label_names.txt").write_text("apple\nbear\ncan\n")
    (tmp_path / "c" / "coarse_label_names.txt").write_text("fruit\n")
    data = open_dataset(tmp_path / "c")
    assert data.names == ["apple", "bear", "can"]
    assert training_split(data).labels().tolist() == evaluation_split(data).labels().tolist() == CLASSES


def pickled(folder: Path, name: str, content: dict, protocol: int = 2) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(pickle.dumps(content, protocol))
    return folder


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("key", ["labels", "fine_labels"])
def test_cifar_python(tmp_path: Path, protocol: int, key: str) -> None:
    batch = {b"data": IMAGES.reshape(4, -1), key.encode(): CLASSES, b"filenames": [b"a.png"] * 4}
    pickled(tmp_path / "c", "data_batch_1", batch, protocol)
    pickled(tmp_path / "c", "test_batch", {"data": IMAGES.reshape(4, -1), key: np.array(CLASSES)}, protocol)
    pickled(tmp_path / "c", "batches.meta", {b"label_names": [b"plane", b"car", b"bird"]}, protocol)
    data = open_dataset(tmp_path / "c")
    assert data.names == ["plane", "car", "bird"]
    assert training_split(data).labels().tolist() == evaluation_split(data).labels().tolist() == CLASSES
    np.testing.assert_array_equal(training_split(data).pixels, IMAGES)


def test_the_pickles_of_python_2_are_read(tmp_path: Path) -> None:
    """As CIFAR's are: texts are bytes strings, and an array is the name of a function and a long string of bytes."""
    raw = IMAGES[:1].tobytes()
    content = (b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00"
               b"\x85U\x01b\x87Rq\x05(K\x01K\x01M\x00\x0c\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87R(K\x03U\x01|NNN"
               b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T\x00\x0c\x00\x00" + raw
               + b"tbU\x06labelsq\x07]q\x08K\x07au.")
    (tmp_path / "data_batch_1").write_bytes(content)
    data = open_dataset(tmp_path)
    assert training_split(data).labels().tolist() == [7]
    np.testing.assert_array_equal(training_split(data).pixels, IMAGES[:1])


class Trap:
    def __reduce__(self):
        return os.mkdir, ("caught",)


@pytest.mark.parametrize("evil", [Trap(), {"data": Trap()}, [Trap()]])
def test_a_pickle_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evil: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data_batch_1").write_bytes(pickle.dumps(evil) + bytes(4000))
    with pytest.raises(DataError, match=r"data_batch_1: the pickle asks for (posix|nt)\.mkdir"):
        open_dataset(tmp_path)
    assert not Path("caught").exists()
    pickle.loads(Path("data_batch_1").read_bytes())
    assert Path("caught").exists(), "the trap would not have gone off at all"


@pytest.mark.parametrize("content, message", [
    ({"data": [1]}, "data, an array of n x 3072 bytes. Got list"), ([1], "is a dictionary. Got list"),
    ({"data": IMAGES.reshape(4, -1), "labels": [1]}, "a number for each of its 4 images"),
    ({"data": np.array([None])}, "is invalid"),
    ({"data": IMAGES.reshape(4, -1), "labels": [0, 1, 2, 10**5000]}, "Got a number of about 5,001 digits"),
], ids=["list", "no dictionary", "labels", "objects", "digits"])
def test_cifar_python_mistakes(tmp_path: Path, content: Any, message: str) -> None:
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps(content, 2) + bytes(4000))
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path)


def test_damaged_cifar_batches(tmp_path: Path) -> None:
    binary(tmp_path, "data_batch_1.bin")
    whole = (tmp_path / "data_batch_1.bin").read_bytes()
    (tmp_path / "data_batch_1.bin").write_bytes(whole[:-100])
    with pytest.raises(DataError, match=r"data_batch_1\.bin: .*12,192 bytes are not a multiple"):
        open_dataset(tmp_path)
    (tmp_path / "b").write_bytes(b"\x80\x02}q")
    with pytest.raises(DataError, match="not a pickle of plain values"):
        unpickle(tmp_path / "b")
    mnist(tmp_path)
    (tmp_path / "data_batch_1.bin").write_bytes(whole)
    with pytest.raises(DataError, match="MNIST IDX and CIFAR files in one folder"):
        open_dataset(tmp_path)
