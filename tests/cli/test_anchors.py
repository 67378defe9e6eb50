"""`anchors`: k-means over the boxes of a dataset, and the cfg lines it prints."""
import json
from pathlib import Path

import numpy as np
import pytest

from runner.cli import main
from tests import toy_boxes
from tests.datasets.examples import image, write

CFG = "cfg/squares.cfg"


def test_anchors_of_a_cfg(squares_dir: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["anchors", CFG, "--save", "out/cloud.png"]) == 0
    said = capsys.readouterr().out
    assert "45 boxes in 24 images, at 32 x 32 pixels" in said and "num=1\n" in said
    assert "layer 5 [yolo], 4 x 4 cells:   mask=0   and filters=7 in the [convolutional] before it" in said
    assert Path("out/cloud.png").stat().st_size
    labels = [line.split() for path in Path("data/squares/labels/train").iterdir()
              for line in path.read_text().splitlines()]
    assert f"counters_per_class={sum(w[0] == '0' for w in labels)},{sum(w[0] == '1' for w in labels)} " in said
    mean = np.mean([32 * float(words[3]) for words in labels])
    assert f"anchors={round(mean, 1) if mean < 10 else round(mean):g}," in said


def test_anchors_of_a_run(squares_dir: Path, capsys: pytest.CaptureFixture) -> None:
    Path("weights/tuned").mkdir(parents=True)
    Path("weights/tuned/tuned.cfg").write_text(Path("cfg/squares.cfg").read_text())
    Path("weights/tuned/run.yaml").write_text("cfg: cfg/squares.cfg\ndata: data/squares\n")
    assert main(["anchors", CFG, "--data", "data/squares"]) == 0
    of_cfg = capsys.readouterr().out
    assert main(["anchors", "tuned"]) == 0
    assert capsys.readouterr().out == of_cfg


def test_anchors_without_a_cfg(squares_dir: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["anchors", "--data", "data/squares", "--clusters", "6", "--width", "64", "--height", "128",
                 "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [head["mask"] for head in found["heads"]] == [[0, 1, 2], [3, 4, 5]]
    assert {head["filters"] for head in found["heads"]} == {3 * (5 + 2)}
    assert all(h == pytest.approx(2 * w, abs=1.2) for w, h in found["anchors"]) and .85 < found["mean_iou"] <= 1
    areas = [w * h for w, h in found["anchors"]]
    assert areas == sorted(areas)


def test_the_size_given_is_that_of_the_grids(squares_dir: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["anchors", CFG, "--width", "64", "--height", "40"]) == 0
    said = capsys.readouterr().out
    assert "at 64 x 40 pixels" in said and "layer 5 [yolo], 8 x 5 cells" in said
    assert main(["anchors", CFG, "--width", "64"]) == 0
    assert "at 64 x 32 pixels" in (said := capsys.readouterr().out) and "8 x 4 cells" in said


def test_a_size_that_does_not_fit_the_cfg_is_refused(squares_dir: Path, capsys: pytest.CaptureFixture) -> None:
    head = toy_boxes.CFG.index("[yolo]")
    layers = "[maxpool]\nsize=2\nstride=2\n[upsample]\n[route]\nlayers=-1,-3\n[convolutional]\nfilters=7\n"
    Path(CFG).write_text(toy_boxes.CFG[:head] + layers + toy_boxes.CFG[head:])
    assert main(["anchors", CFG, "--width", "40", "--height", "32"]) == 2
    assert "width and height must be multiples of 16 (40 x 32 is not; 32 x 32 and 48 x 32 are)" in \
        capsys.readouterr().err


def test_missing_arguments_and_too_many_clusters(squares_dir: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["anchors"]) == 2
    assert "needs a cfg, or a dataset with --data" in capsys.readouterr().err
    assert main(["anchors", "--data", "data/squares", "--clusters", "40"]) == 2
    assert "40 clusters need boxes of at least as many sizes" in capsys.readouterr().err


def test_anchors_of_boxes_that_are_alike(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for k in range(8):
        size = .25 + k / 1e5 if k < 4 else .5 + k / 1e5
        image(tmp_path / f"{k}.png")
        write(tmp_path / f"{k}.txt", f"0 .5 .5 {size} {size}\n")
    options = ("anchors", "--data", str(tmp_path), "--width", "416", "--height", "416", "--clusters")
    assert main([*options, "5"]) == 0
    assert "2 of the 5 anchors are different" in (said := capsys.readouterr().err) and "--clusters 2" in said
    assert main([*options, "2"]) == 0
    assert "are different" not in capsys.readouterr().err


def test_region_anchors_are_in_cells(squares_dir: Path, capsys: pytest.CaptureFixture) -> None:
    head = toy_boxes.CFG.index("[yolo]")
    Path(CFG).write_text(toy_boxes.CFG[:head] + "[region]\nclasses=2\nnum=1\nanchors=1,1\n")
    assert main(["anchors", CFG]) == 0
    said = capsys.readouterr().out
    width, height = map(float, said.split("anchors=")[1].split("\n")[0].split(","))
    assert .8 < width < 1.6 and width == height and "mask" not in said


def test_a_network_without_anchors(toy_dir: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["anchors", "cfg/toy.cfg"]) == 2
    assert "no layer has anchors" in capsys.readouterr().err
