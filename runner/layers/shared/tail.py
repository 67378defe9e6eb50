"""What [convolutional], [connected], [batchnorm] and others end with: batch norm or a bias, then an activation.

In one place because darknet's order of operations matters (src/convolutional_layer.c, src/batchnorm_layer.c): with
batch norm the bias is added after scaling, and the rolling statistics change only in training.
"""
from typing import Any

import numpy as np

from runner import ops
from runner.layers.shared.base import Kept, Layer, constant


def declare(layer: Layer, features: int, batch_normalize: bool) -> None:
    """Give `layer` its biases and, with batch norm, scales and rolling statistics."""
    layer.param("biases", (features,), constant(0))
    if batch_normalize:
        layer.param("scales", (features,), constant(1))
        layer.buffer("rolling_mean", (features,), constant(0))
        # darknet starts the variance at 0, so that an untrained network divides by almost 0
        layer.buffer("rolling_variance", (features,), constant(1))


def forward(layer: Layer, z: np.ndarray, activation: str, *, train: bool, momentum: float) -> tuple[np.ndarray, Any]:
    """z (n, features, ...), overwritten -> y of the same shape, saved.

    momentum is the share of this batch in the rolling statistics.
    """
    compat, biases = layer.env.compat, layer.params["biases"]
    if "scales" not in layer.params:
        y, kept = ops.bias_activate(z, biases, activation)
        return y, (kept, None) if train else None
    scales = layer.params["scales"]
    if train and not layer.frozen:
        if _fused(layer, activation):
            y, normed = ops.batchnorm_activate(z, scales, biases, compat.batchnorm_epsilon, activation)
            roll(layer, normed[0], normed[1], momentum)
            return y, (None, normed)
        z, normed = ops.batchnorm_train(z, scales, biases, compat.batchnorm_epsilon, compat.batchnorm_epsilon_outside,
                                        _stack(layer))
        roll(layer, normed[0], normed[1], momentum)
    else:
        normed = None
        z = ops.batchnorm_inference(z, scales, biases, layer.buffers["rolling_mean"],
                                    layer.buffers["rolling_variance"], compat.batchnorm_epsilon,
                                    compat.batchnorm_epsilon_outside)
    y, kept = ops.activate(z, activation, inplace=True)
    return y, (kept, normed) if train else None


def folded(layer: Layer, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """-> weights, biases with batch norm folded in: the product with them is the normalized one at inference."""
    biases = layer.params["biases"]
    if "scales" not in layer.params or not layer.env.allocate:
        return weights, biases
    compat, variance = layer.env.compat, layer.buffers["rolling_variance"].astype(np.float64)
    if compat.batchnorm_epsilon_outside:
        std = np.sqrt(variance) + compat.batchnorm_epsilon
    else:
        std = np.sqrt(variance + compat.batchnorm_epsilon)
    factor = layer.params["scales"] / std
    scaled = np.multiply(weights, factor.reshape(-1, *[1] * (weights.ndim - 1)), out=np.empty_like(weights),
                         casting="same_kind")       # computed in float64 without a float64 copy of all weights
    return scaled, (biases - layer.buffers["rolling_mean"] * factor).astype(biases.dtype)


def keeps(layer: Layer, values: int, activation: str) -> Kept:
    """What a layer that ends here keeps; its raw product has `values` bytes per row."""
    product = ops.ACTIVATIONS[activation].saves_input
    if "scales" not in layer.specs:
        return Kept(True, activation != "linear", values if product else 0)
    if _fused(layer, activation):
        return Kept(True, False, values)
    return Kept(True, activation != "linear", values * (2 if product else 1))


def backward(layer: Layer, dy: np.ndarray, saved: Any, activation: str) -> np.ndarray:
    """dy -> dz, the gradient of the raw product; adds to the gradients of biases and scales."""
    (kept, normed), compat = saved, layer.env.compat
    if normed is None:
        dz, dbiases = ops.bias_activate_backward(dy, kept, activation, compat.gradients)
    else:
        scales = layer.params["scales"]
        if _fused(layer, activation):
            dz, dscales, dbiases = ops.batchnorm_activate_backward(dy, normed, scales, layer.params["biases"],
                                                                   activation)
        else:
            dz = ops.activate_backward(dy, kept, activation, compat.gradients)
            dz, dscales, dbiases = ops.batchnorm_backward(dz, normed, scales, rule=compat.batchnorm_rule)
        layer.add_grad("scales", dscales)
    layer.add_grad("biases", dbiases)
    layer.show("delta", dz)
    return dz


def _fused(layer: Layer, activation: str) -> bool:
    """Are batch norm and activation computed in one pass?  Not with a fork's gradients, nor with mixed channels
    or the statistics of several processes."""
    compat = layer.env.compat
    return (compat.gradients == compat.batchnorm_rule == "exact" and not ops.ACTIVATIONS[activation].mixes_channels
            and not _stack(layer))


def _stack(layer: Layer) -> Any:
    """What statistics of the batch of several processes are computed with; None: of this one's."""
    share = layer.env.share
    return share.stack if share and share.synchronized else None


def roll(layer: Layer, mean: np.ndarray, variance: np.ndarray, momentum: float) -> None:
    """Move the rolling statistics towards those of this batch."""
    layer.show("bn_mean", mean)
    layer.show("bn_variance", variance)
    for name, batch in (("rolling_mean", mean), ("rolling_variance", variance)):
        layer.buffers[name] *= 1 - momentum
        layer.buffers[name] += momentum * batch


def names(layer: Layer, *before: str) -> tuple[str, ...]:
    """The batch-norm arrays in the order of the .weights file, if the layer has them."""
    norm = ("scales", "rolling_mean", "rolling_variance")
    return (*before, *(norm if "scales" in layer.specs else ()))
