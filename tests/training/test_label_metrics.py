"""Metrics of several labels per image, against a plain implementation, scikit-learn, and numbers computed by hand."""
from pathlib import Path

import numpy as np
import pytest

import runner
from runner.training.label_metrics import LabelMetrics, average_precision, label_metrics


def plain(scores: list[float], truth: list[bool]) -> float:
    """The definition: over the thresholds, by falling value, the gain in recall times the precision."""
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        chosen = [right for score, right in zip(scores, truth, strict=True) if score >= threshold]
        recall = sum(chosen) / sum(truth)
        total += (recall - before) * sum(chosen) / len(chosen)
        before = recall
    return total


@pytest.mark.parametrize("levels", [3, 1000], ids=["ties", "distinct"])
def test_average_precision(levels: int) -> None:
    rng = np.random.default_rng(levels)
    for _ in range(40):
        scores = rng.integers(0, levels, 25) / levels
        truth = rng.random(25) < rng.uniform(.1, .9)
        truth[0] = True
        assert average_precision(scores, truth) == pytest.approx(plain(scores.tolist(), truth.tolist()), abs=1e-12)


def test_average_precision_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    scores, truth = rng.integers(0, 9, (50, 6)) / 9, rng.random((50, 6)) < .4
    for c in range(6):
        assert average_precision(scores[:, c], truth[:, c]) == pytest.approx(
            metrics.average_precision_score(truth[:, c], scores[:, c]))


def test_by_hand() -> None:
    assert average_precision(np.array([.9, .8, .7]), np.array([True, False, True])) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.array([.5, .5]), np.array([True, False])) == .5      # not the order of equal ones
    assert np.isnan(average_precision(np.array([.5]), np.array([False])))


def evaluated(tmp_path: Path, p: np.ndarray, truth: np.ndarray) -> LabelMetrics:
    (tmp_path / "a.cfg").write_text(f"[net]\ninputs={p.shape[1]}\n[logistic]\n")
    return label_metrics(runner.load(tmp_path / "a.cfg"), [(p[:2], truth[:2]), (p[2:], truth[2:])], list("abcd"))


def test_metrics_by_hand(tmp_path: Path) -> None:
    p = np.array([[.9, .8, .1, .6], [.7, .2, .1, .1], [.2, .6, .1, .1]], np.float32)
    truth = np.array([[1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0]], np.float32)
    found = evaluated(tmp_path, p, truth)
    assert (found.images, found.exact) == (3, 0)
    assert found.counts.tolist() == [2, 2, 1, 0] and found.predicted.tolist() == [2, 2, 0, 1]
    assert found.correct.tolist() == [1, 2, 0, 0]
    assert found.score == pytest.approx(((1 + 2 / 3) / 2 + 1 + 1 / 3) / 3)          # of equal ones all three count
    assert found.micro_f1 == pytest.approx(2 * 3 / (5 + 5)) and found.macro_f1 == pytest.approx((.5 + 1 + 0) / 3)
    assert found.loss == pytest.approx(-np.log(np.where(truth == 1, p, 1 - p)).sum() / 3, rel=1e-5)
    rows = found.as_json()["per_class"]
    assert rows["a"] == {"images": 2, "average_precision": pytest.approx(5 / 6), "precision": .5, "recall": .5,
                         "f1": .5}
    assert rows["d"] == {"images": 0, "average_precision": None, "precision": 0, "recall": 0, "f1": 0}
    table, = found.tables()
    assert table.rows[4] == ("d", "0", "-", "0.000", "0.000", "0.000")
    assert table.rows[5] == ("mean", "", "0.722", "0.500", "0.500", "0.500")
    assert found.headline() == ("3 images, mAP 72.22 %, F1 0.600 micro, 0.500 macro, all labels right 0.00 %, "
                                f"loss {found.loss:.4f}")


def test_without_a_label_at_all(tmp_path: Path) -> None:
    found = evaluated(tmp_path, np.full((3, 4), .2, np.float32), np.zeros((3, 4), np.float32))
    assert (found.score, found.micro_f1, found.macro_f1, found.exact) == (0, 0, 0, 1) and found.tables()
