"""Test images taken from the training images."""
from pathlib import Path

import numpy as np
import pytest

from runner.datasets import open_dataset, open_detection_dataset
from runner.errors import DataError
from tests.datasets.containers.test_idx import mnist
from tests.datasets.examples import darknet, image, write
from tests.datasets.splits import evaluation_split, training_split


def test_a_share_is_held_out_of_every_class(tmp_path: Path) -> None:
    labels = np.repeat(np.array([0, 1, 2], np.uint8), [40, 20, 10])
    images = np.arange(70, dtype=np.uint8)[:, None, None].repeat(2, 1).repeat(2, 2)
    folder = mnist(tmp_path / "m", images=images, labels=labels)
    data, again = open_dataset(folder, .2), open_dataset(folder, .2)
    train, test = training_split(data), evaluation_split(data)
    assert test.counts().tolist() == [8, 4, 2] and train.counts().tolist() == [32, 16, 8]
    assert train.items == training_split(again).items and not data.warnings
    shown = [int(split.read(i, 1)[0, 0, 0]) for split in (train, test) for i in range(len(split))]
    assert sorted(shown) == list(range(70)) and shown[56:] != sorted(shown)[:14]
    mnist(folder, "t10k")
    with pytest.raises(DataError, match=r"split_share=0\.2 .* there are test images already"):
        open_dataset(folder, .2)
    with pytest.raises(DataError, match="leaves none to test with"):
        open_dataset(folder / "train-images-idx3-ubyte", .01)


def test_a_share_of_the_images_with_boxes_is_held_out(tmp_path: Path) -> None:
    for k in range(10):
        image(tmp_path / f"{k}.png")
        write(tmp_path / f"{k}.txt", "0 .5 .5 .1 .1\n")
    data, again = (open_detection_dataset(tmp_path, split_share=.3) for _ in range(2))
    train, test = training_split(data), evaluation_split(data)
    assert len(train) == 7 and len(test) == 3 and not any("nothing to test" in w for w in data.warnings)
    assert not {one.path for one in train} & {one.path for one in test}
    assert [one.path for one in test] == [one.path for one in evaluation_split(again)]
    with pytest.raises(DataError, match="leaves none to test with"):
        open_detection_dataset(tmp_path, split_share=.01)
    with pytest.raises(DataError, match="test images already"):
        open_detection_dataset(darknet(tmp_path / "d"), split_share=.3)
