"""Clipping of gradients ([net] max_grad_norm) and of weights (clip=)."""
import numpy as np
import pytest

import runner
from runner.optim.optimizers import make_optimizer
from tests.toy import one_batch

pytestmark = pytest.mark.usefixtures("toy_dir")


def test_a_gradient_is_clipped_by_its_norm() -> None:
    steps = []
    for limit in (0, 1e9, .01):
        net = runner.load("cfg/toy.cfg", settings=[f"net.max_grad_norm={limit}", "net.learning_rate=1"])
        before = [{name: w.copy() for name, w in layer.params.items()} for layer in net.layers]
        x, truth = one_batch()
        net.backward(net.forward(x, train=True)[1], truth)
        optimizer = make_optimizer(net)
        norm = optimizer.grad_norm() / 4
        optimizer.step(1.0, 4)
        moved = np.sqrt(sum(np.square(layer.params[name] - old[name]).sum() for layer, old in
                            zip(net.layers, before, strict=True) for name in old))
        steps.append((norm, moved))
    (norm, free), (_, wide), (_, short) = steps
    assert norm > .02 and free == pytest.approx(norm, rel=1e-4) == wide and short == pytest.approx(.01, rel=1e-4)


def test_weights_are_clipped_and_biases_are_not() -> None:
    wide = runner.load("cfg/toy.cfg", settings=["net.learning_rate=3"])
    tight = runner.load("cfg/toy.cfg", settings=["net.learning_rate=3", "net.clip=.05", "1.clip=.02"])
    for net in (wide, tight):
        for _ in runner.train(net, [one_batch(i) for i in range(3)]):
            pass
    biggest = [np.abs(net.layers[k].params["weights"]).max() for net in (wide, tight) for k in (0, 1)]
    assert biggest[0] > .05 and biggest[1] > .02
    assert biggest[2] == np.float32(.05) and biggest[3] == np.float32(.02)
    assert np.abs(tight.layers[1].params["biases"]).max() > .05
