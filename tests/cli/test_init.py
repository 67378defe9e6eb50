"""`init`: what it writes is what its next lines need, and nothing is overwritten."""
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.verbs import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def draw(folder: str, colours: dict[str, int], count: int = 10) -> None:
    """Images of each class: noise around a grey value."""
    rng = np.random.default_rng(0)
    for name, grey in colours.items():
        for number in range(count):
            noise = rng.integers(0, 30, (20, 24, 3)) + grey
            Image.fromarray(noise.astype(np.uint8)).save(Path(folder, "images", name, f"{number}.jpg"))


def test_the_next_lines_work_once_images_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    main("init", "my own/", "--classes", "dark,light")
    text = capsys.readouterr().out
    lines = [line.removeprefix("next:").strip() for line in text.splitlines() if "run.py" in line]
    verbs = [shlex.split(line)[2:] for line in lines]
    assert [words[0] for words in verbs] == ["check", "data", "train"] and verbs[0][1] == "my own/my own.cfg"
    assert all(line in Path("my own/my own.cfg").read_text() for line in lines)
    draw("my own", {"dark": 10, "light": 200})
    for words in verbs:
        short = ["--set", "net.max_batches=4", "--set", "net.batch=4", "--quiet"] if words[0] == "train" else []
        main(*words, *short)
    out = capsys.readouterr().out
    assert "my own/my own.cfg: ok" in out and "16 images to train, 4 images to test, 2 classes" in out
    assert Path("weights/my own/best.weights").exists()


def test_without_images_train_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    main("init", "my")
    main("train", "my/my.cfg", expect=2)
    assert "image" in capsys.readouterr().err


def test_a_wrong_number_of_classes_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    main("init", "my")
    Path("my/images/third").mkdir()
    draw("my", {"first": 10, "second": 100, "third": 200})
    main("train", "my/my.cfg", expect=2)
    assert "output=3" in capsys.readouterr().err


@pytest.mark.parametrize("there", ["my/my.cfg", "my/data.yaml", "my/images"])
def test_nothing_is_overwritten(there: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("my").mkdir()
    Path(there).write_text("mine")
    main("init", "my", expect=2)
    assert capsys.readouterr().err == (f"run.py: {there}: this exists already, and nothing is overwritten. Choose "
                                       "another folder\n")
    assert [str(path) for path in Path("my").iterdir()] == [there] and Path(there).read_text() == "mine"


@pytest.mark.parametrize("classes, reason", [("a,", "Got ''"), ("a/b,c", "Got 'a/b'"), ("a", "at least two"),
                                             ("a,A", "each named once")])
def test_names_of_classes(classes: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    main("init", "my", "--classes", classes, expect=2)
    assert reason in capsys.readouterr().err and not Path("my").exists()
