"""Data sets that lie many images in a file: MNIST's idx, CIFAR's batches, npz; and mistakes in each."""
import gzip
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from runner.datasets import batches, expand_images, find_data, open_dataset, read_named
from runner.datasets.containers.cifar import unpickle
from runner.datasets.containers.idx import read_idx
from runner.errors import DataError

RNG = np.random.default_rng(3)
PIXELS = RNG.integers(0, 256, (5, 4, 3), dtype=np.uint8)
LABELS = np.array([2, 0, 1, 0, 2], np.uint8)


def idx_bytes(values: np.ndarray) -> bytes:
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


def mnist(folder: Path, part: str = "train", suffix: str = "", images=PIXELS, labels=LABELS) -> Path:
    folder.mkdir(exist_ok=True)
    for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
        content = idx_bytes(values)
        (folder / f"{part}-{kind}-ubyte{suffix}").write_bytes(gzip.compress(content) if suffix else content)
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_folder_of_idx_files(tmp_path, suffix):
    mnist(tmp_path / "m", "train", suffix)
    mnist(tmp_path / "m", "t10k", suffix, PIXELS[:2], LABELS[:2])
    data = open_dataset(tmp_path / "m")
    assert data.names == ["0", "1", "2"] and not data.warnings
    assert [label for _, label in data.train] == LABELS.tolist() and len(data.test) == 2
    np.testing.assert_array_equal(data.train.read(3, 1)[0], PIXELS[3])
    np.testing.assert_array_equal(data.train.read(3, 3)[2], PIXELS[3])
    assert data.train[3][0].endswith(f"train-images-idx3-ubyte{suffix}#3")
    assert data.train.counts().tolist() == [2, 1, 2]


def test_the_unpacked_file_stands_for_the_packed_one(tmp_path):
    mnist(mnist(tmp_path / "m"), suffix=".gz")
    assert len(open_dataset(tmp_path / "m").train) == 5


def test_one_idx_file_and_names_beside_it(tmp_path):
    folder = mnist(tmp_path / "m")
    data = open_dataset(folder / "train-images-idx3-ubyte")
    assert len(data.train) == 5 and data.test is None and "nothing to test with" in data.warnings[0]
    (folder / "names.txt").write_text("shirt\nshoe\nbag\n")
    assert open_dataset(folder).names == ["shirt", "shoe", "bag"]
    (folder / "names.txt").write_text("shirt\nshoe\n")
    with pytest.raises(DataError, match=r"ubyte#0 has class 2, and there are 2 classes, 0 to 1"):
        open_dataset(folder)


def test_descriptions_name_idx_files(tmp_path):
    mnist(tmp_path, suffix=".gz")
    (tmp_path / "other-labels.gz").write_bytes(gzip.compress(idx_bytes(LABELS[::-1])))
    (tmp_path / "d.yaml").write_text("train: train-images-idx3-ubyte.gz\ntest: {images: train-images-idx3-ubyte.gz, "
                                     "labels: other-labels.gz}\nnames: [a, b, c]\n")
    data = open_dataset(tmp_path / "d.yaml")
    assert data.names == ["a", "b", "c"] and data.train.labels().tolist() == data.test.labels().tolist()[::-1]
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    (tmp_path / "d.data").write_text("train = train-images-idx3-ubyte.gz\nlabels = labels.txt\n")
    assert len(open_dataset(tmp_path / "d.data").train) == 5
    (tmp_path / "n.yaml").write_text("train: train-images-idx3-ubyte.gz\n")
    assert open_dataset(tmp_path / "n.yaml").names == ["0", "1", "2"]


@pytest.mark.parametrize("content, message", [
    (idx_bytes(PIXELS)[:-1], "5 x 4 x 3 values, and there are 59: the file is truncated"),
    (b"\0\0\x08\x03\0\0", "truncated"), (b"PK\3\4", "not an idx file"),
    (b"\0\0\x0d\x03", "unsigned bytes .type 8.. Got type 13"),
    (idx_bytes(LABELS), "images have 3 dimensions .* This file has 1"),
    (gzip.compress(idx_bytes(PIXELS))[:-9], "gzip file is truncated"),
])
def test_idx_mistakes(tmp_path, content, message):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_idx(tmp_path / "a", 3)


