"""Images with other than one or three channels: RGBA, arrays, TIFF files of several pages or many channels."""
import io
import logging
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runner.errors import DataError, MissingExtra
from runner.images import read_image, read_pixels, tiff, to_channels
from runner.images.arrays import channels_last
from runner.images.many_channels import stored_image

RNG = np.random.default_rng(4)
PIXELS = RNG.integers(0, 256, (5, 7, 4), dtype=np.uint8)      # (h, w, c)
PLANES = PIXELS.transpose(2, 0, 1)


def pages(path: Path, planes: list[np.ndarray], **options: Any) -> None:
    first, *rest = (Image.fromarray(plane) for plane in planes)
    first.save(path, save_all=True, append_images=rest, **options)


WRITERS: dict[str, Callable[[Path], None]] = {
    "a.png": lambda path: Image.fromarray(PIXELS).save(path),
    "a.webp": lambda path: Image.fromarray(PIXELS).save(path, lossless=True, exact=True),
    "a.tif": lambda path: Image.fromarray(PIXELS).save(path),
    "lzw.tif": lambda path: Image.fromarray(PIXELS).save(path, compression="tiff_lzw"),
    "pages.tif": lambda path: pages(path, list(PLANES)),
    "big.tif": lambda path: pages(path, list(PLANES), big_tiff=True),
    "mixed.tif": lambda path: pages(path, [PIXELS[..., :3], PIXELS[..., 3]]),
    "hwc.npy": lambda path: np.save(path, PIXELS),
    "chw.npy": lambda path: np.save(path, PLANES),
    "fortran.npy": lambda path: np.save(path, np.asfortranarray(PIXELS)),
    "a.npz": lambda path: np.savez(path, PIXELS),
    "packed.npz": lambda path: np.savez_compressed(path, image=PLANES),
}


@pytest.mark.parametrize("name", WRITERS)
def test_four_channels(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    got = read_pixels(tmp_path / name, 4)
    assert got.dtype == np.uint8 and got.flags.c_contiguous and got.flags.writeable
    np.testing.assert_array_equal(got, PLANES)
    np.testing.assert_array_equal(read_pixels((tmp_path / name).read_bytes(), 4), PLANES)
    with open(tmp_path / name, "rb") as file:
        np.testing.assert_array_equal(read_pixels(file, 4), PLANES)
        assert not file.closed
    np.testing.assert_array_equal(read_image(tmp_path / name, 4), PLANES / np.float32(255))
    stored = stored_image(tmp_path / name, 4)
    assert (stored.channels, stored.size) == (4, (7, 5))


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("channels", [2, 6])
def test_another_number_of_channels_is_an_error(tmp_path: Path, name: str, channels: int) -> None:
    WRITERS[name](tmp_path / name)
    with pytest.raises(DataError, match=rf"{name}: the image has \d channels \(.+\), and channels={channels} needs an "
                                        f"image with {channels}"):
        read_image(tmp_path / name, channels)


@pytest.mark.parametrize("mode, channels", [("L", 1), ("RGB", 3), ("P", 3), ("1", 1), ("I;16", 1), ("LA", 2),
                                            ("YCbCr", 3)])
def test_nothing_is_cut_or_repeated(tmp_path: Path, mode: str, channels: int) -> None:
    suffix = "tif" if mode == "YCbCr" else "png"
    Image.new(mode, (4, 3)).save(tmp_path / f"a.{suffix}")
    plural = "s" * (channels > 1)
    with pytest.raises(DataError, match=rf"a\.{suffix}: the image has {channels} channel{plural} \(.+\), and channels="
                                        "4 needs"):
        read_image(tmp_path / f"a.{suffix}", 4)


def test_grey_and_alpha(tmp_path: Path) -> None:
    Image.fromarray(PIXELS[..., :2]).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.png", 2), PLANES[:2])
    Image.fromarray(PIXELS[..., :2]).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif", 2), PLANES[:2])


def test_one_transparent_colour_is_alpha(tmp_path: Path) -> None:
    pixels = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", transparency=(4, 5, 6))
    assert read_pixels(tmp_path / "a.png", 4)[:, 0].T.tolist() == [[1, 2, 3, 255], [4, 5, 6, 0]]
    Image.fromarray(PIXELS).quantize(16).save(tmp_path / "b.png")       # a palette with transparent colours
    assert read_pixels(tmp_path / "b.png", 4).shape == (4, 5, 7)


def test_inks_are_not_colours(tmp_path: Path) -> None:
    for suffix in ("tif", "jpg"):
        Image.new("CMYK", (3, 2)).save(tmp_path / f"a.{suffix}")
        with pytest.raises(DataError, match=r"inks \(CMYK\): save it as RGB or RGBA, or as an array"):
            read_image(tmp_path / f"a.{suffix}", 4)


def test_the_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.png", 4), np.rot90(PLANES, -1, (1, 2)))
    pages(tmp_path / "a.tif", list(PLANES), exif=exif)
    assert read_pixels(tmp_path / "a.tif", 4).shape in ((4, 5, 7), (4, 7, 5))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rotated_is_what_pillow_does(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS[..., :3]).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(tiff.rotated(PLANES[:3], orientation), read_pixels(tmp_path / "a.png"))


# --- arrays ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype, white", [("u1", 255), ("u2", 65535), (">u2", 65535), ("f2", 1), ("f4", 1), ("f8", 1),
                                          (">f4", 1), ("?", 1)])
