"""Top-k, ten crops, several sizes, and samples with dropout at work."""
import json
from pathlib import Path

import numpy as np
import pytest

import runner
from runner.cli import main
from runner.datasets import Split
from runner.errors import RunnerError
from runner.inference.classify import dropout_samples, infer
from runner.training.classification_metrics import evaluate
from runner.training.test_time_augmentation import margin, mean_outputs, views
from tests import toy

RNG = np.random.default_rng(2)
CFG = """[net]
width=12
height=8
channels=1
flip={flip}

[convolutional]
filters=4
size=3
pad=1
activation=leaky

[dropout]
probability={p}

[convolutional]
filters=3
size=1
activation=linear

[avgpool]

[softmax]
"""


def network(tmp_path: Path, flip: int = 1, p: float = .5) -> runner.Network:
    (tmp_path / "a.cfg").write_text(CFG.format(flip=flip, p=p))
    return runner.load(tmp_path / "a.cfg")


def pictures(n: int = 7, h: int = 9, w: int = 15) -> Split:
    return Split([(str(i), i % 3) for i in range(n)], 3, RNG.integers(0, 256, (n, 1, h, w), dtype=np.uint8))


def test_ten_views_are_corners_and_middle_and_their_mirror_images():
    images = RNG.random((2, 1, 10, 16))
    got = list(views(images, 12, 8, ten_crop=True, mirrored=True))
    assert len(got) == 10 and all(view.shape == (2, 1, 8, 12) for view in got)
    np.testing.assert_array_equal(got[0], images[:, :, :8, :12])
    np.testing.assert_array_equal(got[2], images[:, :, :8, 4:])
    np.testing.assert_array_equal(got[4], images[:, :, 1:9, 2:14])
    np.testing.assert_array_equal(got[6], images[:, :, 2:, :12])
    np.testing.assert_array_equal(got[8], images[:, :, 2:, 4:])
    for plain, mirror in zip(got[::2], got[1::2], strict=True):
        np.testing.assert_array_equal(mirror, plain[..., ::-1])
    assert len(list(views(images, 12, 8, ten_crop=True, mirrored=False))) == 5
    assert margin(224) == 32 and margin(28) == 4 and margin(3) == 1


def test_what_is_seen_is_the_mean_over_the_views(tmp_path):
    net, split = network(tmp_path), pictures()
    got, truth = mean_outputs(net, split, ten_crop=True)
    from runner.images import prepare, to_float
    large = np.stack([prepare(to_float(split.read(i, 1)), 12 + 2, 8 + 1) for i in range(7)])
    want = np.mean([net.predict(view) for view in views(large, 12, 8, True, True)], axis=0)
    np.testing.assert_allclose(got, want.reshape(7, 3), atol=1e-6)
    np.testing.assert_array_equal(truth.argmax(axis=1), np.arange(7) % 3)


def test_sizes(tmp_path):
    net, split = network(tmp_path, flip=0), pictures()
    both, _ = mean_outputs(net, split, sizes=(12, 18))
    assert net.in_shape == (1, 8, 12)
    one, _ = mean_outputs(net, split, sizes=(12,))
    net.resize(18, 12)
    from runner.images import prepare, to_float
    other = net.predict(np.stack([prepare(to_float(split.read(i, 1)), 18, 12) for i in range(7)])).reshape(7, 3)
    np.testing.assert_allclose(both, (one + other) / 2, atol=1e-6)


def test_a_network_that_cannot_change_its_size_says_so_and_stays_as_it_was(tmp_path):
    (tmp_path / "a.cfg").write_text("[net]\nwidth=8\nheight=8\nchannels=1\n[connected]\noutput=3\n[softmax]\n")
    net = runner.load(tmp_path / "a.cfg")
    with pytest.raises(RunnerError, match=r"--sizes 10: .*\[connected\]"):
        mean_outputs(net, pictures(), sizes=(8, 10))
    assert net.in_shape == (1, 8, 8)


def test_top_k_is_counted_as_darknet_does(tmp_path):
    (tmp_path / "a.cfg").write_text("[net]\ninputs=6\n[softmax]\n")
    net = runner.load(tmp_path / "a.cfg")
    x = np.array([[5, 4, 3, 2, 1, 0], [5, 4, 3, 2, 1, 0], [1, 1, 1, 1, 1, 1]], np.float32)
    truth = np.eye(6, dtype=np.float32)[[2, 5, 1]]     # third, last, and second of equals: the lower number goes first
    found = evaluate(net, [(x, truth)], top_k=(1, 2, 3, 6))
    assert found.top_k == {1: 0, 2: pytest.approx(1 / 3), 3: pytest.approx(2 / 3), 6: 1} and found.top5 == 2 / 3
    assert "top 2 33.33 %, top 3 66.67 %" in found.headline() and found.as_json()["top_k"]["6"] == 1


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    toy.make(tmp_path)
    text = Path("cfg/toy.cfg").read_text().replace("[connected]", "[dropout]\nprobability=.4\n\n[connected]")
    Path("cfg/toy.cfg").write_text(text)
    assert main(["train", "cfg/toy.cfg", "--quiet"]) == 0
    return tmp_path


