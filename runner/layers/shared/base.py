"""The contract of a layer, for every section file, and the table from section names to layers.

A layer is used in two ways.  The network builds it from a section and the shapes of its inputs.  On its own, in a
notebook or a test, it takes the shape of its input (without the batch) and its options as keywords:

    layer = Convolutional((3, 8, 8), filters=4, size=3, pad=1)
    y, saved = layer.forward(x, train=True)         # x (n, 3, 8, 8)
    dx, = layer.backward(dy, saved)                 # adds to layer.grads
"""
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from runner.compat import EXACT, Compat
from runner.config import Options, Report, Section, ignored, opt
from runner.errors import OutOfMemory, ShapeError, counted, misspelled
from runner.layers.shared.foreign import FOREIGN
from runner.machine import bytes_text
from runner.program import command

Shape = tuple[int, ...]


class FlatShape(tuple[int, ...]):
    """(k,): the values of a [route] whose inputs differ in width and height.  No layer can read it as an image."""


class NotAnImage(ShapeError):
    """A layer that expects an image got a FlatShape."""


class NotAMultiple(ShapeError):
    """Width and height of an image are not multiples of `step`, which divides them."""

    def __init__(self, text: str, step: int):
        super().__init__(text)
        self.step = step


MOST_VALUES = 2**40     # of an array: 4 TB
START_FACTOR = 2        # memory of an array while its initial values are made, to that of the array

LAYERS: dict[str, type["Layer"]] = {}


def register(*names: str) -> Callable[[type["Layer"]], type["Layer"]]:
    """Class decorator: a cfg section called any of `names` builds this layer; the first is its own name."""
    def add(cls: type["Layer"]) -> type["Layer"]:
        for name in names:
            if name in LAYERS:
                raise ValueError(f"[{name}] is already {LAYERS[name].__name__}")
            LAYERS[name] = cls
        cls.names = names
        return cls
    return add


def find(section: Section, report: Report) -> type["Layer"] | None:
    """The layer class of a section; None, and an error in `report`, when no layer has that name."""
    if section.name not in LAYERS and section.name not in ("net", "network"):   # the grammar reports a second [net]
        known = FOREIGN.get(section.name.lower())
        near = None if report.is_full else misspelled(section.name, LAYERS)
        hint = known or (f"did you mean {near!r}?" if near else f"`{command('explain')}` lists the sections")
        report.error(f"{section.where()} unknown section ({hint})")
    return LAYERS.get(section.name)


@dataclass
class Progress:
    """How far training is; a few layers depend on it (dropblock grows, [region] warms up)."""
    iteration: int = 0          # weight updates done
    seen: int = 0               # images seen, as the .weights header counts them
    max_batches: int = 0        # updates planned; 0: no limit


