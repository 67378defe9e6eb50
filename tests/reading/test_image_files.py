"""The limit on the pixels of an image, and PNG images whose data end too early."""
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.errors import DataError, UsageError
from runner.images import read_image
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


def cut_png(image: Image.Image, interlaced: bool, kept: int | None = None) -> bytes:
    """A PNG file with only the first `kept` rows, of the image or of its passes, packed and ended as if they were all.

    Where the data end within a row, Pillow finds it itself.
    """
    pixels, width = np.asarray(image), image.width
    rows = [row for left, top, across, down in (image_files.ADAM7 if interlaced else [(0, 0, 1, 1)])
            for row in pixels[top::down, left::across] if row.size]

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    head = struct.pack(">IIBBBBB", width, image.height, 8, 2 if pixels.ndim == 3 else 0, 0, 0, interlaced)
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows[:kept]))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("interlaced", [False, True])
def test_a_png_of_which_rows_are_missing(tmp_path: Path, mode: str, interlaced: bool) -> None:
    image = Image.new(mode, (13, 11), "white")
    image.paste("black", (0, 9, 13, 11))        # its last rows are black
    whole = cut_png(image, interlaced)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(whole))), np.asarray(image))
    assert read_image(whole).mean() == pytest.approx(9 / 11)
    path = tmp_path / "cut.png"
    path.write_bytes(cut_png(image, interlaced, 8))
    for source in (path, path.read_bytes(), io.BytesIO(path.read_bytes())):
        with pytest.raises(DataError, match=r"damaged \(its data are \d+ bytes, unpacked; 13 x 11 pixels are"):
            read_image(source)      # type: ignore[arg-type]


def test_black_png_images_of_every_form_are_read(tmp_path: Path) -> None:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        image = Image.new(mode, (13, 11))
        image.save(tmp_path / "black.png", optimize=True)
        assert not read_image(tmp_path / "black.png").any()
        if mode == "RGBA":
            assert read_image(tmp_path / "black.png", 4).shape == (4, 11, 13)
