"""What the tests of batches share: settings, unreadable images, comparisons."""
from collections.abc import Iterable
from typing import Any

import numpy as np

from runner.datasets import Split
from runner.images import Augment

SIZE: dict[str, Any] = {"width": 8, "height": 6}
CHANGES = Augment(8, 6, 6, 12, angle=10, aspect=1.2, hue=.1, saturation=1.3, exposure=1.3)
TRAINING: dict[str, Any] = {"batch": 4, "shuffle": True, "endless": True, "augment": CHANGES, "seed": 5, **SIZE}


def make_unreadable(split: Split, *indices: int) -> None:
    """Overwrite some of the image files."""
    for index in indices:
        with open(split[index][0], "wb") as file:
            file.write(b"no image")


def assert_same(ours: Iterable[tuple[np.ndarray, np.ndarray]],
                theirs: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
    """Two sequences of batches are equal, bit by bit."""
    for (x, truth), (x2, truth2) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(x, x2)
        np.testing.assert_array_equal(truth, truth2)


def uneven() -> Split:
    """Sixty images of class 0, thirty of 1, ten of 2, in memory."""
    labels = [0] * 60 + [1] * 30 + [2] * 10
    return Split([(str(i), label) for i, label in enumerate(labels)], 3, np.zeros((100, 1, 6, 8), np.uint8))
