"""What people do with .weights files besides training: look inside, compare, change them for another kind of input.

The formulas are those of darknet's commands of the same names (examples/darknet.c, src/convolutional_layer.c), in
float32 and in their order, so that the files are equal byte for byte.
"""
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runner import weights
from runner.errors import WeightsError, counted
from runner.layers import Connected, Convolutional
from runner.layers.shared.base import Layer
from runner.network import Network

CONVOLUTION_EPSILON, CONNECTED_EPSILON = 1e-5, 1e-6     # added to the variance where darknet folds batch norm


@dataclass(frozen=True)
class ArrayFacts:
    """One array of a network: which it is, and its values.  nonfinite counts NaN and infinities, left out elsewhere."""
    layer: int
    section: str
    name: str
    shape: tuple[int, ...]
    smallest: float
    mean: float
    largest: float
    std: float
    nonfinite: int


@dataclass(frozen=True)
class ArrayDifference:
    """The same array in two networks: the largest absolute difference, its place, and the root of the mean square."""
    layer: int
    section: str
    name: str
    shape: tuple[int, ...]
    largest: float
    at: tuple[int, ...]
    rms: float


def stored_arrays(net: Network) -> Iterator[tuple[int, Layer, str, np.ndarray]]:
    """(index, layer, name, array) in the order of the .weights file."""
    for index, layer in enumerate(net.layers):
        for name in layer.stored:
            yield index, layer, name, layer.params[name] if name in layer.params else layer.buffers[name]


def describe(net: Network) -> list[ArrayFacts]:
    """Every array in numbers."""
    facts = []
    for index, layer, name, array in stored_arrays(net):
        finite = array[np.isfinite(array)].astype(np.float64)
        smallest, mean, largest, std = (float(f(finite)) if finite.size else float("nan")
                                        for f in (np.min, np.mean, np.max, np.std))
        facts.append(ArrayFacts(index, layer.names[0], name, array.shape, smallest, mean, largest, std,
                                array.size - finite.size))
    return facts


def differences(one: Network, other: Network) -> list[ArrayDifference]:
    """Array by array; both networks are of the same cfg.  Equal NaN and infinities count as equal."""
    found = []
    for (index, layer, name, a), (_, _, _, b) in zip(stored_arrays(one), stored_arrays(other), strict=True):
        with np.errstate(invalid="ignore"):
            apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0, np.abs(a.astype(np.float64) - b))
        apart = np.where(np.isnan(apart), np.inf, apart)
        at = tuple(int(i) for i in np.unravel_index(int(apart.argmax()), apart.shape))
        found.append(ArrayDifference(index, layer.names[0], name, a.shape, float(apart.max()), at,
                                     float(np.sqrt((apart ** 2).mean()))))
    return found


def first_convolution(net: Network) -> Convolutional:
    """The first [convolutional] of a network for colour images.  WeightsError where there is none."""
    for index, layer in enumerate(net.layers):
        if isinstance(layer, Convolutional):
            channels = layer.specs["weights"].shape[1]
            if channels != 3:
                raise WeightsError(f"layer {index} [{layer.names[0]}], the first convolution, reads "
                                   f"{counted(channels, 'channel')}: the colours of an image are 3")
            return layer
    raise WeightsError("the network has no [convolutional]")


def rescale(net: Network) -> None:
    """Let a network that was trained on inputs 2 x - 1 take x in 0..1: weights times 2, biases less half their sum."""
    layer = first_convolution(net)
    weights = layer.params["weights"]
    weights *= 2
    sums = np.cumsum(weights.reshape(len(weights), -1), axis=1, dtype=np.float32)[:, -1]    # value by value, as in C
    layer.params["biases"] += sums * np.float32(-0.5)


def swap_colours(net: Network) -> None:
    """RGB for BGR: the first and the third channel of the first convolution change places."""
    weights = first_convolution(net).params["weights"]
    weights[:, [0, 2]] = weights[:, [2, 0]]


