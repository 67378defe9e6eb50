"""Training a character model, and bits per character."""
import math
from pathlib import Path

import numpy as np
import pytest

import runner
from runner import weights
from runner.datasets.text import read_text
from runner.errors import DataError
from runner.inference.generate import generate, is_character_model
from runner.training.tasks.character_model import training_batches
from runner.training.text_metrics import bits_per_character
from tests.paths import SHARED
from tests.toy_text import model

DATA = SHARED / "data"
TEXT = np.arange(50, dtype=np.uint8)


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
def test_a_model_learns_to_predict_and_to_generate(tmp_path: Path, layer: str) -> None:
    """A cycle of length 6 over 4 symbols: what follows depends on more than the last character."""
    cycle = np.tile(np.array([0, 1, 0, 2, 3, 3], np.uint8), 60)
    net = model(tmp_path, "adam=1\nlearning_rate=0.02\nmax_batches=150\ndecay=0", layer)
    assert is_character_model(net)
    before = bits_per_character(net, cycle[:96], first=b"")
    assert before > 1
    for _ in runner.train(net, training_batches(net, cycle, seed=2)):
        pass
    assert bits_per_character(net, cycle[:96], first=b"") < 0.35
    weights.save(net, tmp_path / "m.weights")
    generator = model(tmp_path, "adam=1", layer, weights=tmp_path / "m.weights", settings=["net.time_steps=1"])
    text = bytes(generate(generator, bytes(cycle[:12]), 12, temperature=0.3, rng=np.random.default_rng(0)))
    assert text == bytes(cycle[:12])


def test_what_comes_first_is_a_symbol_of_the_network(tmp_path: Path) -> None:
    """darknet begins with two ends of lines, number 10; this network has 4 symbols."""
    net, text = model(tmp_path), TEXT % 4
    assert bits_per_character(net, text) == bits_per_character(net, text, first=b"\3\3")
    ones = model(tmp_path, settings=["net.time_steps=1"])
    started, given = (bytes(generate(ones, seed, 5, rng=np.random.default_rng(0))) for seed in (b"", b"\3\3"))
    assert started == given


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


def test_a_symbol_the_network_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="byte 4 has the value 4"):
        next(training_batches(model(tmp_path), TEXT))


@pytest.mark.slow
@pytest.mark.skipif(not DATA.exists(), reason="needs the published weights in ../shared")
def test_e2e_bits_of_a_model_trained_by_darknet() -> None:
    """`rnn valid` of pjreddie's darknet on the first and on the last 3,000 bytes, to its four digits.

    The exact way differs by the epsilon of batch norm, which pjreddie's CPU code adds to the root.
    """
    folder = DATA / "weights" / "shk_rnn"
    text = (DATA / "text" / "tinyshakespeare.txt").read_bytes()
    for compat, limit in (("pjreddie", 6e-5), (None, 5e-3)):
        net = runner.load(folder / "shk_rnn.cfg", folder / "shk_rnn.weights", compat=compat)
        for part, want in ((text[:3000], 2.5098), (text[-3000:], 2.8754)):
            assert abs(bits_per_character(net, np.frombuffer(part, np.uint8)) - want) < limit


@pytest.mark.parametrize("content, kind", [(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a git-lfs"),
                                           (b"\x1f\x8b\x08" + bytes(20), "a gzip archive: unpack it")])
def test_a_pointer_or_an_archive_is_not_a_text(content: bytes, kind: str, tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_bytes(content)
    with pytest.raises(DataError, match=f"book.txt: this is {kind}"):
        read_text(tmp_path / "book.txt")
