"""The training loop: it learns, results are repeatable, and non-finite values end it."""
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runner
from runner.errors import Diverged
from runner.network import Network
from tests.toy import one_batch

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


def test_it_fits_six_points(tmp_path: Path) -> None:
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


def test_the_end_of_the_batches_ends_training(tmp_path: Path) -> None:
    net = network(tmp_path, steps=40)
    steps = list(runner.train(net, [points()] * 3))
    assert [step.number for step in steps] == [1, 2, 3] and steps[-1].images == 6


# --- NaN and infinity -----------------------------------------------------------------------------------------

def batches_with(bad: float, at: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Ten random batches; the one with index `at` has the value `bad` in its input."""
    for i in range(10):
        x, truth = one_batch(i)
        if i == at:
            x[0, 0, 0, 0] = bad
        yield x, truth


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_first_non_finite_value_is_located(toy_dir: Path) -> None:
    net = runner.load("cfg/toy.cfg")
    with pytest.raises(Diverged, match="update 4 is NaN or infinite, first seen in the input: the data contains"):
        list(runner.train(net, batches_with(np.nan, 3)))
    assert net.progress.iteration == 3 and net.progress.seen == 12
    assert all(np.isfinite(w).all() for layer in net.layers for w in layer.params.values())
    assert not any(g.any() for layer in net.layers for g in layer.grads.values())
    net.layers[1].params["biases"][0] = np.inf
    with pytest.raises(Diverged, match=r"first seen in layer 1 \[connected\]: its biases contain NaN or infinity"):
        list(runner.train(net, [one_batch()]))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_non_finite_gradient_leaves_the_weights_unchanged(
        toy_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = runner.load("cfg/toy.cfg")
    real = net.backward

    def with_nan(tape: Any, truth: np.ndarray) -> Any:
        loss = real(tape, truth)
        net.layers[0].grads["biases"][1] = np.nan
        return loss
    monkeypatch.setattr(net, "backward", with_nan)
    with pytest.raises(Diverged, match=r"the gradient of layer 0 \[convolutional\] is NaN or infinite in update 1"):
        list(runner.train(net, [one_batch()]))
    assert all(np.isfinite(w).all() for layer in net.layers for w in layer.params.values())
