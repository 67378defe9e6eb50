"""The limit on the pixels of an image."""
from pathlib import Path

import pytest
from PIL import Image

from runner.errors import DataError, UsageError
from runner.reading import image_files


def saved(folder: Path) -> Path:
    Image.new("L", (10, 10)).save(folder / "a.png")
    return folder / "a.png"


@pytest.fixture(autouse=True)
def limit_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("text, opens", [("100", True), ("200", True), ("98", False), ("1", False), ("", True)])
def test_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, opens: bool) -> None:
    monkeypatch.setenv(image_files.LIMIT, text)
    assert image_files._apply_limit() == ""
    if opens:
        with image_files.open_image(saved(tmp_path)) as image:
            assert image.size == (10, 10)
    else:
        with pytest.raises(DataError, match=r"too large to be decoded safely .* RUNNER_MAX_PIXELS to a higher number"):
            image_files.open_image(saved(tmp_path))


@pytest.mark.parametrize("text", ["many", "-1", "0", "1e9", "1_000", "9" * 5000])
def test_another_value_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(image_files.LIMIT, text)
    problem = image_files._apply_limit()
    assert problem.startswith("the environment variable RUNNER_MAX_PIXELS must be a whole number, at least 1. Got '")
    monkeypatch.setattr(image_files, "WRONG_LIMIT", problem)
    with pytest.raises(UsageError, match="RUNNER_MAX_PIXELS must be"):
        image_files.open_image(saved(tmp_path))
