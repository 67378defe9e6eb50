"""Generating text with a character model."""
import json
from pathlib import Path

import numpy as np
import pytest

from runner.cli import main
from runner.errors import DataError, UsageError
from runner.inference.generate import generate
from tests.paths import ROOT
from tests.toy_text import model


def test_temperature(tmp_path: Path) -> None:
    net = model(tmp_path, settings=["net.time_steps=1"])
    net.layers[1].params["weights"][...] *= 20      # an untrained model has no favourites
    cold = [bytes(generate(net, b"\1", 40, temperature=1e-6, rng=np.random.default_rng(i))) for i in range(2)]
    warm = [bytes(generate(net, b"\1", 40, temperature=3, rng=np.random.default_rng(i))) for i in range(2)]
    assert cold[0] == cold[1] and warm[0] != warm[1]
    assert bytes(generate(net, b"\1", 40, temperature=3, rng=np.random.default_rng(0))) == warm[0]


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="time_steps=1"):
        next(generate(model(tmp_path), b"\1", 3))
    net = model(tmp_path, settings=["net.time_steps=1"])
    with pytest.raises(UsageError, match="temperature must be above 0"):
        next(generate(net, b"\1", 3, temperature=0))
    with pytest.raises(UsageError, match="temperature must be above 0 and finite"):
        next(generate(net, b"\1", 3, temperature=float("nan")))
    with pytest.raises(DataError, match="the seed text: byte 1 has the value 9"):
        next(generate(net, b"\1\t", 3))
    net.layers[1].params["weights"][...] = np.nan
    with pytest.raises(DataError, match="has NaN or infinity"):
        next(generate(net, b"\1", 3))


@pytest.mark.slow
def test_train_test_and_generate_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    """`train` and `generate` with the shipped cfg, on its text and on another one, for a few updates."""
    cfg = ROOT / "cfg" / "chars.cfg"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "novel.txt").write_bytes("Ünd so weiter.\n".encode() * 200)
    small = ["--set", "gru.output=8", "--quiet"]
    for more in (["--set", "net.max_batches=2"], ["--set", "net.max_batches=60", "--data", "novel.txt"]):
        assert main(["train", str(cfg), *small, *more]) == 0
        assert "bits/character" in capsys.readouterr().out
    assert (tmp_path / "weights" / "chars" / "best.weights").exists()
    assert main(["test", str(cfg), "--data", "novel.txt", "--set", "gru.output=8", "--json", "-"]) == 0
    assert 0 < json.loads(capsys.readouterr().out)["bits_per_character"] < 8
    write_on = ["generate", str(cfg), "--set", "gru.output=8", "--length", "30", "--seed-text", "so w"]
    assert main(write_on) == 0
    first = capsys.readouterr().out
    assert first.startswith("so w") and len(first) > 20
    assert main([*write_on, "--json", "-"]) == 0
    assert "so w" + json.loads(capsys.readouterr().out)["text"] == first.removesuffix("\n")
    assert main([*write_on, "--temperature", "0"]) == 2
    assert "--temperature: must be a number above 0. Got '0'" in capsys.readouterr().err
    assert main(["train", str(cfg), "--data", "none.txt"]) == 2
    assert main(["generate", str(cfg.with_name("net.cfg")), "--weights", "weights/chars/best.weights"]) == 2
