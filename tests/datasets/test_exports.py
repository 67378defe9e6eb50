"""Every layout of exports.py opens at the first command with the same content."""
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner import cli
from runner.datasets import Dataset, DetectionDataset, open_any_dataset
from tests.datasets.class_exports import EXPORTS, LABELS
from tests.datasets.exports import CLASSES, HEIGHT, IMAGES, WIDTH, Export, stem_of

ALL = [pytest.param(one, path, id=f"{one.name}-{path}") for one in EXPORTS.values() for path in one.opens]


def labels_of(export: Export) -> dict[str, dict[str, Any]]:
    """Split -> image -> objects, or its class, as `open_any_dataset` should give them."""
    labels: dict[str, Any] = dict(IMAGES if export.task == "detection" else LABELS)
    if export.splits:
        return {"train": labels["train"], "test": labels["val"]}
    return {"train": labels["train"] | labels["val"]}


@pytest.mark.parametrize("export, path", ALL)
def test_an_export_opens_with_its_content(export: Export, path: str, tmp_path: Path) -> None:
    export.write(tmp_path)
    data = open_any_dataset(tmp_path / path)
    assert tuple(data.names) == CLASSES
    assert isinstance(data, DetectionDataset if export.task == "detection" else Dataset)
    wanted = labels_of(export)
    for split in ("train", "test"):
        images = getattr(data, split)
        if split not in wanted and images is None:
            continue
        content = wanted.get(split, wanted["train"])       # yolo-mark names one list for both
        assert sorted(stem_of(one[0]) for one in images) == sorted(content)
        for one in images:
            if export.task == "classification":
                assert one[1] == content[stem_of(one[0])]
                continue
            boxes = [(c, (x0 + x1) / 2 / WIDTH, (y0 + y1) / 2 / HEIGHT, (x1 - x0) / WIDTH, (y1 - y0) / HEIGHT)
                     for c, x0, y0, x1, y1 in content[stem_of(one.path)]]
            found = sorted((int(c), *xywh) for *xywh, c in one.boxes.tolist())
            # VOC's pixels count from 1, so that its boxes are half or one pixel off
            np.testing.assert_allclose(np.reshape(found, (-1, 5)), np.reshape(sorted(boxes), (-1, 5)),
                                       atol=1.01 / HEIGHT if "voc" in export.name else 1e-5)
    if export.task == "detection":
        assert isinstance(data, DetectionDataset) and data.problems == []
    headings = [warning for warning in data.warnings if "the category 'animals' is the heading of others" in warning]
    assert len(headings) == (export.name == "roboflow-coco")


@pytest.mark.parametrize("export", EXPORTS.values(), ids=EXPORTS.keys())
def test_data_describes_an_export(export: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export.write(tmp_path)
    for path in export.opens:
        status = cli.main(["data", str(tmp_path / path), "--json", "-", "--quiet"])
        said = json.loads(capsys.readouterr().out)
        assert said["classes"] == list(CLASSES) and said["train"]["unreadable"] == []
        assert status == 0, said
        assert any("are the same" in warning for warning in said["warnings"]) == (export.name == "yolo-mark")


TINY = """[net]
width=32
height=32
channels=3
batch=2
max_batches=2
learning_rate=0.001

[convolutional]
filters={filters}
size=3
stride=4
activation=linear

"""
DETECTOR = TINY.format(filters=7) + "[yolo]\nclasses=2\nnum=1\nanchors=10,10\n"
CLASSIFIER = TINY.format(filters=2) + "[avgpool]\n\n[softmax]\n"


@pytest.mark.parametrize("name", ["roboflow-yolo", "roboflow-coco", "roboflow-csv", "label-studio-yolo", "cvat-yolo",
                                  "cvat-voc", "ultralytics-pose", "darkmark", "keras-yolo3", "path-label-lines",
                                  "kaggle", "roboflow-classes-csv"])
def test_train_and_test_take_an_export(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    export = EXPORTS[name]
    export.write(tmp_path / "set")
    Path("tiny.cfg").write_text(DETECTOR if export.task == "detection" else CLASSIFIER)
    data = ["--data", str(Path("set") / export.opens[0]), *([] if export.splits else ["--split-share", ".4"])]
    assert cli.main(["train", "tiny.cfg", *data, "--backend", "numpy", "--quiet", "--no-report"]) == 0
    assert cli.main(["test", "tiny.cfg", *data, "--backend", "numpy", "--json", "test.json"]) == 0
    said = json.loads(Path("test.json").read_text())
    assert said["images"] == (len(labels_of(export)["test"]) if export.splits else 2)
