"""Class numbers that begin at 1: they are refused, and the message says where numbers begin."""
from pathlib import Path

import numpy as np
import pytest

from runner.datasets import open_dataset
from runner.errors import DataError
from tests.datasets.examples import images, write


@pytest.mark.parametrize(("text", "says"), [
    ("names: [a, b, c]\ntrain: one.txt", "one.txt:2: behind the path of an image is the name of its class, or its "
                                         "number, 0 to 2. Got '3': class numbers start at 0"),
    ("names: [a, b, c]\ntrain: two.txt", "two.txt:1: behind the path of an image is the name of its class, or its "
                                         "number, 0 to 2. Got '1,3': class numbers start at 0"),
    ("names: {1: a, 2: b}\ntrain: one.txt", "d.yaml: names must be numbered 0 to 1 without gaps. Got 1, 2 (class "
                                            "numbers start at 0)"),
])
def test_in_lists_and_in_yaml(text: str, says: str, tmp_path: Path) -> None:
    images(tmp_path, "1.png", "2.png")
    write(tmp_path / "one.txt", "1.png 1\n2.png 3\n")
    write(tmp_path / "two.txt", "1.png 1,3\n2.png 2\n")
    with pytest.raises(DataError) as raised:
        open_dataset(write(tmp_path / "d.yaml", text))
    assert str(raised.value) == f"{tmp_path}/{says}"


@pytest.mark.parametrize(("labels", "hint"), [([1, 2, 3], ": class numbers start at 0"), ([0, 2, 3], ""),
                                              ([1, 9, 3], "")])
def test_in_arrays(labels: list[int], hint: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 4, 4), np.uint8), y=np.array(labels), names=["a", "b", "c"])
    with pytest.raises(DataError) as raised:
        open_dataset(tmp_path / "a.npz")
    assert str(raised.value) == (f"{tmp_path}/a.npz#{int(np.argmax(labels))} has class {max(labels)}, and there are 3 "
                                 f"classes, 0 to 2{hint}")
