"""Which boxes `detect`, `test` and the Python face keep: classes, suppression, at most N."""
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import runner
from runner import weights
from runner.cli import main

# one cell and three anchors: the first two boxes overlap with an IoU of 0.5, the third is small
CFG = """[net]
width=32
height=32
channels=3
[convolutional]
filters=21
size=32
stride=32
activation=linear
[yolo]
classes=2
num=3
anchors=16,16, 8,16, 2,2
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Class 0 (cat) has .9 in the first box and .6 in the second; class 1 (dog) .8 in the second, .7 in the third."""
    monkeypatch.chdir(tmp_path)
    Path("a.cfg").write_text(CFG)
    net = runner.load("a.cfg")
    net.layers[0].params["weights"][...] = 0

    def logit(p: float) -> float:
        return float(np.log(p / (1 - p)))
    biases = [[0, 0, 0, 0, 40, logit(cat), logit(dog)] for cat, dog in ((.9, .1), (.6, .8), (.1, .7))]
    net.layers[0].params["biases"][...] = np.ravel(biases)
    weights.save(net, "a.weights")
    Path("data/images/val").mkdir(parents=True)
    Path("data/labels/val").mkdir(parents=True)
    Image.new("RGB", (64, 64), "white").save("data/images/val/0.png")
    Path("data/labels/val/0.txt").write_text("0 .5 .5 .5 .5\n1 .5 .5 .25 .5\n1 .5 .5 .0625 .0625\n")
    Path("data/classes.txt").write_text("cat\ndog\n")
    Path("a.names").write_text("cat\ndog\n")
    return tmp_path


def found(capsys: pytest.CaptureFixture[str], *more: str) -> list[tuple[str, float]]:
    assert main(["detect", "a.cfg", "data/images/val/0.png", "--weights", "a.weights", "--json", "-", *more]) == 0
    objects = json.loads(capsys.readouterr().out)[0]["objects"]
    return [(one["name"], round(one["confidence"], 3)) for one in objects]


ALL = [("cat", .9), ("dog", .8), ("dog", .7)]


@pytest.mark.parametrize(("options", "boxes"), [
    ("", ALL),
    ("--nms .6", [("cat", .9), ("cat", .6), ("dog", .8), ("dog", .7)]),
    ("--agnostic-nms", [("cat", .9), ("dog", .7)]),
    ("--agnostic-nms --class dog", [("dog", .8), ("dog", .7)]),
    ("--max-det 2", [("cat", .9), ("dog", .8)]),
    ("--max-det 1 --not-class cat", [("dog", .8)]),
    ("--not-class dog", [("cat", .9)]),
    ("--class cat --class dog --not-class 0", [("dog", .8), ("dog", .7)]),
    ("--nms-kind soft", [("cat", .9), ("cat", round(.6 * float(np.exp(-.5)), 3)), ("dog", .8),
                         ("dog", round(.7 * float(np.exp(-2 * (4 / 128) ** 2)), 3))]),
    ("--nms-kind soft-linear", [("cat", .9), ("cat", .3), ("dog", .8), ("dog", .7)]),
    ("--nms-kind soft-linear --thresh .31", ALL),
])
def test_options(options: str, boxes: list[tuple[str, float]], model: Path,
                 capsys: pytest.CaptureFixture[str]) -> None:
    assert found(capsys, *options.split()) == boxes
    words = dict(zip(options.split()[::2], options.split()[1::2], strict=False))
    if len(options.split()) < 5 and "--agnostic-nms" not in options:
        net = runner.load("a.cfg", "a.weights")
        result, = net.detect("data/images/val/0.png", thresh=float(words.get("--thresh", .25)),
                             nms=float(words.get("--nms", .45)), nms_kind=words.get("--nms-kind"),
                             max_det=int(words["--max-det"]) if "--max-det" in words else None,
                             not_classes=words.get("--not-class", []))
        assert [(one.name, round(one.confidence, 3)) for one in result] == boxes


