"""Networks whose outputs are values: errors and R squared in `train`, `test` and the report, never an accuracy."""
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

import runner
from runner.cli import main
from runner.training.value_metrics import r_squared, value_metrics
from tests.datasets.examples import image

CFG = "[net]\nwidth=4\nheight=4\nchannels=1\nbatch=4\nmax_batches=2\n[connected]\noutput=2\nactivation={}\n[cost]\n"


def network(tmp_path: Path, activation: str = "linear") -> runner.Network:
    (tmp_path / "v.cfg").write_text(CFG.format(activation))
    return runner.load(tmp_path / "v.cfg")


def test_the_errors_of_each_output(tmp_path: Path) -> None:
    truth = np.array([[1, 0], [0, 1], [0, 1], [0, 1]], np.float32)
    y = np.array([[2, 0], [0, 1], [.5, 1], [.5, .25]], np.float32)
    found = value_metrics(network(tmp_path), [(y[:1], truth[:1]), (y[1:], truth[1:])], ["cat", "dog"])
    assert found.images == 4 and found.counts.tolist() == [1, 3] and found.highest == .75
    np.testing.assert_allclose(found.absolute, [(1 + .5 + .5) / 4, .75 / 4])
    np.testing.assert_allclose(found.squared, [1.5 / 4, .5625 / 4])
    residual, deviation = ((y - truth) ** 2).sum(), ((truth - truth.mean(axis=0)) ** 2).sum()
    assert found.score == pytest.approx(1 - residual / deviation)
    assert found.per_class()[1]["r2"] == pytest.approx(1 - .5625 / ((truth[:, 1] - .75) ** 2).sum())
    assert found.loss == pytest.approx(float(residual) / 4)
    assert "mean absolute error 0.3438" in found.headline() and "accuracy" not in found.headline()
    assert found.tables()[0].rows[1] == ("cat", "1", "0.5000", "-1.0000")


def test_r_squared_of_a_constant_truth(tmp_path: Path) -> None:
    assert r_squared(.5, 0) is None and r_squared(.25, .5) == .5
    truth = np.array([[1, 0], [1, 0]], np.float32)
    found = value_metrics(network(tmp_path), [(truth, truth)])
    assert found.score == 0 and found.tables()[0].rows[1] == ("0", "2", "0.0000", "-")


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            image(tmp_path / "data" / split / name / "1.png")


@pytest.mark.parametrize("activation", ["linear", "leaky", "relu", "tanh"])
def test_no_accuracy_is_reported(activation: str, images: None, tmp_path: Path,
                                 capsys: pytest.CaptureFixture) -> None:
    network(tmp_path, activation)
    assert main(["train", "v.cfg", "--data", "data", "--quiet"]) == 0
    trained = capsys.readouterr().out
    assert "test R2: " in trained and "accuracy" not in trained and "%" not in trained
    assert main(["test", "v.cfg", "--data", "data", "--json", "out.json"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("2 images, mean absolute error ") and "accuracy" not in said
    found = json.loads(Path("out.json").read_text())
    assert {"mean_absolute_error", "r2", "loss"} <= found.keys() and found["per_class"]["cat"]["images"] == 1
    assert yaml.safe_load(Path("weights/v/run.yaml").read_text())["score"] == "test R2"
    assert Path("weights/v/log.csv").read_text().splitlines()[0].endswith("score,mean_absolute_error,test_loss")
    page = Path("weights/v/report.html").read_text()
    assert "mean absolute error" in page and "accuracy" not in page
    assert main(["test", "v.cfg", "--data", "data", "--top-k", "1"]) == 2
    assert "the outputs of v.cfg are values" in capsys.readouterr().err


@pytest.mark.parametrize("activation", ["logistic", "linear"])
def test_probabilities_have_an_accuracy(activation: str, images: None, tmp_path: Path,
                                        capsys: pytest.CaptureFixture) -> None:
    softmax = "[softmax]\n" if activation == "linear" else ""
    Path("v.cfg").write_text(CFG.format(activation).replace("[cost]\n", f"{softmax}[cost]\n"))
    assert main(["train", "v.cfg", "--data", "data", "--quiet", "--no-report"]) == 0
    assert "test accuracy: " in capsys.readouterr().out
