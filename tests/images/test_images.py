"""Decoding every kind of file, and geometry as darknet does it."""
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runner.errors import DataError
from runner.images import (
    centre_crop,
    centre_square,
    cover,
    crop,
    flip,
    letterbox,
    prepare,
    read_image,
    read_pixels,
    resize,
    resize_max,
    resize_min,
)
from tests.paths import GOLDEN, ROOT


def recorded() -> list:
    folders = [GOLDEN / "image_dog_A", GOLDEN / "image_dog_P"]
    return [pytest.param(folder, key, id=f"{folder.name[-1]}-{key}") for folder in folders
            for key in json.loads((folder / "case.json").read_text())["keys"]]


def as_recorded(path: Path, key: str) -> np.ndarray:
    name, _, numbers = key.partition("/")
    image = read_image(path)
    if name == "load_image":                              # gray_24x24
        return resize(read_image(path, channels=1), 24, 24)
    if name == "crop_image":                              # <x>_<y>_<width>x<height>
        x, y, size = numbers.split("_")
        return crop(image, int(x), int(y), *map(int, size.split("x")))
    if name in ("resize_min", "resize_max"):
        return {"resize_min": resize_min, "resize_max": resize_max}[name](image, int(numbers))
    if not numbers:
        return image
    width, height = map(int, numbers.split("x"))
    if name == "letterbox_image":
        return letterbox(image, width, height)[0]
    return (centre_square if name == "center_crop_image" else resize)(image, width, height)


@pytest.mark.parametrize("folder, key", recorded())
def test_pixels_are_those_darknet_recorded(folder: Path, key: str) -> None:
    with np.load(folder / "expected.npz") as arrays:
        want = arrays[key]
    got = as_recorded(folder / "image.png", key)
    assert got.shape == want.shape and got.dtype == np.float32
    assert np.abs(got - want).max() <= 2e-6


RNG = np.random.default_rng(3)
COLOURS = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREYS = COLOURS[..., 0]


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP"])
def test_lossless_formats_come_back_exactly_whatever_the_suffix(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "image.jpg"
    Image.fromarray(COLOURS).save(path, kind, **({"lossless": True} if kind == "WEBP" else {}))
    image = read_image(path)
    assert image.dtype == np.float32 and image.shape == (3, 5, 7) and image.flags.c_contiguous
    np.testing.assert_array_equal(image, (COLOURS / 255).astype(np.float32).transpose(2, 0, 1))
    np.testing.assert_array_equal(image, read_image(path.read_bytes()))
    with path.open("rb") as file:
        np.testing.assert_array_equal(image, read_image(file))


def test_jpeg_is_close(tmp_path: Path) -> None:
    smooth = np.tile(np.linspace(0, 250, 16, dtype=np.uint8)[:, None, None], (1, 16, 3))
    Image.fromarray(smooth).save(tmp_path / "a.jpeg", quality=95)
    assert np.abs(read_image(tmp_path / "a.jpeg") - (smooth / 255).transpose(2, 0, 1)).max() < .03


@pytest.mark.parametrize("least, want", [(None, (160, 120)), ((80, 60), (80, 60)), ((70, 60), (80, 60)),
                                         ((81, 60), (160, 120)), ((20, 1), (20, 15)), ((1, 1), (20, 15)),
                                         ((500, 500), (160, 120))])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_jpeg_is_decoded_at_the_smallest_size_that_is_large_enough(
        tmp_path: Path, least: tuple[int, int] | None, want: tuple[int, int], orientation: int) -> None:
    colours = np.linspace(20, 230, 120 * 160 * 3).reshape(120, 160, 3).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(colours).save(tmp_path / "a.jpg", exif=exif, quality=95)
    Image.fromarray(colours).save(tmp_path / "a.png")
    if orientation == 6:        # rotated by a quarter: width and height are exchanged
        least, want = least and (least[1], least[0]), (want[1], want[0])
    small = read_pixels(tmp_path / "a.jpg", 3, least)
    assert small.shape == (3, want[1], want[0])
    whole = read_pixels(tmp_path / "a.jpg").astype(float)
    step = whole.shape[1] // small.shape[1]
    means = whole.reshape(3, small.shape[1], step, small.shape[2], step).mean(axis=(2, 4))
    assert np.abs(small - means).max() < 4, "the mean of its pixels, but for rounding"
    assert read_pixels(tmp_path / "a.png", 3, least).shape == (3, 120, 160), "other formats come as they are"


def test_first_frame_of_a_gif(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "a.gif")[:, 1, 1].tolist() == [1, 0, 0]


def test_grey_fills_three_channels_and_stays_itself_in_one(tmp_path: Path) -> None:
    Image.fromarray(GREYS).save(tmp_path / "a.png")
    grey = read_image(tmp_path / "a.png", 1)
    np.testing.assert_array_equal(grey[0], (GREYS / 255).astype(np.float32))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.repeat(grey, 3, 0))


