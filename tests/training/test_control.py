"""When a run ends: early stopping and time limits."""
import pytest

from runner.training import run as run_module
from tests.verbs import run_facts, train

pytestmark = pytest.mark.usefixtures("toy_dir")


def test_patience(capsys: pytest.CaptureFixture[str]) -> None:
    train("--validate-every", "2", "--patience", "3", "--set", "net.learning_rate=0", "--set", "net.max_batches=200")
    assert run_facts()["status"] == "patience" and run_facts()["updates"] == 8      # the best after 2, then 4, 6, 8
    out = capsys.readouterr().out
    assert out.startswith("8 updates of 200, ") and "no better score in the last 3 evaluations" in out
    train("--resume")
    assert run_facts()["updates"] == 8
    train("--resume", "--patience", "4")
    assert run_facts()["updates"] == 10


def test_a_time_limit_saves_and_the_run_can_be_resumed(
        capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    with monkeypatch.context() as patch:
        patch.setattr(run_module.time, "perf_counter", lambda: clock.__setitem__(0, clock[0] + 5) or clock[0])
        train("--time-limit", "2")
    out = capsys.readouterr().out
    assert out.startswith("time limit reached after update ") and "--resume" in out
    assert run_facts()["status"] == "time" and 0 < run_facts()["updates"] < 30
