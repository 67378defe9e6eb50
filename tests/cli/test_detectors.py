"""Detectors: the verbs train and test, and the errors when cfg and data do not match."""
import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

import runner
from runner.cli import main
from runner.training import TaskOptions, open_task
from runner.training.report_items import ImageGrid, LineChart
from tests import toy_boxes

CFG = "cfg/squares.cfg"


@pytest.fixture
def edited(squares_dir: Path):
    """Edits the cfg."""
    def edit(old: str, new: str) -> str:
        assert old in toy_boxes.CFG
        (squares_dir / CFG).write_text(toy_boxes.CFG.replace(old, new))
        return CFG
    return edit


def test_train_then_test_then_detect(squares_dir: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["train", CFG, "--validate-every", "100", "--json", "run.json"]) == 0
    output = capsys.readouterr()
    assert "24 images with 45 boxes to train, 11 to test, 2 classes" in output.err
    assert "update 100: loss" in output.err and "mAP@.50" in output.err
    assert "next:    python run.py test cfg/squares.cfg\n         python run.py detect cfg/squares.cfg" in output.out
    done = json.loads(Path("run.json").read_text())
    facts = yaml.safe_load(Path("weights/squares/run.yaml").read_text())
    best = facts["best"]
    assert best["score"] > .9 and 0 < best["threshold"] < 1 and set(best["per_class"]) == {"bright", "dark"}
    assert done["best"]["score"] == best["score"] and facts["classes"] == ["bright", "dark"]

    assert main(["test", CFG, "--json", "test.json"]) == 0
    printed, found = capsys.readouterr().out, json.loads(Path("test.json").read_text())
    assert found["map"] == pytest.approx(best["score"]) and f"mAP@0.50 {100 * found['map']:.2f} %" in printed
    assert found["images"] == 11 and found["per_class"]["dark"]["boxes"] + found["per_class"]["bright"]["boxes"] == 21
    counts = found["counts"]
    assert counts["true_positives"] + counts["false_negatives"] == 21
    assert counts["precision"] == counts["true_positives"] / (counts["true_positives"] + counts["false_positives"])
    assert found["best"]["f1"] >= counts["f1"]
    matrix = np.array(found["confusion"])
    assert matrix.shape == (3, 3) and np.trace(matrix) == counts["true_positives"] and matrix[2, 2] == 0
    assert sum(one["false_positives"] for one in found["per_class"].values()) == counts["false_positives"]
    assert "confusion matrix at this confidence" in printed and "per_image" not in found

    assert main(["test", CFG, "--thresh", ".01", "--wrong", "wrong.csv", "--json", "all.json", "--per-image"]) == 0
    found = json.loads(Path("all.json").read_text())
    images, matrix = found["per_image"], np.array(found["confusion"])
    assert len(images) == 11 and sum(one["correct"] for one in images) == found["counts"]["true_positives"]
    assert sum(one["missed"] for one in images) == found["counts"]["false_negatives"]
    with open("wrong.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(row["error"] == "missed" for row in rows) == matrix[:2, 2].sum()
    assert sum(row["error"] != "missed" for row in rows) == found["counts"]["false_positives"] > 0
    capsys.readouterr()
    assert all(Path(row["image"]).is_file() and float(row["left"]) < float(row["right"]) for row in rows)
    assert found["best"]["confidence"] == pytest.approx(best["threshold"], abs=1e-4)

    assert main(["detect", CFG, "data/squares/images/test", "--json", "-"]) == 0
    output = capsys.readouterr()
    images = json.loads(output.out)
    assert images[0]["objects"][0]["name"] in ("bright", "dark")
    assert output.err == (f"threshold {best['threshold']:g}, the best F1 on the test images, from "
                          "weights/squares/run.yaml; --thresh sets another\n")
    assert sum(len(one["objects"]) for one in images) == \
        found["best"]["true_positives"] + found["best"]["false_positives"], "those that `test` counts"


def test_the_report_shows_charts_and_images(squares_dir: Path) -> None:
    assert main(["train", CFG, "--set", "net.max_batches=60", "--quiet"]) == 0
    text = Path("weights/squares/report.html").read_text()
    assert "AP@0.50" in text and "Precision and recall, IoU above 0.5" in text
    assert "Most errors" in text and "Most boxes without an error" in text
    for words in ("F1 and confidence", "Confusion matrix", "background", "missed object</span>"):
        assert words in text

    net = runner.load(CFG, "weights/squares/best.weights")
    task = open_task(net, TaskOptions(CFG))
    metrics, shown = task.report_items()
    assert metrics is not None and metrics.as_json() == task.evaluate().as_json()
    curves = next(thing for thing in shown if isinstance(thing, LineChart))
    for name, (recall, precision) in curves.lines.items():
        assert name in ("bright", "dark") and list(recall) == sorted(recall) and max(precision) <= 1
    images = [image for thing in shown if isinstance(thing, ImageGrid) for image in thing.images]
    assert images and all(image.pixels.shape[2] == 3 for image in images)
    mistakes = [[int(word) for word in image.caption.split() if word.isdigit()] for image in images]
    clean = [right for right, wrong, missed in mistakes if not wrong + missed]
    assert clean == sorted(clean, reverse=True)


def test_options_of_the_metrics(squares_dir: Path, capsys: pytest.CaptureFixture) -> None:
    """A higher IoU gives a lower mAP; points and thresh change what they should."""
    assert main(["train", CFG, "--set", "net.max_batches=100", "--quiet"]) == 0

    def metrics(*options: str) -> dict:
        capsys.readouterr()
        assert main(["test", CFG, "--json", "-", *options]) == 0
        return json.loads(capsys.readouterr().out)
    plain, strict = metrics(), metrics("--iou", ".75")
    assert strict["map"] < plain["map"] and strict["iou"] == .75 and strict["map50_95"] == plain["map50_95"]
    assert metrics("--points", "101")["map"] == pytest.approx(plain["map"], abs=.03)
    assert metrics("--points", "11")["points"] == 11
    sure = metrics("--thresh", "1")["counts"]
    assert sure["true_positives"] == sure["false_positives"] == 0 and sure["false_negatives"] == 21
    assert metrics("--thresh", "0")["counts"]["recall"] >= plain["counts"]["recall"]
    assert metrics("--split", "train")["images"] == 24


def test_options_for_detectors_only(toy_dir: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "cfg/toy.cfg", "--quiet"]) == 0
    for words in (["--iou", ".6"], ["--stretch"]):
        capsys.readouterr()
        assert main(["test", "cfg/toy.cfg", *words]) == 2
        assert capsys.readouterr().err.endswith(f"run.py: {words[0]} is for detectors, but cfg/toy.cfg is not one\n")