def test_colour_to_grey_is_601_luma() -> None:
    file = io.BytesIO()
    Image.fromarray(COLOURS).save(file, "PNG")
    want = COLOURS @ np.array([.299, .587, .114]) / 255
    assert np.abs(read_image(file.getvalue(), 1)[0] - want).max() < 2 / 255


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_dropped(tmp_path: Path, mode: str) -> None:
    if mode == "P":
        image = Image.new("P", (2, 1))
        image.putpalette([10, 20, 30, 200, 100, 0])
        image.putpixel((1, 0), 1)
        image.save(tmp_path / "a.png", transparency=1)
    elif mode == "RGBA":
        image = Image.fromarray(np.array([[[10, 20, 30, 255], [200, 100, 0, 0]]], np.uint8), "RGBA")
    else:
        image = Image.fromarray(np.array([[[10, 255], [200, 0]]], np.uint8), "LA")
    if mode != "P":
        image.save(tmp_path / "a.png")
    want = [[10, 200]] * 3 if mode == "LA" else [[10, 200], [20, 100], [30, 0]]
    np.testing.assert_allclose(read_image(tmp_path / "a.png")[:, 0] * 255, want, rtol=1e-6)


def test_one_bit(tmp_path: Path) -> None:
    Image.fromarray(GREYS > 128).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[1], (GREYS > 128).astype(np.float32))


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bits_keep_their_precision(tmp_path: Path, suffix: str) -> None:
    deep = RNG.integers(0, 65536, (4, 6), dtype=np.uint16)
    if suffix == "pgm":     # which Pillow writes since 11
        (tmp_path / "a.pgm").write_bytes(b"P5 6 4 65535\n" + deep.astype(">u2").tobytes())
    else:
        Image.fromarray(deep).save(tmp_path / f"a.{suffix}")
    np.testing.assert_allclose(read_image(tmp_path / f"a.{suffix}")[2], deep / 65535, atol=1e-7)


def test_floating_point_tiff(tmp_path: Path) -> None:
    values = RNG.random((4, 6)).astype(np.float32)
    Image.fromarray(values).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", 1)[0], values)
    for bad, words in ((np.nan, r"\[0, 2, 3\] is nan"), (np.inf, r"\[0, 2, 3\] is inf")):
        values[2, 3] = bad
        Image.fromarray(values).save(tmp_path / "n.tif")
        np.save(tmp_path / "n.npy", values[None])
        for name in ("n.tif", "n.npy"):
            with pytest.raises(DataError, match=rf"{name}: floating point pixels must be in 0\.\.1\. {words}"):
                read_image(tmp_path / name, 1)
    values[2, 3] = .5
    Image.fromarray(values * 300).save(tmp_path / "b.tif")
    with pytest.raises(DataError, match=r"b\.tif: floating point pixels must be in 0\.\.1"):
        read_image(tmp_path / "b.tif")


def test_cmyk(tmp_path: Path) -> None:
    Image.new("CMYK", (3, 2), (0, 255, 255, 0)).save(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif")[:, 0, 0].tolist() == [1, 0, 0]


@pytest.mark.parametrize("orientation, undo", [(3, lambda a: a[::-1, ::-1]), (6, lambda a: np.rot90(a, -1)),
                                               (8, np.rot90), (2, lambda a: a[:, ::-1])])
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, undo: Any) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(COLOURS).save(tmp_path / "a.png", exif=exif)
    got = read_image(tmp_path / "a.png").transpose(1, 2, 0)
    np.testing.assert_allclose(got * 255, undo(COLOURS), rtol=1e-6)


def test_damaged_exif_data_does_not_change_the_pixels(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "a.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\xff\x01\x12")
    np.testing.assert_allclose(read_image(tmp_path / "a.png").transpose(1, 2, 0) * 255, COLOURS, rtol=1e-6)


