"""[logistic]: the loss of several labels per image, and its gradient."""
from pathlib import Path

import numpy as np
import pytest

import runner

CFG = "[net]\ninputs=5\n[connected]\noutput=4\nactivation=linear\n[logistic]\n"


@pytest.mark.parametrize("smoothing", [0., .1])
def test_the_gradient_of_several_labels(smoothing: float, tmp_path: Path) -> None:
    """Of every weight, against central differences in float64; labels of no, one, two and all classes."""
    (tmp_path / "a.cfg").write_text(CFG)
    net = runner.load(tmp_path / "a.cfg", dtype="float64")
    x = np.random.default_rng(0).normal(size=(4, 5))
    labels = np.array([[0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 1], [1, 1, 1, 1]])
    truth = np.where(labels, 1 - smoothing, smoothing / 3)

    def loss() -> float:
        _, tape = net.forward(x, train=True)
        return net.backward(tape, truth)[0]

    p = net.predict(x)
    assert loss() == pytest.approx(-(truth * np.log(p) + (1 - truth) * np.log(1 - p)).sum())
    net.zero_grads()
    loss()
    layer, step = net.layers[0], 1e-6
    gradients = {name: gradient.copy() for name, gradient in layer.grads.items()}
    for name, gradient in gradients.items():
        weights = layer.params[name]
        for at in np.ndindex(weights.shape):
            before = weights[at]
            weights[at] = before + step
            above = loss()
            weights[at] = before - step
            below = loss()
            weights[at] = before
            assert gradient[at] == pytest.approx((above - below) / (2 * step), rel=1e-6, abs=1e-8)
