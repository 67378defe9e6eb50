"""How much memory a network needs, estimated from its shapes, and whether it is free.

Training is simulated layer by layer: what each layer keeps for its backward pass (`Layer.keeps`), the gradients that
are alive, and the scratch memory of a layer.  Inference is what its memory plan says.  The Python interpreter and its
packages, some 100 MB, are not counted.
"""
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from runner import ops
from runner.errors import RunnerError, counted
from runner.inference.memory_plan import plan_execution
from runner.layers.convolutional import Convolutional
from runner.layers.shared.base import Layer, shape_text
from runner.machine import available_memory, bytes_text, require_memory
from runner.network import Network
from runner.ops import parallel
from runner.optim.optimizers import state_arrays

PREFETCHED_BATCHES = 2      # that the loader keeps ready
MOST_LAYERS, MOST_VALUES = 5000, 2**28      # of a network, and of an array, for which a memory plan is made
THREAD_SCRATCH = 6 << 20    # bytes of scratch memory a thread uses, im2col columns above all, not counted otherwise


@dataclass(frozen=True)
class Footprint:
    """Estimated bytes.

    images       how many are computed at a time
    optimizer    the state arrays of the optimizer, and the moving average of the weights
    activations  outputs, what is kept for the backward pass, gradients of outputs
    inputs       prefetched images
    scratch      temporary memory, and packed weights
    """
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
    """Of a weight update; images at a time, None: batch / subdivisions (times time_steps) as [net] says."""
    ops.choose_default_backend()    # scratch memory depends on the backend
    rows = rows_at_once(net) if images is None else images
    weights = net.param_count * net.env.dtype.itemsize
    learned = sum(_values(layer) for layer in net.owners) * net.env.dtype.itemsize
    return Footprint(rows, weights, learned, learned * state_arrays(net.options),
                     max(_through_training(net, rows)), PREFETCHED_BATCHES * rows * _bytes(net, net.in_shape),
                     _scratch(net, rows, training=True))


def inference(net: Network) -> Footprint:
    """Of one image, from the memory plan; of a network beyond MOST_LAYERS or MOST_VALUES, from its shapes alone."""
    ops.choose_default_backend()
    weights = net.param_count * net.env.dtype.itemsize
    if not _is_plannable(net):
        return Footprint(1, weights, 0, 0, max(_through_inference(net), default=0), 2 * _bytes(net, net.in_shape),
                         _folded(net) + _scratch(net, 1, training=False))
    keep = sorted({net.last, *net.heads})
    with _without_arrays(net):
        plan = plan_execution(net, keep, net.env.time_steps, lambda index, rows: net.layers[index].prepare(rows),
                              dry=True)
    returned = sum(_bytes(net, net.layers[index].out_shape) for index in keep)
    scratch = max((program.scratch for program in plan.programs), default=0) * parallel.threads() * 4
    # what the programs hold, and the weights of one layer while they are packed
    held = sum(program.held for program in plan.programs) + max(map(_values, net.layers)) * net.env.dtype.itemsize
    return Footprint(1, weights, 0, 0, plan.size + returned, 2 * _bytes(net, net.in_shape),
                     scratch + held if plan.programs else _folded(net) + _scratch(net, 1, training=False))


def _is_plannable(net: Network) -> bool:
    largest = max((max(math.prod(layer.out_shape), _values(layer)) for layer in net.layers), default=0)
    return len(net.layers) <= MOST_LAYERS and largest <= MOST_VALUES


def _through_inference(net: Network) -> Iterator[int]:
    """Bytes of outputs alive while each layer is computed, for one image."""
    last_consumer = {link: i for i, links in enumerate(net.links) for link in links}
    last_consumer |= {index: len(net.layers) for index in (net.last, *net.heads)}
    dies, alive = _by_layer(last_consumer), _bytes(net, net.in_shape)
    for i, layer in enumerate(net.layers):
        alive += _bytes(net, layer.out_shape)
        yield alive
        alive -= sum(_bytes(net, net.layers[link].out_shape) for link in dies.get(i, ()) if link >= 0)
        alive -= 0 if i in last_consumer else _bytes(net, layer.out_shape)


@contextmanager
def _without_arrays(net: Network) -> Iterator[None]:
    """Within the block, the layers have weights that take no memory: enough to plan with."""
    before, allocate = [(layer.params, layer.buffers) for layer in net.layers], net.env.allocate
    net.env.allocate = False
    zero = np.zeros((), net.env.dtype)
    try:
        for layer in net.layers:
            arrays = {name: np.broadcast_to(zero, spec.shape) for name, spec in layer.specs.items()}
            layer.params, layer.buffers = arrays, arrays
        yield
    finally:
        net.env.allocate = allocate
        for layer, (params, buffers) in zip(net.layers, before, strict=True):
            layer.params, layer.buffers = params, buffers


