"""A run: averaged weights, numbered copies, and what is kept when training diverges."""
import json
from pathlib import Path

import numpy as np
import pytest

from runner.run_folder import RunFolder
from runner.training import run as run_module
from tests.verbs import LAST, layer_weights, main, run_facts, train

pytestmark = pytest.mark.usefixtures("toy_dir")


def test_the_averaged_weights_are_evaluated_and_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    train()
    plain = layer_weights(LAST)
    losses = []
    real = run_module.Run.evaluate

    def evaluate(self):
        metrics = real(self)
        assert metrics is not None
        losses.append(metrics.as_json()["loss"])
        return metrics
    monkeypatch.setattr(run_module.Run, "evaluate", evaluate)
    train("--set", "net.ema_alpha=.9")
    averaged = layer_weights(LAST)
    assert np.abs(plain[1] - averaged[1]).max() > 1e-4
    main("test", "cfg/toy.cfg", "--weights", str(LAST), "--json", "t.json")
    assert json.loads(Path("t.json").read_text())["loss"] == pytest.approx(losses[-1], rel=1e-6)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_last_finite_weights_are_kept(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    real = run_module.train

    def with_nan(net, batches, optimizer):
        def stream():
            for i, (x, truth) in enumerate(batches):
                yield (x * np.float32(np.nan) if i == 6 else x), truth
        yield from real(net, stream(), optimizer=optimizer)
    monkeypatch.setattr(run_module, "train", with_nan)
    train(expect=2)
    err = capsys.readouterr().err
    assert "the loss of update 7 is NaN or infinite, first seen in the input" in err
    assert "last.weights holds the weights from before" in err
    monkeypatch.setattr(run_module, "train", real)
    kept = LAST.read_bytes()
    assert run_facts()["status"] == "diverged" and run_facts()["updates"] == 6
    train("--set", "net.max_batches=6", "--name", "other")
    assert Path("weights/other/last.weights").read_bytes() == kept


def test_old_numbered_copies_are_deleted() -> None:
    train("--backup-every", "4", "--keep", "2")
    assert [path.name for path in RunFolder("cfg/toy.cfg").backups()] == ["toy_24.weights", "toy_28.weights"]