def test_a_head_with_the_wrong_number_of_classes(edited, capsys: pytest.CaptureFixture) -> None:
    cfg = edited("classes=2\nnum=1\nanchors=10,10", "classes=5\nnum=2\nmask=0,1\nanchors=10,10,12,12")
    Path(cfg).write_text(Path(cfg).read_text().replace("filters=7", "filters=20"))
    assert main(["train", cfg]) == 2
    assert capsys.readouterr().err.endswith(
        "run.py: cfg/squares.cfg: layer 5 [yolo] has classes=5, but data/squares has 2: set classes=2 there, and "
        "filters=14 in layer 4 before it\n")


def test_wrong_filters_before_a_head(edited, capsys: pytest.CaptureFixture) -> None:
    assert main(["train", edited("filters=7", "filters=8")]) == 2
    said = capsys.readouterr().err
    line = toy_boxes.CFG.splitlines().index("[yolo]") + 1
    assert f"cfg/squares.cfg:{line}: [yolo]" in said and "set filters=7 in the [convolutional] before it" in said


HEADS = {
    "Gaussian_yolo": "filters=11\nsize=1\nactivation=linear\n"
                     "[Gaussian_yolo]\nclasses=2\nnum=1\nanchors=10,10\nmax_delta=1\n",
    "region": "filters=7\nsize=1\nactivation=linear\n[region]\nclasses=2\nnum=1\nanchors=1.2,1.2\nsoftmax=1\n",
    "detection": "filters=8\nsize=1\nactivation=leaky\n[connected]\noutput=112\nactivation=linear\n"
                 "[detection]\nclasses=2\ncoords=4\nrescore=1\nside=4\nnum=1\nsqrt=1\nobject_scale=1\nnoobject_scale=.5\nclass_scale=1\n"
                 "coord_scale=5\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", HEADS)
def test_every_head_learns(squares_dir: Path, kind: str) -> None:
    body = toy_boxes.CFG[:toy_boxes.CFG.rindex("[convolutional]")] + "[convolutional]\n" + HEADS[kind]
    Path(CFG).write_text(body)
    more = ["--set", "net.max_batches=600", "--set", "net.learning_rate=.003"] if kind != "region" else []
    assert main(["train", CFG, "--quiet", "--json", "run.json", "--validate-every", "50", *more]) == 0
    assert json.loads(Path("run.json").read_text())["best"]["score"] > .5


@pytest.mark.slow
def test_multi_scale_training_with_subdivisions(edited, capsys: pytest.CaptureFixture) -> None:
    """random=1 and four subdivisions: it learns, and is evaluated at the size of the cfg."""
    cfg = edited("max_batches=200", "max_batches=160\nsubdivisions=4\nresize_step=8")
    Path(cfg).write_text(Path(cfg).read_text() + "random=1\n")
    assert main(["train", cfg, "--quiet", "--json", "run.json", "--validate-every", "20"]) == 0
    found = json.loads(Path("run.json").read_text())
    assert found["images"] == 160 * 8 and found["best"]["score"] > .6


@pytest.mark.slow
def test_a_resumed_detector_gets_the_same_bits(edited) -> None:
    """Twelve updates at once, or eight and then four: bit-identical."""
    cfg = edited("policy=poly\npower=1\n", "policy=constant\n")
    assert main(["train", cfg, "--quiet", "--name", "whole", "--set", "net.max_batches=12"]) == 0
    assert main(["train", cfg, "--quiet", "--name", "parts", "--set", "net.max_batches=8"]) == 0
    assert main(["train", cfg, "--quiet", "--name", "parts", "--resume", "--set", "net.max_batches=12"]) == 0
    assert Path("weights/whole/last.weights").read_bytes() == Path("weights/parts/last.weights").read_bytes()


def test_cutoff_and_frozen_layers(squares_dir: Path) -> None:
    assert main(["train", CFG, "--quiet", "--set", "net.max_batches=5"]) == 0
    first = runner.load(CFG, "weights/squares/last.weights")
    assert main(["train", CFG, "--quiet", "--name", "next", "--weights", "weights/squares/last.weights",
                 "--cutoff", "4", "--seed", "7", "--set", "1.stopbackward=1", "--set", "net.max_batches=5"]) == 0
    after, fresh = runner.load(CFG, "weights/next/last.weights"), runner.load(CFG, seed=7)
    for index in range(5):
        same = np.array_equal(first.layers[index].params["weights"], after.layers[index].params["weights"])
        assert same == (index <= 1), index
    near = [np.abs(after.layers[4].params["weights"] - net.layers[4].params["weights"]).max() for net in (first, fresh)]
    assert near[1] < near[0], "the layer at the cutoff was initialized"