def test_what_white_is(tmp_path: Path, dtype: str, white: float) -> None:
    np.save(tmp_path / "a.npy", np.full((2, 3, 5), white, dtype))
    got = read_image(tmp_path / "a.npy", 5)
    assert got.dtype == np.float32 and got.shape == (5, 2, 3) and (got == 1).all()


@pytest.mark.parametrize("values, problem", [
    (np.zeros((2, 3, 4), np.int64), "Got int64, which does not say what white is"),
    (np.zeros((2, 3, 4), np.int8), "Got int8, which does not say what white is"),
    (np.zeros((2, 3, 4), np.uint32), "Got uint32, which does not say"),
    (np.zeros((2, 3, 4), np.complex64), "Got complex64"),
    (np.full((2, 3, 4), 255.), r"must be in 0\.\.1\. Got 255 to 255"),
    (np.full((2, 3, 4), np.nan), r"must be in 0\.\.1\. \[0, 0, 0\] is nan \(and 23 more\)"),
    (np.full((2, 3, 4), -1.), r"must be in 0\.\.1\. Got -1"),
    (np.zeros(12, np.uint8), r"Got 12"),
    (np.zeros((1, 2, 3, 4), np.uint8), r"an image is an array \(height, width, channels\), .* Got 1 x 2 x 3 x 4"),
    (np.zeros((0, 3, 4), np.uint8), "the image has no pixels"),
    (np.zeros((), np.uint8), "Got one number"),
    (np.zeros((2, 3, 4), [("red", "u1")]), "an array of plain values"),
    (np.full((2, 3, 4), "a"), r"pixels must be uint8 .* Got str"),
])
def test_arrays_that_are_not_images(tmp_path: Path, values: np.ndarray, problem: str) -> None:
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(DataError, match=r"a\.npy: .*" + problem):
        read_image(tmp_path / "a.npy", 4)


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[print]], object), allow_pickle=True)
    with pytest.raises(DataError, match=r"a\.npy: .* Python objects \(a pickle\), which are not loaded"):
        read_image(tmp_path / "a.npy", 4)