@dataclass(frozen=True)
class BatchShare:
    """The part of each training batch that this process has: the rank-th of `size` equal parts of its images, or of its
    streams.

    stack         array (k,) -> (size, k), the arrays of all processes by rank
    synchronized  whether batch norm has the statistics of the whole batch, as a single process has; else of the part
    """
    rank: int
    size: int
    stack: Callable[[np.ndarray], np.ndarray]
    synchronized: bool = True

    def own(self, whole: np.ndarray, time_steps: int = 1) -> np.ndarray:
        """The rows of this process, of an array with the rows of the whole batch (time major)."""
        rows = len(whole) // self.size
        by_process = whole.reshape(time_steps, self.size, rows // time_steps, *whole.shape[1:])
        return by_process[:, self.rank].reshape(rows, *whole.shape[1:])


@dataclass
class Env:
    """What a network shares with its layers."""
    dtype: np.dtype = field(default_factory=lambda: np.dtype("float32"))
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    compat: Compat = EXACT
    time_steps: int = 1                 # rows of a batch are time major: row t * streams + stream
    in_shape: Shape = ()                # of the network, (c, h, w): anchors are measured in its pixels
    folder: str = "."                   # of the cfg: files it names may be given relative to it
    sampling: bool = False              # [dropout] is active at inference too (see Network.sample)
    allocate: bool = True               # False: shapes and counts only, no arrays (check, summary)
    free: int | None = None             # bytes that the weights of further layers may take; None: not limited
    progress: Progress = field(default_factory=Progress)
    observe: Callable[["Layer", str, np.ndarray], None] | None = None   # called with the arrays a layer shows
    share: BatchShare | None = None     # of this process in each training batch; None: all of it

    def uniform(self, shape: Shape) -> np.ndarray:
        """Random numbers in 0..1, float32, for the rows of a batch.  Where several processes share it, each draws
        those of the whole batch and gets those of its rows: they are the ones a single process would have."""
        if self.share is None or self.sampling:
            return self.rng.random(shape, np.float32)
        return self.share.own(self.rng.random((shape[0] * self.share.size, *shape[1:]), np.float32), self.time_steps)

    def batch_mean(self, values: list[float]) -> float:
        """The mean of any number of values of a batch, 0 without any.  Where several processes share the batch, the
        mean over all of it divided by their number, so that their losses add up."""
        if self.share is None:
            return sum(values) / len(values) if values else 0.
        total, count = self.share.stack(np.array([sum(values), len(values)], np.float64)).sum(axis=0)
        return float(total / max(count, 1) / self.share.size)


@dataclass(frozen=True, kw_only=True)
class LayerOptions(Options):
    """Options every section takes."""
    learning_rate: float = opt(1.0, "factor on the network's learning rate", low=0)
    onlyforward: bool = opt(False, "1: no gradient passes through this layer, and it is not trained")
    stopbackward: int = opt(0, "1: the backward pass ends before this layer: it and all before it are frozen; "
                               "k > 1: for the first k updates only", low=0)
    dontload: bool = opt(False, "1: keep the initial values when a .weights file is read; it holds none for this layer")
    dontsave: bool = opt(False, "1: leave this layer out when a .weights file is written")
    dontloadscales: bool = opt(False, "1: the .weights file holds no batch-norm values for this layer")
    clip: float = opt(0.0, "after each update the weights (not biases) are clipped to -clip..clip; 0: not clipped",
                      low=0)
    dont_update: int = opt(0, "the weights stay as they are for this many updates; rolling statistics change", low=0)
    burnin_update: int = opt(0, "k: the weights stay as they are until update k * burn_in; rolling statistics change",
                             low=0)
    train_only_bn: bool = opt(False, "1: of this layer and all before it only the rolling statistics of batch norm "
                                     "change, no weight")
    truth: bool = ignored(False, "the output replaces the truth for the layers after it", "an experiment of pjreddie's")
    smooth: float = ignored(0.0, "label smoothing in this layer", "set label_smooth_eps in [net]")


@dataclass(frozen=True)
class Param:
    """The declaration of a learned or stored array: its shape, and its initial values."""
    shape: Shape
    start: Callable[[np.random.Generator, Shape], np.ndarray]
    decay: bool = False         # [net] decay applies to it

    @property
    def size(self) -> int:
        return math.prod(self.shape)


def constant(value: float) -> Callable[[np.random.Generator, Shape], np.ndarray]:
    """Initial values: the same everywhere."""
    return lambda rng, shape: np.full(shape, value)


def uniform(bound: float) -> Callable[[np.random.Generator, Shape], np.ndarray]:
    """Initial values: uniform from -bound to bound."""
    return lambda rng, shape: rng.uniform(-bound, bound, shape)


def normal(std: float) -> Callable[[np.random.Generator, Shape], np.ndarray]:
    """Initial values: normal, with mean 0."""
    return lambda rng, shape: rng.standard_normal(shape, np.float32) * np.float32(std)


class Kept(NamedTuple):
    """What a training forward keeps for the backward pass: its inputs, its output, and further bytes for each row."""
    inputs: bool = True
    output: bool = True
    more: int = 0


class Layer(ABC):
    """Holds weights; keeps no activation.

    params     learned arrays by name
    buffers    stored with the weights but not learned (rolling statistics)
    grads      same keys and shapes as params; backward *adds* to them, the optimizer sets them to zero
    specs      Param of every name in params and buffers; filled even when nothing is allocated
    stored     names in the order of the .weights file
    state      what a recurrent layer carries from one call to the next, (streams, ...); empty in all others
    out_shape  without the batch: (c, h, w), or (k,) where it is not an image

    A new layer needs the first part, "to train"; the other two have defaults that are right, if not the fastest.
    """
    names: ClassVar[tuple[str, ...]] = ()
    Options: ClassVar[type[LayerOptions]] = LayerOptions

    # what it promises; each has a default
    any_shape: ClassVar[bool] = False       # built on its own, it does not need to know the shape of its input
    mixes_images: ClassVar[str] = ""        # why, in training, an image's output depends on the rest of the batch
    inexact: str = ""                       # why backward is not the derivative of forward
    remark: str = ""                        # what `check` warns of, at size=; set by setup
    batch_independent: ClassVar[bool] = True    # at inference, no row of a batch depends on the others
    keeps_rows: bool = True                     # as many rows come out as go in; else no inference plan is made
    in_place: ClassVar[bool] = False        # what `prepare` returns may write its output over its first input

    def __init__(self, *in_shapes: Shape, env: Env | None = None, **options: Any):
        self._build(self.Options.make(type(self).__name__, **options), in_shapes, env or Env())
        if not in_shapes and not self.any_shape:
            name = type(self).__name__
            raise ShapeError(f"{name} needs the shape of its input, without the batch: {name}((3, 8, 8), ...)")

    @classmethod
    def build(cls, options: LayerOptions, in_shapes: Iterable[Shape], env: Env) -> Self:
        """The layer of a parsed section, as the network makes it."""
        self = object.__new__(cls)
        self._build(options, tuple(in_shapes), env)
        return self

    def _build(self, options: LayerOptions, in_shapes: tuple[Shape, ...], env: Env) -> None:
        self.options: Any = options
        self.in_shapes, self.env = in_shapes, env
        self.params: dict[str, np.ndarray] = {}
        self.buffers: dict[str, np.ndarray] = {}
        self.grads: dict[str, np.ndarray] = {}
        self.specs: dict[str, Param] = {}
        self.stored: tuple[str, ...] = ()
        self.children: dict[str, Layer] = {}
        self.state: dict[str, np.ndarray] = {}
        self.out_shape: Shape = in_shapes[0] if in_shapes else ()
        self.frozen = False             # set by the network: no gradient arrives here, and nothing is updated
        self.held = False               # set by the network: its weights are not updated, its rolling statistics are
        self.wants_dx = True            # set by the network: an earlier layer needs the gradient of the input
        if in_shapes:
            self.setup(*in_shapes)
            self._limit_sizes()

    def _limit_sizes(self) -> None:
        """ShapeError where an array has more than MOST_VALUES values."""
        if math.prod(self.out_shape) > MOST_VALUES:
            raise ShapeError(f"its output, {shape_text(self.out_shape)}, has more than {MOST_VALUES:,} values")
        for name, spec in self.specs.items():
            if spec.size > MOST_VALUES:
                sides = " x ".join(map(str, spec.shape))
                raise ShapeError(f"its {name}, {sides}, have more than {MOST_VALUES:,} values")

    # --- to train (required) -----------------------------------------------------------------------------

    @staticmethod
    def sources(options: Any) -> tuple[int, ...]:
        """Which earlier outputs it reads: negative counts back from this layer, else the layer's index."""
        return (-1,)

    def setup(self, *in_shapes: Shape) -> None:     # noqa: B027  (not every layer has something to set up)
        """Check the shapes, set out_shape, declare params.  ShapeError says what cannot work.

        The default is for layers that keep the shape and learn nothing.
        """

    @abstractmethod
    def forward(self, *xs: np.ndarray, train: bool = False) -> tuple[np.ndarray, Any]:
        """-> y, saved: the output, and what backward will need."""

    @abstractmethod
    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """-> one dx for each source; adds to self.grads."""

    # --- to plan inference (optional; runner/inference/plan.py) --------------------------------------------

    def prepare(self, rows: int) -> Callable[..., Any]:
        """-> run(*xs, out), which writes the inference output for `rows` rows of a batch into `out`.

        Called once, with the weights as they are: whatever depends only on them is computed here.  `out` is
        C-contiguous and (rows, *out_shape), xs are the outputs of the sources.  run must be thread-safe.
        """
        def run(*arrays: np.ndarray) -> None:
            *xs, out = arrays
            np.copyto(out, self.forward(*xs)[0].reshape(out.shape))
        return run

    def alias(self, *xs: np.ndarray) -> np.ndarray | None:
        """The inference output where it is an input unchanged, or a contiguous part of one; None: it is computed."""
        return None

    def concat_in_place(self, rows: int) -> bool:
        """Is the output of `rows` rows the inputs, concatenated in memory?  Then their layers write them there."""
        return False

    # --- to estimate memory and work (optional; runner/analysis/footprint.py) ------------------------------

    def keeps(self) -> Kept:
        """What `saved` holds after a training forward; at most, where it depends on the values."""
        return Kept(more=self.bytes_of(self.out_shape))

    def flops(self) -> float:
        """Floating-point operations for one image, counted as darknet counts them (2 per multiply-add)."""
        return 0.0

    def bytes_of(self, shape: Shape) -> int:
        """Memory of one row of that shape."""
        return math.prod(shape) * self.env.dtype.itemsize

    # --- what the network calls: inherited by every layer --------------------------------------------------

    def reshape(self, *in_shapes: Shape) -> None:
        """Change the shapes of the inputs; every array stays.  ShapeError where a weight's shape depends on them."""
        allocate, self.env.allocate = self.env.allocate, False
        try:
            trial = type(self).build(self.options, in_shapes, self.env)
            if {name: spec.shape for name, spec in trial.specs.items()} != \
                    {name: spec.shape for name, spec in self.specs.items()}:
                raise ShapeError(f"the weights of [{self.names[0]}] depend on the size of its input "
                                 f"({shape_text(self.in_shapes[0])})")
            kept, children = (self.stored, self.state), dict(self.children)
            self.in_shapes, self.out_shape = in_shapes, in_shapes[0]
            self.setup(*in_shapes)
            self.stored, self.state = kept
        finally:
            self.env.allocate = allocate
        for name, old in children.items():      # the new ones know the shapes, the old ones have the arrays
            new = self.children[name]
            new.params, new.buffers, new.grads, new.state = old.params, old.buffers, old.grads, old.state

    def reset_state(self, streams: np.ndarray | None = None) -> None:
        """Forget what earlier calls left: the next call starts as the first one did.

        streams  (streams,) bool: only the sequences to forget; None: all
        """
        if streams is None:
            self.state = {}
        else:
            keep = ~np.asarray(streams, bool)
            self.state = {name: array * keep.reshape(-1, *[1] * (array.ndim - 1)) for name, array in self.state.items()
                          if len(array) == len(keep)}

    def require_grads(self) -> None:
        """Make the gradient arrays, zero; children share theirs with this layer."""
        if len(self.grads) == len(self.params):
            return
        for name, child in self.children.items():
            child.require_grads()
            self.grads |= {f"{name}/{key}": array for key, array in child.grads.items()}
        for name, array in self.params.items():
            if name not in self.grads:
                self.grads[name] = np.zeros_like(array)

    # --- what a layer calls --------------------------------------------------------------------------------

    def param(self, name: str, shape: Shape, start: Callable, *, decay: bool = False) -> None:
        """Declare a learned array."""
        self.specs[name] = Param(shape, start, decay)
        if self.env.allocate:
            self.params[name] = self._start(name)

    def buffer(self, name: str, shape: Shape, start: Callable) -> None:
        """Declare an array that is stored with the weights and not learned."""
        self.specs[name] = Param(shape, start)
        if self.env.allocate:
            self.buffers[name] = self._start(name)

    def adopt(self, name: str, child: "Layer") -> "Layer":
        """Make `child` a part of this layer: its arrays appear here as `name/array`."""
        self.children[name] = child
        for key, spec in child.specs.items():
            self.specs[f"{name}/{key}"] = spec
        self.params |= {f"{name}/{key}": array for key, array in child.params.items()}
        self.buffers |= {f"{name}/{key}": array for key, array in child.buffers.items()}
        return child

    def add_grad(self, name: str, value: np.ndarray) -> None:
        """Add to the gradient of a parameter."""
        if name not in self.grads:
            self.require_grads()
        self.grads[name] += value

    def image(self, shape: Shape) -> tuple[int, int, int]:
        """`shape` as (c, h, w); k values that did not come from an image are k channels of one pixel, as in darknet."""
        if isinstance(shape, FlatShape):
            raise NotAnImage(f"expects an image (channels, height, width) as input. Got the "
                             f"{counted(shape[0], 'value')} of a [route] whose inputs differ in width and height")
        if len(shape) == 1:
            return shape[0], 1, 1
        if len(shape) != 3 or min(shape) < 1:
            raise ShapeError(f"expects an image (channels, height, width) as input. Got {shape_text(shape)}")
        return shape[0], shape[1], shape[2]

    def show(self, name: str, array: np.ndarray) -> None:
        """Pass an array that never leaves the layer to the observer, if the network has one."""
        if self.env.observe is not None:
            self.env.observe(self, name, array)

    def _start(self, name: str) -> np.ndarray:
        spec = self.specs[name]
        size = spec.size * self.env.dtype.itemsize
        if self.env.free is not None:
            if START_FACTOR * size > self.env.free:
                raise OutOfMemory(f"its {name} ({bytes_text(size)}) do not fit into memory: "
                                  f"{bytes_text(self.env.free)} are left")
            self.env.free -= size
        return np.ascontiguousarray(spec.start(self.env.rng, spec.shape), self.env.dtype)


class Head(Layer):
    """A layer that is compared with the truth; it starts the backward pass.

    forward gives what inference wants (probabilities, boxes); loss compares it.  A head that is followed by other
    layers receives their gradient in `backward`, which by default passes it on unchanged: that is what darknet does,
    and how networks that end with [softmax] and [cost] were trained.
    """

    @abstractmethod
    def loss(self, saved: Any, truth: np.ndarray) -> tuple[float, np.ndarray]:
        """-> the loss darknet prints, summed over the images; the gradient of `objective` with respect to the input."""

    def objective(self, saved: Any, truth: np.ndarray) -> float:
        """The number whose gradient `loss` returns.  Usually the loss itself; [cost] sse prints twice as much."""
        return self.loss(saved, truth)[0]

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        return (dy.reshape(len(dy), *self.in_shapes[0]),)


def shape_text(shape: Shape) -> str:
    """(c, h, w) as tables and messages print it: w x h x c."""
    return " x ".join(map(str, shape[::-1])) if len(shape) == 3 else counted(shape[0], "value")
