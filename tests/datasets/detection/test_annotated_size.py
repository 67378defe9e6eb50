"""Sizes written with labels, compared with the images: EXIF rotations, resized images, and other sizes."""
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.datasets import open_detection_dataset
from runner.datasets.detection.dataset import DetectionDataset
from runner.images import read_image
from tests.datasets.examples import write
from tests.datasets.splits import training_split

Opener = Callable[[Path, tuple[int, int], tuple[int, ...]], DetectionDataset]

STORED = (100, 60)
THING = (20, 10, 50, 20)        # left, top, right, bottom in the image as it is stored


def photo(path: Path, orientation: int, scale: int = 1) -> Path:
    """A white thing on black; scale: of the image, not of THING."""
    pixels = np.zeros((STORED[1], STORED[0], 3), np.uint8)
    left, top, right, bottom = THING
    pixels[top:bottom, left:right] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).resize((STORED[0] * scale, STORED[1] * scale), 0).save(path, exif=exif)
    return path


def coco(root: Path, size: tuple[int, int], box: tuple[int, ...]) -> DetectionDataset:
    left, top, right, bottom = box
    write(root / "train.json", json.dumps({
        "images": [{"id": 1, "file_name": "a.png", "width": size[0], "height": size[1]}],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [left, top, right - left, bottom - top]}]}))
    return open_detection_dataset(root / "train.json")


def voc(root: Path, size: tuple[int, int], box: tuple[int, ...]) -> DetectionDataset:
    left, top, right, bottom = (edge + 1 for edge in box)       # its pixels are counted from 1
    write(root / "a.xml", f"""<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>
        <object><name>thing</name><bndbox><xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>
        </bndbox></object></annotation>""")
    return open_detection_dataset(root)


def thing_in(path: Path) -> tuple[float, ...]:
    """The box around the white pixels of the image as it is read."""
    white = read_image(path)[0] > .5
    rows, columns = np.flatnonzero(white.any(axis=1)), np.flatnonzero(white.any(axis=0))
    h, w = white.shape
    left, right, top, bottom = columns[0] / w, (columns[-1] + 1) / w, rows[0] / h, (rows[-1] + 1) / h
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("dataset", [coco, voc])
def test_boxes_annotated_on_the_stored_image_are_rotated_with_it(
        dataset: Opener, orientation: int, scale: int, tmp_path: Path) -> None:
    path = photo(tmp_path / "a.png", orientation, scale)
    data = dataset(tmp_path, STORED, THING)
    np.testing.assert_allclose(training_split(data)[0].boxes[0, :4], thing_in(path), atol=1e-6)
    assert any("1 image was annotated as stored" in text for text in data.warnings)
    assert not data.problems


@pytest.mark.parametrize("dataset", [coco, voc])
def test_boxes_annotated_on_the_upright_image_stay(dataset: Opener, tmp_path: Path) -> None:
    path = photo(tmp_path / "a.png", 6)
    data = dataset(tmp_path, STORED[::-1], (40, 20, 50, 50))
    np.testing.assert_allclose(training_split(data)[0].boxes[0, :4], thing_in(path), atol=1e-6)
    assert not data.problems and not any("rotat" in text for text in data.warnings)


@pytest.mark.parametrize("dataset", [coco, voc])
def test_another_aspect_ratio_is_said(dataset: Opener, tmp_path: Path) -> None:
    photo(tmp_path / "a.png", 1)
    data = dataset(tmp_path, (100, 80), THING)
    (problem,) = data.problems
    assert "100 x 80" in problem.text and "100 x 60 pixels" in problem.text and not problem.lost
    assert "sizes that are not those of the images, used as they are: 1" in "\n".join(data.warnings)


@pytest.mark.parametrize("size", [(100, 60), (1000, 600), (33, 20)])
def test_a_resized_image_keeps_its_boxes(size: tuple[int, int], tmp_path: Path) -> None:
    photo(tmp_path / "a.png", 1)
    data = coco(tmp_path, size, (0, 0, 10, 10))
    np.testing.assert_allclose(training_split(data)[0].boxes[0, 2:4], [10 / size[0], 10 / size[1]], rtol=1e-6)
    assert not data.problems
    assert any("1 image has another size" in text for text in data.warnings) == (size != STORED)


def test_an_image_that_cannot_be_read_keeps_the_written_size(tmp_path: Path) -> None:
    write(tmp_path / "a.png", "not an image")
    first = training_split(coco(tmp_path, (100, 50), THING))[0]
    np.testing.assert_allclose(first.boxes[0, :4], [.35, .3, .3, .2], rtol=1e-6)
