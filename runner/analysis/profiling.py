"""Where the time goes: every layer of a network timed, and compared with what the machine can do (the roofline model).

The layers are timed in the network as it runs, not one by one: with its caches and its memory.  Two limits of the
machine are measured: how fast matrices are multiplied, and how fast memory is copied.
"""
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from runner.errors import UsageError
from runner.inference import Plan
from runner.layers.shared.base import Layer
from runner.layers.shared.heads import DetectionHead
from runner.network import Network
from runner.ops import parallel
from runner.optim.optimizers import make_optimizer

LONG_ENOUGH = 2.0       # seconds of runs, where their number is not given


@dataclass(frozen=True)
class Roof:
    """The machine's limits: operations per second in a matrix product, bytes per second read and written in a copy."""
    flops: float
    bandwidth: float


@dataclass(frozen=True)
class LayerTime:
    """One layer: median seconds, and the work done in them.

    forward, backward  seconds; backward includes the loss of a head and is 0 at inference
    flops              of its matrix products, 2 per multiply-add; 0 where there are none
    traffic            bytes of inputs, outputs and weights, each counted once (in training: their gradients too): the
                       least that must be read or written
    """
    index: int
    name: str
    out_shape: tuple[int, ...]
    forward: float
    backward: float
    flops: float
    traffic: float

    @property
    def seconds(self) -> float:
        return self.forward + self.backward

    def of_roof(self, roof: Roof) -> float:
        """The time the machine needs at best, for the products or for the memory, divided by the time it took."""
        return max(self.flops / roof.flops, self.traffic / roof.bandwidth) / self.seconds if self.seconds else 0.0

    def bound_by_memory(self, roof: Roof) -> bool:
        return self.traffic / roof.bandwidth > self.flops / roof.flops


@dataclass(frozen=True)
class Profile:
    """Medians over `runs` runs with `rows` rows of input; update and rest: seconds spent outside the layers."""
    layers: tuple[LayerTime, ...]
    total: float
    update: float
    rest: float
    runs: int
    rows: int
    roof: Roof


def profile(net: Network, count: int = 1, *, train: bool = False, runs: int | None = None) -> Profile:
    """Time every layer: inference of `count` images (or sequences) at once, as prediction runs it, or a training step.

    runs  how many are timed, after a warm-up run; None: as many as fit into two seconds, at least three
    The input is noise.  In training the learning rate is 0: the weights stay as they are.
    """
    rows = count * net.env.time_steps
    watch = _Stopwatch(len(net.layers), rows)
    step = (_training_step if train else _inference)(net, count, watch)
    step()
    roof = measure_roof()
    seconds: list[float] = []
    watch.reset()
    while len(seconds) < (runs or 3) or (runs is None and sum(seconds) < LONG_ENOUGH):
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
        watch.end_run()
    forward, backward, [update] = watch.medians("forward"), watch.medians("backward"), watch.medians("update")
    total, layers = median(seconds), []
    for index, layer in enumerate(net.layers):
        flops, traffic = _work(layer, rows, train)
        layers.append(LayerTime(index, layer.names[0], layer.out_shape, forward[index], backward[index], flops,
                                traffic))
    rest = max(0.0, total - update - sum(layer.seconds for layer in layers))
    return Profile(tuple(layers), total, update, rest, len(seconds), rows, roof)


