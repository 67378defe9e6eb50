"""The gradients of a network, with nothing in it changed."""
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from runner.api.names import Layers
from runner.network import Network


@dataclass(frozen=True)
class Gradients:
    """
    loss    of the batch: the mean over the heads of their sums over the images; 0 without a label
    input   the gradient of the input, of its shape
    params  layer name -> array name -> the gradient of that array: params["convolutional0"]["weights"]
    """
    loss: float
    input: np.ndarray = field(repr=False)
    params: dict[str, dict[str, np.ndarray]] = field(repr=False)


def gradients(net: Network, layers: Layers, x: np.ndarray, truth: np.ndarray | None,
              dy: np.ndarray | None) -> Gradients:
    """One forward and backward pass as in training; weights, statistics, states and random numbers stay as they are."""
    with _unchanged(net):
        net.zero_grads()
        _, tape = net.forward(x, train=True)
        loss, dx = net.backward(tape, truth, dy, input_gradient=True)
        params = {name: {key: grad.copy() for key, grad in layer.grads.items()}
                  for name, layer in layers.items() if layer.grads}
    return Gradients(float(loss), np.zeros_like(x) if dx is None else dx.reshape(x.shape), params)


@contextmanager
def _unchanged(net: Network) -> Iterator[None]:
    """Put back what a training pass changes."""
    for layer in net.layers:
        layer.require_grads()
    arrays = [array for layer in net.layers for array in (*layer.buffers.values(), *layer.grads.values())]
    before = [array.copy() for array in arrays]
    state, losses, random = net.state, net.losses, net.env.rng.bit_generator.state
    modes = [(layer.frozen, layer.held, layer.wants_dx) for layer in net.layers]
    try:
        yield
    finally:
        for array, values in zip(arrays, before, strict=True):
            array[...] = values
        net.state, net.losses, net.env.rng.bit_generator.state = state, losses, random
        for layer, mode in zip(net.layers, modes, strict=True):
            layer.frozen, layer.held, layer.wants_dx = mode
