"""Every task implements the interface that `train` and `test` use."""
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import runner
from runner.errors import DataError
from runner.training import Task, TaskOptions, open_task
from runner.training.tasks.character_model import CharacterModel
from runner.training.tasks.classifier import Classifier
from runner.training.tasks.detector import Detector
from tests import toy, toy_boxes

TEXT = "[net]\ninputs=256\nbatch=3\ntime_steps=5\n[gru]\noutput=4\n[connected]\noutput=256\n[softmax]\n"


@pytest.fixture(params=["classifier", "characters", "detector"])
def task(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.chdir(tmp_path)
    if request.param == "detector":
        toy_boxes.make(tmp_path)
        return open_task(runner.load("cfg/squares.cfg"), TaskOptions("cfg/squares.cfg", seed=3))
    toy.make(tmp_path)
    Path("cfg/text.cfg").write_text(TEXT)
    Path("novel.txt").write_text("to be or not to be " * 40)
    cfg, data = ("cfg/toy.cfg", None) if request.param == "classifier" else ("cfg/text.cfg", "novel.txt")
    return open_task(runner.load(cfg), TaskOptions(cfg, data, seed=3))


def test_the_task_follows_from_the_network(task: Task) -> None:
    kinds = {"cfg/toy.cfg": Classifier, "cfg/text.cfg": CharacterModel, "cfg/squares.cfg": Detector}
    assert type(task) is kinds[task.options.cfg]
    assert task.has_training_data and task.has_test_data and task.source in ("data/toy", "novel.txt", "data/squares")


def test_batches_continue_after_the_updates_of_the_network(task: Task) -> None:
    with task.batches() as batches:
        whole = [(x.copy(), truth.copy()) for x, truth in islice(batches, 5)]
    task.net.progress.iteration = 3
    with task.batches() as batches:
        rest = list(islice(batches, 2))
    for (x, truth), (again, same) in zip(whole[3:], rest, strict=True):
        np.testing.assert_array_equal(x, again)
        np.testing.assert_array_equal(truth, same)


def test_metrics_in_every_form_and_evaluation_leaves_no_trace(task: Task) -> None:
    before = task.net.env.rng.bit_generator.state
    test, train = task.evaluate(), task.evaluate("train")
    assert task.net.env.rng.bit_generator.state == before and not any(task.net.state)
    assert test.as_json() != train.as_json() and task.evaluate().as_json() == test.as_json()
    assert task.score_text(test.score).split()[0] in test.headline()
    assert all(len(row) == len(rows[0]) for _, rows in test.tables() for row in rows)
    with task.batches() as batches:
        steps = list(islice(runner.train(task.net, batches), 3))
    assert 0 < task.loss(steps[-1]) < 10


def test_better_networks_have_higher_scores(task: Task) -> None:
    rate, updates = (0.01, 120) if isinstance(task, Detector) else (0.5, 25)
    task.net.options = task.net.options.__class__(**{**vars(task.net.options), "learning_rate": rate})
    before = task.evaluate().score
    with task.batches() as batches:
        for _ in islice(runner.train(task.net, batches), updates):
            pass
    assert task.evaluate().score > before


def test_the_fingerprint_is_that_of_the_training_data(task: Task) -> None:
    def again() -> str:
        return open_task(task.net, task.options).fingerprint()
    before = task.fingerprint()
    assert again() == before
    Path("novel.txt").write_text("or not to be " * 60)
    for path in (Path("data/toy/train/dark/0.png"), Path("data/squares/labels/train/3.txt")):
        path.unlink(missing_ok=True)
    assert again() != before


def test_test_data_have_a_fingerprint_too(task: Task) -> None:
    before = task.fingerprint("test")
    assert before != task.fingerprint() and open_task(task.net, task.options).fingerprint("test") == before
    Path("novel.txt").write_text("or not to be " * 60)
    for path in (Path("data/toy/test/dark/0.png"), Path("data/squares/labels/test/3.txt")):
        path.unlink(missing_ok=True)
    assert open_task(task.net, task.options).fingerprint("test") != before


def test_a_missing_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    toy.make(tmp_path)
    task = open_task(runner.load("cfg/toy.cfg"), TaskOptions("cfg/toy.cfg", "data/toy/train"))
    assert not task.has_test_data and "no test images" in task.data_summary()
    with pytest.raises(DataError, match="has no test images; --split train evaluates on the train images"):
        task.evaluate()
