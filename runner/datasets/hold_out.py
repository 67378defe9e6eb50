"""Test images taken from the training images of a dataset that has none."""
from dataclasses import replace
from typing import TypeVar

import numpy as np

from runner.datasets.classification.dataset import NO_TEST_IMAGES, Dataset
from runner.datasets.detection.dataset import DetectionDataset
from runner.errors import DataError, counted

D = TypeVar("D", Dataset, DetectionDataset)


def hold_out(data: D, share: float) -> D:
    """A share of the training images becomes the test images; of a classification dataset, that share of each class.

    Which ones depends only on the data, not on the seed of a run: runs with different seeds are tested on the same
    images, and `test` finds them again.  DataError where there are test images already, or too few images to share.
    """
    if data.test is not None or data.train is None:
        raise DataError(f"{data.source}: split_share={share:g} takes test images from the training images, and there "
                        "are " + ("test images already" if data.train else "no training images"))
    count = len(data.train)
    test = np.sort(data.train.sample(share, np.random.default_rng(0)))
    train = np.setdiff1d(np.arange(count), test)
    if not len(test) or not len(train):
        raise DataError(f"{data.source}: split_share={share:g} of {counted(count, 'image')} leaves "
                        + ("none to train on" if len(test) else "none to test with"))
    return replace(data, train=data.train.take(train), test=data.train.take(test),
                   warnings=[text for text in data.warnings if NO_TEST_IMAGES not in text])
