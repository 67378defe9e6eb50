"""[convolutional] beyond the common checks: binary weights and inputs."""
import numpy as np

from runner.layers import Convolutional


def test_a_binary_convolution_by_hand() -> None:
    """Signs of the weights times their mean size; xnor takes the signs of the inputs too, and counts a 32nd."""
    for xnor, want in ((False, [2 * 3 - 2 * -4 + 2 * .5]), (True, [2 * 1 - 2 * -1 + 2 * 1])):
        layer = Convolutional((3, 1, 1), binary=not xnor, xnor=xnor, activation="linear")
        layer.params["weights"][...] = np.array([1, -2, 3]).reshape(1, 3, 1, 1)
        x = np.array([3, -4, .5], "f4").reshape(1, 3, 1, 1)
        y, saved = layer.forward(x, train=True)
        assert y.ravel().tolist() == want
        dx, = layer.backward(np.ones_like(y), saved)
        assert dx is not None
        assert dx.ravel().tolist() == [2, -2, 2], "the input's gradient is that of the signs"
        assert layer.grads["weights"].ravel().tolist() == x.ravel().tolist(), "the weights' goes straight through"
    assert Convolutional((32, 4, 4), xnor=True).flops() == Convolutional((32, 4, 4)).flops() / 32