def test_idx_labels_must_be_there_and_as_many(tmp_path):
    folder = mnist(tmp_path / "m", labels=LABELS[:4])
    with pytest.raises(DataError, match=r"has 5 images, and .*train-labels-idx1-ubyte has 4 labels"):
        open_dataset(folder)
    (folder / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="the labels are missing: there is no train-labels-idx1-ubyte in its folder"):
        open_dataset(folder)


# --- CIFAR ---------------------------------------------------------------------------------------------------

IMAGES = RNG.integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)
CLASSES = [1, 0, 1, 2]


def binary(folder: Path, name: str, before: int = 1, count: int = 4) -> Path:
    folder.mkdir(exist_ok=True)
    labels = np.array([[9, n][-before:] for n in CLASSES[:count]], np.uint8)
    (folder / name).write_bytes(np.concatenate([labels, IMAGES[:count].reshape(count, -1)], axis=1).tobytes())
    return folder


def test_cifar10_binary(tmp_path):
    for k in (1, 2, 10):
        binary(tmp_path / "c", f"data_batch_{k}.bin")
    binary(tmp_path / "c", "test_batch.bin", count=3)
    (tmp_path / "c" / "batches.meta.txt").write_text("airplane\ncar\nbird\n\n")
    data = open_dataset(tmp_path / "c")
    assert data.names == ["airplane", "car", "bird"] and len(data.train) == 12 and len(data.test) == 3
    assert [Path(path).name for path, _ in data.train][::4] == [f"data_batch_{k}.bin#0" for k in (1, 2, 10)]
    np.testing.assert_array_equal(data.train.read(6, 3), IMAGES[2])


def test_cifar100_binary_has_the_fine_labels(tmp_path):
    binary(binary(tmp_path / "c", "train.bin", 2), "test.bin", 2)
    (tmp_path / "c" / "fine_label_names.txt").write_text("apple\nbear\ncan\n")
    (tmp_path / "c" / "coarse_label_names.txt").write_text("fruit\n")
    data = open_dataset(tmp_path / "c")
    assert data.names == ["apple", "bear", "can"]
    assert data.train.labels().tolist() == data.test.labels().tolist() == CLASSES


def pickled(folder: Path, name: str, content: dict, protocol: int = 2) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(pickle.dumps(content, protocol))
    return folder


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("key", ["labels", "fine_labels"])
def test_cifar_python(tmp_path, protocol, key):
    batch = {b"data": IMAGES.reshape(4, -1), key.encode(): CLASSES, b"filenames": [b"a.png"] * 4}
    pickled(tmp_path / "c", "data_batch_1", batch, protocol)
    pickled(tmp_path / "c", "test_batch", {"data": IMAGES.reshape(4, -1), key: np.array(CLASSES)}, protocol)
    pickled(tmp_path / "c", "batches.meta", {b"label_names": [b"plane", b"car", b"bird"]}, protocol)
    data = open_dataset(tmp_path / "c")
    assert data.names == ["plane", "car", "bird"]
    assert data.train.labels().tolist() == data.test.labels().tolist() == CLASSES
    np.testing.assert_array_equal(data.train.pixels, IMAGES)


def test_the_pickles_of_python_2_are_read(tmp_path):
    """As CIFAR's are: texts are bytes strings, and an array is the name of a function and a long string of bytes."""
    raw = IMAGES[:1].tobytes()
    content = (b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00"
               b"\x85U\x01b\x87Rq\x05(K\x01K\x01M\x00\x0c\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87R(K\x03U\x01|NNN"
               b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T\x00\x0c\x00\x00" + raw
               + b"tbU\x06labelsq\x07]q\x08K\x07au.")
    (tmp_path / "data_batch_1").write_bytes(content)
    data = open_dataset(tmp_path)
    assert data.train.labels().tolist() == [7]
    np.testing.assert_array_equal(data.train.pixels, IMAGES[:1])


