"""What options of training do to a small detector: train_only_bn, letter_box, dont_update."""
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import runner
from tests.conftest import AVAILABLE
from tests.toy_boxes import CFG
from tests.verbs import main

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("squares_dir")]
TRAIN = ("train", "cfg/squares.cfg", "--quiet", "--no-report")


def score(*words: str) -> float:
    main("test", *words, "--json", "t.json")
    found = json.loads(Path("t.json").read_text())["map"]
    assert isinstance(found, float)
    return found


def redrawn(factor: float, shift: float) -> None:
    """data/dim: the images of data/squares, darker or brighter and with less contrast."""
    shutil.copytree("data/squares", "data/dim")
    for path in Path("data/dim/images").rglob("*.png"):
        Image.fromarray((shift + factor * np.asarray(Image.open(path))).astype(np.uint8)).save(path)


def test_train_only_bn_adapts_a_detector_to_other_images() -> None:
    main(*TRAIN)
    redrawn(.25, 150)
    before, best = score("cfg/squares.cfg", "--data", "data/dim"), "weights/squares/best.weights"
    start, scores = runner.load("squares"), []
    for backend in AVAILABLE:
        main(*TRAIN, "--name", backend, "--data", "data/dim", "--weights", best, "--clear", "--set",
             "5.train_only_bn=1", "--backend", backend)
        scores.append(score(backend))
        now = runner.load(f"weights/{backend}/last.weights")
        for old, new in zip(start.layers, now.layers, strict=True):
            assert all(np.array_equal(old.params[name], new.params[name]) for name in old.params)
            assert not any(np.array_equal(old.buffers[name], new.buffers[name]) for name in old.buffers)
    assert before < .3 and min(scores) > before + .2, (before, scores)
    assert scores == pytest.approx([scores[0]] * len(scores), abs=.02)


def test_a_detector_trained_with_letter_box() -> None:
    """Its boxes fit if images are letterboxed, which `test` and `detect` do on their own, and not if stretched."""
    rng = np.random.default_rng(3)
    for split, count in (("train", 24), ("test", 12)):
        for folder in ("images", "labels"):
            shutil.rmtree(f"data/squares/{folder}/{split}")
            Path(f"data/squares/{folder}/{split}").mkdir()
        for number in range(count):
            pixels, side = rng.integers(100, 130, (32, 80)).astype(np.uint8), int(rng.integers(18, 28))
            left, top, label = int(rng.integers(0, 80 - side)), int(rng.integers(0, 32 - side)), int(rng.integers(2))
            pixels[top:top + side, left:left + side] = 20 if label else 240
            Image.fromarray(pixels).save(f"data/squares/images/{split}/{number}.png")
            Path(f"data/squares/labels/{split}/{number}.txt").write_text(
                f"{label} {(left + side / 2) / 80} {(top + side / 2) / 32} {side / 80} {side / 32}\n")
    Path("cfg/squares.cfg").write_text(CFG.replace("[net]", "[net]\nletter_box=1"))
    main(*TRAIN)
    boxed, stretched = score("cfg/squares.cfg"), score("cfg/squares.cfg", "--stretch")
    assert boxed > .8 and stretched < boxed - .2, (boxed, stretched)
    main("detect", "cfg/squares.cfg", "data/squares/images/test", "--json", "d.json")
    best = runner.load("squares")
    found = json.loads(Path("d.json").read_text())
    again = best.detect("data/squares/images/test", letterbox=True)
    assert [len(one["objects"]) for one in found] == [len(one) for one in again]
    sides = [one.corners(80, 32) for image in again for one in image.detections]
    ratios = [(right - left) / (bottom - top) for left, top, right, bottom in sides]
    assert np.median(ratios) == pytest.approx(1, abs=.25), "squares are squares"


def test_layers_that_join_in_later() -> None:
    main(*TRAIN, "--set", "net.max_batches=30", "--set", "1.dont_update=20", "--set", "2.burnin_update=2", "--set",
         "net.burn_in=8", "--backup-every", "10")
    copies = [runner.load("cfg/squares.cfg", f"weights/squares/squares_{update}.weights") for update in (10, 20, 30)]
    start = runner.load("cfg/squares.cfg")
    moved = [[not np.array_equal(start.layers[index].params["weights"], one.layers[index].params["weights"])
              for one in copies] for index in (0, 1, 2)]
    assert moved == [[True] * 3, [False, False, True], [False, True, True]]
