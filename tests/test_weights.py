"""The .weights codec: both headers, exact sizes, exact messages, and no data loss."""
import struct
from pathlib import Path

import numpy as np
import pytest

import runner
from runner import weights
from runner.errors import WeightsError
from runner.network import Network

TEXT = """[net]
width=4
height=4
channels=2
[convolutional]
filters=3
batch_normalize=1
{first}
[maxpool]
size=2
stride=2
[connected]
output=5
{last}
"""


def make(tmp_path: Path, first: str = "", last: str = "", seed: int = 0) -> Network:
    (tmp_path / "a.cfg").write_text(TEXT.format(first=first, last=last))
    return runner.load(tmp_path / "a.cfg", seed=seed)


def values(count: int, header: bytes = struct.pack("<3iQ", 0, 2, 5, 77)) -> bytes:
    return header + np.arange(count, dtype="<f4").tobytes()


def write(tmp_path: Path, data: bytes) -> Path:
    (tmp_path / "a.weights").write_bytes(data)
    return tmp_path / "a.weights"


TOTAL = 3 * 4 + 6 + 5 + 60      # biases, scales, mean, variance; weights; biases; weights


def test_the_order_of_the_file(tmp_path: Path) -> None:
    net = make(tmp_path)
    header = weights.load(net, write(tmp_path, values(TOTAL)))
    assert header.version == (0, 2, 5) and header.seen == net.progress.seen == 77
    conv, dense = net.layers[0], net.layers[2]
    assert conv.params["biases"].tolist() == [0, 1, 2] and conv.params["scales"].tolist() == [3, 4, 5]
    assert conv.buffers["rolling_mean"].tolist() == [6, 7, 8]
    assert conv.buffers["rolling_variance"].tolist() == [9, 10, 11]
    assert conv.params["weights"].ravel().tolist() == list(range(12, 18))
    assert dense.params["biases"].tolist() == list(range(18, 23))
    assert dense.params["weights"][0].tolist() == list(range(23, 35))


def test_what_is_written_is_what_was_read(tmp_path: Path) -> None:
    net = make(tmp_path)
    path = write(tmp_path, values(TOTAL))
    weights.load(net, path)
    weights.save(net, tmp_path / "b.weights")
    assert (tmp_path / "b.weights").read_bytes() == path.read_bytes()


def test_an_old_header_has_16_bytes(tmp_path: Path) -> None:
    net = make(tmp_path)
    header = weights.load(net, write(tmp_path, values(TOTAL, struct.pack("<3iI", 0, 1, 0, 9))))
    assert header.size == 16 and header.seen == 9 and net.layers[0].params["biases"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("is_64_bit", [True, False])
def test_transposed_files(tmp_path: Path, is_64_bit: bool) -> None:
    """Connected weights are stored as (inputs, outputs); the file size decides whether `seen` has 32 or 64 bits."""
    net = make(tmp_path)
    header = struct.pack("<3iQ" if is_64_bit else "<3iI", 0, 2000, 0, 3)
    assert weights.load(net, write(tmp_path, values(TOTAL, header))).transposed
    assert net.layers[2].params["weights"][:, 0].tolist() == list(range(23, 28))


def test_flipped_weights_are_transposed_both_ways(tmp_path: Path) -> None:
    net = make(tmp_path, first="flipped=1")
    path = write(tmp_path, values(TOTAL))
    weights.load(net, path)
    assert net.layers[0].params["weights"].reshape(3, 2).tolist() == [[12, 15], [13, 16], [14, 17]]
    weights.save(net, tmp_path / "b.weights")
    assert (tmp_path / "b.weights").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("first, last, count", [("dontload=1", "", 65), ("", "dontload=1", 18),
                                                ("dontloadscales=1", "", TOTAL - 9)])
def test_layers_that_are_not_in_the_file(tmp_path: Path, first: str, last: str, count: int) -> None:
    net = make(tmp_path, first, last)
    kept = net.layers[0].params["scales"].copy()
    weights.load(net, write(tmp_path, values(count)))
    if first:
        assert np.array_equal(net.layers[0].params["scales"], kept)


def test_dontsave_leaves_a_layer_out(tmp_path: Path) -> None:
    net = make(tmp_path, last="dontsave=1")
    weights.save(net, tmp_path / "b.weights")
    assert (tmp_path / "b.weights").stat().st_size == 20 + 4 * 18


@pytest.mark.parametrize("data, message", [
    (values(TOTAL - 7), "the file ends in layer 2 [connected], at its weights: 60 values wanted, 53 left. The cfg "
                        "needs 83 values in all, the file has 76. Is it cut off, the file of another cfg, or one saved "
                        "without batch_normalize?"),
    (values(18), "the file ends in layer 2 [connected], at its biases: 5 values wanted, 0 left. The cfg needs 83 "
                 "values in all, the file has 18. It ends exactly before layer 2: if it is a backbone, add --cutoff "
                 "2."),
    (values(TOTAL + 2), "the file has 85 values, the cfg needs 83: 2 are left over after the last layer (2). It "
                        "belongs to another cfg"),
    (values(TOTAL) + b"x", f"{20 + 4 * TOTAL + 1} bytes are not a whole number of float32 values after a header of 20; "
                           "the file is damaged"),
    (b"[net]\nbatch=1\n", "not a .weights file: this is a text file. Is it the cfg?"),
    (b"\0hort", "5 bytes are too few for a .weights file: its header has 16 or 20"),
    (b"\xff" * 20, "not a .weights file: its version would be -1.-1.-1"),
])
def test_files_that_do_not_fit(tmp_path: Path, data: bytes, message: str) -> None:
    net = make(tmp_path)
    before = {name: a.copy() for name, a in net.layers[0].params.items()}
    with pytest.raises(WeightsError) as caught:
        weights.load(net, write(tmp_path, data))
    assert str(caught.value) == f"{tmp_path}/a.weights: {message}"
    assert all(np.array_equal(a, before[name]) for name, a in net.layers[0].params.items()), "the file was partly read"


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"b.weights: there is no such weights file"):
        weights.load(make(tmp_path), tmp_path / "b.weights")


def test_a_backbone_with_cutoff(tmp_path: Path) -> None:
    net = make(tmp_path)
    kept = net.layers[2].params["weights"].copy()
    weights.load(net, write(tmp_path, values(18)), cutoff=2)
    assert net.layers[0].params["biases"].tolist() == [0, 1, 2]
    assert np.array_equal(net.layers[2].params["weights"], kept)
    weights.save(net, tmp_path / "b.weights", cutoff=2)
    assert (tmp_path / "b.weights").read_bytes() == values(18)


def test_a_save_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, path = make(tmp_path), write(tmp_path, b"precious")
    net.layers[2].stored = ("biases", "no such array")
    with pytest.raises(KeyError):
        weights.save(net, path)
    assert path.read_bytes() == b"precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.cfg", "a.weights"], "the temporary file is gone"
