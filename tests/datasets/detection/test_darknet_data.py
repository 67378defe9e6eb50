"""Darknet's .data files for detectors, and mistakes in them."""
from pathlib import Path
from typing import Any

import pytest

from runner.datasets import open_detection_dataset
from runner.errors import DataError
from tests.datasets.examples import darknet


@pytest.mark.parametrize("change, sentence", [
    (("classes=2", "classes=3"), r"my\.names: 3 names are needed, one per line, because .*my\.data:1 says classes=3"),
    (("classes=2", "classes=two"), r"my\.data:1: classes must be a whole number"),
    (("names=my.names", "names=your.names"), r"my\.data:4: names names 'your\.names'"),
    (("classes=2\n", "", "names=my.names", ""), "needs names="),
    (("train=train.txt\nvalid=valid.txt\n", ""), "neither train= nor valid="),
])
def test_mistakes_in_a_data_file(change: Any, sentence: str, tmp_path: Path) -> None:
    path = darknet(tmp_path)
    text = path.read_text()
    for old, new in zip(change[::2], change[1::2], strict=True):
        text = text.replace(old, new)
    path.write_text(text)
    with pytest.raises(DataError, match=sentence):
        open_detection_dataset(path)
