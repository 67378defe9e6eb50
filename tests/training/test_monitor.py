"""Monitors of a run: JSON lines and TensorBoard event files."""
import json
import struct
import sys
from pathlib import Path

import pytest

import runner
from runner.errors import MissingExtra
from tests.verbs import RUN, train

pytestmark = pytest.mark.usefixtures("toy_dir")


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    train("--validate-every", "10", "--log-json", "-")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines if line["event"] != "update"] == ["start", *["measured"] * 3, "end"]
    updates = [line for line in lines if line["event"] == "update"]
    assert [line["update"] for line in updates] == list(range(1, 31))
    assert set(updates[0]) == {"event", "update", "seen", "loss", "smooth", "rate", "images", "seconds", "waited"}
    assert lines[-1]["ended"] == "finished" and lines[-2]["score"] == lines[-1]["best"]["score"] == 1
    train("--log-json", "log.jsonl", "--set", "net.max_batches=3")
    assert "3 updates" in capsys.readouterr().out and len(Path("log.jsonl").read_text().splitlines()) == 6


def tensorboard_scalars(run: Path) -> dict[str, list[tuple[int, float]]]:
    """tag -> updates and values in the event file of a run."""
    from tensorboardX.proto.event_pb2 import Event
    file, = (run / "tensorboard").iterdir()
    data, at, found = file.read_bytes(), 0, dict[str, list[tuple[int, float]]]()
    while at < len(data):
        length, = struct.unpack_from("<Q", data, at)
        event = Event.FromString(data[at + 12:at + 12 + length])
        at += 16 + length
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_tensorboard_files() -> None:
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed: pip install -r "
                                               "requirements-tensorboard.txt")
    train("--tensorboard", "--validate-every", "10")
    found = tensorboard_scalars(RUN)
    assert [step for step, _ in found["train/loss"]] == list(range(1, 31))
    assert [step for step, _ in found["test/score"]] == [10, 20, 30] and found["test/score"][-1][1] == 1
    assert "train/images_per_second" in found and "test/test_loss" in found


def test_tensorboard_is_optional(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    train("--tensorboard", expect=2)
    assert "--tensorboard needs the package 'tensorboardX', which is not installed: pip install -r " \
           "requirements-tensorboard.txt" in capsys.readouterr().err
    assert not Path("weights").exists(), "reported before the run begins"
    assert issubclass(MissingExtra, runner.RunnerError)