def example(net: Network, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A batch of noise as `runner.train` takes it: x (rows, *in_shape), and ground truth as the heads expect it."""
    rows = count * net.env.time_steps
    if len(net.in_shape) == 3:
        x = rng.random((rows, *net.in_shape), np.float32)
    else:
        x = np.eye(net.in_shape[0], dtype=np.float32)[rng.integers(0, net.in_shape[0], rows)]
    if not net.heads:
        raise UsageError("the network has no layer with a loss: it cannot be trained")
    head = net.layers[net.heads[-1]]
    if isinstance(head, DetectionHead):
        boxes = rng.uniform(0.2, 0.6, (rows, 3, 5)).astype(np.float32)
        boxes[:, :, 2:4] *= 0.5
        boxes[:, :, 4] = rng.integers(0, head.options.classes, (rows, 3))
        return x, boxes
    classes = math.prod(head.in_shapes[0])
    return x, np.eye(classes, dtype=np.float32)[rng.integers(0, classes, rows)]


def measure_roof() -> Roof:
    """What all threads together reach: products of 1024 x 1024 matrices, copies of 64 MB; the best of five."""
    workers, side, values = parallel.threads(), 1024, 8 << 20
    a, b = (np.random.default_rng(0).random((side, side), np.float32) for _ in range(2))
    products = [np.empty_like(a) for _ in range(workers)]
    copies = [(np.ones(values, np.float32), np.empty(values, np.float32)) for _ in range(workers)]

    def multiply(i: int) -> None:
        np.matmul(a, b, out=products[i])

    def copy(i: int) -> None:
        np.copyto(copies[i][1], copies[i][0])
    return Roof(2.0 * side**3 * workers / _best(multiply, workers), 8.0 * values * workers / _best(copy, workers))


def _best(work: Callable[[int], None], workers: int) -> float:
    best = math.inf
    for _ in range(5):
        began = time.perf_counter()
        parallel.for_each(work, workers)
        best = min(best, time.perf_counter() - began)
    return best


def _inference(net: Network, count: int, watch: "_Stopwatch") -> Callable[[], Any]:
    x = np.random.default_rng(0).random((count * net.env.time_steps, *net.in_shape), np.float32)
    plan, wanted = Plan(net, timer=watch.layer), sorted({net.last, *net.heads})      # a detector has several heads
    return lambda: plan.wanted(x, wanted)


def _training_step(net: Network, count: int, watch: "_Stopwatch") -> Callable[[], Any]:
    x, truth = example(net, count, np.random.default_rng(0))
    optimizer = make_optimizer(net)

    def step() -> None:
        _, tape = net.forward(x, train=True, timer=watch.layer)
        net.backward(tape, truth, timer=watch.layer)
        with watch.update():
            optimizer.step(0.0, count)
    return step


class _Stopwatch:
    """The time spent in each layer and in the weight update, run by run; `layer` is a LayerTimer."""

    def __init__(self, layers: int, rows: int):
        # images of a batch may be computed in parallel: then several threads spend their time at once
        self._in_parallel = max(1, min(parallel.threads(), rows))
        self._zero = {"forward": [0.0] * layers, "backward": [0.0] * layers, "update": [0.0]}
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget all runs, and what was measured since the last one."""
        self._runs: list[dict[str, list[float]]] = []
        self._now = {part: list(seconds) for part, seconds in self._zero.items()}

    def end_run(self) -> None:
        self._runs.append(self._now)
        self._now = {part: list(seconds) for part, seconds in self._zero.items()}

    def medians(self, part: str) -> list[float]:
        """Seconds, the median over the runs: of each layer for "forward" and "backward", of one for "update"."""
        return [median(times) for times in zip(*(run[part] for run in self._runs), strict=True)]

    @contextmanager
    def layer(self, index: int, part: str) -> Iterator[None]:
        share = self._in_parallel if parallel.inside_worker() and not parallel.is_serial() else 1
        began = time.perf_counter()
        try:
            yield
        finally:
            spent = (time.perf_counter() - began) / share
            with self._lock:
                self._now[part][index] += spent

    def update(self) -> AbstractContextManager[None]:
        return self.layer(0, "update")


def _work(layer: Layer, rows: int, train: bool) -> tuple[float, float]:
    """-> flops of the products, bytes that must be read or written at least."""
    weights = sum(spec.size for spec in layer.specs.values() if len(spec.shape) > 1)
    # darknet's table counts nothing for matrices: every weight is a multiply-add for each row
    flops = (layer.flops() or 2.0 * weights) * rows if weights else 0.0
    values = (sum(map(math.prod, layer.in_shapes)) + math.prod(layer.out_shape)) * rows
    if train:
        learns = not layer.frozen and (layer.wants_dx or not layer.held)
        flops *= 1 + learns + (learns and layer.wants_dx)
        values *= 2
        weights *= 3
    return flops, layer.env.dtype.itemsize * float(values + weights)
