"""What `weights` computes: the numbers of darknet's formulas, byte for byte, and the same outputs."""
import json
from pathlib import Path

import numpy as np
import pytest

import runner
from runner import weights
from runner.errors import WeightsError
from runner.model import Model
from runner.weights_tools import describe, differences, fold_batchnorm, rescale, swap_colours
from tests.verbs import main

CFG = """[net]
width=6
height=6
channels=3
[convolutional]
filters=4
size=3
batch_normalize=1
activation=leaky
[connected]
output=5
batch_normalize=1
activation=leaky
[softmax]
"""


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    """A network with statistics as after training, saved as a.weights beside a.cfg."""
    monkeypatch.chdir(tmp_path)
    Path("a.cfg").write_text(CFG)
    return saved("a.weights", 1)


def saved(name: str, seed: int) -> Model:
    made, rng = runner.load("a.cfg", seed=seed), np.random.default_rng(seed)
    for layer in made.layers[:2]:
        for array in (layer.params["scales"], layer.buffers["rolling_variance"]):
            array[...] = rng.uniform(.5, 2, array.shape)
        for array in (layer.params["biases"], layer.buffers["rolling_mean"]):
            array[...] = rng.normal(size=array.shape)
    made.progress.seen = 64
    weights.save(made, name)
    return made


def c_rescale(values: np.ndarray, bias: np.float32) -> tuple[list[np.float32], np.float32]:
    """src/convolutional_layer.c:rescale_weights for one filter, in the order of the C code."""
    scaled, total = [np.float32(value * np.float32(2)) for value in values], np.float32(0)
    for value in scaled:
        total = np.float32(total + value)
    return scaled, np.float32(bias + total * np.float32(-.5))


def test_rescale_is_darknets_to_the_bit(net: Model) -> None:
    before, biases = net.layers[0].params["weights"].copy(), net.layers[0].params["biases"].copy()
    rescale(net)
    for k in range(4):
        scaled, bias = c_rescale(before[k].reshape(-1), biases[k])
        assert np.array_equal(net.layers[0].params["weights"][k].reshape(-1), scaled)
        assert net.layers[0].params["biases"][k] == bias


def test_folded_batch_norm_computes_the_same(net: Model) -> None:
    x = np.random.default_rng(0).random((2, 3, 6, 6), np.float32)
    before = net.predict(x)
    assert fold_batchnorm(net) == [0, 1]
    np.testing.assert_allclose(net.predict(x), before, rtol=1e-4)
    assert all((layer.params["scales"] == 1).all() for layer in net.layers[:2])


def test_red_and_blue_change_places(net: Model) -> None:
    x = np.random.default_rng(0).random((2, 3, 6, 6), np.float32)
    before = net.predict(x)
    swap_colours(net)
    np.testing.assert_allclose(net.predict(np.ascontiguousarray(x[:, ::-1])), before, rtol=1e-5)


def test_a_grey_network_has_no_colours(tmp_path: Path) -> None:
    path = tmp_path / "grey.cfg"
    path.write_text(CFG.replace("channels=3", "channels=1"))
    for change in (rescale, swap_colours):
        with pytest.raises(WeightsError, match=r"layer 0 .* reads 1 channel:"):
            change(runner.load(path))


def test_describe_counts_what_is_not_finite(net: Model) -> None:
    net.layers[1].params["weights"][2, 3] = np.nan
    facts = {(one.layer, one.name): one for one in describe(net)}
    array = net.layers[0].params["weights"]
    assert facts[1, "weights"].nonfinite == 1 and facts[0, "weights"].nonfinite == 0
    assert facts[0, "weights"].largest == array.max() and facts[0, "weights"].shape == (4, 3, 3, 3)
    assert list(facts)[:5] == [(0, name) for name in net.layers[0].stored]


def test_differences_name_the_place(net: Model) -> None:
    other = runner.load("a.cfg", "a.weights")
    assert not any(one.largest for one in differences(net, other))
    other.layers[1].params["weights"][2, 3] += 5
    worst = max(differences(net, other), key=lambda one: one.largest)
    assert (worst.layer, worst.name, worst.at) == (1, "weights", (2, 3)) and abs(worst.largest - 5) < 1e-5


# --- the verb -----------------------------------------------------------------------------------------