def test_the_photo_of_the_documentation_is_there() -> None:
    assert read_image(ROOT / "docs" / "images" / "photo.jpg").shape == (3, 256, 384)


def test_errors_name_the_file_and_what_is_wrong(tmp_path: Path) -> None:
    Image.fromarray(RNG.integers(0, 256, (60, 60, 3), dtype=np.uint8)).save(tmp_path / "whole.png")
    data = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[:len(data) // 2])
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.png").write_bytes(b"")
    for name, problem in {"cut.png": "truncated or damaged", "text.png": "not an image",
                          "empty.png": "is empty", "none.png": "no such file", ".": "folder"}.items():
        with pytest.raises(DataError) as caught:
            read_image(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value) and problem in str(caught.value)
    with pytest.raises(DataError, match="channels=4"):
        read_image(tmp_path / "whole.png", channels=4)


def test_pixels_keep_the_type_of_the_file(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "a.png")
    assert read_pixels(tmp_path / "a.png").dtype == np.uint8


@pytest.mark.parametrize("shape", [(3, 9, 13), (1, 1, 1), (2, 3, 1, 5), (3, 7, 1)])
def test_resize_keeps_corners_and_takes_any_leading_axes(shape: tuple[int, ...]) -> None:
    image = RNG.random(shape).astype(np.float32)
    for width, height in [(4, 6), (30, 20), (1, 1), (1, 9), (8, 1)]:
        out = resize(image, width, height)
        assert out.shape == (*shape[:-2], height, width) and out.dtype == np.float32
        assert out.min() >= image.min() - 1e-6 and out.max() <= image.max() + 1e-6
        np.testing.assert_allclose(out[..., -1, -1], image[..., -1, -1], rtol=1e-5)
        if width > 1 and height > 1:
            np.testing.assert_array_equal(out[..., 0, 0], image[..., 0, 0])


def test_resize_of_a_ramp_is_a_ramp() -> None:
    ramp = np.linspace(0, 1, 11, dtype=np.float64)[None, None].repeat(4, 1)
    np.testing.assert_allclose(resize(ramp, 23, 9)[0], np.linspace(0, 1, 23)[None].repeat(9, 0), atol=1e-6)


def test_same_size_is_a_copy() -> None:
    image = np.zeros((3, 4, 5), np.float32)
    for same in (resize(image, 5, 4), crop(image, 0, 0, 5, 4), prepare(image, 5, 4)):
        same += 1
    assert not image.any()


def test_letterbox_of_a_thin_line_keeps_a_pixel() -> None:
    out, place = letterbox(np.ones((3, 1, 500), np.float32), 32, 16)
    assert place == (0, 7, 32, 1) and out[:, 7].all() and (out[:, 8] == .5).all()


@pytest.mark.parametrize("h, w", [(40, 60), (60, 40), (33, 33), (7, 200), (200, 7), (1, 1)])
@pytest.mark.parametrize("width, height", [(32, 32), (48, 20), (20, 48)])
def test_cover_cuts_the_middle_without_inventing_borders(h: int, w: int, width: int, height: int) -> None:
    y, x = np.mgrid[:h, :w]
    image = np.stack([x / max(w - 1, 1), y / max(h - 1, 1)]).astype(np.float32)
    out = cover(image, width, height)
    assert out.shape == (2, height, width)
    if h > 1:                                  # the middle shows the middle, one axis is seen to its ends
        np.testing.assert_allclose(out.mean(axis=(1, 2)), .5, atol=.06)
        assert np.isclose(np.ptp(out[0]), 1) or np.isclose(np.ptp(out[1]), 1)
    if width == height:
        np.testing.assert_array_equal(out, centre_crop(resize_min(image, width), width, height))


def test_prepare_ways_differ_and_unknown_is_refused() -> None:
    image = RNG.random((3, 20, 30)).astype(np.float32)
    ways = [prepare(image, 8, 8, how) for how in ("crop", "stretch", "letterbox")]
    assert all(way.shape == (3, 8, 8) for way in ways)
    assert not np.allclose(ways[0], ways[1]) and not np.allclose(ways[1], ways[2])
    with pytest.raises(ValueError, match="how must be"):
        prepare(image, 8, 8, "fit")


def test_flip_twice_is_nothing() -> None:
    image = RNG.random((3, 4, 5)).astype(np.float32)
    np.testing.assert_array_equal(flip(image)[..., 0], image[..., -1])
    np.testing.assert_array_equal(flip(flip(image)), image)
