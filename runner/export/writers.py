"""The table from layers to the functions that write them as ONNX nodes.

A writer takes the graph, a layer and the names of its inputs, (n, *in_shape) each, adds nodes, and returns the name of
its output, (n, *out_shape).  It is registered for a layer class and serves the subclasses that have none of their own:

    @writes(Sam)
    def sam(g, layer, x, other): ...
"""
from collections.abc import Callable
from typing import Any

from runner.errors import UsageError
from runner.export.activations import ACTIVATIONS
from runner.export.graph import Graph
from runner.layers.shared.base import Layer

Writer = Callable[..., str]
WRITERS: dict[type[Layer], Writer] = {}


def writes(*kinds: type[Layer]) -> Callable[[Writer], Writer]:
    """Register the writer of layer classes."""
    def add(writer: Writer) -> Writer:
        for kind in kinds:
            WRITERS[kind] = writer
        return writer
    return add


def writer_of(layer: Layer) -> Writer:
    """The writer of a layer's class or of the nearest base class.  UsageError where there is none."""
    for kind in type(layer).__mro__:
        if kind in WRITERS:
            return WRITERS[kind]
    raise UsageError(f"[{layer.names[0]}] has no equivalent in ONNX that is written here")


def write(g: Graph, layer: Layer, *inputs: str) -> str:
    """Add the nodes of a layer -> the name of its output."""
    return writer_of(layer)(g, layer, *inputs)


def activate(g: Graph, x: str, name: str) -> str:
    """Add the nodes of an activation function."""
    return ACTIVATIONS[name](g, x)


def as_image(g: Graph, layer: Layer, x: str, source: int = 0) -> str:
    """An input as the image (n, c, h, w) the layer takes it for: flat values are channels of one pixel."""
    shape = layer.in_shapes[source]
    return x if len(shape) == 3 else g.reshape(x, *layer.image(shape))


def flat(g: Graph, x: str) -> str:
    """(n, ...) -> (n, k)."""
    return g.node("Flatten", x, axis=1)


def shaped(g: Graph, x: str, have: Any, want: Any) -> str:
    """x of shape (n, *have) -> (n, *want)."""
    return x if tuple(have) == tuple(want) else g.reshape(x, *want)
