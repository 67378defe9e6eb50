"""A survey of a dataset, and its duplicates."""
from pathlib import Path

import numpy as np
from PIL import Image

from runner.datasets import open_dataset
from runner.datasets.survey import duplicates, survey


def test_a_survey_reports_progress_and_duplicates_between_splits(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    for name in ("crow", "owl"):
        folder = tmp_path / "train" / name
        folder.mkdir(parents=True)
        for i in range(4):
            Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    data = open_dataset(tmp_path)
    assert data.train is not None
    done: list[int] = []
    found = survey(data.train, done.append)
    assert done[-1] == 8 and not found.bad and found.counts.tolist() == [4, 4]
    assert not duplicates({"train": (data.train, found)})
    assert all(one.leaks for one in duplicates({"train": (data.train, found), "test": (data.train, found)}))
    assert len(duplicates({"train": (data.train, found), "test": (data.train, found)})) == 8
