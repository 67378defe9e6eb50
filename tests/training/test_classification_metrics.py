"""Classification metrics."""
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
