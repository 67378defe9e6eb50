"""Metrics of a classifier, against numbers computed by hand."""
from pathlib import Path

import numpy as np
import pytest

import runner
from runner.training.classification_metrics import evaluate


def test_top_k_is_counted_as_darknet_does(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text("[net]\ninputs=6\n[softmax]\n")
    net = runner.load(tmp_path / "a.cfg")
    x = np.array([[5, 4, 3, 2, 1, 0], [5, 4, 3, 2, 1, 0], [1, 1, 1, 1, 1, 1]], np.float32)
    truth = np.eye(6, dtype=np.float32)[[2, 5, 1]]     # third, last, and second of equals: the lower number goes first
    found = evaluate(net, [(x, truth)], top_k=(1, 2, 3, 6))
    assert found.top_k == {1: 0, 2: pytest.approx(1 / 3), 3: pytest.approx(2 / 3), 6: 1} and found.top5 == 2 / 3
    assert "top 2 33.33 %, top 3 66.67 %" in found.headline() and found.as_json()["top_k"]["6"] == 1


def scores(tmp_path: Path, end: str = "") -> runner.Network:
    """A network whose probabilities are the softmax of its 7 inputs."""
    (tmp_path / "scores.cfg").write_text(f"[net]\ninputs=7\n[softmax]\n{end}")
    return runner.load(tmp_path / "scores.cfg")


def test_metrics_by_hand(tmp_path: Path) -> None:
    """Five images of class 0, 0, 1, 2, 6: predicted as 0, 1, 1, 0, 0; the class of the last one has rank six."""
    said = np.zeros((5, 7), np.float32)
    said[[0, 1, 2, 3], [0, 1, 1, 0]] = 3
    said[1, 0] = said[3, 2] = 2
    said[4] = [9, 8, 7, 6, 5, 1, 2]
    truth = np.eye(7, dtype=np.float32)[[0, 0, 1, 2, 6]]
    found = evaluate(scores(tmp_path), [(said[:3], truth[:3]), (said[3:], truth[3:])])
    assert (found.images, found.top1, found.top5) == (5, 2 / 5, 4 / 5)
    confusion = np.zeros((7, 7), int)
    confusion[[0, 0, 1, 2, 6], [0, 1, 1, 0, 0]] = 1
    np.testing.assert_array_equal(found.confusion, confusion)
    rows = found.per_class()
    assert rows[0] == pytest.approx({"images": 2, "precision": 1 / 3, "recall": 1 / 2, "f1": 2 / 5})
    assert rows[1] == pytest.approx({"images": 1, "precision": 1 / 2, "recall": 1, "f1": 2 / 3})
    assert rows[3] == {"images": 0, "precision": 0, "recall": 0, "f1": 0}
    p = np.exp(said) / np.exp(said).sum(axis=1, keepdims=True)
    assert found.loss == pytest.approx(-np.log((p * truth).sum(axis=1)).mean(), rel=1e-5)


def test_the_loss_counts_cost_as_training_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, truth = rng.normal(size=(4, 7)).astype(np.float32), np.eye(7, dtype=np.float32)[[0, 3, 3, 6]]
    net = scores(tmp_path, "[cost]\n")
    _, tape = net.forward(x, train=True)
    assert evaluate(net, [(x, truth)]).loss == pytest.approx(net.backward(tape, truth)[0] / 4, rel=1e-6)
