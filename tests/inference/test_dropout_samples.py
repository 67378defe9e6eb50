"""Monte-Carlo dropout: samples with [dropout] active, everything else as in inference."""
from pathlib import Path

import numpy as np
import pytest

import runner
from runner.errors import RunnerError
from runner.inference.classify import dropout_samples, infer
from tests.toy import DROPOUT_CFG, dropout_network

RNG = np.random.default_rng(2)


def test_only_dropout_is_in_training_mode(tmp_path: Path) -> None:
    net = dropout_network(tmp_path)
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


def test_sampling_leaves_no_trace(tmp_path: Path) -> None:
    net = dropout_network(tmp_path)
    image = RNG.random((1, 1, 8, 12)).astype(np.float32)
    before, state = net.predict(image), net.env.rng.bit_generator.state
    net.sample(image, np.random.default_rng(0))
    np.testing.assert_array_equal(net.predict(image), before)
    assert net.env.rng.bit_generator.state == state


def test_batch_norm_stays_in_inference_mode(tmp_path: Path) -> None:
    text = DROPOUT_CFG.format(flip=1, p=.5).replace("activation=leaky", "batch_normalize=1\nactivation=leaky")
    (tmp_path / "a.cfg").write_text(text)
    net = runner.load(tmp_path / "a.cfg")
    kept = {name: value.copy() for name, value in net.layers[0].buffers.items()}
    images = RNG.random((2, 1, 8, 12)).astype(np.float32)
    together = net.sample(images, np.random.default_rng(0))
    alone = net.sample(images[:1], np.random.default_rng(0))
    np.testing.assert_allclose(together[0], alone[0], rtol=1e-5)      # independent of the rest of the batch
    assert kept and all(np.array_equal(kept[name], value) for name, value in net.layers[0].buffers.items())


def test_mean_and_deviation_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    net = dropout_network(tmp_path)
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


def test_without_dropout_there_is_nothing_to_sample(tmp_path: Path) -> None:
    net = dropout_network(tmp_path, p=0)
    with pytest.raises(RunnerError, match=r"no \[dropout\] .with a probability above 0.: all samples"):
        infer(net, [], samples=3)
