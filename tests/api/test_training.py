"""net.train, net.evaluate and runner.train on the toy datasets."""
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runner
from runner.errors import CfgError, DataError, UsageError
from tests import toy, verbs


def test_training_leaves_a_run(toy_dir: Path) -> None:
    net = runner.load(verbs.CFG, seed=1)
    seen: list[int] = []
    result = net.train("data/toy", updates=8, learning_rate=.05, seed=3, control=runner.Control(validate_every=4),
                       on_update=lambda update: seen.append(update.step.number))
    assert result.ended == "finished" and result.updates == 8 == net.progress.iteration
    assert set(seen) == set(range(1, 9))
    assert result.folder == Path("weights/toy") and (result.folder / "report.html").exists()
    assert result.best and result.score is not None and result.best["score"] >= result.score
    assert result.score_name == "test accuracy" and "8 updates" in str(result) and "best test accuracy" in str(result)
    facts = verbs.run_facts()
    assert facts["settings"] == ["net.learning_rate=0.05", "net.max_batches=8"] and facts["status"] == "finished"
    assert facts["classes"] == ["bright", "dark"] == net.names
    best = runner.load("toy")
    assert best.origin.weights == str(result.weights) and best.options.max_batches == 8
    metrics = best.evaluate()
    assert metrics.score == result.best["score"] and str(metrics) == metrics.headline()
    assert metrics.as_json() == runner.load(verbs.CFG, result.weights).evaluate("data/toy").as_json()
    name = best.predict("data/toy/test/dark/0.png")[0].name
    assert name in ("bright", "dark")


def test_it_is_the_training_of_the_command_line(toy_dir: Path) -> None:
    runner.load(verbs.CFG, seed=3).train(epochs=2, name="here", seed=3, report=False)
    verbs.train("--epochs", "2", "--seed", "3", "--name", "there")
    for one, other in zip(verbs.layer_weights("weights/here/last.weights"),
                          verbs.layer_weights("weights/there/last.weights"), strict=True):
        np.testing.assert_array_equal(one, other)
    verbs.main("train", "weights/here", "--resume", "--quiet", "--set", "net.max_batches=9")
    assert verbs.run_facts("here")["updates"] == 9


def test_finished_weights_are_not_trained_without_a_word(toy_dir: Path) -> None:
    net = runner.load(verbs.CFG)
    net.train(updates=2, report=False)
    finished = r"trained for all 2 updates of max_batches.*settings=\['net.max_batches=4'\].*restart=True"
    for call in (lambda: net.train(), lambda: runner.train(net, [toy.one_batch()])):
        with pytest.raises(UsageError, match=finished):
            call()
    first = net.layers["connected1"].params["weights"].copy()
    again = net.train(restart=True, updates=3, name="more", report=False)
    assert again.updates == 3 and not np.array_equal(net.layers["connected1"].params["weights"], first)
    assert verbs.run_facts("toy")["updates"] == 2, "the first run is still there"


def test_a_run_can_be_stopped(toy_dir: Path) -> None:
    result = runner.load(verbs.CFG).train(on_update=lambda update: update.step.number < 2, report=False)
    assert result.ended == "stopped" and result.updates == 2 and result.score is None and result.weights.exists()


def test_what_training_refuses(toy_dir: Path) -> None:
    net = runner.load(verbs.CFG)
    before = net.options, net.origin, net.sections
    wrong: Any = 3
    calls: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"data": wrong}, UsageError, "data is the path of a dataset; runner.train.* trains on arrays. Got int"),
        ({"data": "nothing"}, DataError, "there is no 'nothing'"),
        ({"epochs": 1, "updates": 2}, UsageError, "give only one of them"),
        ({"batch": 0}, CfgError, "batch must be"),
        ({"learning_rate": -1, "updates": 5}, CfgError, "learning_rate must be"),
        ({"on_bad": "ignore"}, UsageError, "on_bad is 'skip' or 'error'"),
        ({"name": "../elsewhere"}, UsageError, "a folder below weights/")]
    for arguments, error, sentence in calls:
        with pytest.raises(error, match=sentence):
            net.train(**arguments)
        assert (net.options, net.origin, net.sections) == before and not Path("weights").exists()
    with pytest.raises(UsageError, match="split is 'test' or 'train'"):
        net.evaluate(split="all")


@pytest.mark.parametrize("batches, sentence", [
    ("data/toy", r"net.train\(data\) trains on a dataset. Got str"), (3, "Got int"), (np.zeros((2, 2)), "Got ndarray"),
    ([np.zeros((4, 1, 6, 6))], r"batch 0 is not a pair \(x, truth\). Got ndarray"),
    ([(1, 2, 3)], "not a pair .* Got tuple of 3")])
def test_what_the_loop_refuses(toy_dir: Path, batches: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        list(runner.train(runner.load(verbs.CFG), batches))


def test_the_loop_takes_bytes_and_class_names(toy_dir: Path) -> None:
    """uint8 is scaled to 0..1, and class numbers or names become rows of 0 and 1: the same update."""
    x, truth = toy.one_batch()
    x = (x * 255).astype(np.uint8)
    nets = [runner.load(verbs.CFG, names=["bright", "dark"]) for _ in range(3)]
    batches: list[Any] = [(x / np.float32(255), truth), (x, truth.argmax(axis=1)), (x, ["bright", "dark"] * 2)]
    losses = [next(runner.train(net, [batch])).loss for net, batch in zip(nets, batches, strict=True)]
    assert losses[0] == losses[1] == losses[2]


def test_a_detector(squares_dir: Path) -> None:
    net = runner.load("cfg/squares.cfg")
    result = net.train(updates=3, report=False)
    assert result.score_name == "mAP@.50" and net.names == ["bright", "dark"]
    loose = net.evaluate(criteria=runner.DetectionCriteria(confidence=.01))
    assert 0 <= loose.score <= 1
    assert len(net.detect("data/squares/images/test", thresh=.01)) == 11
