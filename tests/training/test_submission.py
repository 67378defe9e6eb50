"""`test --submit`: the files that the official evaluators take; COCO's with pycocotools on real images."""
import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runner.datasets import open_detection_dataset
from runner.datasets.detection.annotated_size import AnnotatedImage
from runner.outputs import LIST
from runner.training.submission import COCO_IDS
from tests.paths import ROOT, SHARED
from tests.verbs import main

SCENES = ["test", str(ROOT / "cfg/scenes.cfg"), "--weights", str(ROOT / "weights/shipped/scenes/best.weights")]
FASTEST = SHARED / "data/weights/yolo-fastest-1.1"
slow_with_shared = pytest.mark.skipif(not (SHARED / "data/coco60").is_dir(), reason="needs shared/data/coco60")


def coco_file(target: Path, data: str, splits: tuple[str, ...], image_ids: dict[str, int] | None,
              category_ids: list[int]) -> None:
    """A detection dataset as a COCO file; image_ids None: the digits of the file names."""
    found = open_detection_dataset(data)
    content: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": [], "categories": [
        {"id": number, "name": name} for number, name in zip(category_ids, found.names, strict=True)]}
    for image in (image for split in splits for image in getattr(found, split)):
        with Image.open(image.path) as pixels:
            width, height = pixels.size
        number = image_ids[Path(image.path).stem] if image_ids else int(Path(image.path).stem)
        content["images"].append({"id": number, "file_name": image.path, "width": width, "height": height})
        for x, y, w, h, index in image.boxes.astype(float).tolist():
            content["annotations"].append({
                "id": len(content["annotations"]) + 1, "image_id": number, "category_id": category_ids[int(index)],
                "bbox": [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height],
                "area": w * width * h * height, "iscrowd": 0})
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(content))


