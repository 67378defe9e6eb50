"""The real MNIST: its idx files are read correctly.  Needs ../shared."""
import re
import tarfile

import numpy as np
import pytest

from runner.datasets import open_dataset
from runner.datasets.survey import duplicates, survey
from runner.images import read_pixels
from tests.paths import SHARED

FOLDER = SHARED / "data" / "mnist"
pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="needs ../shared")


def test_e2e_the_training_set_and_its_pngs() -> None:
    """60,000 images in the known numbers; PNGs that others made of them have the same pixels."""
    data = open_dataset(FOLDER / "train-images-idx3-ubyte.gz")
    assert data.train is not None and len(data.train) == 60_000
    assert data.train.counts().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    checked = 0
    with tarfile.open(FOLDER / "mnist-png.tar.gz") as tar:
        for member in tar:
            match = re.search(r"/train/digit_(\d)/(\d+)\.png$", member.name)
            if not match or checked == 500:
                continue
            digit, number = map(int, match.groups())
            assert data.train[number][1] == digit
            content = tar.extractfile(member)
            assert content is not None
            np.testing.assert_array_equal(read_pixels(content.read(), 1), data.train.read(number, 1))
            checked += 1
    assert checked == 500


@pytest.mark.slow
def test_e2e_there_are_no_duplicates() -> None:
    data = open_dataset(FOLDER / "train-images-idx3-ubyte.gz")
    assert data.train is not None
    found = survey(data.train)
    assert found.sizes == {(28, 28): 60_000} and found.decoded == 47_040_000 and not found.bad
    assert duplicates({"train": (data.train, found)}) == []
