"""`predict`: classes, names, unreadable images, and samples with dropout."""
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import runner
from runner.inference.classify import infer
from tests.verbs import BEST, edit, main, train

pytestmark = pytest.mark.usefixtures("toy_dir")


def test_before_training(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("test", "cfg/toy.cfg"), ("predict", "cfg/toy.cfg", "data/toy/test")):
        main(*words, expect=2)
        assert capsys.readouterr().err == (f"run.py: {BEST}: there are no weights yet. Train first (python run.py "
                                           "train cfg/toy.cfg), or name a file with --weights\n")


def test_it_names_classes_and_agrees_with_test(capsys: pytest.CaptureFixture[str]) -> None:
    train()
    capsys.readouterr()
    Path("list.txt").write_text("data/toy/test/dark/1.png\n")
    main("predict", "cfg/toy.cfg", "data/toy/test/bright", "data/toy/test/dark/?.png", "list.txt", "--json", "-")
    found = json.loads(capsys.readouterr().out)
    assert [item["image"].split("/")[-2] for item in found] == ["bright"] * 5 + ["dark"] * 6
    for item in found:
        best, other = item["predictions"]
        assert best["class"] == item["image"].split("/")[-2] == ["bright", "dark"][best["index"]]
        assert best["probability"] > other["probability"] and best["probability"] + other["probability"] == \
            pytest.approx(1)
    main("test", "cfg/toy.cfg", "--json", "-")
    loss = json.loads(capsys.readouterr().out)["loss"]
    assert -np.mean([np.log(item["predictions"][0]["probability"]) for item in found[:10]]) == pytest.approx(loss, 1e-5)
    main("predict", "cfg/toy.cfg", "data/toy/test/dark/1.png", "--top", "1")
    assert capsys.readouterr().out.split()[:2] == ["data/toy/test/dark/1.png", "dark"]


def test_images_that_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    train()
    Path("data/toy/test/dark/7.png").write_bytes(b"no image")
    capsys.readouterr()
    main("predict", "cfg/toy.cfg", "data/toy/test", "--json", "-")
    out, err = capsys.readouterr()
    assert len(json.loads(out)) == 10 and "1 of 11 images could not be read" in err
    assert "data/toy/test/dark/7.png: this is not an image in any known format" in err
    main("predict", "cfg/toy.cfg", "data/toy/test", "--on-bad", "error", expect=2)
    main("predict", "cfg/toy.cfg", "data/toy/test/dark/7.png", expect=2)
    capsys.readouterr()
    main("test", "cfg/toy.cfg", "--json", "-")
    out, err = capsys.readouterr()
    assert json.loads(out)["images"] == 10 and "7.png" in err
    main("test", "cfg/toy.cfg", "--on-bad", "error", expect=2)


def test_names_of_classes(capsys: pytest.CaptureFixture[str]) -> None:
    train()
    shutil.copytree("weights/toy", "elsewhere")
    shutil.rmtree("weights")
    capsys.readouterr()
    dark = ("predict", "cfg/toy.cfg", "data/toy/test/dark/0.png", "--top", "1", "--weights", "elsewhere/best.weights")

    def answer(*words):
        main(*dark, *words)
        return capsys.readouterr().out.split()[1]
    assert answer() == "dark"                   # from run.yaml in the folder of the weights
    Path("names.txt").write_text("day\nnight\n")
    assert answer("--names", "names.txt") == "night"
    Path("names.txt").write_text("day\nnight\ndusk\n")
    main(*dark, "--names", "names.txt")
    assert "3 names, but the network has 2 classes: only the first 2 are used" in capsys.readouterr().err
    main(*dark, "--names", "names.txt", "--strict", expect=2)
    Path("elsewhere/run.yaml").unlink()
    assert answer() == "1"
    Path("names.txt").write_text("day\n")
    main(*dark, "--names", "names.txt", expect=2)
    assert "the network has 2 outputs, but the file has 1 name" in capsys.readouterr().err


def test_predict_with_samples(capsys: pytest.CaptureFixture[str]) -> None:
    edit("[connected]", "[dropout]\nprobability=.4\n[connected]")
    train()
    capsys.readouterr()
    words = ("predict", "cfg/toy.cfg", "data/toy/test/dark", "--samples", "20")

    def printed(*more: str) -> str:
        main(*words, *more)
        return str(capsys.readouterr().out)
    first = printed()
    assert first.count("±") == 10 and first.splitlines()[0].startswith("data/toy/test/dark/0.png  dark ")
    assert printed() == first != printed("--seed", "1")
    main(*words, "--json", "o.json")
    found = json.loads(Path("o.json").read_text())
    assert found[0]["samples"] == 20 and 0 <= found[0]["predictions"][0]["spread"] <= .5


def test_images_are_cropped_letterboxed_or_stretched(capsys: pytest.CaptureFixture[str]) -> None:
    """As runner.inference.classify prepares them."""
    train()
    image = Image.new("L", (40, 12), 30)
    image.paste(200, (0, 0, 9, 12))
    image.save("wide.png")
    found = {}
    for how in ("crop", "letterbox", "stretch"):
        capsys.readouterr()
        main("predict", "cfg/toy.cfg", "wide.png", "--json", "-", *([] if how == "crop" else [f"--{how}"]))
        found[how] = json.loads(capsys.readouterr().out)[0]["predictions"][0]["probability"]
        net = runner.load("cfg/toy.cfg", BEST)
        assert found[how] == pytest.approx(next(iter(infer(net, ["wide.png"], how=how))).predictions[0].probability)
    assert len(set(found.values())) == 3
