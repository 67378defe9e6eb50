"""`detect`: what it prints, draws and writes, with a network whose only detection is known."""
import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import runner
from runner import weights
from runner.cli import main
from runner.images.draw import colour

CFG = """[net]
width=32
height=32
channels=3
[convolutional]
filters=7
size=32
stride=32
activation=linear
[yolo]
classes=2
num=1
anchors=16,8
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """One cell, one anchor: x, y = .5, width 16 / 32, height 8 / 32, class 1 with confidence near 1."""
    (tmp_path / "a.cfg").write_text(CFG)
    net = runner.load(tmp_path / "a.cfg")
    net.layers[0].params["weights"][...] = 0
    net.layers[0].params["biases"][...] = [0, 0, 0, 0, 9, -9, 9]
    weights.save(net, tmp_path / "a.weights")
    Image.new("RGB", (64, 40), "white").save(tmp_path / "wide.png")
    (tmp_path / "a.names").write_text("cat\ndog\n")
    return tmp_path


def run(folder: Path, *more: str) -> int:
    return main(["detect", str(folder / "a.cfg"), str(folder / "wide.png"), "--weights", str(folder / "a.weights"),
                 *more])


def test_what_it_prints(model: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(model) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{model}/wide.png: 1 found", "  dog 100 %  left 16, top 15, 32 x 10 pixels"]


def test_what_it_writes(model: Path) -> None:
    out = model / "out"
    assert run(model, "--json", str(model / "o.json"), "--csv", str(model / "o.csv"), "--txt", str(out),
               "--save", str(out)) == 0
    frame, = json.loads((model / "o.json").read_text())
    thing, = frame["objects"]
    assert frame["frame_id"] == 1 and frame["filename"] == f"{model}/wide.png"
    assert thing["class_id"] == 1 and thing["name"] == "dog" and thing["confidence"] > 0.99
    box = thing["relative_coordinates"]
    got = [box[k] for k in ("center_x", "center_y", "width", "height")]
    np.testing.assert_allclose(got, [.5, .5, .5, .25], rtol=1e-5)
    assert (out / "wide.txt").read_text() == "1 0.500000 0.500000 0.500000 0.250000\n"
    row = next(csv.DictReader((model / "o.csv").read_text().splitlines()))
    assert [float(row[k]) for k in ("left", "top", "right", "bottom")] == [16, 15, 48, 25]
    drawn = np.asarray(Image.open(out / "wide.png"))
    # 40 pixels are few for a label: the image is enlarged five times
    assert (drawn[100, 80] == colour(1)).all() and (drawn[100, 160] == 255).all() and drawn.shape == (200, 320, 3)


@pytest.mark.parametrize("words", [["--letterbox"], ["--set", "net.letter_box=1"]])
def test_a_letterboxed_image_keeps_its_aspect_ratio(model: Path, words: list[str]) -> None:
    assert run(model, *words, "--json", str(model / "o.json")) == 0
    box = json.loads((model / "o.json").read_text())[0]["objects"][0]["relative_coordinates"]
    # 64 x 40 becomes 32 x 20 in 32 x 32: 8 of 32 pixels are 8 of 20 of the image
    np.testing.assert_allclose([box["width"], box["height"]], [.5, .4], rtol=1e-5)


@pytest.mark.parametrize("more, found", [(["--class", "cat"], 0), (["--class", "dog"], 1), (["--class", "1"], 1),
                                         (["--thresh", "1"], 0)])
def test_filters(model: Path, more: list[str], found: int, capsys: pytest.CaptureFixture) -> None:
    assert run(model, "--json", "-", *more) == 0
    assert len(json.loads(capsys.readouterr().out)[0]["objects"]) == found


def test_mistakes(model: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(model, "--class", "dgo") == 2
    assert capsys.readouterr().err == "run.py: --class: there is no class 'dgo' (did you mean 'dog'?)\n"
    (model / "a.cfg").write_text(CFG[:CFG.index("[yolo]")])
    assert run(model) == 2
    assert "it finds no boxes" in capsys.readouterr().err
    (model / "a.cfg").write_text(CFG.replace("filters=7", "filters=6"))
    assert run(model) == 2
    assert "filters=7" in capsys.readouterr().err, "the number that would be right"


def test_predict_sends_a_detector_here(model: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["predict", str(model / "a.cfg"), str(model / "wide.png"), "--weights", str(model / "a.weights")]) == 2
    said = capsys.readouterr().err
    assert "layer 1 [yolo] " in said and f"python run.py detect {model}/a.cfg IMAGES" in said


def test_images_with_the_same_name_get_separate_files(model: Path) -> None:
    (model / "more").mkdir()
    for place in ("more/wide.png", "more/wide.bmp", "wide-2.png"):
        Image.new("RGB", (64, 40), "white").save(model / place)
    out = model / "out"
    images = [str(model / name) for name in ("wide.png", "more", "wide-2.png")]
    assert main(["detect", str(model / "a.cfg"), *images, "--weights", str(model / "a.weights"), "--save", str(out),
                 "--txt", str(out)]) == 0
    assert {path.stem for path in out.glob("*.png")} == {path.stem for path in out.glob("*.txt")} == {
        "wide", "wide-2", "wide-3", "wide-2-2"}


@pytest.mark.parametrize("names, said", [
    ("cat\ndog\nowl\n", "3 names, but the network has 2 classes: only the first 2 are used"),
    ("cat\n", "1 name, but the network has 2 classes: the classes behind have numbers"),
    ("cat\n\ndog\n", "my.names:2: a blank line between class names is not counted as a class: there are 2 names"),
])
def test_names_that_are_not_as_many_as_the_classes(names: str, said: str, model: Path,
                                                   capsys: pytest.CaptureFixture) -> None:
    (model / "my.names").write_text(names)
    assert run(model, "--names", str(model / "my.names")) == 0
    assert said in capsys.readouterr().err
    assert run(model, "--names", str(model / "my.names"), "--strict") == 2
    assert said in capsys.readouterr().err


def test_names_of_a_run_that_are_not_as_many_as_the_classes(model: Path, capsys: pytest.CaptureFixture) -> None:
    (model / "run.yaml").write_text("classes: [a, b, c]\n")
    assert run(model) == 0
    out, err = capsys.readouterr()
    assert "run.yaml lists 3 classes, but the network has 2" in err and "  1 100 %" in out
    assert run(model, "--strict") == 2


def test_names_that_fit_need_no_word(model: Path, capsys: pytest.CaptureFixture) -> None:
    (model / "my.names").write_text("\ufeffyes\r\nno\r\n\r\n", encoding="utf-8")
    assert run(model, "--names", str(model / "my.names"), "--strict") == 0
    out, err = capsys.readouterr()
    assert "  no 100 %" in out and err == ""


def test_photos_and_labels_are_not_replaced(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not the images of the command, nor what a user put into the folder, or corrected there."""
    for folder in ("--save", "--txt"):      # into the folder of the images, where its names are free
        (model / "wide.jpg").unlink(missing_ok=True)
        (model / "wide.png").rename(model / "wide.jpg")
        words = ["detect", str(model / "a.cfg"), str(model / "wide.jpg"), "--weights", str(model / "a.weights"), folder,
                 str(model)]
        assert main(words) == main(words) == 0
        (model / "wide.jpg").rename(model / "wide.png")
    photo = (model / "wide.png").read_bytes()
    (model / "wide.txt").write_text("1 .5 .5 .2 .3\n")
    (model / "link").symlink_to(model)
    capsys.readouterr()
    for name, folder in (("wide.png (an input)", "--save"), ("wide.txt (not written, or changed since)", "--txt")):
        for place in (model, model / "link"):
            assert run(model, folder, str(place)) == 2
            assert capsys.readouterr().err == f"run.py: {folder} would replace {place}/{name}. Choose another folder\n"
    assert (model / "wide.png").read_bytes() == photo and (model / "wide.txt").read_text() == "1 .5 .5 .2 .3\n"
