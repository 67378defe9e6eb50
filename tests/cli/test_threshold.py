"""The confidence with the best F1 is kept in a detector's run, and `detect` uses it."""
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import runner
from runner.api.training import Batches
from runner.chosen_run import choose
from runner.inference.detect import THRESHOLD
from runner.network import Network
from runner.optim.optimizers import Optimizer
from runner.training import Step, loop
from runner.training import run as run_module
from runner.training.detection_metrics import DetectionMetrics
from tests.paths import ROOT
from tests.verbs import main

RUN = Path("weights/squares")
CFG, IMAGES = "cfg/squares.cfg", "data/squares/images/test"
REMARK = "threshold 0.31, the best F1 on the test images, from weights/squares/run.yaml; --thresh sets another\n"


@pytest.fixture
def trained(squares_dir: Path) -> Path:
    """The run of a barely trained detector, with other thresholds in its run.yaml."""
    main("train", CFG, "--set", "net.max_batches=3", "--backup-every", "1", "--quiet", "--no-report")
    facts = stored()
    assert set(facts["best"]) >= {"update", "score", "threshold"}
    write(facts | {"best": facts["best"] | {"threshold": .31, "update": 2}})
    return RUN


def stored() -> dict[str, Any]:
    found = yaml.safe_load((RUN / "run.yaml").read_text())
    assert isinstance(found, dict)
    return found


def write(facts: dict[str, Any]) -> None:
    (RUN / "run.yaml").write_text(yaml.safe_dump(facts))


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    main("detect", *words, IMAGES)
    return "".join(line for line in capsys.readouterr().err.splitlines(True) if line.startswith("threshold"))


@pytest.mark.usefixtures("trained")
def test_detect_uses_the_threshold_of_the_weights_that_it_belongs_to(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ((CFG,), ("squares",), ("weights/squares/best.weights",), ("weights/squares/squares_2.weights",),
                  (CFG, "--weights", "weights/squares/best.weights")):
        assert said(capsys, *words) == REMARK, words
    for words in ((CFG, "--thresh", ".4"), ("weights/squares/last.weights",), ("weights/squares/squares_1.weights",)):
        assert said(capsys, *words) == "", words
    Path("other.weights").write_bytes((RUN / "best.weights").read_bytes())
    assert "" == said(capsys, CFG, "--weights", "other.weights")
    (RUN / "run.yaml").write_text(yaml.safe_dump(stored() | {"updates": 2}))
    assert said(capsys, "weights/squares/last.weights") == REMARK, "the last weights are the best"


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("threshold", [None, 0., float("nan")])
def test_no_threshold_is_known(threshold: float | None, capsys: pytest.CaptureFixture[str]) -> None:
    write(stored() | {"best": {"update": 2, "score": 0., "threshold": threshold}})
    assert choose("squares").threshold is None and said(capsys, "squares") == ""
    write(stored() | {"best": None})
    assert choose("squares").threshold is None and runner.load("squares").threshold == THRESHOLD


@pytest.mark.usefixtures("trained")
def test_a_damaged_threshold_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    write(stored() | {"best": {"update": 2, "score": 0., "threshold": "high"}})
    main("detect", "squares", IMAGES, expect=2)
    assert "weights/squares/run.yaml: best.threshold must be" in capsys.readouterr().err


@pytest.mark.usefixtures("trained")
def test_test_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    main("test", "squares")
    line = "`detect` uses the threshold 0.31, the best F1 on the test images, from weights/squares/run.yaml"
    assert capsys.readouterr().out.endswith(f"\n\n{line}\n")
    main("test", "squares", "--json", "-")
    assert json.loads(capsys.readouterr().out)["threshold"] == .31
    main("test", "weights/squares/last.weights", "--json", "-")
    assert json.loads(capsys.readouterr().out)["threshold"] == THRESHOLD


@pytest.mark.usefixtures("trained")
def test_from_python() -> None:
    net = runner.load("squares")
    assert net.threshold == .31
    low, usual, high = (sum(map(len, net.detect(IMAGES, thresh=thresh))) for thresh in (.0001, None, .31))
    assert low > usual == high
    assert runner.load(CFG).threshold == THRESHOLD, "random weights"
    assert runner.load(CFG, "weights/squares/best.weights").threshold == .31


@pytest.mark.slow
def test_it_survives_resume(squares_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("train", CFG, "--set", "net.max_batches=60", "--validate-every", "20", "--quiet", "--no-report")
    main(*words)
    whole = stored()["best"]
    assert whole["threshold"] > 0

    def pressed(net: Network, batches: Batches, optimizer: Optimizer) -> Iterator[Step]:
        for step in loop.train(net, batches, optimizer=optimizer):
            if step.number == 41:
                signal.raise_signal(signal.SIGINT)
            yield step
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "train", pressed)
        main(*words, expect=130)
    assert stored()["status"] == "interrupted" and stored()["best"]["threshold"] > 0
    main("train", "squares", "--resume", "--quiet", "--no-report")
    assert stored()["best"] == whole


def test_the_shipped_threshold_is_what_test_finds(capsys: pytest.CaptureFixture[str]) -> None:
    """On some of the images; on all of them the best F1 is at 0.69872, above which there are 368 boxes."""
    shipped = choose(ROOT / "weights" / "shipped" / "scenes")
    assert shipped.threshold == pytest.approx(.6987, abs=1e-9)
    net = runner.load(ROOT / "weights" / "shipped" / "scenes")
    metrics = net.evaluate(ROOT / "data" / "scenes.yaml")
    assert isinstance(metrics, DetectionMetrics)
    assert metrics.notes()["threshold"] == pytest.approx(shipped.threshold, abs=2e-4)
