"""The training loop.  It computes and reports; whoever iterates it prints, saves and stops."""
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from runner.detection import detection_heads
from runner.errors import Diverged
from runner.network import Network
from runner.optim.optimizers import Optimizer, make_optimizer
from runner.optim.policy import rate_at


@dataclass(frozen=True)
class Step:
    """What one weight update was."""
    number: int         # weight updates so far
    seen: int           # images so far, as the .weights header counts
    images: int         # images of this update
    loss: float         # per image, the mean over the heads
    rate: float         # learning rate
    seconds: float      # from asking for the images to the end of the update
    waited: float       # part of it spent waiting for images


def train(net: Network, batches: Iterable[tuple[np.ndarray, np.ndarray]], *,
          optimizer: Optimizer | None = None) -> Iterator[Step]:
    """Yield a Step after every weight update, until [net] max_batches or the end of `batches`.

    batches    (x, truth) pairs: x (n, c, h, w) float32, truth (n, classes) for classifiers, (n, boxes, 5) for
               detectors; each is one of `subdivisions` parts of an update, batch // subdivisions images.  Where a
               detection head says random=, the size of x may change from batch to batch
    optimizer  None: the one [net] asks for

    The rate follows [net] policy; dropout draws from the network's generator.  `net.progress` counts on, so a
    network that was loaded from a .weights file goes on where it stopped.

    Diverged is raised before an update that would spoil the weights: a loss or a gradient that is not a number; it
    names the layer where that began.
    """
    optimizer = optimizer or make_optimizer(net)
    progress, options, source = net.progress, net.options, iter(batches)
    multi_scale = any(head.options.random for head in map(net.layers.__getitem__, detection_heads(net.layers)))
    own = net.in_shape[2:0:-1]      # width, height
    while not options.max_batches or progress.iteration < options.max_batches:
        began, waited, images, loss = time.perf_counter(), 0.0, 0, 0.0
        try:
            for _ in range(options.subdivisions):
                asked = time.perf_counter()
                part = next(source, None)
                waited += time.perf_counter() - asked
                if part is None:
                    break
                x, truth = part
                progress.seen += len(x)
                if multi_scale:
                    net.resize(x.shape[3], x.shape[2])
                _, tape = net.forward(x, train=True)
                loss += net.backward(tape, truth)[0]
                images += len(x)
                if not math.isfinite(loss):
                    _diverged(net, x, images, f"the loss of update {progress.iteration + 1} is not a number")
        finally:
            if multi_scale:
                net.resize(*own)    # whoever looks between two updates sees the network of the cfg
        if not images:
            return
        if not optimizer.gradients_are_finite():
            index, name = next((index, layer.names[0]) for index, layer in enumerate(net.layers)
                               if not all(np.isfinite(g).all() for g in layer.grads.values()))
            _diverged(net, x, images, f"the gradient of layer {index} [{name}] is not a number in update "
                                      f"{progress.iteration + 1}")
        rate = rate_at(options, progress.iteration + 1, net.env.rng)
        optimizer.step(rate, images)
        progress.iteration += 1
        yield Step(progress.iteration, progress.seen, images, loss / images, rate, time.perf_counter() - began, waited)


def _diverged(net: Network, x: np.ndarray, images: int, what: str) -> None:
    """Undo what the update has left so far, and raise Diverged with the layer where the trouble began."""
    net.progress.seen -= images
    net.zero_grads()
    raise Diverged(what + _origin(net, x))


def _origin(net: Network, x: np.ndarray) -> str:
    """Where the first number appears that is none: in a layer's weights, in the input, in a layer's output."""
    for index, layer in enumerate(net.layers):
        for name, array in layer.params.items():
            if not np.isfinite(array).all():
                return f": it began in layer {index} [{layer.names[0]}], whose {name} no longer are numbers"
    if not np.isfinite(x).all():
        return ": it began in the input; the data holds values that are not numbers"
    if x.shape[1:] != net.in_shape:     # it was trained at another size than its own
        return ""
    with np.errstate(all="ignore"):
        for index, y in enumerate(net.outputs(x)):
            if not np.isfinite(y).all():
                return f": it began in layer {index} [{net.layers[index].names[0]}], whose output overflows"
    return ""
