"""Width and height of an image from its header."""
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.datasets.image_size import size_of
from runner.errors import DataError
from runner.images import read_image
from tests.datasets.examples import H, W


def test_the_size_is_that_after_the_exif_rotation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((H, W, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    assert size_of(tmp_path / "a.jpg") == read_image(tmp_path / "a.jpg").shape[:0:-1] == (H, W)
    (tmp_path / "b.jpg").write_text("no image")
    with pytest.raises(DataError, match=r"b\.jpg: its size cannot be read"):
        size_of(tmp_path / "b.jpg")


def test_the_size_of_arrays_and_of_tiff_files_that_pillow_does_not_know(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((5, H, W), np.uint8))
    np.savez(tmp_path / "a.npz", np.zeros((H, W, 5), np.uint8))
    assert size_of(tmp_path / "a.npy") == size_of(tmp_path / "a.npz") == (W, H)
    (tmp_path / "b.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(DataError, match=r"b\.npy: its size cannot be read .the array cannot be read"):
        size_of(tmp_path / "b.npy")
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((H, W, 8), np.uint8), photometric="rgb", planarconfig="contig")
    assert size_of(tmp_path / "a.tif") == (W, H)
