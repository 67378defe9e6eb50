"""What a layer is, and the table from section names to layers.

A layer is used in two ways.  The network builds it from a section and the shapes that feed it.  Alone, in a notebook
or a test, it takes the input's shape (without the batch) and its options as keywords:

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
from runner.errors import ShapeError, closest

Shape = tuple[int, ...]

GPU_ONLY = "only AlexeyAB's GPU code reads it; learning_rate=0 or stopbackward keep a layer as it is"
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
    """The layer class of a section; None, and a word to `report`, when there is none of that name."""
    if section.name not in LAYERS and section.name not in ("net", "network"):   # of a second [net] the grammar tells
        near = closest(section.name, LAYERS)
        hint = f"did you mean {near!r}?" if near else "`python run.py explain` lists those there are"
        report.error(f"{section.where()} unknown section ({hint})")
    return LAYERS.get(section.name)


@dataclass
class Progress:
    """Where training stands; a few layers change with it (dropblock grows, [region] starts gently)."""
    iteration: int = 0          # weight updates done
    seen: int = 0               # images seen, as the .weights header counts them
    max_batches: int = 0        # updates planned; 0: no end


@dataclass
class Env:
    """What a network lends to its layers."""
    dtype: np.dtype = field(default_factory=lambda: np.dtype("float32"))
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    compat: Compat = EXACT
    time_steps: int = 1                 # rows of a batch are time major: row t * streams + stream
    in_shape: Shape = ()                # of the network, (c, h, w): anchors are measured in its pixels
    folder: str = "."                   # of the cfg: where the files it names are looked for too
    sampling: bool = False              # [dropout] works outside training too (see Network.sample)
    allocate: bool = True               # False: shapes and counts only, no arrays (check, summary)
    progress: Progress = field(default_factory=Progress)
    observe: Callable[["Layer", str, np.ndarray], None] | None = None   # called with arrays from inside a layer


@dataclass(frozen=True, kw_only=True)
class LayerOptions(Options):
    """Options every section takes."""
    learning_rate: float = opt(1.0, "factor on the network's learning rate", low=0)
    onlyforward: bool = opt(False, "1: no gradient passes through this layer, and it learns nothing")
    stopbackward: int = opt(0, "1: the backward pass ends before this layer, which is frozen with all below it; "
                               "k > 1: only for the first k updates", low=0)
    dontload: bool = opt(False, "1: keep the initial values when a .weights file is read; it holds nothing for it")
    dontsave: bool = opt(False, "1: leave the layer out when a .weights file is written")
    dontloadscales: bool = opt(False, "1: the .weights file holds no batch-norm values for this layer")
    clip: float = opt(0.0, "after an update the weights (not biases) are put between -clip and clip; 0: any size",
                      low=0)
    dont_update: int = ignored(0, "updates before the layer begins to learn", GPU_ONLY)
    burnin_update: int = ignored(0, "burn-in periods before the layer begins to learn", GPU_ONLY)
    train_only_bn: int = ignored(0, "only the rolling statistics of this layer and those before it move", GPU_ONLY)
    truth: bool = ignored(False, "the output replaces the truth for the layers after it", "an experiment of pjreddie's")
    smooth: float = ignored(0.0, "labels smoothed in this layer", "give label_smooth_eps in [net]")


@dataclass(frozen=True)
class Param:
    """A learned or kept array before it exists: its shape, and how it starts."""
    shape: Shape
    start: Callable[[np.random.Generator, Shape], np.ndarray]
    decay: bool = False         # does [net] decay pull it to zero

    @property
    def size(self) -> int:
        return math.prod(self.shape)


def constant(value: float) -> Callable[[np.random.Generator, Shape], np.ndarray]:
    """An array that starts with one value everywhere."""
    return lambda rng, shape: np.full(shape, value)


def uniform(bound: float) -> Callable[[np.random.Generator, Shape], np.ndarray]:
    """Drawn evenly from -bound to bound."""
    return lambda rng, shape: rng.uniform(-bound, bound, shape)


def normal(deviation: float) -> Callable[[np.random.Generator, Shape], np.ndarray]:
    """Drawn from a normal distribution with mean 0."""
    return lambda rng, shape: rng.standard_normal(shape, np.float32) * np.float32(deviation)


class Kept(NamedTuple):
    """What a training forward leaves for the backward pass: its inputs, its output, and further bytes a row."""
    inputs: bool = True
    output: bool = True
    more: int = 0


class Layer(ABC):
    """Holds weights; keeps no activation.

    params     learned arrays by name
    state      what a recurrent layer carries from one call to the next, (streams, ...); empty in all others
    buffers    kept with the weights but not learned (rolling statistics)
    grads      same keys and shapes as params; backward *adds* to them, the optimizer sets them to zero
    specs      Param of every name in params and buffers; there even when nothing is allocated
    stored     names in the order of the .weights file
    out_shape  without the batch: (c, h, w), or (k,) where it is no image
    """
    names: ClassVar[tuple[str, ...]] = ()
    Options: ClassVar[type[LayerOptions]] = LayerOptions
    any_shape: ClassVar[bool] = False       # works alone on arrays of any shape, without being told it first
    mixes_images: ClassVar[str] = ""        # why one image's output depends on the others in training, if it does
    batch_independent: ClassVar[bool] = True    # at inference a row of a batch does not depend on the others
    in_place: ClassVar[bool] = False        # what `prepare` returns may write its output over its first input
    inexact: str = ""                       # why backward is not the derivative of forward, if it is not

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
        self.frozen = False             # the network's word: no gradient comes here, do not learn
        self.wants_dx = True            # the network's word: somebody below uses the gradient of the input
        if in_shapes or not self.any_shape:
            if in_shapes:
                self.setup(*in_shapes)

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

    def reshape(self, *in_shapes: Shape) -> None:
        """Take inputs of these shapes from now on; every array stays.  ShapeError where a weight hangs on the shape."""
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

    # --- for the inference plan (runner/inference/plan.py) ------------------------------------------------

    def prepare(self, rows: int) -> Callable[..., Any]:
        """-> run(*xs, out), which writes the inference output for `rows` rows of a batch into `out`.

        Made once with the weights as they are; where something can be worked out beforehand, this is the place.
        `out` is C-contiguous and (rows, *out_shape), xs are what the sources gave.  Several threads may call it.
        """
        def run(*arrays: np.ndarray) -> None:
            *xs, out = arrays
            np.copyto(out, self.forward(*xs)[0].reshape(out.shape))
        return run

    def alias(self, *xs: np.ndarray) -> np.ndarray | None:
        """The inference output where it is an input unchanged, or a contiguous part of one; None: it is computed."""
        return None

    def concat_in_place(self, rows: int) -> bool:
        """Is the output of `rows` rows the inputs, concatenated in memory?  Then they are written there at once."""
        return False

    # --- for the prediction of memory (runner/analysis/footprint.py) ---------------------------------------

    def keeps(self) -> Kept:
        """What `saved` holds after a training forward; at most, where it depends on the values."""
        return Kept(more=self.bytes_of(self.out_shape))

    def bytes_of(self, shape: Shape) -> int:
        """Memory of one row of that shape."""
        return math.prod(shape) * self.env.dtype.itemsize

    def flops(self) -> float:
        """Floating-point operations for one image, counted as darknet counts them (2 per multiply-add)."""
        return 0.0

    def reset_state(self, streams: np.ndarray | None = None) -> None:
        """Forget what earlier calls left behind: the next one starts as the first did.

        streams  (streams,) bool: only the sequences to forget; None: all
        """
        if streams is None:
            self.state = {}
        else:
            keep = ~np.asarray(streams, bool)
            self.state = {name: array * keep.reshape(-1, *[1] * (array.ndim - 1)) for name, array in self.state.items()
                          if len(array) == len(keep)}

    # --- for the layers themselves ---------------------------------------------------------------

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
        """Make a layer this one is composed of part of it: its arrays appear here as `name/array`."""
        self.children[name] = child
        for key, spec in child.specs.items():
            self.specs[f"{name}/{key}"] = spec
        self.params |= {f"{name}/{key}": array for key, array in child.params.items()}
        self.buffers |= {f"{name}/{key}": array for key, array in child.buffers.items()}
        return child

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

    def add_grad(self, name: str, value: np.ndarray) -> None:
        """Add to the gradient of a parameter."""
        if name not in self.grads:
            self.require_grads()
        self.grads[name] += value

    def image(self, shape: Shape) -> tuple[int, int, int]:
        """`shape` as (c, h, w); k values that came from no image are k maps of one pixel, as in darknet."""
        if len(shape) == 1:
            return shape[0], 1, 1
        if len(shape) != 3 or min(shape) < 1:
            raise ShapeError(f"needs an image (channels, height, width) as its input, and gets {shape_text(shape)}")
        return shape[0], shape[1], shape[2]

    def show(self, name: str, array: np.ndarray) -> None:
        """Let whoever observes the network see an array that never leaves the layer."""
        if self.env.observe is not None:
            self.env.observe(self, name, array)

    def _start(self, name: str) -> np.ndarray:
        spec = self.specs[name]
        return np.ascontiguousarray(spec.start(self.env.rng, spec.shape), self.env.dtype)


class Head(Layer):
    """A layer that is compared with the truth; it starts the backward pass.

    forward gives what inference wants (probabilities, boxes); loss compares it.  What stands behind a head receives
    its gradient through `backward`, which passes it on unchanged unless the head says otherwise: that is what
    darknet does, and what [softmax] followed by [cost] was trained with.
    """

    @abstractmethod
    def loss(self, saved: Any, truth: np.ndarray) -> tuple[float, np.ndarray]:
        """-> the loss darknet prints, summed over the images; the gradient of `objective` by the input."""

    def objective(self, saved: Any, truth: np.ndarray) -> float:
        """The number `loss` gives the gradient of.  Often the loss itself; [cost] sse prints twice it."""
        return self.loss(saved, truth)[0]

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        return (dy.reshape(len(dy), *self.in_shapes[0]),)


def shape_text(shape: Shape) -> str:
    """(c, h, w) as the tables print it, w x h x c."""
    return " x ".join(map(str, shape[::-1])) if len(shape) == 3 else f"{shape[0]} values"
