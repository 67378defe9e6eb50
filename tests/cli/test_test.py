"""`test`: what it prints, its JSON, test-time augmentation, and its errors."""
import csv
import json
import shutil
from pathlib import Path

import pytest

from tests.verbs import main, train

pytestmark = pytest.mark.usefixtures("toy_dir")


def test_crops_sizes_and_top_k(capsys: pytest.CaptureFixture[str]) -> None:
    train()
    capsys.readouterr()
    main("test", "cfg/toy.cfg", "--crops", "10", "--top-k", "1,2", "--json", "o.json")
    assert capsys.readouterr().out.startswith("10 images in five crops, accuracy ")      # toy.cfg says flip=0
    found = json.loads(Path("o.json").read_text())
    assert found["how"] == "in five crops" and found["top_k"]["2"] == 1
    main("test", "cfg/toy.cfg", "--sizes", "6,12", expect=2)
    assert "--sizes 12: the network cannot take" in capsys.readouterr().err
    main("test", "cfg/toy.cfg", "--top-k", "0", expect=2)
    assert "must be an integer, at least 1. Got '0'" in capsys.readouterr().err


def test_it_prints_tables_and_writes_json(capsys: pytest.CaptureFixture[str]) -> None:
    train()
    capsys.readouterr()
    main("test", "cfg/toy.cfg", "--json", "found.json")
    out = capsys.readouterr().out
    assert out.startswith("10 images, accuracy 100.00 % (0 wrong), loss 0.")
    assert out.splitlines()[-2:] == ["bright       5     .", "dark         .     5"]
    found = json.loads(Path("found.json").read_text())
    assert (found["images"], found["top1"], found["top5"], found["confusion"]) == (10, 1.0, 1.0, [[5, 0], [0, 5]])
    assert found["per_class"]["dark"] == {"images": 5, "precision": 1.0, "recall": 1.0, "f1": 1.0}
    main("test", "cfg/toy.cfg", "--split", "train", "--json", "-")
    assert json.loads(capsys.readouterr().out)["images"] == 12


def test_weights_trained_with_other_settings(capsys: pytest.CaptureFixture[str]) -> None:
    train("--set", "0.filters=5")
    capsys.readouterr()
    used = "weights/toy was trained with --set 0.filters=5, which is used here too\n"
    main("test", "cfg/toy.cfg")
    assert capsys.readouterr().err == used
    main("test", "cfg/toy.cfg", "--set", "0.filters=4", expect=2)
    err = capsys.readouterr().err
    assert "weights/toy was trained with --set 0.filters=5; here it is 4\n" in err
    assert err.endswith("They were trained with --set 0.filters=5: use the same here\n")
    main("test", "cfg/toy.cfg", "--compat", "pjreddie")
    assert capsys.readouterr().err == used + "warning: weights/toy was trained without --compat: use the same here\n"


def test_the_held_out_share_of_training_is_found_again(capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree("data/toy/test")
    main("train", "cfg/toy.cfg", "--split-share", ".34")
    out, err = capsys.readouterr()
    assert "8 images to train, 4 to test, 2 classes" in err and "nothing to test with" not in err
    assert "test accuracy: " in out
    main("test", "cfg/toy.cfg")
    assert capsys.readouterr().out.startswith("4 images, accuracy ")
    main("test", "cfg/toy.cfg", "--split-share", "1.5", expect=2)
    assert "split_share must be a number, at least 0, at most 0.9. Got '1.5'" in capsys.readouterr().err


def test_the_wrong_images(capsys: pytest.CaptureFixture[str]) -> None:
    """Their files, truth and predicted class, the most probable first; the results of all images in the JSON."""
    train()
    dark = Path("data/toy/test/dark")
    (dark / "9.png").write_bytes(Path("data/toy/test/bright/1.png").read_bytes())
    (dark / "8.png").write_bytes(Path("data/toy/test/bright/2.png").read_bytes())
    capsys.readouterr()
    for _ in range(2):      # a list of ours is replaced
        main("test", "cfg/toy.cfg", "--wrong", "wrong.csv", "--json", "all.json", "--per-image")
    assert "(2 wrong)" in capsys.readouterr().out
    with open("wrong.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["image"] for row in rows} == {"data/toy/test/dark/8.png", "data/toy/test/dark/9.png"}
    assert {(row["truth"], row["predicted"]) for row in rows} == {("dark", "bright")}
    sure = [float(row["probability"]) for row in rows]
    assert sure == sorted(sure, reverse=True) and sure[-1] > .5
    images = json.loads(Path("all.json").read_text())["per_image"]
    assert len(images) == 12 and sorted(one["image"] for one in images if not one["correct"]) == sorted(
        row["image"] for row in rows)
    main("test", "cfg/toy.cfg", "--crops", "10", "--wrong", "-")
    assert capsys.readouterr().out.splitlines()[0] == "image,truth,predicted,probability,truth_probability"
    main("test", "cfg/toy.cfg", "--json", "small.json")
    assert "per_image" not in json.loads(Path("small.json").read_text())


def test_lists_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    Path("notes.csv").write_text("image,truth\n")
    main("test", "cfg/toy.cfg", "--wrong", "notes.csv", expect=2)
    assert "--wrong notes.csv: there is a file that this program did not write" in capsys.readouterr().err
    main("test", "cfg/toy.cfg", "--wrong", "-", "--json", "-", expect=2)
    assert "cannot both be stdout" in capsys.readouterr().err
