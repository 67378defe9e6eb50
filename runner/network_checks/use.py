"""Questions of the code that runs a network."""
from collections.abc import Sequence

from runner.layers import Activation, Connected, Convolutional, Logistic, Softmax
from runner.layers.shared.base import Head, Layer

IN_RANGE = ("avgpool", "local_avgpool", "maxpool", "dropout", "empty", "route", "upsample")     # of 0..1 they make 0..1
PROBABLE = ("logistic", "normalize_channels", "normalize_channels_softmax", "normalize_channels_softmax_maxval")


def activation_of(layer: Layer | None) -> str | None:
    """The activation that a layer ends with; None if it has no such option."""
    if isinstance(layer, Logistic):
        return "logistic"
    return layer.options.activation if isinstance(layer, Convolutional | Connected | Activation) else None


def untrainable(layers: Sequence[Layer]) -> str:
    """Why a network cannot be trained; "" if it can."""
    if any(isinstance(layer, Head) for layer in layers):
        stop = max((i for i, layer in enumerate(layers) if layer.options.stopbackward == 1), default=-1)
        learns = [layer for layer in layers[stop + 1:] if layer.specs and not layer.options.onlyforward]
        return "" if learns or not any(layer.specs for layer in layers) else \
            "stopbackward=1 and onlyforward=1 keep every layer that could learn as it is, so there is nothing to train"
    return ("nothing in this network is compared with labels, so it cannot be trained: [softmax], [logistic], [cost] "
            "or a detection head does that")


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
