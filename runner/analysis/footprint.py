"""How much memory a network will need, worked out from its shapes, and how much there is.

Training is followed step by step: what each layer keeps for its backward pass (`Layer.keeps`), the gradients under way,
and what a layer needs while it computes.  Inference takes the plan's own layout.  The Python interpreter and its
packages, some 100 MB, are not counted.
"""
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from runner import ops
from runner.errors import RunnerError
from runner.inference.memory_plan import plan_execution
from runner.layers.convolutional import Convolutional
from runner.layers.shared.base import Layer
from runner.machine import available_memory, bytes_text
from runner.network import Network
from runner.ops import parallel
from runner.optim.optimizers import state_arrays

BATCHES_AHEAD = 2       # the loader keeps ready
WORKSPACE = 6 << 20     # bytes a thread works in beside the arrays counted: columns, padded images


@dataclass(frozen=True)
class Footprint:
    """Bytes: weights, their gradients, the optimizer's arrays, outputs and what is kept of them, images that wait, and
    what computing needs beside."""
    images: int
    weights: int
    gradients: int
    optimizer: int
    activations: int
    inputs: int
    scratch: int

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.activations + self.inputs + self.scratch


def training(net: Network, images: int | None = None) -> Footprint:
    """For one update; images at a time, None: batch / subdivisions (times time_steps) as [net] says."""
    ops.choose_default_backend()    # what it takes depends on the kernels
    rows = rows_at_once(net) if images is None else images
    weights = net.param_count * net.env.dtype.itemsize
    learned = sum(_values(layer) for layer in net.owners) * net.env.dtype.itemsize
    return Footprint(rows, weights, learned, learned * state_arrays(net.options),
                     max(_through_training(net, rows)), BATCHES_AHEAD * rows * _bytes(net, net.in_shape),
                     _scratch(net, rows, training=True))


def inference(net: Network) -> Footprint:
    """For one image, by the plan."""
    ops.choose_default_backend()
    weights = net.param_count * net.env.dtype.itemsize
    keep = sorted({net.last, *net.heads})
    with _stand_ins(net):
        plan = plan_execution(net, keep, net.env.time_steps, lambda index, rows: net.layers[index].prepare(rows),
                              dry=True)
    given = sum(_bytes(net, net.layers[index].out_shape) for index in keep)
    spare = max((program.scratch for program in plan.programs), default=0) * parallel.threads() * 4
    # what the programs hold, and the weights of one layer while they are packed
    held = sum(program.held for program in plan.programs) + max(map(_values, net.layers)) * net.env.dtype.itemsize
    return Footprint(1, weights, 0, 0, plan.size + given, 2 * _bytes(net, net.in_shape),
                     spare + held if plan.programs else _folded(net) + _scratch(net, 1, training=False))


@contextmanager
def _stand_ins(net: Network) -> Iterator[None]:
    """While this lasts, the layers have arrays that take no memory: enough to ask what a plan would look like."""
    before, allocate = [(layer.params, layer.buffers) for layer in net.layers], net.env.allocate
    net.env.allocate = False
    zero = np.zeros((), net.env.dtype)
    try:
        for layer in net.layers:
            every = {name: np.broadcast_to(zero, spec.shape) for name, spec in layer.specs.items()}
            layer.params, layer.buffers = every, every
        yield
    finally:
        net.env.allocate = allocate
        for layer, (params, buffers) in zip(net.layers, before, strict=True):
            layer.params, layer.buffers = params, buffers


def rows_at_once(net: Network) -> int:
    o = net.options
    return max(o.batch // o.subdivisions, 1) * o.time_steps


def check_fits(net: Network, room: int | None = None) -> None:
    """RunnerError when training will not fit into memory (room, or what is available), with what would fit."""
    room = available_memory() if room is None else room
    need = training(net)
    if room is None or need.total <= room:
        return
    o, one = net.options, training(net, net.options.time_steps)
    sentence = (f"training on {need.images} images at a time (batch={o.batch}, subdivisions={o.subdivisions}) takes "
                f"about {bytes_text(need.total)} of memory, and {bytes_text(room)} are free")
    if one.total > room:
        raise RunnerError(f"{sentence}. One image alone takes {bytes_text(one.total)}: make width and height smaller")
    parts = next(k for k in range(o.subdivisions + 1, o.batch + 1)
                 if training(net, max(o.batch // k, 1) * o.time_steps).total <= room)
    even = next((k for k in range(parts, o.batch + 1) if o.batch % k == 0), parts)
    fits = training(net, o.batch // even * o.time_steps)
    raise RunnerError(f"{sentence}. subdivisions={even} would fit: the same batch of {o.batch}, {o.batch // even} at a "
                      f"time, about {bytes_text(fits.total)}. Add --set net.subdivisions={even}")


def _through_training(net: Network, rows: int) -> Iterator[int]:
    """Bytes of activations alive at each moment of a step."""
    kept = [layer.keeps() for layer in net.layers]
    size = {-1: rows * _bytes(net, net.in_shape)}
    size |= {i: rows * _bytes(net, layer.out_shape) for i, layer in enumerate(net.layers)}
    held: dict[int, int] = {}       # output -> the first layer whose backward still needs it
    for i, links in enumerate(net.links):
        for link in (*(links if kept[i].inputs else ()), *((i,) if kept[i].output else ())):
            held.setdefault(link, i)
    read = {link: i for i, links in enumerate(net.links) for link in links}
    extra = 0
    for i in range(len(net.layers)):
        extra += rows * kept[i].more
        alive = {link for link in size if link <= i and (held.get(link, i + 1) <= i or read.get(link, -1) >= i)} | {i}
        yield sum(size[link] for link in alive) + extra
    pending: set[int] = {net.last}      # outputs whose gradient is known or under way
    for i in reversed(range(len(net.layers))):
        layer, below = net.layers[i], {link for link in net.links[i] if link >= 0}
        saved = sum(size[link] for link in size if held.get(link, i + 1) <= i) + extra
        waiting = sum(size[link] for link in pending - {i} | below)
        if layer.specs:     # first back to the raw product, whose gradient then goes through the weights
            yield saved + sum(size[link] for link in pending - {i}) + 2 * size[i]
            yield saved - rows * kept[i].more + waiting + size[i]
        else:
            yield saved + waiting + size[i]
        extra -= rows * kept[i].more
        pending = pending - {i} | below


def _scratch(net: Network, rows: int, *, training: bool) -> int:
    """Columns and padded images of every thread; in training also what the weights of a layer are turned into."""
    convolutions = [layer for layer in net.layers if isinstance(layer, Convolutional)]
    padded = max((sum(layer.bytes_of(shape) for shape in layer.in_shapes) for layer in convolutions), default=0)
    if not training:
        return parallel.threads() * (WORKSPACE + padded)
    work = max((ops.conv2d_workspace(rows, layer.specs["weights"].shape, layer.sharp_shape[1:], layer.stride,
                                     layer.dilation, layer.groups) for layer in convolutions), default=0)
    return parallel.threads() * (WORKSPACE + 2 * padded) + work * net.env.dtype.itemsize


def _folded(net: Network) -> int:
    """Weights of a plan that are not those of the network."""
    return sum(_values(layer) for layer in net.layers if "scales" in layer.specs) * net.env.dtype.itemsize


def _values(layer: Layer) -> int:
    return sum(spec.size for spec in layer.specs.values())


def _bytes(net: Network, shape: tuple[int, ...]) -> int:
    return math.prod(shape) * net.env.dtype.itemsize
