"""per_class.csv of a detector: the metrics of its classes after each evaluation."""
import csv
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from runner.api.training import Batches
from runner.errors import CheckpointError
from runner.network import Network
from runner.optim.optimizers import Optimizer
from runner.run_folder import RunFolder
from runner.training import Step, loop
from runner.training import run as run_module
from runner.training.log import ClassLog, class_curves, read_class_rows
from runner.training.report.run_report import class_charts
from tests.training.report.page import read
from tests.training.test_monitor import tensorboard_scalars
from tests.verbs import main

RUN = Path("weights/squares")
TRAIN = ("train", "cfg/squares.cfg", "--set", "net.max_batches=60", "--validate-every", "20", "--quiet")


@pytest.mark.usefixtures("squares_dir")
def test_every_evaluation_has_a_row_for_each_class() -> None:
    main(*TRAIN, "--log-json", "log.jsonl")
    with open(RUN / "per_class.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["update"], row["class"], row["boxes"]) for row in rows] == [
        (str(update), name, boxes) for update in (20, 40, 60) for name, boxes in (("bright", "13"), ("dark", "8"))]
    events = [json.loads(line) for line in Path("log.jsonl").read_text().splitlines()]
    measured = [event for event in events if event["event"] == "measured"]
    assert [event["per_class"][name] for event in measured for name in ("bright", "dark")] == \
        pytest.approx([float(row["ap"]) for row in rows], abs=1e-6)
    assert [event["score"] for event in measured] == pytest.approx(
        [sum(event["per_class"].values()) / 2 for event in measured])
    best = yaml.safe_load((RUN / "run.yaml").read_text())["best"]
    of_best = {row["class"]: float(row["ap"]) for row in rows if row["update"] == str(best["update"])}
    assert of_best == pytest.approx(best["per_class"], abs=1e-5) and any(of_best.values())
    chart, = class_charts(RunFolder("cfg/squares.cfg"), "mAP@.50")
    assert list(chart.lines) == ["all classes", "bright", "dark"] and chart.main == "all classes"
    assert chart.lines["dark"] == ([20, 40, 60], [float(row["ap"]) for row in rows[1::2]])
    assert "Average precision of each class" in " ".join(read(RUN / "report.html").words)


@pytest.mark.slow
@pytest.mark.usefixtures("squares_dir")
@pytest.mark.parametrize("update", [25, 40])
def test_it_is_the_same_after_an_interruption(update: int, monkeypatch: pytest.MonkeyPatch) -> None:
    main(*TRAIN, "--no-report")
    whole = (RUN / "per_class.csv").read_bytes()

    def pressed(net: Network, batches: Batches, optimizer: Optimizer) -> Iterator[Step]:
        for step in loop.train(net, batches, optimizer=optimizer):
            if step.number == update:
                signal.raise_signal(signal.SIGINT)
            yield step
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "train", pressed)
        main(*TRAIN, "--no-report", expect=130)
    with open(RUN / "per_class.csv", "a", encoding="utf-8") as file:      # of an evaluation after the checkpoint
        file.write("60,bright,13,0,0,0,0,0\n60,dark,8,0,0")
    main("train", "squares", "--resume", "--quiet", "--no-report")
    assert (RUN / "per_class.csv").read_bytes() == whole
    (RUN / "per_class.csv").write_text("update,class\nmany,dark\n")
    main("report", "squares", "--no-measure", expect=2)


def test_names_and_repeated_evaluations(tmp_path: Path) -> None:
    log, names = ClassLog(tmp_path / "c.csv"), ['a, "b"', "line\nend", "größer"]
    log.begin()
    log.add_evaluation(5, {})
    assert not log.path.exists(), "a classifier has none"
    for update, value in ((5, .25), (5, .5), (9, 1.)):
        log.add_evaluation(update, {name: {"boxes": at, "ap": value} for at, name in enumerate(names)})
    assert [row["ap"] for row in read_class_rows(log.path)] == ["0.5"] * 3 + ["1"] * 3
    assert class_curves(log.path, "ap") == {name: ([5, 9], [.5, 1.]) for name in names}
    log.path.unlink()
    log.add_evaluation(12, {"x": {"boxes": 1, "ap": .1}})
    assert [row["update"] for row in read_class_rows(log.path)] == ["12"]
    log.path.write_text("update,class,ap\n1,a,high\n2,a,.5\n")
    with pytest.raises(CheckpointError, match=r"c\.csv:2: ap must be a number"):
        read_class_rows(log.path)


@pytest.mark.usefixtures("squares_dir")
def test_the_chart_has_the_largest_classes_that_occur() -> None:
    folder = RunFolder("cfg/squares.cfg")
    assert class_charts(folder, "mAP@.50") == []
    log = ClassLog(folder.class_log)
    log.add_evaluation(7, {f"c{k}": {"boxes": k, "ap": k / 20} for k in range(14)})
    chart, = class_charts(folder, "mAP@.50")
    assert list(chart.lines) == [f"c{k}" for k in range(2, 14)] and chart.y == "AP@.50"
    assert chart.title == "Average precision of the 12 classes with the most boxes"
    log.add_evaluation(9, {f"c{k}": {"boxes": k % 2, "ap": k / 20} for k in range(14)})
    assert list(class_charts(folder, "mAP@.50")[0].lines) == [f"c{k}" for k in range(1, 14, 2)]


@pytest.mark.usefixtures("squares_dir")
def test_tensorboard_has_the_precision_of_each_class() -> None:
    pytest.importorskip("tensorboardX")
    main("train", "cfg/squares.cfg", "--set", "net.max_batches=40", "--validate-every", "20", "--quiet", "--no-report",
         "--tensorboard")
    found = tensorboard_scalars(RUN)
    for name, (updates, values) in class_curves(RUN / "per_class.csv", "ap").items():
        assert [update for update, _ in found[f"test/ap/{name}"]] == updates == [20, 40]
        assert [value for _, value in found[f"test/ap/{name}"]] == pytest.approx(values, abs=1e-6)