def header(shape: str, version: int = 1) -> bytes:
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.parametrize("content, problem", [
    (header("(1000000, 1000000, 4)") + bytes(99),
     "1000000 x 1000000 x 4 values of uint8, 4,000,000,000,000 bytes, and there are 99"),
    (header("(2, 3, 4)") + bytes(23), "2 x 3 x 4 values of uint8, 24 bytes, and there are 23"),
    (header("(-1, 3, 4)") + bytes(99), "its header must have a type"),
    (header("(2, 3") + bytes(99), "its header must have a type"),
    (header("(2, 3, 4)", version=9) + bytes(99), "too long"),
    (b"\x93NUMPY", "not an array of NumPy"),
])
def test_a_header_is_compared_with_the_file(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    for channels in (3, 4):
        with pytest.raises(DataError, match=r"a\.npy: .*" + problem):
            read_image(tmp_path / "a.npy", channels)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("arr_0.npy", content)
    with pytest.raises(DataError, match=r"a\.npz: the array cannot be read \(arr_0: "):
        read_image(tmp_path / "a.npz", 4)


def test_an_archive_that_promises_more_than_it_holds(tmp_path: Path) -> None:
    """Its own directory confirms the header, so only reading shows it."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("arr_0.npy", header("(9000, 9000, 4)") + bytes(999))
    size, packed = struct.pack("<I", 128 + 999), struct.pack("<I", 128 + 324_000_000)
    (tmp_path / "a.npz").write_bytes(data.getvalue().replace(size, packed))
    with pytest.raises(DataError, match=r"a\.npz: .*81 bytes are 324,000,128, which no compression reaches"):
        read_image(tmp_path / "a.npz", 4)


def test_an_array_above_the_limit_of_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "a.npy", PIXELS)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(DataError, match=r"too large to be decoded safely: 7 x 5 pixels with 4 channels"):
        read_image(tmp_path / "a.npy", 4)


def test_archives_that_are_not_one_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", x=PIXELS, y=np.zeros(5))
    with pytest.raises(DataError, match=r"two\.npz: an \.npz file of an image holds one array\. This one has 'x', 'y'"):
        read_image(tmp_path / "two.npz", 4)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "two.npz").read_bytes()[:100])
    with pytest.raises(DataError, match=r"cut\.npz: the array cannot be read"):
        read_image(tmp_path / "cut.npz", 4)


@pytest.mark.parametrize("shape, channels, wanted", [
    ((5, 7, 4), 4, (4, 5, 7)), ((4, 5, 7), 4, (4, 5, 7)), ((4, 5, 4), 4, (4, 4, 5)), ((8, 8, 200), 200, (200, 8, 8)),
    ((200, 8, 8), 200, (200, 8, 8)), ((5, 7, 3), 3, (3, 5, 7)), ((3, 5, 7), 3, (3, 5, 7)), ((5, 7), 1, (1, 5, 7)),
    ((5, 7), 3, (3, 5, 7)), ((5, 7, 1), 3, (3, 5, 7)), ((5, 7, 3), 1, (1, 5, 7)), ((1, 5, 7), 1, (1, 5, 7)),
])
def test_which_axis_is_that_of_the_channels(tmp_path: Path, shape: tuple[int, ...], channels: int,
                                            wanted: tuple[int, ...]) -> None:
    values = RNG.integers(0, 256, shape, dtype=np.uint8)
    np.save(tmp_path / "a.npy", values)
    got = read_pixels(tmp_path / "a.npy", channels)
    assert got.shape == wanted
    if channels > 3:
        np.testing.assert_array_equal(got, values if shape == wanted else values.transpose(2, 0, 1))


@pytest.mark.parametrize("shape, last", [((32, 32, 4), True), ((4, 32, 32), False), ((32, 32, 200), True),
                                         ((200, 32, 32), False), ((48, 64, 5), True), ((5, 48, 64), False)])
def test_the_axis_of_an_unknown_number_of_channels(shape: tuple[int, ...], last: bool) -> None:
    assert channels_last(shape) == last


def test_grey_and_colours_of_arrays_convert_as_those_of_files(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", PIXELS[..., :3])
    Image.fromarray(PIXELS[..., :3]).save(tmp_path / "a.png")
    for channels in (1, 3):
        got, wanted = (read_image(tmp_path / name, channels) for name in ("a.npy", "a.png"))
        np.testing.assert_array_equal(got, wanted)
    np.save(tmp_path / "b.npy", PIXELS)
    for channels in (1, 3):
        with pytest.raises(DataError, match=rf"b\.npy: the image has 4 channels \(an array of 5 x 7 x 4\), and channels"
                                            f"={channels} needs"):
            read_image(tmp_path / "b.npy", channels)


def test_pixels_in_memory() -> None:
    assert to_channels(PLANES, 4) is PLANES
    for channels in (1, 2, 3, 5):
        with pytest.raises(DataError, match=f"the image has 4 channels .* channels={channels} needs"):
            to_channels(PLANES, channels)


# --- TIFF --------------------------------------------------------------------------------------------------------


def test_pages_of_different_types_become_floats(tmp_path: Path) -> None:
    deep = RNG.integers(0, 65536, (5, 7), dtype=np.uint16)
    pages(tmp_path / "a.tif", [PIXELS[..., :3], deep])
    got = read_pixels(tmp_path / "a.tif", 4)
    np.testing.assert_array_equal(got[:3], PLANES[:3] / np.float32(255))
    np.testing.assert_array_equal(got[3], deep / np.float32(65535))


def test_pages_of_different_sizes(tmp_path: Path) -> None:
    pages(tmp_path / "a.tif", [PLANES[0], PLANES[1, :4]])
    with pytest.raises(DataError, match=r"a\.tif: the pages of a file are channels of one image and have the same "
                                        r"size\. Got 7 x 4 and 7 x 5"):
        read_image(tmp_path / "a.tif", 2)


def test_thumbnails_are_not_channels(tmp_path: Path) -> None:
    first = Image.fromarray(PIXELS)
    small = Image.fromarray(PIXELS[:2, :3])
    small.encoderinfo = {"tiffinfo": {254: 1}}      # type: ignore[attr-defined]
    first.save(tmp_path / "a.tif", save_all=True, append_images=[small])
    with Image.open(tmp_path / "a.tif") as written:
        written.seek(1)
        if written.tag_v2.get(254) != 1:       # type: ignore[attr-defined]
            pytest.skip("this version of Pillow writes no tags of later pages")
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif", 4), PLANES)


def test_with_three_channels_the_first_page_is_read_as_ever(tmp_path: Path) -> None:
    pages(tmp_path / "a.tif", list(PLANES))
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif", 3), np.repeat(PLANES[:1], 3, axis=0))


@pytest.mark.parametrize("content", [b"II*\0", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08\xff\xff" + bytes(30),
                                     b"II+\0" + bytes(40)])
def test_damaged_tiff_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.tif: "):
        read_image(tmp_path / "a.tif", 4)


def test_what_only_tifffile_reads_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "a.tif", RNG.integers(0, 256, (5, 7, 6), dtype=np.uint8), photometric="rgb",
                     planarconfig="contig")
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(DataError, match=r"has 6 channels .* channels=4 needs"):
        read_image(tmp_path / "a.tif", 4)
    with pytest.raises(MissingExtra, match=r"reading TIFF files .*'tifffile'.* pip install -r requirements-tiff\.txt"):
        read_image(tmp_path / "a.tif", 6)


@pytest.mark.parametrize("channels", [2, 3, 4, 5, 8])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_many_channels_in_one_page(tmp_path: Path, channels: int, dtype: str, planes: str,
                                   caplog: pytest.LogCaptureFixture) -> None:
    tifffile = pytest.importorskip("tifffile")
    caplog.set_level(logging.CRITICAL, "PIL")
    if (channels, dtype, planes) == (3, "uint16", "separate"):
        pytest.skip("Pillow takes it for one that is not separated; so it was before")
    pixels: np.ndarray = RNG.random((5, 7, channels), np.float32) if dtype == "float32" else \
        RNG.integers(0, np.iinfo(dtype).max, (5, 7, channels), dtype=dtype)
    stored = pixels if planes == "contig" else pixels.transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack" if channels == 2 else "rgb",
                     planarconfig=planes, extrasamples=["unspecified"] * (channels - (1 if channels == 2 else 3)))
    got = read_pixels(tmp_path / "a.tif", channels)
    if channels == 3 and pixels.dtype == np.uint16:         # Pillow reads them as it always did
        pixels = (pixels >> 8).astype(np.uint8)
    assert got.dtype == pixels.dtype
    np.testing.assert_array_equal(got, pixels.transpose(2, 0, 1))


def test_slices_of_a_volume_are_channels(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "a.tif", PLANES, photometric="minisblack", volumetric=True)
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif", 4), PLANES)


def test_the_orientation_of_what_tifffile_reads(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    pixels = RNG.integers(0, 256, (5, 7, 5), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extratags=[(274, "H", 1, 6, True)])
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif", 5), np.rot90(pixels.transpose(2, 0, 1), -1, (1, 2)))
