"""What is found in folders: images, in natural order, and the description of a dataset."""
from pathlib import Path

import numpy as np
import pytest

from runner.datasets import folders
from runner.datasets.folders import description_of, has_images, images_in, natural_key
from runner.errors import DataError
from tests.datasets.examples import image, images, write


def test_natural_order() -> None:
    names = ["10", "9", "b2", "B10", "a", "1", "b2a", "01"]
    assert sorted(names, key=natural_key) == ["01", "1", "9", "10", "a", "b2", "b2a", "B10"]


def test_a_link_to_a_folder_above_is_followed_once(tmp_path: Path) -> None:
    images(tmp_path, "cat/1.png")
    (tmp_path / "cat" / "again").symlink_to(tmp_path / "cat", target_is_directory=True)
    assert images_in(tmp_path) == [str(tmp_path / "cat" / "1.png")]


def test_hidden_files_and_other_files_are_not_images(tmp_path: Path) -> None:
    write(tmp_path / "notes.txt", "text")
    image(tmp_path / ".hidden.png")
    image(tmp_path / ".cache" / "1.png")
    assert images_in(tmp_path) == [] and not has_images(tmp_path)
    image(tmp_path / "deep" / "1.JPG")
    assert has_images(tmp_path)


def test_a_folder_of_something_else_is_not_searched_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MAX_OTHERS", 6)
    for index in range(7):
        write(tmp_path / "a" / f"{index}.c", "")
    with pytest.raises(DataError, match="more than 6 files and folders below this folder are not images"):
        images_in(tmp_path)
    with pytest.raises(DataError, match="Name the folder of the images"):
        has_images(tmp_path)
    for index in range(7):
        image(tmp_path / "a" / f"{index}.png")      # as many images as files with their labels
    assert len(images_in(tmp_path)) == 7


@pytest.mark.parametrize("names, described_by", [
    (["a.yaml"], "a.yaml"), (["a.data"], "a.data"), (["data.yaml", "b.yaml"], "data.yaml"),
    (["a.yaml", "b.data"], None), ([], None)])
def test_a_folder_is_described_by_the_only_description_in_it(tmp_path: Path, names: list[str],
                                                             described_by: str | None) -> None:
    for name in names:
        write(tmp_path / name, "")
    assert description_of(tmp_path) == (described_by and tmp_path / described_by)
    assert all(description_of(tmp_path / name) == tmp_path / name for name in names)


def test_arrays_of_a_folder_are_images(tmp_path: Path) -> None:
    np.save(tmp_path / "1.npy", np.zeros((2, 3, 4), np.uint8))
    np.save(tmp_path / "2.npy", np.zeros((2, 3), np.uint8))
    np.savez(tmp_path / "10.npz", np.zeros((2, 3, 4), np.uint8))
    np.savez(tmp_path / "many.npz", x=np.zeros((9, 3, 4), np.uint8), y=np.zeros(9, int))
    assert [Path(path).name for path in images_in(tmp_path)] == ["1.npy", "2.npy", "10.npz"]


def test_arrays_beside_images(tmp_path: Path) -> None:
    image(tmp_path / "1.jpg")
    np.save(tmp_path / "1.npy", np.zeros((2, 3, 3), np.uint8))          # a cache of 1.jpg
    np.save(tmp_path / "2.npy", np.zeros((2, 3, 4), np.uint8))
    np.savez(tmp_path / "3.npz", np.zeros((4, 2, 3), np.uint8))
    np.save(tmp_path / "labels.npy", np.zeros(7))
    np.save(tmp_path / "features.npy", np.zeros((7, 512)))
    (tmp_path / "broken.npy").write_bytes(b"nothing")
    np.savez(tmp_path / "many.npz", x=np.zeros((9, 3, 4), np.uint8), y=np.zeros(9, int))
    assert [Path(path).name for path in images_in(tmp_path)] == ["1.jpg", "2.npy", "3.npz"]


def test_the_whole_disk_is_not_searched() -> None:
    root = Path(Path.cwd().anchor)
    for name in (root, root / "." / ".."):
        with pytest.raises(DataError, match=r"is the root of the disk\. Name the folder of the images"):
            images_in(name)