class Trap:
    def __reduce__(self):
        return os.mkdir, ("caught",)


@pytest.mark.parametrize("evil", [Trap(), {"data": Trap()}, [Trap()]])
def test_a_pickle_runs_no_code(tmp_path, monkeypatch, evil):
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
])
def test_cifar_python_mistakes(tmp_path, content, message):
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps(content, 2) + bytes(4000))
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path)


def test_damaged_cifar_batches(tmp_path):
    binary(tmp_path, "data_batch_1.bin")
    whole = (tmp_path / "data_batch_1.bin").read_bytes()
    (tmp_path / "data_batch_1.bin").write_bytes(whole[:-100])
    with pytest.raises(DataError, match=r"data_batch_1\.bin: .*12,192 bytes are not a multiple"):
        open_dataset(tmp_path)
    (tmp_path / "b").write_bytes(b"\x80\x02}q")
    with pytest.raises(DataError, match="not a pickled CIFAR batch"):
        unpickle(tmp_path / "b")
    mnist(tmp_path)
    (tmp_path / "data_batch_1.bin").write_bytes(whole)
    with pytest.raises(DataError, match="MNIST IDX and CIFAR files in one folder"):
        open_dataset(tmp_path)


# --- npz -----------------------------------------------------------------------------------------------------

def test_npz_with_both_parts_and_names(tmp_path):
    x = RNG.integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=np.array([[0], [1], [1], [0], [1], [0]]), x_test=x[:2],
             y_test=np.eye(2)[[1, 0]], names=["crow", "owl"])
    data = open_dataset(tmp_path / "a.npz")
    assert data.names == ["crow", "owl"] and data.train.labels().tolist() == [0, 1, 1, 0, 1, 0]
    assert data.test.labels().tolist() == [1, 0] and data.test[1][0].endswith("a.npz:test#1")
    np.testing.assert_array_equal(data.train.read(4, 3), x[4].transpose(2, 0, 1))
    grey = data.train.read(4, 1)[0].astype(int)
    red, green, blue = x[4].astype(int).transpose(2, 0, 1)
    np.testing.assert_array_equal(grey, (77 * red + 150 * green + 29 * blue) >> 8)


def test_npz_forms_and_find_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    x = RNG.random((3, 1, 4, 5))
    np.savez("data/net.npz", x=x, y=[0, 1, 1])
    path = find_data("cfg/net.cfg")
    assert path == Path("data/net.npz")
    data = open_dataset(path)
    assert data.names == ["0", "1"] and data.test is None and "nothing to test with" in data.warnings[0]
    np.testing.assert_allclose(data.train.read(0, 3), x[0].repeat(3, 0), rtol=1e-6)
    colours = RNG.random((2, 3, 4, 5)).astype(np.float32)
    np.savez("c.npz", images=colours, labels=[0, 1])
    np.testing.assert_allclose(open_dataset("c.npz").train.read(0, 1)[0],
                               np.tensordot(np.array([77, 150, 29]) / 256, colours[0], 1), rtol=1e-6)


@pytest.mark.parametrize("content, message", [
    ({"x": PIXELS}, "an archive of images has x and y.* This one has x"),
    ({"x": PIXELS, "y": [0]}, "x has 5 images, and y has 1 labels"),
    ({"x": PIXELS[0], "y": [0]}, r"x must be images: .* Got an array of shape \(4, 3\)"),
    ({"x": PIXELS.astype(int), "y": LABELS}, "must be uint8, or floats in 0..1. Got int64"),
    ({"x": PIXELS.astype(float), "y": LABELS}, "must be in 0..1"),
    ({"x": PIXELS, "y": [-1, 0, 0, 0, 0]}, "class numbers from 0"),
    ({"x": PIXELS, "y": [.5] * 5}, "class numbers from 0"),
    ({"x": np.array([None] * 5), "y": LABELS}, "not an .npz archive of plain arrays"),
    ({"x": PIXELS, "y": LABELS, "names": ["a", "b"]}, "has class 2, and there are 2 classes"),
])
def test_npz_mistakes(tmp_path, content, message):
    np.savez(tmp_path / "a.npz", **content)
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path / "a.npz")