def test_the_cfg_names_the_suppression(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second box is moved to the right: IoU .2 with the first, DIoU below 0."""
    net = runner.load("a.cfg", "a.weights")
    net.layers[0].params["biases"][7] = np.log(3)
    weights.save(net, "a.weights")
    both = [("cat", .9), ("cat", .6), ("dog", .8), ("dog", .7)]
    assert found(capsys, "--nms", ".1") == found(capsys, "--nms", ".1", "--nms-kind", "iou") == ALL
    assert found(capsys, "--nms", ".1", "--set", "1.nms_kind=greedynms") == both
    assert found(capsys, "--nms", ".1", "--nms-kind", "greedynms") == both
    assert found(capsys, "--nms", ".1", "--nms-kind", "iou", "--set", "1.nms_kind=greedynms") == ALL


@pytest.mark.parametrize(("words", "said"), [
    (("--not-class", "dgo"), "--not-class: there is no class 'dgo' (did you mean 'dog'?)"),
    (("--class", "7"), "--class: there is no class '7': the numbers are 0 to 1"),
    (("--class", "cat", "--not-class", "cat"), "--class, --not-class: no class is left"),
    (("--max-det", "0"), "--max-det: must be an integer, at least 1. Got '0'"),
    (("--nms-kind", "hard"), "invalid choice: 'hard'"),
    (("--classes", "0"), "unknown option --classes: here it is --class"),
    (("--iou-thres", ".5"), "unknown option --iou-thres: here it is --nms"),
])
def test_mistakes(words: tuple[str, ...], said: str, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detect", "a.cfg", "data/images/val/0.png", "--weights", "a.weights", *words]) == 2
    assert said in capsys.readouterr().err


def test_evaluation_of_some_classes(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def metrics(*more: str) -> dict:
        assert main(["test", "a.cfg", "--weights", "a.weights", "--data", "data", "--json", "-", *more]) == 0
        result: dict = json.loads(capsys.readouterr().out)
        return result
    everything, dogs, cats = metrics(), metrics("--class", "dog"), metrics("--not-class", "dog")
    assert everything["boxes"] == 3 and list(everything["per_class"]) == ["cat", "dog"]
    assert dogs["boxes"] == 2 and dogs["per_class"] == {"dog": everything["per_class"]["dog"]}
    assert cats["boxes"] == 1 and cats["map"] == cats["per_class"]["cat"]["ap"]
    assert np.shape(cats["confusion"]) == (2, 2)
    assert metrics("--max-det", "1")["per_class"]["dog"]["ap"] == 0
    assert metrics("--agnostic-nms")["per_class"]["dog"]["true_positives"] == 1
    missed = metrics("--class", "dog", "--max-det", "1", "--per-image")["per_image"][0]["missed_objects"]
    assert [(one["class_id"], one["name"]) for one in missed] == [(1, "dog")]
    assert main(["test", "a.cfg", "--weights", "a.weights", "--data", "data", "--class", "cut"]) == 2
    assert "there is no class 'cut' (did you mean 'cat'?)" in capsys.readouterr().err


def test_tiles(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The network finds the same in every view: of four tiles without overlap and the whole, two boxes of a class have
    the same centre only in the whole."""
    centres = set()
    for more in ((), ("--tiles", "32", "--overlap", "0")):
        assert main(["detect", "a.cfg", "data/images/val/0.png", "--weights", "a.weights", "--class", "cat", "--json",
                     "-", *more]) == 0
        objects = json.loads(capsys.readouterr().out)[0]["objects"]
        centres |= {(len(objects), *(one["relative_coordinates"][side] for side in ("center_x", "center_y")))
                    for one in objects}
    assert centres == {(1, .5, .5), (5, .5, .5), *((5, x, y) for x in (.25, .75) for y in (.25, .75))}
    main(["detect", "a.cfg", "data/images/val/0.png", "--weights", "a.weights", "--class", "cat", "--json", "-",
          "--tiles", "32", "--overlap", "0", "--no-whole"])
    assert len(json.loads(capsys.readouterr().out)[0]["objects"]) == 4
    main(["detect", "a.cfg", "data/images/val/0.png", "--weights", "a.weights", "--tiles", "auto", "--verbose"])
    assert "data/images/val/0.png: 9 tiles of 32x32 pixels, in an image of 64x64" in capsys.readouterr().err
    net = runner.load("a.cfg", "a.weights")
    assert len(net.detect("data/images/val/0.png", classes="cat", tiles=32, overlap=0, whole=False)[0]) == 4
    assert len(net.detect("data/images/val/0.png", classes="cat", tiles=64, whole=False)[0]) == 1
    wide, = net.detect("data/images/val/0.png", classes="dog", tiles=(32, 16), overlap=0, whole=False, letterbox=True)
    sides = sorted({(round(float(box[2] - box[0])), round(float(box[3] - box[1]))) for box in wide.boxes})
    assert sides[0] == (2, 2) and len([one for one in wide if one.confidence < .75]) == 8
    plain, tiled = (net.evaluate("data", criteria=runner.DetectionCriteria(tiles=tiles, tile_overlap=0))
                    for tiles in (None, (32, 32)))
    assert plain.as_json()["counts"]["false_positives"] == 0 < tiled.as_json()["counts"]["false_positives"]
    assert main(["test", "a.cfg", "--weights", "a.weights", "--data", "data", "--tiles", "32x32", "--overlap", "0",
                 "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out).items() >= tiled.as_json().items()


def test_evaluation_in_tiles_skips_what_cannot_be_read(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("data/images/val/1.png").write_bytes(Path("data/images/val/0.png").read_bytes()[:60])
    Path("data/labels/val/1.txt").write_text("0 .5 .5 .5 .5\n")
    words = ["test", "a.cfg", "--weights", "a.weights", "--data", "data", "--tiles", "auto"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert out.startswith("1 image, 3 boxes") and "1.png" in err
    assert main([*words, "--on-bad", "error"]) == 2
    Path("data/images/val/0.png").write_bytes(b"")
    assert main(words) == 2
    assert "none of the images (2) can be read" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "said"), [
    (("--tiles", "big"), "--tiles: tiles are auto, N or WxH, in pixels. Got 'big'"),
    (("--tiles", "8x8", "--overlap", ".95"), "--tiles: the overlap of tiles must be a number from 0 to 0.9. Got 0.95"),
    (("--overlap", ".1"), "--overlap is of --tiles, which is not given"),
    (("--merge", "wbf"), "--merge is of --tiles, which is not given"),
    (("--no-whole",), "--no-whole is of --tiles, which is not given"),
    (("--tiles", "auto", "--merge", "mean"), "invalid choice: 'mean'")])
def test_tiles_that_are_not_allowed(words: tuple[str, ...], said: str, model: Path,
                                    capsys: pytest.CaptureFixture[str]) -> None:
    for verb in (["detect", "a.cfg", "data/images/val/0.png"], ["test", "a.cfg", "--data", "data"]):
        assert main([*verb, "--weights", "a.weights", *words]) == 2
        assert said in capsys.readouterr().err


def test_options_of_detectors_given_to_a_classifier(toy_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = runner.load("cfg/toy.cfg")
    weights.save(net, "toy.weights")
    for words in (("--agnostic-nms",), ("--not-class", "dark"), ("--max-det", "3"), ("--tiles", "auto")):
        assert main(["test", "cfg/toy.cfg", "--weights", "toy.weights", *words]) == 2
        assert f"{words[0]} is for detectors, but cfg/toy.cfg is not one" in capsys.readouterr().err
