"""What a command may write over: its own outputs, never an input or a file of the user's."""
import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner import outputs
from runner.cli import common, console
from runner.errors import UsageError
from runner.files import atomic_write
from runner.outputs import OURS, OutputFolder, obstacle
from runner.training.report import html


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "gif", "tif"])
def test_an_image_of_ours_is_recognised(extension: str) -> None:
    path, pixels = f"a.{extension}", np.random.default_rng(0).integers(0, 255, (9, 9, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    assert "a file that this program did not write" in obstacle(path, "image", [])
    common.save_image(Image.fromarray(pixels), path)
    assert not obstacle(path, "image", [])
    with Image.open(path) as image:
        assert image.size == (9, 9)


@pytest.mark.parametrize("value", [[], {}, [{"a": 1}], {"a": [1]}, [[1, 2]], ["a"]])
def test_json_of_ours_is_recognised(value: object) -> None:
    console.write_json("a.json", value)
    assert not obstacle("a.json", "JSON", [])
    for text in ('{"a": 1}', '{\n  "name": "package"\n}', "[1, 2]", "notes"):
        Path("a.json").write_text(text)
        assert "did not write" in obstacle("a.json", "JSON", [])


def test_a_page_of_ours_is_recognised() -> None:
    Path("a.html").write_text(html.page("a <b>", "c", []))
    assert not obstacle("a.html", "page", [])
    Path("a.html").write_text("<!doctype html>\n<html><head><title>a</title>")
    assert "did not write" in obstacle("a.html", "page", [])


@pytest.mark.parametrize("content", OURS)
def test_an_empty_file_a_new_one_and_a_device_may_be_written(content: str) -> None:
    Path("empty").touch()
    assert not obstacle("empty", content, []) and not obstacle("new", content, []) and not obstacle("a\0", content, [])
    assert not obstacle(os.devnull, content, [os.devnull])
    Path("photo").write_bytes(os.urandom(99))
    assert "did not write" in obstacle("photo", content, []) and "is a folder" in obstacle(".", content, [])


def test_an_input_is_refused_by_whatever_name() -> None:
    Path("images").mkdir()
    console.write_json("images/a.json", [])
    Path("link.json").symlink_to("images/a.json")
    os.link("images/a.json", "hard.json")
    for name in ("images/a.json", "images/../images/a.json", "link.json", "hard.json"):
        assert obstacle(name, "JSON", ["missing", "a\0", "images/a.json"]) == \
            f"{Path(name)}: this command reads this file. Choose another name"


def test_what_is_not_a_file_is_written_to_as_it_is() -> None:
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    with atomic_write("pipe", "w") as file:
        file.write("hello")
    assert os.read(reader, 99) == b"hello"
    os.close(reader)


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="a folder that takes no files")
def test_an_error_names_the_file_that_was_asked_for() -> None:
    """Not the temporary one that stands for it."""
    with pytest.raises(OSError) as caught, atomic_write("/proc/net.onnx"):
        pass
    assert caught.value.filename == "/proc/net.onnx"


def write(folder: OutputFolder, name: str, text: str) -> None:
    with folder.file(name) as path:
        path.write_text(text)


def test_a_folder_with_files_of_others() -> None:
    out = OutputFolder("--txt", "out")
    write(out, "a.txt", "1")
    Path("out/b.txt").write_text("the user's")
    assert Path("out/a.txt").stat().st_mode == Path("out/b.txt").stat().st_mode
    for again in (out, OutputFolder("--txt", "out")):
        write(again, "a.txt", "2")
        write(again, "c.txt", "2")
        with pytest.raises(UsageError, match=r"--txt would replace out/b\.txt \(not written, or changed since\)"):
            write(again, "b.txt", "2")
    Path("out/a.txt").write_text("corrected")
    with pytest.raises(UsageError, match=r"a\.txt"):
        out.require_free(["c.txt", "a.txt"])
    with pytest.raises(UsageError, match=r"out/5\.txt \(an input\) and 4 more\. Choose"):
        for number in range(1, 10):
            Path(f"out/{number}.txt").touch()
        OutputFolder("--txt", "out", [f"out/../out/{number}.txt#7" for number in range(1, 10)]).require_free(
            f"{number}.txt" for number in range(10))
    assert Path("out/a.txt").read_text() == "corrected" and Path("out/b.txt").read_text() == "the user's"


@pytest.mark.parametrize("name", ["two\nlines.txt", "a\rb.txt", "caf\udce9.txt", "a\u2028b é.txt"])
def test_a_file_is_ours_whatever_its_name(name: str) -> None:
    for text in ("1", "2", "3"):
        write(OutputFolder("--txt", "out"), name, text)
    write(OutputFolder("--txt", "out"), "plain.txt", "4")
    assert len(Path("out/.cfgrunner").read_bytes().splitlines()) == 4
    (Path("out") / name).write_text("the user's")
    with pytest.raises(UsageError, match="not written, or changed since"):
        write(OutputFolder("--txt", "out"), name, "4")


def test_a_full_disk_is_that_of_a_file() -> None:
    for full, write_to in ((Path("a.json"), atomic_write("a.json")),
                           (Path("out/a.txt"), OutputFolder("--txt", "out").file("a.txt"))):
        with pytest.raises(OSError, match="No space") as caught, write_to:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        assert caught.value.filename == str(full) and not full.exists()


def test_a_file_is_ours_whenever_the_process_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    out = OutputFolder("--txt", "out")
    write(out, "a.txt", "1")

    def killed(*paths: object) -> None:
        raise KeyboardInterrupt
    with monkeypatch.context() as patch:
        patch.setattr(outputs.os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            write(out, "a.txt", "2")
    assert sorted(os.listdir("out")) == [".cfgrunner", "a.txt"]
    for text in ("3", "2"):
        write(OutputFolder("--txt", "out"), "a.txt", text)
    assert Path("out/a.txt").read_text() == "2"
