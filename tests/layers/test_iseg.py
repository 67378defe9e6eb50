"""[iseg] beyond the common checks: its deltas by hand."""
import numpy as np

from runner.layers import Iseg


def test_deltas_of_classes_and_embeddings() -> None:
    layer = Iseg((2, 1, 4), classes=1, ids=1)
    x = np.array([[[[0., 0, 0, 0]], [[1., 3, -1, -5]]]])
    truth = np.array([[0, 1, 1, 0, 0, 0, 0, 0, 1, 1, -1, 0, 0, 0, 0.]])      # two objects of two pixels, the end
    cost, dx = layer.loss(layer.forward(x, train=True)[1], truth)
    np.testing.assert_allclose(-dx[0, 0, 0], [.5, .5, .5, .5], err_msg="every pixel is in a mask: 1 - sigmoid(0)")
    # means 2 and -3: towards its own, away from the other, on top of 0.1 (0 - code), all times 0.01
    want = [-.1 + .1 + .1, -.3 - .1 + .1, .1 - .1 - .1, .5 + .1 - .1]
    np.testing.assert_allclose(-dx[0, 1, 0], 0.01 * np.array(want), atol=1e-9)
    np.testing.assert_allclose(cost, (dx ** 2).sum())
