"""Where the time goes: every layer of a network timed, and held against what the machine can do.

The layers are timed where they are called, in the network as it runs, not one by one: caches and memory are those of
the real thing.  Two roofs are measured first: how fast matrices are multiplied, and how fast memory is copied.
"""
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from runner.errors import UsageError
from runner.inference import Plan
from runner.layers.shared.base import Head, Layer
from runner.layers.shared.heads import DetectionHead
from runner.network import Network
from runner.ops import parallel
from runner.ops.inference_op import InferenceOp, Layout, Program, Shape, View
from runner.optim.optimizers import make_optimizer

LONG_ENOUGH = 2.0       # seconds of runs, where nobody says how many


@dataclass(frozen=True)
class Roof:
    """What the machine does at best: operations a second in a product, bytes a second read and written in a copy."""
    flops: float
    bandwidth: float


@dataclass(frozen=True)
class LayerTime:
    """One layer: median seconds, and what had to be done in them.

    forward, backward  seconds; backward holds the loss of a head and is 0 at inference
    flops              of its products, 2 a multiply-add; 0 where there are none
    traffic            bytes of inputs, outputs and weights, each counted once (in training: their gradients too): at
                       least so much is read or written
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
        """Time the machine would need at best, for the products or for the memory, over the time that was taken."""
        return max(self.flops / roof.flops, self.traffic / roof.bandwidth) / self.seconds if self.seconds else 0.0

    def bound_by_memory(self, roof: Roof) -> bool:
        return self.traffic / roof.bandwidth > self.flops / roof.flops


@dataclass(frozen=True)
class Profile:
    """Medians over `runs` runs with `rows` rows of input; update and rest are what is spent outside the layers."""
    layers: tuple[LayerTime, ...]
    total: float
    update: float
    rest: float
    runs: int
    rows: int
    roof: Roof


def profile(net: Network, count: int = 1, *, train: bool = False, runs: int | None = None) -> Profile:
    """Time every layer: inference of `count` images (or sequences) at once, as prediction runs it, or a training step.

    runs  how many are timed, after one that is not; None: as many as fit into two seconds, at least three
    The input is noise.  In training the learning rate is 0: the weights stay as they are.
    """
    rows = count * net.env.time_steps
    watch = _Watch(len(net.layers), rows)
    with watch.on(net, train):
        step = _training_step(net, count, watch) if train else _inference(net, count)
        step()
        roof = measure_roof()
        seconds: list[float] = []
        watch.begin()
        while len(seconds) < (runs or 3) or (runs is None and sum(seconds) < LONG_ENOUGH):
            began = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - began)
            watch.close_run()
    forward, backward, update = watch.medians()
    total, layers = median(seconds), []
    for index, layer in enumerate(net.layers):
        flops, traffic = _work(layer, rows, train)
        layers.append(LayerTime(index, layer.names[0], layer.out_shape, forward[index], backward[index], flops,
                                traffic))
    rest = max(0.0, total - update - sum(layer.seconds for layer in layers))
    return Profile(tuple(layers), total, update, rest, len(seconds), rows, roof)


def example(net: Network, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A batch of noise as `runner.train` takes it: x (rows, *in_shape), and a truth of the form the heads want."""
    rows = count * net.env.time_steps
    if len(net.in_shape) == 3:
        x = rng.random((rows, *net.in_shape), np.float32)
    else:
        x = np.eye(net.in_shape[0], dtype=np.float32)[rng.integers(0, net.in_shape[0], rows)]
    if not net.heads:
        raise UsageError("no layer of the network is compared with a truth: it cannot be trained")
    head = net.layers[net.heads[-1]]
    if isinstance(head, DetectionHead):
        boxes = rng.uniform(0.2, 0.6, (rows, 3, 5)).astype(np.float32)
        boxes[:, :, 2:4] *= 0.5
        boxes[:, :, 4] = rng.integers(0, head.options.classes, (rows, 3))
        return x, boxes
    classes = math.prod(head.in_shapes[0])
    return x, np.eye(classes, dtype=np.float32)[rng.integers(0, classes, rows)]


def measure_roof() -> Roof:
    """What all threads together reach: products of 1024 x 1024 matrices, copies of 64 MB; the best of a few tries."""
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


def _inference(net: Network, count: int) -> Callable[[], Any]:
    x = np.random.default_rng(0).random((count * net.env.time_steps, *net.in_shape), np.float32)
    plan, wanted = Plan(net), sorted({net.last, *net.heads})      # a detector has several heads
    return lambda: plan.wanted(x, wanted)


def _training_step(net: Network, count: int, watch: "_Watch") -> Callable[[], Any]:
    x, truth = example(net, count, np.random.default_rng(0))
    optimizer = make_optimizer(net)

    def step() -> None:
        _, tape = net.forward(x, train=True)
        net.backward(tape, truth)
        began = time.perf_counter()
        optimizer.step(0.0, count)
        watch.update = time.perf_counter() - began
    return step


