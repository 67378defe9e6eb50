"""Arguments of the command line as images: folders, globs, lists, standard input."""
import io
from pathlib import Path

import pytest

from runner.datasets import expand_images
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
