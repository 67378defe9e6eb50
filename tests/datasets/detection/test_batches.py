"""Batches of images with boxes: what is in them, and that threads and restarts change nothing."""
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runner.datasets import DetectionSplit, LabelledImage, detection_batches
from runner.errors import DataError, RunnerError
from runner.images import BoxAugment, prepare, read_image
from tests.datasets.loading import assert_same

SIZE: dict[str, Any] = {"width": 16, "height": 12}
NONE = np.zeros((0, 5), np.float32)


@pytest.fixture
def split(tmp_path: Path) -> DetectionSplit:
    """Seven images of different sizes; image k has k % 4 boxes, the last of class 2."""
    rng, items = np.random.default_rng(0), []
    for k in range(7):
        path = tmp_path / f"{k}.png"
        Image.fromarray(rng.integers(0, 256, (15 + k, 20 + 5 * (k % 2), 3), dtype=np.uint8)).save(path)
        boxes = np.array([[.3 + .1 * i, .5, .2, .4, i] for i in range(k % 4)], np.float32).reshape(-1, 5)
        items.append(LabelledImage(str(path), boxes, NONE))
    return DetectionSplit(items, 3)


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_shows_each_image_once_in_order(split: DetectionSplit, workers: int) -> None:
    loader = detection_batches(split, batch=3, boxes=4, workers=workers, **SIZE)
    assert len(loader) == 3
    shown = 0
    for x, truth in loader:
        assert x.dtype == truth.dtype == np.float32 and truth.shape == (len(x), 4, 5)
        for row, index in enumerate(loader.indices.tolist()):
            image = read_image(split[index].path)
            np.testing.assert_array_equal(x[row], prepare(image, 16, 12, "stretch"))
            assert loader.sizes[row].tolist() == [image.shape[2], image.shape[1]]
            count = len(split[index].boxes)
            np.testing.assert_array_equal(truth[row, :count], split[index].boxes)
            assert not truth[row, count:].any()
            shown += 1
    assert shown == 7


def test_letterboxed_boxes_stay_on_their_objects(split: DetectionSplit) -> None:
    path = split[0].path
    image = np.zeros((20, 40, 3), np.uint8)
    image[5:15, 10:20] = 255
    Image.fromarray(image).save(path)
    one = DetectionSplit([LabelledImage(path, np.array([[15 / 40, .5, .25, .5, 0]], np.float32), NONE)], 1)
    x, truth = next(detection_batches(one, batch=1, width=64, height=64, letterbox=True))
    rows, columns = np.nonzero(x[0, 0] > .75)
    cx, cy, w, h, _ = truth[0, 0] * 64
    assert abs(columns.min() - (cx - w / 2)) <= 1 and abs(columns.max() + 1 - (cx + w / 2)) <= 1
    assert abs(rows.min() - (cy - h / 2)) <= 1 and abs(rows.max() + 1 - (cy + h / 2)) <= 1
    assert x[0, 0, 0, 0] == .5


def test_more_boxes_than_rows_are_cut(split: DetectionSplit) -> None:
    _, truth = next(detection_batches(split, batch=4, boxes=2, **SIZE))
    np.testing.assert_array_equal(truth[3], split[3].boxes[:2])


TRAINING: dict[str, Any] = {"batch": 3, "shuffle": True, "endless": True, "seed": 5, **SIZE}


@pytest.mark.parametrize("options", [{"workers": 0}, {"workers": 3}, {"cache_bytes": 0}, {"cache_bytes": 1000}])
def test_neither_threads_nor_cache_change_anything(split: DetectionSplit, options: dict[str, Any]) -> None:
    with detection_batches(split, **TRAINING) as one, detection_batches(split, **TRAINING, **options) as other:
        assert_same(itertools.islice(one, 6), itertools.islice(other, 6))


