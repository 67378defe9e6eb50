"""Images in both splits."""
import os
from pathlib import Path

import pytest

from runner.datasets import open_dataset
from runner.datasets.overlap import overlap_warning, same_images
from tests.datasets.examples import image, write


def test_none_some_and_all_images_in_both_splits() -> None:
    a, b, c = ("a.png", 0), ("b.png", 1), (os.path.join(".", "a.png"), 0)
    assert overlap_warning([a], [b], "d") == overlap_warning([a], None, "d") == overlap_warning(None, None, "d") == ""
    assert overlap_warning([a, b], [c], "d").startswith("d: 1 image is both for training and for testing, for instance "
                                                        "a.png:")
    assert overlap_warning([a, b], [b, c], "d").startswith("d: training and test images are the same, 2 images:")
    assert same_images([a], [c]) and not same_images([a, b], [a]) and not same_images(None, None)


@pytest.mark.parametrize("description", ["both.data", "both.yaml"])
def test_a_list_that_serves_for_both_splits_is_read_once(tmp_path: Path, description: str) -> None:
    image(tmp_path / "1_cat.png")
    image(tmp_path / "2_cat_dog.png")
    write(tmp_path / "all.list", "1_cat.png\n2_cat_dog.png\n")
    write(tmp_path / "labels.txt", "cat\ndog\n")
    write(tmp_path / "both.data", "train=all.list\nvalid=all.list\nlabels=labels.txt\n")
    write(tmp_path / "both.yaml", "train: all.list\ntest: all.list\nnames: [cat, dog]\n")
    data = open_dataset(tmp_path / description)
    same, = data.warnings
    assert "training and test images are the same, 2 images:" in same
    assert data.train is not None and data.test is not None and data.train.items == data.test.items
