"""Text streams, bits per character, writing."""
import json
import math
from pathlib import Path

import numpy as np
import pytest

import runner
from runner.cli import main
from runner.datasets.containers.text import Streams, read_text, split_text
from runner.errors import DataError, UsageError
from runner.inference.generate import bits_per_character, is_character_model, training_batches, write
from tests.paths import ROOT, SHARED

SHARED = SHARED / "data"
TEXT = np.arange(50, dtype=np.uint8)


def model(tmp_path: Path, net: str = "", layer: str = "lstm", symbols: int = 4, **more: object) -> runner.Network:
    cfg = tmp_path / "m.cfg"
    cfg.write_text(f"[net]\ninputs={symbols}\nbatch=3\ntime_steps=5\n{net}\n[{layer}]\noutput=16\n"
                   f"[connected]\noutput={symbols}\nactivation=linear\n[softmax]\n")
    return runner.load(cfg, **more)     # type: ignore[arg-type]


def test_streams_are_time_major_and_go_on() -> None:
    batches = Streams(TEXT, 3, 4, symbols=50, seed=1)
    x, truth = next(batches)
    assert x.shape == truth.shape == (12, 50) and x.dtype == np.float32 and (x.sum(axis=1) == 1).all()
    seen = x.argmax(axis=1).reshape(4, 3)
    assert (seen == (seen[0] + np.arange(4)[:, None]) % 50).all()
    assert (truth.argmax(axis=1) == (x.argmax(axis=1) + 1) % 50).all()
    later = next(batches)[0].argmax(axis=1).reshape(4, 3)
    assert (later[0] == (seen[-1] + 1) % 50).all()


def test_streams_start_where_a_run_stopped() -> None:
    for jump in (0.0, 0.5):
        whole = Streams(TEXT, 3, 4, symbols=50, seed=1, reposition=jump)
        for _ in range(3):
            next(whole)
        rest = Streams(TEXT, 3, 4, symbols=50, seed=1, reposition=jump, start_batch=3)
        for _ in range(3):
            assert np.array_equal(next(whole)[0], next(rest)[0])


def test_streams_jump_as_often_as_asked() -> None:
    batches = Streams(np.arange(200, dtype=np.uint8), 40, 2, seed=3, reposition=0.25)
    ends = next(batches)[0].argmax(axis=1)[-40:]
    assert batches.jumped.all()
    share = []
    for _ in range(50):
        x = next(batches)[0].argmax(axis=1)
        assert (x[:40][~batches.jumped] == (ends[~batches.jumped] + 1) % 200).all()
        ends = x[-40:]
        share.append(batches.jumped.mean())
    assert 0.2 < np.mean(share) < 0.3


def test_a_stream_that_jumps_forgets_its_state(tmp_path: Path) -> None:
    net = model(tmp_path, "reposition=1")
    batches = training_batches(net, TEXT % 4)
    net.forward(next(batches)[0], train=True)
    assert net.layers[0].state["h"].any()
    next(batches)
    assert not net.layers[0].state["h"].any()
    net.layers[0].state["h"][...] = 1
    net.reset_state(np.array([True, False, True]))
    assert net.layers[0].state["h"].any(axis=1).tolist() == [False, True, False]


@pytest.mark.parametrize("layer", ["lstm", "gru", "rnn"])
def test_a_model_learns_to_foresee_and_to_write(tmp_path: Path, layer: str) -> None:
    """A cycle of length 6 over 4 symbols: what follows depends on more than the last character."""
    cycle = np.tile(np.array([0, 1, 0, 2, 3, 3], np.uint8), 60)
    net = model(tmp_path, "adam=1\nlearning_rate=0.02\nmax_batches=150\ndecay=0", layer)
    assert is_character_model(net)
    before = bits_per_character(net, cycle[:96], first=b"")
    assert before > 1
    for _ in runner.train(net, training_batches(net, cycle, seed=2)):
        pass
    assert bits_per_character(net, cycle[:96], first=b"") < 0.35
    from runner import weights
    weights.save(net, tmp_path / "m.weights")
    writer = model(tmp_path, "adam=1", layer, weights=tmp_path / "m.weights", settings=["net.time_steps=1"])
    written = bytes(write(writer, bytes(cycle[:12]), 12, temperature=0.3, rng=np.random.default_rng(0)))
    assert written == bytes(cycle[:12])