def test_start_batch_continues_where_another_run_stopped(split: DetectionSplit) -> None:
    with detection_batches(split, **TRAINING) as whole, detection_batches(split, start_batch=4, **TRAINING) as rest:
        assert_same(list(itertools.islice(whole, 7))[4:], itertools.islice(rest, 3))


def test_bad_images_are_replaced_in_training_and_left_out_of_evaluation(split: DetectionSplit) -> None:
    with open(split[2].path, "wb") as file:
        file.write(b"no image")
    said: list[str] = []
    loader = detection_batches(split, batch=4, warn=said.append, **SIZE)
    assert sum(len(x) for x, _ in loader) == 6 and len(said) == 1 and "2.png" in said[0]
    assert list(loader.bad) == [split[2].path]
    with detection_batches(split, batch=7, endless=True, **SIZE) as loader:
        _, truth = next(loader)
    assert loader.indices.tolist() == [0, 1, 3, 3, 4, 5, 6]
    np.testing.assert_array_equal(truth[2], truth[3])
    with pytest.raises(DataError, match=r"2\.png: this is not an image"):
        list(detection_batches(split, batch=4, on_bad="error", **SIZE))


@pytest.mark.parametrize("change, message", [({"batch": 0}, "at least 1"), ({"on_bad": "ignore"}, "on_bad"),
                                             ({"boxes": 0}, "at least 1")])
def test_wrong_settings_are_refused(split: DetectionSplit, change: dict[str, Any], message: str) -> None:
    with pytest.raises(RunnerError, match=message):
        detection_batches(split, **{"batch": 2, **SIZE, **change})
    with pytest.raises(DataError, match="no images"):
        detection_batches(DetectionSplit([], 3), batch=2, **SIZE)


CHANGES = BoxAugment(jitter=.3, resize=1.4, hue=.1, saturation=1.3, exposure=1.3, mosaic=True, mixup=True, blur=3,
                     gaussian_noise=20)


@pytest.mark.parametrize("options", [{"workers": 0}, {"workers": 3}, {"cache_bytes": 0}])
def test_augmentation_depends_only_on_the_number_of_the_batch(split: DetectionSplit, options: dict[str, Any]) -> None:
    with open(split[2].path, "wb") as file:
        file.write(b"no image")
    changed = {**TRAINING, "augment": CHANGES}
    with detection_batches(split, **changed) as one, detection_batches(split, **changed, **options) as other, \
            detection_batches(split, start_batch=3, **changed) as rest:
        first = list(itertools.islice(one, 6))
        assert_same(first, itertools.islice(other, 6))
        assert_same(first[3:], itertools.islice(rest, 3))
        assert one.bad.keys() == {split[2].path}
    with detection_batches(split, **{**changed, "seed": 6}) as other:
        assert not np.array_equal(next(other)[0], first[0][0])


def test_the_size_may_change_from_batch_to_batch(split: DetectionSplit) -> None:
    sizes = [(16, 12), (8, 8), (12, 4)]
    with detection_batches(split, sizes=lambda k: sizes[k % 3], augment=CHANGES, **TRAINING) as loader:
        for width, height in sizes:
            x, truth = next(loader)
            assert x.shape == (3, 3, height, width) and truth.shape == (3, 200, 5)


def test_training_decodes_no_more_of_a_jpeg_than_it_needs(tmp_path: Path) -> None:
    smooth = np.linspace(0, 250, 128 * 96 * 3).reshape(96, 128, 3).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    split = DetectionSplit([LabelledImage(str(tmp_path / "a.jpg"), NONE, NONE)], 1)
    for draft, augment, side in [(False, BoxAugment(), 1), (True, None, 1), (True, BoxAugment(jitter=.2), 4),
                                 (True, BoxAugment(jitter=.3), 2), (True, BoxAugment(resize=1.5), 2)]:
        with detection_batches(split, batch=1, epochs=2, augment=augment, draft=draft, workers=0, **SIZE) as loader:
            next(loader)
            assert loader.cached == smooth.size // side ** 2 + 200, (draft, augment)