class _Watch:
    """Stands between the network and its layers, and adds up the time spent in each, run by run."""

    def __init__(self, layers: int, rows: int):
        # images of a batch may be computed side by side: then threads spend their time at once
        self.abreast = max(1, min(parallel.threads(), rows))
        self.now = [[0.0] * layers, [0.0] * layers]     # forward, backward
        self.runs: list[list[list[float]]] = []
        self.updates: list[float] = []
        self.update = 0.0
        self._lock = threading.Lock()
        self._inside = threading.local()

    @contextmanager
    def on(self, net: Network, train: bool) -> Iterator[None]:
        """While it lasts, the layers' own methods are those that are timed."""
        try:
            for index, layer in enumerate(net.layers):
                if train:
                    self._put(layer, "forward", index, 0)
                    self._put(layer, "backward", index, 1)
                    if isinstance(layer, Head):
                        self._put(layer, "loss", index, 1)
                else:       # the plan calls what this makes
                    layer.__dict__["prepare"] = self._prepared(layer.prepare, index)
            yield
        finally:
            for layer in net.layers:
                for name in ("forward", "backward", "loss", "prepare"):
                    layer.__dict__.pop(name, None)

    def begin(self) -> None:
        """Forget what came before."""
        self.runs, self.updates = [], []
        self.now = [[0.0] * len(part) for part in self.now]

    def close_run(self) -> None:
        self.runs.append(self.now)
        self.updates.append(self.update)
        self.now = [[0.0] * len(part) for part in self.now]

    def medians(self) -> tuple[list[float], list[float], float]:
        """-> forward and backward of each layer, update."""
        forward, backward = ([median(run[part][i] for run in self.runs) for i in range(len(self.now[part]))]
                             for part in (0, 1))
        return forward, backward, median(self.updates)

    def _put(self, layer: Layer, name: str, index: int, part: int) -> None:
        layer.__dict__[name] = self._timed(getattr(layer, name), index, part)

    def _prepared(self, prepare: Callable[..., Any], index: int) -> Callable[..., Any]:
        def prepared(rows: int) -> Any:
            run = prepare(rows)
            if isinstance(run, InferenceOp):
                return _TimedOp(run, lambda function: self._timed(function, index, 0))
            return self._timed(run, index, 0)
        return prepared

    def _timed(self, function: Callable[..., Any], index: int, part: int) -> Callable[..., Any]:
        def timed(*args: Any, **named: Any) -> Any:
            if getattr(self._inside, "layer", False):       # one timed method calls another: count it once
                return function(*args, **named)
            self._inside.layer = True
            share = self.abreast if parallel.inside_worker() and not parallel.is_alone() else 1
            began = time.perf_counter()
            try:
                return function(*args, **named)
            finally:
                spent = (time.perf_counter() - began) / share
                self._inside.layer = False
                with self._lock:
                    self.now[part][index] += spent
        return timed


class _TimedOp(InferenceOp):
    """An operator that becomes a program of its own, whose calls are timed."""
    own_program = True

    def __init__(self, op: InferenceOp, timed: Callable[..., Any]):
        self._op, self._timed, self.border = op, timed, op.border

    def __call__(self, *arrays: np.ndarray) -> np.ndarray:
        y: np.ndarray = self._timed(self._op)(*arrays)
        return y

    def emit(self, program: Any, xs: list[View], y: View, scratch: int) -> None:
        self._op.emit(program.inner, xs, y, scratch)

    def convert(self, source: Layout, target: Layout) -> InferenceOp:
        return self._op.convert(source, target)

    def new_program(self, rows: int, dry: bool) -> Program:
        return _TimedProgram(self._op.new_program(rows, dry), self._timed)

    def layouts(self, shapes: list[Shape], border: int) -> tuple[list[Layout], Layout]:
        return self._op.layouts(shapes, border)

    def scratch(self, rows: int) -> int:
        return self._op.scratch(rows)

    def pack_weights(self) -> None:
        self._op.pack_weights()


class _TimedProgram(Program):
    """A program whose calls are timed."""

    def __init__(self, inner: Program, timed: Callable[..., Any]):
        self.inner, self._timed = inner, timed

    def bind(self, buffer: np.ndarray) -> Callable[[np.ndarray], None]:
        run: Callable[[np.ndarray], None] = self._timed(self.inner.bind(buffer))
        return run


def _work(layer: Layer, rows: int, train: bool) -> tuple[float, float]:
    """-> flops of the products, bytes that must be moved at least."""
    weights = sum(spec.size for spec in layer.specs.values() if len(spec.shape) > 1)
    # darknet's table counts nothing for matrices: every weight is a multiply-add for each row
    flops = (layer.flops() or 2.0 * weights) * rows if weights else 0.0
    values = (sum(map(math.prod, layer.in_shapes)) + math.prod(layer.out_shape)) * rows
    if train:
        learns = not layer.frozen
        flops *= 1 + learns + (learns and layer.wants_dx)
        values *= 2
        weights *= 3
    return flops, layer.env.dtype.itemsize * float(values + weights)