def test_not_an_npz(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"a\.npz: not an \.npz archive"):
        open_dataset(tmp_path / "a.npz")


# --- what all of them share ----------------------------------------------------------------------------------

def test_batches_from_memory_are_those_of_files(tmp_path):
    from PIL import Image

    for i, pixels in enumerate(PIXELS):
        place = tmp_path / "files" / "train" / str(LABELS[i])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{i}.png")
    files = open_dataset(tmp_path / "files").train
    memory = open_dataset(mnist(tmp_path / "m")).train
    memory = memory.take([int(Path(path).stem) for path, _ in files])
    for (x, truth), (x2, truth2) in zip(*(batches(split, batch=2, width=3, height=4) for split in (files, memory)),
                                        strict=True):
        np.testing.assert_array_equal(x, x2)
        np.testing.assert_array_equal(truth, truth2)


def test_an_archive_is_to_be_unpacked(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(b"x")
    with pytest.raises(DataError, match="this is an archive: unpack it"):
        open_dataset(tmp_path / "a.tar.gz")
    with pytest.raises(DataError, match=r"Is a\.tar\.gz the dataset\? Unpack it"):
        open_dataset(tmp_path)


def test_a_share_is_held_out_of_every_class(tmp_path):
    labels = np.repeat(np.array([0, 1, 2], np.uint8), [40, 20, 10])
    images = np.arange(70, dtype=np.uint8)[:, None, None].repeat(2, 1).repeat(2, 2)
    folder = mnist(tmp_path / "m", images=images, labels=labels)
    data, again = open_dataset(folder, .2), open_dataset(folder, .2)
    assert data.test.counts().tolist() == [8, 4, 2] and data.train.counts().tolist() == [32, 16, 8]
    assert data.train.items == again.train.items and not data.warnings
    shown = [int(split.read(i, 1)[0, 0, 0]) for split in (data.train, data.test) for i in range(len(split))]
    assert sorted(shown) == list(range(70)) and shown[56:] != sorted(shown)[:14]
    mnist(folder, "t10k")
    with pytest.raises(DataError, match=r"split_share=0\.2 .* there are test images already"):
        open_dataset(folder, .2)
    with pytest.raises(DataError, match="leaves none to test with"):
        open_dataset(folder / "train-images-idx3-ubyte", .01)


def test_an_image_of_a_file_can_be_named(tmp_path, monkeypatch):
    monkeypatch.chdir(mnist(tmp_path / "m"))
    np.savez("a.npz", x_train=PIXELS, y_train=LABELS, x_test=PIXELS[1:3], y_test=LABELS[1:3])
    file = "train-images-idx3-ubyte"
    assert expand_images([file]) == [f"{file}#{i}" for i in range(5)]
    assert expand_images([f"{file}#3", "a.npz:test#1"]) == [f"{file}#3", "a.npz:test#1"]
    np.testing.assert_array_equal(read_named(f"{file}#3", 1)[0], PIXELS[3])
    np.testing.assert_array_equal(read_named("a.npz:test#1", 3)[1], PIXELS[2])
    for name, _ in open_dataset("a.npz").test:
        assert read_named(name, 1).shape == (1, 4, 3)
    with pytest.raises(DataError, match="has 5 images, 0 to 4"):
        read_named(f"{file}#5", 1)
    with pytest.raises(DataError, match="no such file"):
        expand_images(["other#5"])
    Path("train-labels-idx1-ubyte").unlink()
    assert len(expand_images([file])) == 5, "labels are not needed to predict"
