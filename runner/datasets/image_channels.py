"""Whether the images of a dataset have the channels of a network, before they are read."""
import os
from collections.abc import Iterator

import numpy as np

from runner.datasets.classification.dataset import Dataset, Split
from runner.datasets.detection.dataset import DetectionDataset, DetectionSplit
from runner.errors import DataError
from runner.images import arrays
from runner.images.many_channels import stored_image

PROBED = 10         # images of each split that are looked at


def check_image_channels(data: Dataset | DetectionDataset, channels: int, *, every: bool) -> None:
    """DataError, naming an image, where the images have other channels than the network.

    The headers of some images are read; it is an error where all of these have other channels, with `every` where one
    has: single ones are skipped when they are read.  Grey and colour files, 1 and 3 channels, always fit each other.
    """
    found = [one for split in (data.train, data.test) if split for one in _probe(split, channels)]
    wrong = [one for one in found if one]
    if wrong and (every or len(wrong) == len(found)):
        raise DataError(wrong[0])


def _probe(split: Split | DetectionSplit, channels: int) -> Iterator[str]:
    """For each image that is looked at, what is wrong with its channels, or ""."""
    if not len(split):
        return
    if isinstance(split, Split) and split.pixels is not None:
        yield _problem(split[0][0], split.pixels.shape[1], channels, "an array")
        return
    for index in np.unique(np.linspace(0, len(split) - 1, PROBED).astype(int)):
        path = split[int(index)][0]
        if channels in (1, 3) and os.path.splitext(path)[1].lower() not in arrays.SUFFIXES:
            continue
        try:
            stored = stored_image(path, channels)
        except DataError as error:
            yield f"{path}: {error}"
        except OSError:
            continue        # not a question of channels: it is said when it is read
        else:
            yield _problem(path, stored.channels, channels, stored.what)


def _problem(path: str, found: int, channels: int, what: str) -> str:
    try:
        arrays.check_channels(found, channels, what)
    except DataError as error:
        return f"{path}: {error}"
    return ""
