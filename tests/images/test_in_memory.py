"""Arrays and Pillow images give the same pixels as the files they were read from."""
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.errors import DataError
from runner.images import read_image
from runner.images.in_memory import array_of, pixels_of


@pytest.fixture(params=["L", "RGB", "LA", "RGBA", "P", "1"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An image file of some mode, 7 pixels wide and 5 high."""
    pixels = np.random.default_rng(1).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    Image.fromarray(pixels).convert("RGBA").convert(request.param if request.param != "P" else "RGB").convert(
        request.param).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.mark.parametrize("channels", [1, 3])
def test_a_pillow_image_is_the_file(path: Path, channels: int) -> None:
    with Image.open(path) as image:
        np.testing.assert_array_equal(pixels_of(image, channels), read_image(path, channels))
        np.testing.assert_array_equal(pixels_of(image, channels), read_image(path, channels))    # it was not changed


def test_the_orientation_counts(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (7, 5), "red").save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        assert pixels_of(image, 3).shape == (3, 7, 5)


def test_the_axis_of_the_channels_is_found() -> None:
    grey = np.arange(35, dtype=np.uint8).reshape(5, 7)
    for same in (grey, grey[None], grey[..., None]):
        np.testing.assert_array_equal(pixels_of(same, 1), (grey / np.float32(255))[None])
    colours = np.arange(105, dtype=np.uint8).reshape(5, 7, 3)
    np.testing.assert_array_equal(pixels_of(colours, 3), pixels_of(colours.transpose(2, 0, 1), 3))
    assert pixels_of(colours, 1).shape == (1, 5, 7) and pixels_of(grey, 3).shape == (3, 5, 7)
    assert pixels_of(np.zeros((4, 5, 7)), 4).shape == (4, 5, 7)


@pytest.mark.parametrize("values, white", [(np.uint8(255), 1), (np.uint8(51), .2), (np.uint16(65535), 1), (True, 1),
                                           (.25, .25), (1.0001, 1), (-1e-5, 0), (np.float16(.5), .5)])
def test_values_become_0_to_1(values: object, white: float) -> None:
    pixels = pixels_of(np.full((5, 7), values), 1)
    assert pixels.dtype == np.float32 and pixels == pytest.approx(white)


@pytest.mark.parametrize("image, sentence", [
    (np.zeros((3, 9, 3), np.uint8), "two ways: with its channels first or last"),
    (np.zeros((5, 7, 2), np.uint8), "has 2 channels"),
    (np.zeros((2, 5, 7, 3)), "an image is an array"),
    (np.zeros((0, 5, 3)), "no pixels"),
    (np.full((5, 7), 200), "does not say what white is"),
    (np.full((5, 7), 200.), "must be in 0..1. Got 200 to 200"),
    (np.full((5, 7), np.nan), "must be in 0..1"),
    (np.full((5, 7), "a"), "pixels must be"),
    (Image.new("RGB", (0, 5)), "no pixels"),
])
def test_what_is_refused(image: np.ndarray, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        pixels_of(image, 3)


def test_other_numbers_of_channels_are_not_converted() -> None:
    assert pixels_of(Image.new("RGBA", (7, 5)), 4).shape == (4, 5, 7)
    with pytest.raises(DataError, match="has 3 channels"):
        pixels_of(Image.new("RGB", (7, 5)), 4)


def test_tensors_of_other_libraries_are_arrays() -> None:
    class Tensor:
        def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
            return np.ones((2, 3), np.float32)
    found = array_of(Tensor())
    assert found is not None and found.shape == (2, 3)
    assert array_of("a.png") is None and array_of(Image.new("L", (1, 1))) is None
