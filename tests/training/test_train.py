"""Training as a whole: it learns, repeats to the bit, and dropout does what its page says."""
import itertools
from pathlib import Path

import numpy as np
import pytest

import runner
from runner.layers import Dropout
from runner.network import Network

CFG = """[net]
inputs=6
batch={batch}
subdivisions={parts}
learning_rate=0.5
momentum=0.9
decay=0
max_batches={steps}
[connected]
output=12
activation=leaky
{between}
[connected]
output=3
activation=linear
[softmax]
"""


def points() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(6, 6)).astype("f4"), np.eye(3, dtype="f4")[np.arange(6) % 3]


def network(folder: Path, parts: int = 1, steps: int = 40, between: str = "", seed: int = 0) -> Network:
    (folder / "a.cfg").write_text(CFG.format(batch=6, parts=parts, steps=steps, between=between))
    return runner.load(folder / "a.cfg", seed=seed)


def learn(net: Network) -> list[float]:
    x, truth = points()
    parts = net.options.subdivisions
    pairs = itertools.cycle(list(zip(np.split(x, parts), np.split(truth, parts), strict=True)))
    return [step.loss for step in runner.train(net, pairs)]


def test_it_learns_six_points_by_heart(tmp_path: Path) -> None:
    net = network(tmp_path)
    losses = learn(net)
    assert losses[0] > 0.8 and losses[-1] < 0.01
    assert net.progress.iteration == 40 and net.progress.seen == 240
    x, truth = points()
    assert (net.predict(x).argmax(1) == truth.argmax(1)).all()


def test_subdivisions_change_nothing_but_memory(tmp_path: Path) -> None:
    whole, parted = network(tmp_path, 1, 10), network(tmp_path, 3, 10)
    np.testing.assert_allclose(learn(whole), learn(parted), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(whole.layers[0].params["weights"], parted.layers[0].params["weights"], rtol=1e-4,
                               atol=1e-6)


def test_the_same_seed_gives_the_same_bits(tmp_path: Path) -> None:
    between = "[dropout]\nprobability=.3\n"
    one, two, other = (network(tmp_path, steps=10, between=between, seed=s) for s in (3, 3, 4))
    assert learn(one) == learn(two) != learn(other)
    assert all(np.array_equal(a.params["weights"], b.params["weights"])
               for a, b in zip(one.layers, two.layers, strict=True) if a.params)


def test_both_layers_around_a_dropout_learn_and_predictions_repeat(tmp_path: Path) -> None:
    net = network(tmp_path, steps=20, between="[dropout]\nprobability=.5\n")
    before = [layer.params["weights"].copy() for layer in net.layers if layer.params]
    losses = learn(net)
    after = [layer.params["weights"] for layer in net.layers if layer.params]
    for a, b in zip(before, after, strict=True):
        assert np.abs(a - b).max() > 0.05
    assert np.mean(losses[-5:]) < losses[0] / 2
    x, _ = points()
    assert np.array_equal(net.predict(x), net.predict(x))


@pytest.mark.parametrize("shape", [(4,), (3, 5), (2, 3, 4, 5)])
def test_dropout_alone_on_any_shape(shape: tuple[int, ...]) -> None:
    layer = Dropout(probability=0.4)
    x = np.random.default_rng(0).uniform(1, 2, (50, *shape)).astype("f4")
    y, saved = layer.forward(x, train=True)
    kept = y != 0
    assert 0.5 < kept.mean() < 0.7
    np.testing.assert_allclose(y[kept], x[kept] / 0.6, rtol=1e-6)
    dy = np.ones_like(x)
    dx, = layer.backward(dy, saved)
    assert np.array_equal(dx != 0, kept), "the same mask must be used in backward"
    np.testing.assert_allclose(dx[kept], 1 / 0.6, rtol=1e-6)
    again, _ = layer.forward(x, train=True)
    assert not np.array_equal(again, y), "every forward draws a fresh mask"
    assert layer.forward(x[:3], train=True)[0].shape == x[:3].shape, "the mask has the size of the actual batch"
    assert layer.forward(x)[0] is x, "inference is the identity"


def test_dropout_of_nothing_and_of_everything() -> None:
    x = np.ones((2, 3), "f4")
    assert np.array_equal(Dropout(probability=0.0).forward(x, train=True)[0], x)
    layer = Dropout(probability=1.0)
    y, saved = layer.forward(x, train=True)
    assert not y.any() and not layer.backward(x, saved)[0].any()


def test_the_end_of_the_batches_ends_training(tmp_path: Path) -> None:
    net = network(tmp_path, steps=40)
    steps = list(runner.train(net, [points()] * 3))
    assert [step.number for step in steps] == [1, 2, 3] and steps[-1].images == 6