def test_bits_do_not_depend_on_how_the_text_is_cut(tmp_path: Path) -> None:
    text = np.random.default_rng(0).integers(0, 4, 130).astype(np.uint8)
    fives, ones = model(tmp_path), model(tmp_path, settings=["net.time_steps=1"])
    fives.forward(np.eye(4)[[0, 1, 2, 3, 0]])
    kept = fives.layers[0].state["h"].copy()
    assert math.isclose(bits_per_character(fives, text, first=b"\1"), bits_per_character(ones, text, first=b"\1"),
                        rel_tol=1e-5)
    assert np.array_equal(fives.layers[0].state["h"], kept), "measuring changed the network's state"
    halves = [bits_per_character(ones, part, first=b"\1") for part in np.split(text, 2)]
    assert math.isclose(bits_per_character(fives, text, streams=2, first=b"\1"), sum(halves) / 2, rel_tol=1e-5)


def test_temperature(tmp_path: Path) -> None:
    net = model(tmp_path, settings=["net.time_steps=1"])
    net.layers[1].params["weights"][...] *= 20      # an untrained model has no favourites
    cold = [bytes(write(net, b"\1", 40, temperature=1e-6, rng=np.random.default_rng(i))) for i in range(2)]
    warm = [bytes(write(net, b"\1", 40, temperature=3, rng=np.random.default_rng(i))) for i in range(2)]
    assert cold[0] == cold[1] and warm[0] != warm[1]
    assert bytes(write(net, b"\1", 40, temperature=3, rng=np.random.default_rng(0))) == warm[0]


def test_mistakes(tmp_path: Path) -> None:
    net = model(tmp_path)
    with pytest.raises(UsageError, match="time_steps=1"):
        next(write(net, b"\1", 3))
    with pytest.raises(DataError, match="byte 4 has the value 4"):
        next(training_batches(net, TEXT))
    with pytest.raises(DataError, match="no such text file"):
        read_text(tmp_path / "none.txt")
    (tmp_path / "short.txt").write_text("x")
    with pytest.raises(DataError, match="at least two"):
        read_text(tmp_path / "short.txt")
    learn, tail = split_text(TEXT, 0.1)
    assert len(learn) == 45 and tail.tolist() == [45, 46, 47, 48, 49]


@pytest.mark.skipif(not SHARED.exists(), reason="needs the published weights in ../shared")
def test_e2e_bits_of_a_model_trained_by_darknet() -> None:
    """`rnn valid` of pjreddie's darknet on the first and on the last 3,000 bytes, to its four digits.

    The exact way differs by the epsilon of batch norm, which pjreddie's CPU code adds to the root.
    """
    folder = SHARED / "weights" / "shk_rnn"
    text = (SHARED / "text" / "tinyshakespeare.txt").read_bytes()
    for compat, limit in (("pjreddie", 6e-5), (None, 5e-3)):
        net = runner.load(folder / "shk_rnn.cfg", folder / "shk_rnn.weights", compat=compat)
        for part, want in ((text[:3000], 2.5098), (text[-3000:], 2.8754)):
            assert abs(bits_per_character(net, np.frombuffer(part, np.uint8)) - want) < limit


def test_main_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
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
    assert "temperature must be above 0" in capsys.readouterr().err
    assert main(["train", str(cfg), "--data", "none.txt"]) == 2
    assert main(["generate", str(cfg.with_name("net.cfg")), "--weights", "weights/chars/best.weights"]) == 2
