"""data/scenes is what tools/make_scenes.py generates from data/digits."""
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.cli import main
from runner.datasets import open_detection_dataset
from tests.paths import ROOT


def test_the_tool_generates_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("make_scenes", ROOT / "tools" / "make_scenes.py")
    assert spec and spec.loader
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setattr(tool, "SCENES", {"train": 40, "test": 20})      # the first of each split
    tool.main(tmp_path)
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.*"))
    assert len(made) == 2 * 60
    for path in made:
        new, kept = tmp_path / path, ROOT / "data" / "scenes" / path
        if path.suffix == ".txt":
            assert new.read_text() == kept.read_text()
        else:
            np.testing.assert_array_equal(np.asarray(Image.open(new)), np.asarray(Image.open(kept)))


def test_its_contents() -> None:
    data = open_detection_dataset(ROOT / "data" / "scenes.yaml")
    assert data.train and data.test and not data.warnings
    assert len(data.train) == 600 and len(data.test) == 120
    for split in (data.train, data.test):
        assert split.counts().min() > len(split) / 4
        assert any(not len(image.boxes) for image in split) and max(len(image.boxes) for image in split) == 6
    heights = 96 * data.train.boxes()[:, 3]
    assert heights.min() >= 12 and heights.max() <= 56
    assert np.percentile(heights, 10) < 18 < 36 < np.percentile(heights, 90)


@pytest.mark.slow
def test_the_cfg_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sixth of the training is enough to see that it learns; docs/detection.md has the full run."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", str(ROOT / "cfg" / "scenes.cfg"), "--set", "net.max_batches=350", "--quiet", "--json",
                 "run.json"]) == 0
    assert json.loads((tmp_path / "run.json").read_text())["best"]["score"] > .12
