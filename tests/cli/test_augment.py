"""`augment`: every image and label on the sheet comes from the batches of training."""
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import runner
from runner.cli import augment as verb
from runner.cli import main
from runner.images import contact_sheet
from runner.training import TaskOptions, open_task


@pytest.fixture
def sheets(monkeypatch):
    """The arguments of every contact sheet; no sheet is drawn."""
    calls: list[tuple[Any, ...]] = []

    def record(*args: Any) -> Image.Image:
        calls.append(args)
        return Image.new("RGB", (5, 5))
    monkeypatch.setattr(contact_sheet, "contact_sheet", record)
    return calls


def test_the_sheet_shows_the_batches_of_training(
        toy_dir: Path, capsys: pytest.CaptureFixture[str], sheets: list[tuple[Any, ...]]) -> None:
    assert main(["augment", "cfg/toy.cfg", "--save", "a.png", "--rows", "3", "--columns", "2", "--seed", "4"]) == 0
    (heading, rows, _), = sheets
    assert heading[0] == "cfg/toy.cfg, trained on data/toy"
    assert "6 x 6 x 1  min_crop=6  max_crop=6  angle=0" in heading[1]
    task = open_task(runner.load("cfg/toy.cfg"), TaskOptions("cfg/toy.cfg", seed=4))
    with task.batches() as batches:
        for number, ((title, thumbnails), (x, truth)) in enumerate(zip(rows, batches, strict=False), 1):
            assert title == f"batch {number}" and len(thumbnails) == 2
            for (thumbnail, caption), image, label in zip(thumbnails, x, truth, strict=False):
                assert caption == ["bright", "dark"][label.argmax()]
                np.testing.assert_array_equal(np.asarray(thumbnail)[..., 0], np.rint(image[0] * 255))
    assert capsys.readouterr().out == "a.png: 6 images, 5 x 5 pixels\n"


def test_augmentations_of_one_image(toy_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for which in ("7", "data/toy/train/dark/1.png"):
        assert main(["augment", "cfg/toy.cfg", "--save", "a.png", "--of", which, "--rows", "2",
                     "--set", "net.cutmix=1"]) == 0
    assert capsys.readouterr().out.startswith("a.png: 9 images, ")
    assert np.asarray(Image.open("a.png")).std() > 0
    for which in ("12", "nowhere.png"):
        assert main(["augment", "cfg/toy.cfg", "--save", "a.png", "--of", which]) == 2
        assert f"data/toy has 12 training images, 0 to 11; '{which}' is not one of them" in capsys.readouterr().err


@pytest.mark.parametrize("words, answer", [
    (["--save", "a.txt"], "--save needs a file name ending in .png"),
    (["--save", "no/a.png"], "no/a.png: No such file"),
    (["--save", "a.png", "--data", "nowhere"], "there is no 'nowhere'"),
    (["--save", "a.png", "--set", "net.mixup=7"], "mixup must be an integer, at least 0, at most 4. Got '7'")])
def test_mistakes(toy_dir, capsys, words, answer):
    assert main(["augment", "cfg/toy.cfg", *words]) == 2
    assert answer in capsys.readouterr().err
    assert not list(Path().glob("*.png"))


def test_labels_as_text() -> None:
    names = ["cat", "dog", "owl"]
    assert verb.label_text(np.array([0, 1, 0]), names) == "dog"
    assert verb.label_text(np.array([.05, .05, .9]), names) == "owl 90 %"
    assert verb.label_text(np.array([.3, .7, 0]), names) == "dog 70 %\ncat 30 %"
    assert verb.label_text(np.full(3, 1 / 3), names) == "cat 33 %"
    assert verb.label_text(np.array([1, 0, 1]), names) == "cat, owl"
    assert verb.label_text(np.zeros(3), names) == verb.label_text(np.full(3, .05), names) == "no label"


def test_boxes_are_drawn_where_the_truth_has_them() -> None:
    truth = np.array([[.5, .5, .5, .5, 1], [0, 0, 0, 0, 0]], np.float32)
    image, caption = verb._thumbnail(np.zeros((3, 80, 80), np.float32), truth, ["cat", "dog"])
    assert caption == "1 box"
    pixels = np.asarray(image)
    assert pixels[40, 20].any() and pixels[60, 40].any() and not pixels[50, 50].any() and not pixels[70].any()


def test_the_sheet_of_a_detector(squares_dir: Path, sheets: list[tuple[Any, ...]]) -> None:
    assert main(["augment", "cfg/squares.cfg", "--save", "a.png", "--set", "net.mosaic=1"]) == 0
    (heading, rows, size), = sheets
    assert heading[1].startswith("32 x 32 x 1  letter_box=0  flip=1") and "mosaic=1" in heading[1]
    assert heading[2] == "[yolo]  jitter=0.1  resize=1  random=0" and size == 256
    assert [len(thumbnails) for _, thumbnails in rows] == [4] * 4
    captions = {caption for _, thumbnails in rows for _, caption in thumbnails}
    assert captions <= {f"{n} box{'es' * (n != 1)}" for n in range(9)} and len(captions) > 1
    assert main(["augment", "cfg/squares.cfg", "--save", "a.png", "--of", "3", "--rows", "1", "--columns", "2"]) == 0
    assert [len(thumbnails) for _, thumbnails in sheets[1][1]] == [1, 2]
