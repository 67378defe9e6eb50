"""COCO's JSON: crowds, sizes, and mistakes in it."""
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.datasets import open_detection_dataset
from runner.errors import DataError
from tests.datasets.examples import OBJECTS, Maker, coco_text, image, row, write
from tests.datasets.splits import training_split


def test_crowds_are_kept_apart(tmp_path: Path) -> None:
    for name in OBJECTS:
        image(tmp_path / f"{name}.png")
    first = training_split(open_detection_dataset(write(tmp_path / "x.json", coco_text(list(OBJECTS), crowd=1))))[0]
    assert first.boxes.shape == (0, 5) and first.crowd.shape == (2, 5)


def damaged(change: Callable[[dict[str, Any]], object]) -> Maker:
    """A COCO file of images a, b, c with something changed."""
    def make(root: Path) -> Path:
        for name in OBJECTS:
            image(root / f"{name}.png")
        content = json.loads(coco_text(list(OBJECTS)))
        change(content)
        return write(root / "x.json", json.dumps(content))
    return make


@pytest.mark.parametrize("change, sentence", [
    (lambda c: c["annotations"][0].update(category_id=8), "category_id must be an id of `categories`. Got 8"),
    (lambda c: c["annotations"][0].update(image_id=8), "image_id must be an id of `images`, of one that exists. Got 8"),
    (lambda c: c["annotations"][0].update(bbox=[1, 2, 3]), "bbox must be four numbers"),
    (lambda c: c["annotations"][0].update(bbox=[1, 2, 0, 3]), "annotation 0: width and height must be above 0"),
    (lambda c: c["images"][1].update(file_name="z.png"), "image 11: there is no 'z.png'"),
    (lambda c: c["images"].append(c["images"][0]), "image 10: the id of"),
])
def test_a_mistake_in_a_coco_file(change: Any, sentence: str, tmp_path: Path) -> None:
    data = open_detection_dataset(damaged(change)(tmp_path))
    assert len(data.problems) == 1 and sentence in data.warnings[0]


def test_objects_in_a_missing_image_are_not_reported_again(tmp_path: Path) -> None:
    data = open_detection_dataset(damaged(lambda c: c["images"][0].update(file_name="z.png"))(tmp_path))
    assert len(data.problems) == 1 and len(training_split(data)) == 2


def test_a_coco_file_may_leave_out_the_size(tmp_path: Path) -> None:
    data = open_detection_dataset(damaged(lambda c: [image.pop("width") for image in c["images"]])(tmp_path))
    np.testing.assert_allclose(training_split(data)[2].boxes, [row(*OBJECTS["c"][0])], rtol=1e-6)


@pytest.mark.parametrize("change, sentence", [
    (lambda c: c.pop("images"), "Missing here: images"),
    (lambda c: c["categories"].append({"id": 1, "name": "cat"}), "two categories have the name 'cat'"),
    (lambda c: c["categories"].append({"id": 7, "name": "dog"}), "two categories have the id 7"),
    (lambda c: c.update(categories=[{"name": "cat"}]), r"categories\[0\]\.id is missing: it must be a whole number"),
    (lambda c: [image.update(file_name="no.png") for image in c["images"]], "none of its 3 images exists"),
])
def test_a_coco_file_that_cannot_be_used(change: Any, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=sentence):
        open_detection_dataset(damaged(change)(tmp_path))


def test_not_json(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.json:2: this is not JSON"):
        open_detection_dataset(write(tmp_path / "x.json", "{\n bad"))