def official(truth: Path, results: Path) -> tuple[float, float]:
    """mAP@.50:.95 and mAP@.50 as pycocotools computes them from the two files."""
    coco = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    with contextlib.redirect_stdout(io.StringIO()):
        truths = coco.COCO(str(truth))
        run = evaluation.COCOeval(truths, truths.loadRes(str(results)), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return float(run.stats[0]), float(run.stats[1])


def test_coco_ids_are_those_of_darknet() -> None:
    """80 ids up to 90, with the first gap behind 11 and the last before 90."""
    assert len(COCO_IDS) == 80 and COCO_IDS[:12] == (*range(1, 12), 13) and COCO_IDS[-3:] == (88, 89, 90)
    names = (ROOT / "cfg/coco.names").read_text().splitlines()
    known = {"person": 1, "stop sign": 13, "backpack": 27, "umbrella": 28, "handbag": 31, "bottle": 44,
             "wine glass": 46, "dining table": 67, "toilet": 70, "tv": 72, "book": 84, "toothbrush": 90}
    aliases = {"dining table": "diningtable", "tv": "tvmonitor"}
    for name, number in known.items():
        name = name if name in names else aliases[name]
        assert COCO_IDS[names.index(name)] == number


def test_a_coco_dataset_with_its_own_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    """pycocotools computes from the file what `test` prints; with --per-image beside it."""
    monkeypatch.chdir(ROOT)
    stems = sorted(path.stem for path in (ROOT / "data/scenes/images/test").glob("*.png"))
    truth = tmp_path / "val.json"
    coco_file(truth, str(ROOT / "data/scenes"), ("test",), {stem: 9000 - 7 * k for k, stem in enumerate(stems)},
              [3 * k + 5 for k in range(10)])
    monkeypatch.chdir(tmp_path)
    main(*SCENES, "--data", str(truth), "--split", "train", "--submit", "coco", "--submit-to", "out", "--json",
         "test.json", "--per-image")
    assert "out/coco_results.json: " in capsys.readouterr().err
    found, results = json.loads(Path("test.json").read_text()), json.loads(Path("out/coco_results.json").read_text())
    assert {one["category_id"] for one in results} <= {3 * k + 5 for k in range(10)}
    assert {one["image_id"] for one in results} <= {9000 - 7 * k for k in range(len(stems))}
    mean, half = official(truth, Path("out/coco_results.json"))
    assert (mean, half) == pytest.approx((found["map50_95"], found["coco_map50"]), abs=1e-9) and mean > .5
    assert len(found["per_image"]) == 120
    for one in found["per_image"]:
        total = 2 * one["correct"] + one["wrong"] + one["missed"]
        assert one["f1"] == (pytest.approx(2 * one["correct"] / total) if total else None)


@pytest.mark.slow
@slow_with_shared
def test_real_images_of_coco(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                             capsys: pytest.CaptureFixture[str]) -> None:
    """60 images of COCO with YOLO labels: darknet's ids are those of the official annotations."""
    monkeypatch.chdir(tmp_path)
    Path("coco60.yaml").write_text(f"path: {SHARED}/data/coco60\nval: [train.txt, valid.txt]\nnames: "
                                   f"{json.dumps((SHARED / 'data/coco60/coco60.names').read_text().splitlines())}\n")
    coco_file(tmp_path / "truth.json", "coco60.yaml", ("test",), None, list(COCO_IDS))
    words = ["test", str(FASTEST / "yolo-fastest-1.1.cfg"), "--weights", str(FASTEST / "yolo-fastest-1.1.weights")]
    main(*words, "--data", "coco60.yaml", "--submit", "coco", "--json", "test.json")
    assert "the category ids are those of COCO's 80 classes" in capsys.readouterr().err
    found = json.loads(Path("test.json").read_text())
    mean, half = official(tmp_path / "truth.json", tmp_path / "results/coco_results.json")
    assert (mean, half) == pytest.approx((found["map50_95"], found["coco_map50"]), abs=1e-6) and half > .2


def test_voc_files(squares_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """darknet's lines: the file name without its ending, the confidence, and corners from 1 within the image."""
    main("train", "cfg/squares.cfg", "--quiet", "--set", "net.max_batches=60", "--no-report")
    for _ in range(2):      # files of ours are replaced
        main("test", "cfg/squares.cfg", "--submit", "voc", "--submit-to", "out", "--per-image", "--thresh", ".005")
    printed = capsys.readouterr()
    assert "out/comp4_det_test_bright.txt ...: " in printed.err
    assert {path.name for path in Path("out").iterdir()} == {"comp4_det_test_bright.txt", "comp4_det_test_dark.txt",
                                                            LIST}
    main("test", "cfg/squares.cfg", "--json", "all.json", "--per-image", "--thresh", ".005")
    boxes = [(Path(image["image"]).stem, one) for image in json.loads(Path("all.json").read_text())["per_image"]
             for one in image["boxes"]]
    for name in ("bright", "dark"):
        lines = [line.split(" ") for line in Path(f"out/comp4_det_test_{name}.txt").read_text().splitlines()]
        expected = [(stem, one) for stem, one in boxes if one["name"] == name]
        assert len(lines) == len(expected) > 0
        for (stem, one), line in zip(sorted(expected, key=lambda pair: (pair[0], pair[1]["confidence"])),
                                     sorted(lines, key=lambda line: (line[0], float(line[1]))), strict=True):
            place = one["relative_coordinates"]
            x, y, w, h = (32 * place[key] for key in ("center_x", "center_y", "width", "height"))
            assert line[0] == stem and float(line[1]) == pytest.approx(one["confidence"], abs=1e-6)
            np.testing.assert_allclose([float(word) for word in line[2:]],
                                       [max(x - w / 2 + 1, 1), max(y - h / 2 + 1, 1), min(x + w / 2 + 1, 32),
                                        min(y + h / 2 + 1, 32)], atol=2e-6)
    table = printed.out[printed.out.rindex("\nimage "):].splitlines()[1:]
    assert table[0].split() == ["image", "correct", "wrong", "missed", "F1"] and len(table) == 12
    assert table[1].startswith("data/squares/images/test/0.png ")


def test_class_names_that_are_no_file_names(squares_dir: Path) -> None:
    """They are replaced, and stay apart also where capitals do not differ."""
    Path("data/squares/classes.txt").write_text("a/b\nA:b\n")
    main("train", "cfg/squares.cfg", "--quiet", "--set", "net.max_batches=2", "--no-report")
    main("test", "cfg/squares.cfg", "--submit", "voc")
    assert {path.name for path in Path("results").iterdir()} == {"comp4_det_test_a_b.txt", "comp4_det_test_A_b-2.txt",
                                                                LIST}


@pytest.mark.usefixtures("toy_dir")
def test_refused_for_a_classifier(capsys: pytest.CaptureFixture[str]) -> None:
    main("train", "cfg/toy.cfg", "--quiet", "--set", "net.max_batches=2", "--no-report")
    main("test", "cfg/toy.cfg", "--submit", "voc", expect=2)
    assert "--submit is for detectors, but cfg/toy.cfg is not one" in capsys.readouterr().err
    main("test", "cfg/toy.cfg", "--submit-to", "out", expect=2)
    assert "--submit-to is where --submit writes, which is not given" in capsys.readouterr().err
    main("test", "cfg/toy.cfg", "--per-image")
    rows = capsys.readouterr().out.split("\n\n")[-1].splitlines()
    assert rows[0].split() == ["image", "truth", "predicted", "correct", "probability"] and len(rows) > 4
    main("test", "cfg/toy.cfg", "--per-image", "--wrong", "-", expect=2)
    assert "--per-image prints a table, and --wrong - is stdout" in capsys.readouterr().err


def test_what_cannot_be_submitted(squares_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused before anything is evaluated; a file of the user is kept."""
    main("train", "cfg/squares.cfg", "--quiet", "--set", "net.max_batches=2", "--no-report")
    images = Path("data/squares/images/test")
    Path("results").mkdir()
    Path("results/coco_results.json").write_text("mine")
    main("test", "cfg/squares.cfg", "--submit", "coco", expect=2)
    assert "--submit-to would replace results/coco_results.json (not written" in capsys.readouterr().err
    assert Path("results/coco_results.json").read_text() == "mine"

    def said(form: str, rename: str) -> str:
        """What is printed with an image that is called like this."""
        (images / "2.png").rename(images / rename)
        main("test", "cfg/squares.cfg", "--submit", form, "--submit-to", "out", expect=2)
        (images / rename).rename(images / "2.png")
        return capsys.readouterr().err
    assert "a 2.png: --submit voc writes file names without their ending" in said("voc", "a 2.png")
    assert "no number.png: --submit coco needs the number of every image" in said("coco", "no number.png")
    assert "3.png have the same id, 3" in said("coco", "x_3.png")
    assert "3.png have the same id, 3" in said("voc", "3.bmp")
    assert not Path("out").exists()


@pytest.mark.parametrize("orientation", [1, 5, 6, 7, 8])
def test_boxes_of_rotated_images(orientation: int) -> None:
    image, box = AnnotatedImage((40, 30), orientation), (.2, .7, .1, .3)
    assert image.stored(image.upright(box)) == pytest.approx(box) and image.upright(image.stored(box)) == \
        pytest.approx(box)


@pytest.mark.parametrize("orientation", [1, 6])
def test_coco_boxes_are_in_pixels_of_its_file(orientation: int, tmp_path: Path) -> None:
    """An image that EXIF rotates, and one that is larger now than when it was annotated."""
    from runner.outputs import OutputFolder
    from runner.training.detection_metrics import SplitDetections
    from runner.training.submission import Submission
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (80, 60)).save(tmp_path / "a.png", exif=exif)
    width, height = (40, 30) if orientation == 1 else (80, 60)
    (tmp_path / "a.json").write_text(json.dumps({
        "images": [{"id": "x", "file_name": "a.png", "width": width, "height": height}],
        "annotations": [{"id": 1, "image_id": "x", "category_id": 7, "bbox": [4, 6, 10, 12]}],
        "categories": [{"id": 7, "name": "cat"}]}))
    split = open_detection_dataset(tmp_path / "a.json").train
    assert split is not None
    row = np.concatenate([[0, .5], split[0].boxes[0, :4]]).astype(np.float32)
    size = (80, 60) if orientation == 1 else (60, 80)
    submission = Submission("coco", split, ["cat"], OutputFolder("--submit-to", tmp_path / "out"))
    assert submission.write(SplitDetections([row[None]], [], [], [0], [size])) == 1
    one, = json.loads((tmp_path / "out/coco_results.json").read_text())
    assert one["image_id"] == "x" and one["category_id"] == 7 and one["score"] == .5
    np.testing.assert_allclose(one["bbox"], [4, 6, 10, 12], atol=1e-4)
