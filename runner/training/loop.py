"""The training loop.  It computes and reports; its caller prints, saves and stops."""
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
from runner.process_group import Group
from runner.training.gradient_sum import GradientSum


@dataclass(frozen=True)
class Step:
    """One weight update."""
    number: int         # updates so far, this one included
    seen: int           # images so far, as counted in the .weights header
    images: int         # images in this update
    loss: float         # per image, averaged over the heads
    rate: float         # learning rate
    seconds: float      # from requesting the images to the end of the update
    waited: float       # seconds of it spent waiting for images


def train(net: Network, batches: Iterable[tuple[np.ndarray, np.ndarray]], *,
          optimizer: Optimizer | None = None, group: Group | None = None) -> Iterator[Step]:
    """Yield a Step after every weight update, until [net] max_batches or the end of `batches`.

    batches    (x, truth) pairs: x (n, c, h, w) float32, truth (n, classes) for classifiers, (n, boxes, 5) for
               detectors.  An update takes `subdivisions` of them, each of batch // subdivisions images, and
               accumulates their gradients.  If a detection head sets random=, the size of x may vary between batches
    optimizer  None: the one [net] asks for
    group      the processes that share each batch; x and truth are then this one's rows of it.  The gradients are
               summed over all of them, and so are the numbers of a Step

    The learning rate follows [net] policy; dropout draws from the network's random generator.  Counting starts from
    `net.progress`, so a network loaded from a .weights file continues where it stopped.

    Diverged is raised when the loss or a gradient is NaN or infinite, before the weights are updated; the message
    names the layer where it was first seen.
    """
    optimizer = optimizer or make_optimizer(net)
    progress, options, source = net.progress, net.options, iter(batches)
    multi_scale = any(head.options.random for head in map(net.layers.__getitem__, detection_heads(net.layers)))
    cfg_size = net.in_shape[2:0:-1]      # width, height
    share = net.env.share
    sums = GradientSum(net, group, not (share and share.synchronized)) if group else None
    processes = group.size if group else 1
    while not options.max_batches or progress.iteration < options.max_batches:
        start, waited, images, loss = time.perf_counter(), 0.0, 0, 0.0
        try:
            for part in range(options.subdivisions):
                requested = time.perf_counter()
                batch = next(source, None)
                waited += time.perf_counter() - requested
                if batch is None:
                    break
                x, truth = batch
                progress.seen += len(x) * processes
                if multi_scale:
                    net.resize(x.shape[3], x.shape[2])
                _, tape = net.forward(x, train=True)
                if sums and part == options.subdivisions - 1:
                    loss += net.backward(tape, truth, timer=sums.timer)[0]
                else:
                    loss += net.backward(tape, truth)[0]
                images += len(x)
                if not sums and not math.isfinite(loss):
                    _diverged(net, x, images, f"the loss of update {progress.iteration + 1} is NaN or infinite")
        finally:
            if multi_scale:
                net.resize(*cfg_size)    # between updates the network has the size its cfg gives
        if not images:
            return
        if sums:
            loss, images = _summed(net, sums, loss, images)
            if not math.isfinite(loss):
                _diverged(net, x, images, f"the loss of update {progress.iteration + 1} is NaN or infinite", group)
        if not optimizer.gradients_are_finite():
            index, name = next((index, layer.names[0]) for index, layer in enumerate(net.layers)
                               if not all(np.isfinite(g).all() for g in layer.grads.values()))
            _diverged(net, x, images, f"the gradient of layer {index} [{name}] is NaN or infinite in update "
                                      f"{progress.iteration + 1}", group)
        rate = rate_at(options, progress.iteration + 1, net.env.rng, single=net.env.compat.single_rates)
        optimizer.step(rate, images)
        progress.iteration += 1
        yield Step(progress.iteration, progress.seen, images, loss / images, rate, time.perf_counter() - start, waited)


def _summed(net: Network, sums: GradientSum, loss: float, images: int) -> tuple[float, int]:
    """Sum gradients, losses and counts over the processes -> loss, images."""
    total = sums.finish(np.array([loss, images, *net.losses.values()]))
    net.losses = dict(zip(net.losses, total[2:].tolist(), strict=True))
    return float(total[0]), round(float(total[1]))


def _diverged(net: Network, x: np.ndarray, images: int, problem: str, group: Group | None = None) -> None:
    """Undo what the unfinished update has done so far, and raise Diverged with the layer where it started."""
    net.progress.seen -= images
    net.zero_grads()
    origin = _first_non_finite(net, x)
    if group:
        origins = [f"{one} (in process {rank})" for rank, one in enumerate(group.gather(origin)) if one]
        # where weights or data contain it is the cause; an output can follow from that of another process
        origin = min(origins, key=lambda text: "contain" not in text, default="")
    raise Diverged(f"{problem}, first seen in {origin}" if origin else problem)


def _first_non_finite(net: Network, x: np.ndarray) -> str:
    """Locate the first non-finite value: in a layer's weights, in the input, or in a layer's output.  "": not found."""
    for index, layer in enumerate(net.layers):
        for name, array in layer.params.items():
            if not np.isfinite(array).all():
                return f"layer {index} [{layer.names[0]}]: its {name} contain NaN or infinity"
    if not np.isfinite(x).all():
        return "the input: the data contains NaN or infinity"
    if x.shape[1:] != net.in_shape:     # a batch of multi-scale training: the network is back at its own size
        return ""
    with np.errstate(all="ignore"):
        for index, y in enumerate(net.outputs(x)):
            if not np.isfinite(y).all():
                return f"layer {index} [{net.layers[index].names[0]}]: its output overflows"
    return ""
