"""Questions of the code that runs a network."""
import math
from collections.abc import Sequence

from runner.errors import counted
from runner.layers import ConvLstm, Cost, Logistic, Softmax
from runner.layers.shared.base import Head, Layer
from runner.layers.shared.heads import DetectionHead

IN_RANGE = ("avgpool", "local_avgpool", "maxpool", "dropout", "empty", "route", "upsample")     # of 0..1 they make 0..1
PROBABLE = ("logistic", "normalize_channels", "normalize_channels_softmax", "normalize_channels_softmax_maxval")


def activation_of(layer: Layer | None) -> str | None:
    """The activation that a layer ends with; None if it has no such option."""
    if isinstance(layer, Logistic):
        return "logistic"
    if layer is None or isinstance(layer, ConvLstm):    # its activation is a step within the layer
        return None
    return getattr(layer.options, "activation", None)


def untrainable(layers: Sequence[Layer]) -> str:
    """Why a network cannot be trained; "" if it can."""
    if any(isinstance(layer, Head) for layer in layers):
        stop = max((i for i, layer in enumerate(layers) if layer.options.stopbackward == 1), default=-1)
        fixed = max((i for i, layer in enumerate(layers) if layer.options.train_only_bn), default=-1)
        learns = [layer for i, layer in enumerate(layers) if i > stop and not layer.options.onlyforward
                  and (layer.specs if i > fixed else _has_statistics(layer))]
        if not learns and any(layer.specs for layer in layers):
            options = "stopbackward=1, onlyforward=1 and train_only_bn=1" if fixed >= 0 else \
                "stopbackward=1 and onlyforward=1"
            return f"{options} keep every layer that could learn as it is, so there is nothing to train"
        values = layers[0].in_shapes[0]
        if len(values) == 1 and any(isinstance(layer, DetectionHead) for layer in layers):
            return (f"the network takes {counted(values[0], 'value')}, not images, in which a detection head could "
                    "learn boxes: [net] needs width, height and channels")
        return _different_labels(layers, stop)
    return ("nothing in this network is compared with labels, so it cannot be trained: [softmax], [logistic], [cost] "
            "or a detection head does that")


def _has_statistics(layer: Layer) -> bool:
    return any(name.rpartition("/")[2] == "rolling_mean" for name in layer.specs)


def _different_labels(layers: Sequence[Layer], stop: int) -> str:
    """Why the heads behind layer `stop` cannot be compared with the same labels; "" if they can."""
    heads = [(i, layer) for i, layer in enumerate(layers) if i > stop and isinstance(layer, Head)]
    boxes = next((i for i, layer in enumerate(layers) if isinstance(layer, DetectionHead)), None)
    compared = [(i, layer) for i, layer in heads
                if isinstance(layer, Softmax | Logistic | Cost) and not getattr(layer.options, "noloss", False)]
    last = max((i for i, layer in enumerate(layers) if not isinstance(layer, Cost)), default=len(layers) - 1)
    for i, layer in compared:
        name = f"layer {i} [{layer.names[0]}]"
        if boxes is not None:
            return (f"{name} is compared with classes, and layer {boxes} [{layers[boxes].names[0]}] with boxes: a "
                    "network is trained on one or the other")
        sizes = math.prod(layer.out_shape), math.prod(layers[last].out_shape)
        if sizes[0] != sizes[1]:
            return (f"{name} has {counted(sizes[0], 'value')}, and the output of the network, layer {last} "
                    f"[{layers[last].names[0]}], has {sizes[1]}: both are compared with the same labels")
    return ""


def gives_probabilities(layers: Sequence[Layer], links: Sequence[tuple[int, ...]], index: int) -> bool:
    """Whether the outputs of a layer are always between 0 and 1."""
    layer = layers[index]
    if isinstance(layer, Softmax) or activation_of(layer) in PROBABLE:
        return True
    return layer.names[0] in IN_RANGE and all(link >= 0 and gives_probabilities(layers, links, link)
                                              for link in links[index])


def learns_several_labels(layers: Sequence[Layer], links: Sequence[tuple[int, ...]], index: int) -> bool:
    """Whether the outputs of a layer are independent probabilities, those of [logistic] or of a logistic activation: a
    classifier that ends so learns any number of labels of an image."""
    layer = layers[index]
    if layer.names[0] in IN_RANGE:
        return all(link >= 0 and learns_several_labels(layers, links, link) for link in links[index])
    return activation_of(layer) == "logistic"