def rows_at_once(net: Network) -> int:
    """Rows of a training batch, of which a process may have a part: batch / subdivisions, times time_steps."""
    o, share = net.options, net.env.share
    return max(o.batch // o.subdivisions, 1) * o.time_steps // (share.size if share else 1)


def require_inference(net: Network) -> None:
    """OutOfMemory where one image cannot be computed in the memory there is: the outputs alive together take more."""
    need = max(_through_inference(net), default=0) + _bytes(net, net.in_shape)
    require_memory(need, f"one input of {shape_text(net.in_shape)} through the network")


def check_fits(net: Network, budget: int | None = None) -> None:
    """RunnerError where training does not fit into memory, with the subdivisions that would.

    budget  bytes; None: what is available
    """
    budget = available_memory() if budget is None else budget
    need = training(net)
    if budget is None or need.total <= budget:
        return
    o, one = net.options, training(net, net.options.time_steps)
    sentence = (f"training on {counted(need.images, 'image')} at a time (batch={o.batch}, "
                f"subdivisions={o.subdivisions}) takes about {bytes_text(need.total)} of memory, and "
                f"{bytes_text(budget)} are free")
    if one.total > budget:
        raise RunnerError(f"{sentence}. A single image takes {bytes_text(one.total)}: reduce width and height")
    least, most = 1, max(o.batch // o.subdivisions, 1)      # images at a time that fit, and that do not
    while most - least > 1:
        middle = (least + most) // 2
        if training(net, middle * o.time_steps).total <= budget:
            least = middle
        else:
            most = middle
    parts = o.batch // (least + 1) + 1
    pairs = ((k, o.batch // k) for k in range(1, math.isqrt(o.batch) + 1) if o.batch % k == 0)
    even = min(k for pair in pairs for k in pair if k >= parts)
    fits = training(net, o.batch // even * o.time_steps)
    raise RunnerError(f"{sentence}. subdivisions={even} would fit: the same batch of {o.batch}, {o.batch // even} at a "
                      f"time, about {bytes_text(fits.total)}. Add --set net.subdivisions={even}")


def _through_training(net: Network, rows: int) -> Iterator[int]:
    """Bytes of activations alive at each moment of a training step."""
    kept = [layer.keeps() for layer in net.layers]
    size = {-1: rows * _bytes(net, net.in_shape)}
    size |= {i: rows * _bytes(net, layer.out_shape) for i, layer in enumerate(net.layers)}
    kept_since: dict[int, int] = {}     # output -> the first layer that keeps it for its backward pass
    for i, links in enumerate(net.links):
        for link in (*(links if kept[i].inputs else ()), *((i,) if kept[i].output else ())):
            kept_since.setdefault(link, i)
    last_consumer = {link: i for i, links in enumerate(net.links) for link in links}
    dies, released = _by_layer(last_consumer), _by_layer(kept_since)
    more = 0        # bytes that layers keep in addition to inputs and outputs
    alive = size[-1] if -1 in last_consumer else 0
    for i in range(len(net.layers)):
        more += rows * kept[i].more
        alive += size[i]
        yield alive + more
        done = [*dies.get(i, ()), *([] if i in last_consumer else [i])]
        alive -= sum(size[link] for link in done if link not in kept_since)
    saved = sum(size[link] for link in kept_since)
    gradients: set[int] = {net.last}    # outputs whose gradient is alive
    pending = size[net.last]            # their bytes
    for i in reversed(range(len(net.layers))):
        layer, sources = net.layers[i], {link for link in net.links[i] if link >= 0}
        if i in gradients:
            gradients.remove(i)
            pending -= size[i]
        others = pending + sum(size[link] for link in sources - gradients)
        if layer.specs:     # first the gradient of the raw product, then that of the input
            yield saved + more + pending + 2 * size[i]
            yield saved + more - rows * kept[i].more + others + size[i]
        else:
            yield saved + more + others + size[i]
        more -= rows * kept[i].more
        saved -= sum(size[link] for link in released.get(i, ()))
        gradients |= sources
        pending = others


def _by_layer(when: dict[int, int]) -> dict[int, list[int]]:
    """output -> layer, inverted."""
    outputs: dict[int, list[int]] = {}
    for output, layer in when.items():
        outputs.setdefault(layer, []).append(output)
    return outputs


def _scratch(net: Network, rows: int, *, training: bool) -> int:
    """im2col columns and padded images of every thread; in training also the transformed weights of a layer."""
    convolutions = [layer for layer in net.layers if isinstance(layer, Convolutional)]
    padded = max((sum(layer.bytes_of(shape) for shape in layer.in_shapes) + _padding(layer) for layer in convolutions),
                 default=0)
    if not training:
        return parallel.threads() * (THREAD_SCRATCH + padded)
    work = max((ops.conv2d_workspace(rows, layer.specs["weights"].shape, layer.sharp_shape[1:], layer.stride,
                                     layer.dilation, layer.groups) for layer in convolutions), default=0)
    return parallel.threads() * (THREAD_SCRATCH + 2 * padded) + work * net.env.dtype.itemsize


def _padding(layer: Convolutional) -> int:
    """Bytes of the zeros around an image that windows reach; 0 where they are a small part of it, as usual."""
    c, h, w = layer.image(layer.in_shapes[0])
    size, out = layer.specs["weights"].shape[2:], layer.sharp_shape[1:]
    tall, wide = ((o - 1) * s + (k - 1) * layer.dilation + 1 for o, s, k in zip(out, layer.stride, size, strict=True))
    return layer.bytes_of((c, tall, wide)) if tall * wide > 4 * h * w else 0


def _folded(net: Network) -> int:
    """Bytes of a plan's folded weights, which are not the network's arrays."""
    return sum(_values(layer) for layer in net.layers if "scales" in layer.specs) * net.env.dtype.itemsize


def _values(layer: Layer) -> int:
    return sum(spec.size for spec in layer.specs.values())


def _bytes(net: Network, shape: tuple[int, ...]) -> int:
    return math.prod(shape) * net.env.dtype.itemsize
