"""Several labels per image, from the data to the report: a network really learns them."""
import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner import cli
from tests import toy_labels
from tests.paths import ROOT
from tests.verbs import edit, main, run_facts

CFG = "cfg/marks.cfg"


@pytest.fixture
def marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    toy_labels.make(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run and its report."""
    folder = tmp_path_factory.mktemp("marks")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        toy_labels.make(folder)
        assert cli.main(["train", CFG, "--quiet", "--validate-every", "20", "--backend", "numpy", "--json",
                         "out.json"]) == 0
    return folder


def test_a_network_learns_all_labels(trained: Path) -> None:
    found = json.loads((trained / "out.json").read_text())
    assert found["score_name"] == "test mAP" and found["best"]["score"] > .98 and found["best"]["micro_f1"] > .95
    assert found["metrics"]["per_class"].keys() == set(toy_labels.NAMES)


def test_what_a_run_records(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)
    facts = run_facts("marks")
    assert facts["several_labels"] is True and facts["score"] == "test mAP"
    assert facts["best"].keys() == {"update", "score", "micro_f1", "macro_f1"} and facts["best_text"].endswith(" %")
    assert facts["content"] == "48 images to train, 16 to test, 3 classes, several labels per image"
    rows = [row for row in csv.DictReader(Path("weights/marks/log.csv").read_text().splitlines()) if row["score"]]
    assert [row["update"] for row in rows] == ["20", "40", "60"]
    assert max(float(row["score"]) for row in rows) == pytest.approx(facts["best"]["score"], abs=1e-5)
    assert all(0 <= float(row[name]) <= 1 for row in rows for name in ("micro_f1", "macro_f1"))
    report = Path("weights/marks/report.html").read_text()
    assert "Confusion matrix" not in report and "<th>AP</th>" in report.replace(' class="left"', "")
    assert "Images with the largest errors" in report and "predicted: " in report


def test_evaluation(trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(trained)
    main("test", CFG)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("16 images, mAP ") and lines[3].split() == ["class", "images", "AP", "precision",
                                                                           "recall", "F1"]
    assert lines[7].split()[0] == "mean"
    main("test", CFG, "--json", "-")
    plain = json.loads(capsys.readouterr().out)
    assert plain["map"] == pytest.approx(run_facts("marks")["best"]["score"], abs=1e-6) and plain["images"] == 16
    main("test", CFG, "--crops", "10", "--json", "-")
    crops = json.loads(capsys.readouterr().out)
    assert crops["how"] == "in ten crops" and crops["loss"] != plain["loss"]
    main("test", CFG, "--thresh", ".9999", "--json", "-")
    strict = json.loads(capsys.readouterr().out)
    assert strict["threshold"] == .9999 and strict["map"] == plain["map"] and strict["macro_f1"] < plain["macro_f1"]
    main("test", CFG, "--top-k", "1", expect=2)
    assert "--top-k is for images of one class" in capsys.readouterr().err


def test_prediction(trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(trained)
    main("predict", CFG, "data/marks", "--json", "-")
    found = json.loads(capsys.readouterr().out)
    flags = {row["filename"]: {name for name in toy_labels.NAMES if row[name] == "1"}
             for row in csv.DictReader(Path("data/marks.csv").read_text().splitlines())}
    right = [set(item["labels"]) == flags[Path(item["image"]).name] for item in found]
    assert np.mean(right) > .95
    for item in found:
        assert len(item["predictions"]) == 3
        assert item["labels"] == [p["class"] for p in item["predictions"] if p["probability"] > .5]
    main("predict", CFG, "data/marks/7.png", "data/marks/0.png")
    all_three, none = capsys.readouterr().out.splitlines()
    assert {word for word in all_three.split() if word.isalpha()} == set(toy_labels.NAMES)
    assert none.split("  ")[1].startswith("(") and none.endswith(" %)")
    main("predict", CFG, "data/marks/7.png", "--thresh", "1")
    assert "(" in capsys.readouterr().out
    main("predict", CFG, "data/marks/0.png", "--top", "2")
    assert capsys.readouterr().out.count("%") == 1 + 1


def test_the_survey_counts_labels(marks: None, capsys: pytest.CaptureFixture[str]) -> None:
    main("data", "data/marks.csv")
    out = capsys.readouterr().out
    assert "  labels per image: 6 with none, 18 with 1, 18 with 2, 6 with 3" in out
    assert "a network that ends in [logistic] learns them" in out and "red              24            8" in out
    main("data", "data/marks.csv", "--json", "-", "--save", "sheet.png")
    assert json.loads(capsys.readouterr().out)["test"]["labels_per_image"] == {"0": 2, "1": 6, "2": 6, "3": 2}
    assert Path("sheet.png").exists()


def test_a_softmax_learns_the_images_of_one_label(marks: None, capsys: pytest.CaptureFixture[str]) -> None:
    edit("[logistic]", "[softmax]", CFG)
    edit("max_batches=60", "max_batches=2", CFG)
    main("train", CFG, "--no-report")
    out, err = capsys.readouterr()
    assert "images of several classes: 24 of 48, left out" in err and "A network that ends in [logistic]" in err
    assert "test accuracy" in out and run_facts("marks")["several_labels"] is False
    main("predict", CFG, "data/marks/7.png")
    assert capsys.readouterr().out.count("%") == 3
    capsys.readouterr()
    for verb in (("predict", CFG, "data/marks/7.png"), ("test", CFG)):
        main(*verb, "--thresh", ".3", expect=2)
        assert "--thresh is for" in capsys.readouterr().err


def test_one_label_each_is_evaluated_by_accuracy(marks: None, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row for row in Path("data/marks.csv").read_text().splitlines() if "filename" in row or row.count(",1") == 1]
    Path("data/marks.csv").write_text("\n".join(rows))
    edit("max_batches=60", "max_batches=2", CFG)
    main("train", CFG, "--no-report", "--quiet")
    assert "test accuracy" in capsys.readouterr().out
    main("predict", CFG, "data/marks/7.png")
    assert capsys.readouterr().out.count("%") == 3


def test_the_example_of_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    """The cfg and the table of docs/data.md, as they are."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8").partition("\n## Several labels per image\n")[2]
    for kind, name in (("ini", "tags.cfg"), ("csv", "pets.csv")):
        Path(name).write_text(page.partition(f"```{kind}\n")[2].partition("```")[0])
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        Image.fromarray(np.full((9, 9, 3), 80 * int(name[0]), np.uint8)).save(name)
    main("check", "tags.cfg")
    assert capsys.readouterr().out.startswith("tags.cfg: ok")
    main("data", "pets.csv")
    assert "labels per image: 1 with none, 2 with 2" in capsys.readouterr().out
    main("train", "tags.cfg", "--data", "pets.csv", "--set", "net.max_batches=2", "--quiet", "--no-report")
    main("predict", "tags.cfg", ".")
    assert len(capsys.readouterr().out.splitlines()) > 3
    assert run_facts("tags")["classes"] == ["cat", "dog", "outdoors"]