def test_info_and_diff(net: Model, capsys: pytest.CaptureFixture[str]) -> None:
    saved("b.weights", 2)
    main("weights", "info", "a.cfg", "--weights", "a.weights", "--json", "a.json")
    assert "a.weights: version 0.2.5, 64 images seen" in capsys.readouterr().out
    found = json.loads(Path("a.json").read_text())
    assert found["seen"] == 64 and len(found["arrays"]) == 10
    main("weights", "diff", "a.cfg", "a.weights", "a.weights")
    assert capsys.readouterr().out == "equal: every value of every array\n"
    main("weights", "diff", "a.cfg", "a.weights", "b.weights", expect=1)
    assert "rolling_mean" in capsys.readouterr().out


def test_denormalize_writes_a_cfg_of_its_own(net: Model) -> None:
    main("weights", "denormalize", "a.cfg", "a.weights", "plain.weights")
    plain = runner.load("plain.cfg", "plain.weights")
    assert not any("scales" in layer.params for layer in plain.layers) and plain.progress.seen == 64
    x = np.random.default_rng(0).random((2, 3, 6, 6), np.float32)
    np.testing.assert_allclose(plain.predict(x), net.predict(x), rtol=1e-4)


def test_denormalize_has_two_files_to_write(net: Model, capsys: pytest.CaptureFixture[str]) -> None:
    main("weights", "denormalize", "a.cfg", "a.weights", "plain.cfg", expect=2)
    assert "plain.cfg: this is the name of the cfg" in capsys.readouterr().err and not Path("plain.cfg").exists()


def test_reset_keeps_the_arrays(net: Model) -> None:
    main("weights", "reset", "a.cfg", "a.weights", "reset.weights")
    assert Path("reset.weights").stat().st_size == Path("a.weights").stat().st_size
    x = np.random.default_rng(0).random((2, 3, 6, 6), np.float32)
    np.testing.assert_allclose(runner.load("a.cfg", "reset.weights").predict(x), net.predict(x), rtol=1e-4)


@pytest.mark.parametrize("words", [
    ("partial", "a.cfg", "a.weights", "mine", "1"), ("average", "a.cfg", "mine", "a.weights"),
    ("rescale", "a.cfg", "a.weights", "mine"), ("denormalize", "a.cfg", "a.weights", "mine")])