def test_the_verb(place, capsys):
    capsys.readouterr()
    assert main(["test", "cfg/toy.cfg", "--crops", "10", "--top-k", "1,2", "--json", "o.json"]) == 0
    assert capsys.readouterr().out.startswith("10 images in five crops, accuracy ")      # toy.cfg says flip=0
    found = json.loads(Path("o.json").read_text())
    assert found["how"] == "in five crops" and found["top_k"]["2"] == 1
    assert main(["test", "cfg/toy.cfg", "--sizes", "6,12"]) == 2
    assert "--sizes 12: the network cannot take" in capsys.readouterr().err
    assert main(["test", "cfg/toy.cfg", "--top-k", "0"]) == 2
    assert "must be an integer, at least 1. Got '0'" in capsys.readouterr().err


# --- samples -------------------------------------------------------------------------------------------------

def test_samples_are_those_of_dropout_and_the_rest_is_inference(tmp_path):
    net = network(tmp_path)
    image = RNG.random((1, 8, 12)).astype(np.float32)
    found = dropout_samples(net, image, 40, 1)
    assert found.shape == (40, 3) and len({row.tobytes() for row in found}) == 40
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    rng, x = np.random.default_rng(1), np.repeat(image[None], 32, axis=0)
    y, _ = net.layers[0].forward(x)
    y = y * ((rng.random(y.shape, np.float32) >= .5) * np.float32(2))
    for layer in net.layers[2:]:
        y, _ = layer.forward(y)
    np.testing.assert_allclose(found[:32], y.reshape(32, 3), rtol=1e-5)


def test_nothing_of_sampling_stays(tmp_path):
    net = network(tmp_path)
    image = RNG.random((1, 1, 8, 12)).astype(np.float32)
    before, state = net.predict(image), net.env.rng.bit_generator.state
    net.sample(image, np.random.default_rng(0))
    np.testing.assert_array_equal(net.predict(image), before)
    assert net.env.rng.bit_generator.state == state


def test_batch_norm_stays_in_inference_mode(tmp_path):
    text = CFG.format(flip=1, p=.5).replace("activation=leaky", "batch_normalize=1\nactivation=leaky")
    (tmp_path / "a.cfg").write_text(text)
    net = runner.load(tmp_path / "a.cfg")
    kept = {name: value.copy() for name, value in net.layers[0].buffers.items()}
    images = RNG.random((2, 1, 8, 12)).astype(np.float32)
    together = net.sample(images, np.random.default_rng(0))
    alone = net.sample(images[:1], np.random.default_rng(0))
    np.testing.assert_allclose(together[0], alone[0], rtol=1e-5)      # nothing of the neighbour
    assert kept and all(np.array_equal(kept[name], value) for name, value in net.layers[0].buffers.items())


def test_infer_tells_mean_and_spread_whatever_the_batch(tmp_path):
    net = network(tmp_path)
    images = [RNG.random((1, 8, 12)).astype(np.float32) for _ in range(5)]
    found = list(infer(net, images, samples=50, seed=3))
    again = list(infer(net, images, samples=50, seed=3, batch=2))
    other = list(infer(net, images, samples=50, seed=4))
    for one, two, three, image in zip(found, again, other, images, strict=True):
        np.testing.assert_array_equal(one.probabilities, two.probabilities)
        np.testing.assert_array_equal(one.spread, two.spread)
        assert not np.array_equal(one.probabilities, three.probabilities)
        best = one.predictions[0]
        assert best.probability == one.probabilities.max() and best.spread == one.spread[best.index] > 0
        np.testing.assert_allclose(one.probabilities, net.predict(image[None]).ravel(), atol=.15)
    plain = next(iter(infer(net, images)))
    assert plain.predictions[0].spread is None and not len(plain.spread)


def test_without_dropout_there_is_nothing_to_sample(tmp_path):
    net = network(tmp_path, p=0)
    with pytest.raises(RunnerError, match=r"no \[dropout\] .with a probability above 0.: all samples"):
        infer(net, [], samples=3)


def test_predict_with_samples(place, capsys):
    capsys.readouterr()
    words = ["predict", "cfg/toy.cfg", "data/toy/test/dark", "--samples", "20"]
    assert main(words) == 0
    first = capsys.readouterr().out
    assert first.count("±") == 10 and first.splitlines()[0].startswith("data/toy/test/dark/0.png  dark ")
    assert main(words) == 0 and capsys.readouterr().out == first
    assert main([*words, "--seed", "1"]) == 0 and capsys.readouterr().out != first
    assert main([*words, "--json", "o.json"]) == 0
    found = json.loads(Path("o.json").read_text())
    assert found[0]["samples"] == 20 and 0 <= found[0]["predictions"][0]["spread"] <= .5
