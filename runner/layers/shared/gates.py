"""The gates of [lstm] and [gru]: [connected] layers that read the same rows, computed as one product."""
from collections.abc import Sequence
from typing import Any

import numpy as np

from runner import ops
from runner.layers.connected import Connected
from runner.layers.shared.base import Layer
from runner.layers.shared.recurrent import Recurrent, added, normed


class Gates:
    """Linear [connected] layers that read the same rows, computed as one product: z (n, gates, outputs).

    Built for each pass.  Without batch norm the products come without their biases: the caller adds `biases`
    (gates, outputs).  `learn` computes the gradient of the weights in one product for all time steps.
    """

    def __init__(self, layers: Sequence[Layer]):
        self.layers = layers
        self.outputs = layers[0].out_shape[0]
        self.fused = not any(map(normed, layers))
        if self.fused:
            self.weights = concatenated([layer.params["weights"] for layer in layers])
            self.biases = concatenated([layer.params["biases"] for layer in layers]).reshape(len(layers), self.outputs)
        else:
            self.biases = np.zeros((len(layers), self.outputs), layers[0].params["biases"].dtype)

    def forward(self, x: np.ndarray, train: bool) -> tuple[np.ndarray, Any]:
        """x (n, inputs) of one time step -> z (n, gates, outputs), saved."""
        if self.fused:
            return ops.dense(x, self.weights).reshape(len(x), len(self.layers), self.outputs), None
        pairs = [layer.forward(x, train=train) for layer in self.layers]
        return np.stack([z for z, _ in pairs], axis=1), [saved for _, saved in pairs]

    def over_time(self, x: np.ndarray, steps: int, train: bool) -> tuple[np.ndarray, list[Any]]:
        """x (steps * streams, inputs) -> z (steps * streams, gates, outputs), saved."""
        if self.fused or not train:
            z, saved = self.forward(x, train)
            return z, [saved]
        pairs = [self.forward(part, train) for part in np.split(x, steps)]
        return np.concatenate([z for z, _ in pairs]), [saved for _, saved in pairs]

    def backward(self, dz: np.ndarray, saved: Any) -> np.ndarray:
        """dz (n, gates, outputs) of one forward -> dx (n, inputs)."""
        if self.fused:
            return ops.dense_input_gradient(dz.reshape(len(dz), -1), self.weights)
        return added(layer.backward(np.ascontiguousarray(dz[:, k]), saved[k])[0] for k, layer in enumerate(self.layers))

    def over_time_backward(self, dz: np.ndarray, saved: list[Any], need_dx: bool = True) -> np.ndarray | None:
        """dz of all rows -> dx of all rows."""
        if self.fused:
            return self.backward(dz, None) if need_dx else None
        dx = np.concatenate([self.backward(part, kept) for part, kept in
                             zip(np.split(dz, len(saved)), saved, strict=True)])
        return dx if need_dx else None

    def learn(self, dz: np.ndarray, x: np.ndarray) -> None:
        """Add to the gradients of the layers, from dz (n, gates, outputs) and x (n, inputs) of all time steps.

        Layers with batch norm have done so in `backward`.
        """
        if not self.fused:
            return
        for k, layer in enumerate(self.layers):
            part = np.ascontiguousarray(dz[:, k])
            ops.dense_weight_gradient(part, x, layer.grads["weights"])
            layer.grads["biases"] += part.sum(axis=0)


def concatenated(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """The arrays concatenated along the first axis; not copied where `Recurrent.pack` has put them in one block."""
    block, at = arrays[0].base, 0
    if block is None or sum(map(len, arrays)) != len(block) or not block.flags.c_contiguous:
        return np.concatenate(arrays)
    for array in arrays:
        if array.base is not block or array.ctypes.data != block.ctypes.data + at:
            return np.concatenate(arrays)
        at += array.nbytes
    return block


def gate(layer: Recurrent, name: str, inputs: int) -> None:
    """Give `layer` a linear [connected] child, with batch norm where its options say so."""
    o = layer.options
    layer.adopt(name, Connected((inputs,), env=layer.env, output=o.output, activation="linear",
                                batch_normalize=o.batch_normalize))
