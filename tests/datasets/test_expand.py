"""Arguments of the command line as images: folders, globs, lists, standard input."""
import io
from pathlib import Path

import numpy as np
import pytest

from runner.datasets import expand_images, read_named
from runner.errors import DataError
from tests.datasets.examples import image, images


def test_expand_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images(tmp_path, "f/10.png", "f/9.png", "f/sub/a.jpg", "one.png", "f2/x.png")
    (tmp_path / "f" / "README.md").write_text("text")
    (tmp_path / "list.txt").write_text("one.png\n\n f/9.png \r\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO("f2/x.png\n\n"))
    got = expand_images(["one.png", Path("f"), "f*/*", "list.txt", "-"])
    assert [Path(path).as_posix() for path in got] == [
        "one.png", "f/9.png", "f/10.png", "f/sub/a.jpg",              # one image, a folder
        "f/10.png", "f/9.png", "f2/x.png", "one.png", "f/9.png",      # a glob, a list
        "f2/x.png"]
    monkeypatch.chdir("/")
    listed = expand_images([str(tmp_path / "list.txt")])
    assert listed == [str(tmp_path / "one.png"), str(tmp_path / "f/9.png")]


def test_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("1.npy", np.zeros((4, 5, 3), np.uint8))
    np.savez("2.npz", np.zeros((4, 5, 3), np.uint8))
    np.savez("many.npz", x=np.zeros((2, 4, 5, 3), np.uint8), y=[0, 1])
    assert expand_images(["2.npz", "1.npy", "many.npz"]) == ["2.npz", "1.npy", "many.npz#0", "many.npz#1"]
    assert expand_images(["."]) == expand_images(["./*.np?"]) == ["./1.npy", "./2.npz"]
    image(Path("1.png"))        # then 1.npy is a copy of it
    assert expand_images(["*"]) == ["1.png", "2.npz"] and expand_images(["1.*"]) == ["1.png"]
    assert expand_images(["1.npy"]) == ["1.npy"]
    for name in ("1.npy", "2.npz", "many.npz#1"):
        assert read_named(name, 3).shape == (3, 4, 5)


@pytest.mark.parametrize("argument, message", [("none.png", "no such file"), ("*.tif", "no file matches"),
                                               ("empty", "no images in this folder"),
                                               ("l.txt", r"l\.txt:2: there is no")])
def test_expand_images_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    image(tmp_path / "a.png")
    (tmp_path / "l.txt").write_text("a.png\nb.png\n")
    with pytest.raises(DataError, match=message):
        expand_images([argument])