def fold_batchnorm(net: Network) -> list[int]:
    """Multiply batch norm into the weights of every layer that has both -> their indices.

    Scales become 1, means 0, variances 1, which is next to nothing: the division by sqrt(1 + 1e-5) stays.
    """
    folded = []
    for index, layer in enumerate(net.layers):
        parts = [part for part in (layer, *layer.children.values())
                 if isinstance(part, Convolutional | Connected) and "scales" in part.params]
        for part in parts:
            _fold(part)
        if parts:
            folded.append(index)
    return folded


def _fold(layer: Layer) -> None:
    epsilon = CONVOLUTION_EPSILON if isinstance(layer, Convolutional) else CONNECTED_EPSILON
    p, buffers = layer.params, layer.buffers
    factor = (p["scales"] / np.sqrt(buffers["rolling_variance"].astype(np.float64) + epsilon)).astype(np.float32)
    p["weights"] *= factor.reshape(-1, *[1] * (p["weights"].ndim - 1))
    p["biases"] -= buffers["rolling_mean"] * factor
    p["scales"][...], buffers["rolling_mean"][...], buffers["rolling_variance"][...] = 1, 0, 1


def widen_head(net: Network, path: str | Path, *, offset: int = 5, copies: int = 3) -> int:
    """Read a file in which the last convolution has fewer filters, as darknet's `oneoff` does -> how many it has there.

    The filters of the second last layer belong to `copies` anchors, equally many each.  Those of the file become the
    classes of the first anchor, after its `offset` outputs for the box and the confidence; the others are copies of
    it.  The outputs before the classes start at a tenth of their initial weights, and at zero biases.  darknet has the
    number of filters in its code (11921, and 9372 in AlexeyAB's); here it follows from the size of the file.
    """
    layer, at = (net.layers[-2], len(net.layers) - 2) if len(net.layers) > 1 else (None, 0)
    if not isinstance(layer, Convolutional) or layer.options.size != 1 or layer.options.groups != 1:
        raise WeightsError("the second last layer must be a [convolutional] with size=1 and groups=1, as before a head")
    arrays = {name: (layer.params if name in layer.params else layer.buffers) for name in layer.stored}
    filters = layer.options.filters
    if filters % copies:
        raise WeightsError(f"layer {at} [{layer.names[0]}]: its {filters} filters cannot be divided by {copies} copies")
    each = sum(group[name].size for name, group in arrays.items()) // filters
    others = sum(array.size for index, _, _, array in stored_arrays(net) if index != at)
    found, left_over = divmod(weights.count_values(path) - others, each)
    room = filters // copies - offset
    if left_over or not 0 < found <= room:
        raise WeightsError(f"{path}: with the other layers of this cfg, layer {at} [{layer.names[0]}] would have "
                           f"{found + left_over / each:g} filters in the file. It takes a whole number of 1 to {room}: "
                           f"{filters} filters, {copies} copies, {offset} outputs before the classes")
    whole = {name: group[name] for name, group in arrays.items()}
    whole["weights"] *= np.float32(.1)
    whole["biases"][...] = 0
    for name, group in arrays.items():
        group[name] = whole[name][offset:offset + found]
    try:
        weights.load(net, path)
    finally:
        for name, group in arrays.items():
            group[name] = whole[name]
    for array in whole.values():
        third = len(array) // copies
        for k in range(1, copies):
            array[k * third:(k + 1) * third] = array[:third]
    _forget_images(net)
    return found


def repeat_from(net: Network, path: str | Path, start: int) -> None:
    """Read a file, and then its beginning again into the layers from `start` on, as pjreddie's `oneoff2` does.

    The file belongs to the whole network, or to its first `start` layers: a network that contains another one twice.
    """
    have = weights.count_values(path)
    first = sum(array.size for index, _, _, array in stored_arrays(net) if index < start)
    weights.load(net, path, cutoff=start if have == first else None)
    weights.load(net, path, start=start, cutoff=len(net.layers))
    _forget_images(net)


def _forget_images(net: Network) -> None:
    net.progress.seen = net.progress.iteration = 0
