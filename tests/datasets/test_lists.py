"""List files: lines, and the images they name."""
from pathlib import Path

import pytest

from runner.datasets.lists import read_lines, read_list
from runner.errors import DataError
from tests.datasets.examples import image


def test_one_missing_image_stays_in_the_list(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    (tmp_path / "l.txt").write_text("a.png\nb.png")
    assert [path for *_, path in read_list(tmp_path / "l.txt")] == [str(tmp_path / "a.png"), "b.png"]
    with pytest.raises(DataError, match="not a text file"):
        list(read_lines(tmp_path / "a.png"))
