"""The exponential moving average of the weights ([net] ema_alpha)."""
from pathlib import Path

import numpy as np

import runner
from runner.optim.average import Average
from tests.toy import one_batch


def test_the_average_starts_halfway_through_training(toy_dir: Path) -> None:
    net = runner.load("cfg/toy.cfg", settings=["net.ema_alpha=.75", "net.max_batches=8"])
    average, history = Average(net), []
    for step in runner.train(net, [one_batch(i) for i in range(8)]):
        average.update()
        history.append(net.layers[1].params["weights"].copy())
        assert bool(average.arrays) == (step.number >= 4)
    want = history[3]
    for w in history[4:]:
        want = .75 * want + .25 * w
    np.testing.assert_allclose(average.arrays[1, "weights"], want, rtol=1e-5)
    with average.shown():
        np.testing.assert_allclose(net.layers[1].params["weights"], want, rtol=1e-5)
    np.testing.assert_array_equal(net.layers[1].params["weights"], history[-1])