def test_nothing_is_overwritten(net: Model, words: tuple[str, ...],
                                capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine").write_text("mine")
    main("weights", *words, expect=2)
    assert "mine exists, and is not overwritten" in capsys.readouterr().err and Path("mine").read_text() == "mine"


def test_more_layers_than_there_are(net: Model, capsys: pytest.CaptureFixture[str]) -> None:
    main("weights", "partial", "a.cfg", "a.weights", "out", "9", expect=2)
    assert "the network has 3 layers. Got 9" in capsys.readouterr().err


# --- oneoff, oneoff2, statistics, average --------------------------------------------------------------


TRUNK = """[net]
width=4
height=4
channels=3
[convolutional]
filters=4
size=3
pad=1
batch_normalize=1
activation=leaky
[convolutional]
filters={filters}
size=1
activation=linear
"""
CLASSIFIER = TRUNK.format(filters=6) + "[avgpool]\n[softmax]\n"
DETECTOR = TRUNK.format(filters=33) + "[region]\nanchors=1,1,2,2,3,3\nnum=3\nclasses=6\ncoords=4\nsoftmax=1\n"


@pytest.fixture
def classifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    """A classifier of 6 classes, and the cfg of a detector with 3 anchors on the same trunk."""
    monkeypatch.chdir(tmp_path)
    Path("c.cfg").write_text(CLASSIFIER)
    Path("d.cfg").write_text(DETECTOR)
    made = runner.load("c.cfg", seed=3)
    made.layers[1].params["biases"][...] = np.arange(6)
    made.progress.seen = 640
    weights.save(made, "c.weights")
    return made


def c_oneoff(weights: np.ndarray, biases: np.ndarray, filters: np.ndarray, values: np.ndarray) -> None:
    """examples/darknet.c:oneoff on flat arrays: weights (n * c), biases (n)."""
    n, c = len(biases), len(weights) // len(biases)
    weights *= np.float32(.1)
    biases *= 0
    weights[5 * c:5 * c + filters.size], biases[5:5 + len(values)] = filters.reshape(-1), values
    for k in (1, 2):
        biases[k * n // 3:k * n // 3 + n // 3] = biases[:n // 3]
        weights[k * n // 3 * c:k * n // 3 * c + n // 3 * c] = weights[:n // 3 * c]


def test_oneoff_is_darknets_to_the_bit(classifier: Model, capsys: pytest.CaptureFixture[str]) -> None:
    main("weights", "oneoff", "d.cfg", "c.weights", "d.weights")
    assert "c.weights: 6 filters, copied to each of 3 anchors" in capsys.readouterr().out
    start, made = runner.load("d.cfg"), runner.load("d.cfg", "d.weights")
    values, biases = start.layers[1].params["weights"].reshape(-1).copy(), start.layers[1].params["biases"].copy()
    last = classifier.layers[1].params
    c_oneoff(values, biases, last["weights"], last["biases"])
    assert np.array_equal(made.layers[1].params["weights"].reshape(-1), values)
    assert np.array_equal(made.layers[1].params["biases"], biases)
    assert np.array_equal(made.layers[0].params["weights"], classifier.layers[0].params["weights"])
    assert made.progress.seen == 0
    for k in range(3):
        assert np.array_equal(biases[k * 11 + 5:k * 11 + 11], np.arange(6))


@pytest.mark.parametrize(("options", "message"), [
    (["--offset", "6"], "would have 6 filters in the file. It takes a whole number of 1 to 5"),
    (["--copies", "2"], "its 33 filters cannot be divided by 2 copies")])
def test_oneoff_refuses_what_does_not_fit(classifier: Model, options: list[str], message: str,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    main("weights", "oneoff", "d.cfg", "c.weights", "d.weights", *options, expect=2)
    assert message in " ".join(capsys.readouterr().err.split()) and not Path("d.weights").exists()


def test_oneoff_needs_a_head(classifier: Model, capsys: pytest.CaptureFixture[str]) -> None:
    main("weights", "oneoff", "c.cfg", "c.weights", "out.weights", expect=2)
    assert "the second last layer must be a [convolutional]" in capsys.readouterr().err


@pytest.mark.parametrize("whole", [True, False])
def test_oneoff2_reads_the_beginning_twice(net: Model, whole: bool) -> None:
    twice = CFG.split("[connected]")[0].replace("channels=3", "channels=4").replace("size=3", "size=3\npad=1")
    Path("t.cfg").write_text(twice + twice.split("channels=4")[1])
    long = runner.load("t.cfg", seed=5)
    weights.save(long, "long.weights", cutoff=None if whole else 1)
    main("weights", "oneoff2", "t.cfg", "long.weights", "both.weights", "1")
    both = runner.load("t.cfg", "both.weights")
    for name in both.layers[0].params:
        assert np.array_equal(both.layers[0].params[name], long.layers[0].params[name])
        assert np.array_equal(both.layers[1].params[name], long.layers[0].params[name])


def test_oneoff2_of_another_network(net: Model, capsys: pytest.CaptureFixture[str]) -> None:
    Path("short.weights").write_bytes(Path("a.weights").read_bytes()[:-8])
    main("weights", "oneoff2", "a.cfg", "short.weights", "out", "1", expect=2)
    assert "the file ends in layer 1" in capsys.readouterr().err
    main("weights", "oneoff2", "a.cfg", "a.weights", "out", "3", expect=2)
    assert "the network has 3 layers. Got 3" in capsys.readouterr().err and not Path("out").exists()


def test_statistics(net: Model, capsys: pytest.CaptureFixture[str]) -> None:
    main("weights", "statistics", "a.cfg", "a.weights")
    array = net.layers[1].params["weights"]
    line, = [line.split() for line in capsys.readouterr().out.splitlines() if line.split()[:3] == [
        "1", "connected", "weights"]]
    assert line[3] == f"{array.size}" and float(line[5]) == pytest.approx(float(array.astype(np.float64).var()), 1e-4)
    assert float(line[4]) == pytest.approx(float(array.mean(dtype=np.float64)), 1e-4)


def test_average_is_darknets_to_the_bit(net: Model) -> None:
    files = [saved(f"{seed}.weights", seed) for seed in (1, 2, 3)]
    main("weights", "average", "a.cfg", "mean.weights", "1.weights", "2.weights", "3.weights")
    mean = runner.load("a.cfg", "mean.weights")
    assert mean.progress.seen == 64
    for name in mean.layers[0].params:
        one, two, three = (each.layers[0].params[name] for each in files)
        assert np.array_equal(mean.layers[0].params[name], (one + two + three) * np.float32(1 / 3))
