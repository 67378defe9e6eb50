"""The sections of a cfg while a graph is read: what each reads, its shape and arrays; then the text of the cfg."""
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from runner.config import Line, Report, Section
from runner.errors import RunnerError
from runner.layers import LAYERS
from runner.layers.shared.base import Env, Shape, shape_text

INPUT = "input"         # the draft that stands for the network's input
UNKNOWN = "unknown"     # one that stands for what could not be read
EPSILON = 1e-5          # of batch norm here
ORDER = ("batch_normalize", "filters", "output", "size", "stride", "stride_y", "stride_x", "pad", "padding", "groups",
         "dilation")    # of options; all others come after these
WITH_TAIL = ("convolutional", "depthwise_convolutional", "deconvolutional", "connected")
COMMUTATIVE = ("shortcut", "sam")
NAMES_ALL = ("route", "channel_slice")      # sections whose option names every input
Options = dict[str, int | str]


class NoSection(Exception):
    """An operator, or a use of it, that no section computes; the text says why."""


@dataclass(eq=False)
class Draft:
    """A section to be.  reads: the drafts whose outputs it takes; nodes: names of the nodes it stands for."""
    section: str
    options: Options
    reads: tuple["Draft", ...]
    shape: Shape
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    nodes: list[str] = field(default_factory=list)

    @property
    def image(self) -> Shape:
        """(c, h, w); flat values are channels of one pixel."""
        return self.shape if len(self.shape) == 3 else (self.shape[0], 1, 1)


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the graph: the output of a draft in a shape of its own, without the batch.

    pads    zeros that a Pad has put around it: top, left, bottom, right
    shared  more than one node reads it
    sampled every k-th pixel of the output, or with channels of zeros behind it: what [shortcut] reads of another size
    """
    draft: Draft
    shape: Shape
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    shared: bool = False
    sampled: bool = False

    def whole(self) -> "Value":
        """Itself; NoSection where it has zeros around it, or is sampled."""
        if any(self.pads):
            raise NoSection("zeros from a Pad are read by convolutions only")
        if self.sampled:
            raise NoSection("every k-th pixel, and channels of zeros, are read by [shortcut] only")
        return self

    def as_image(self) -> Shape:
        """(c, h, w); NoSection where a reshape made another image of the output of its section."""
        shape = self.whole().shape if len(self.shape) == 3 else (*self.shape, 1, 1)
        if shape != self.draft.image:
            raise NoSection(f"its input is {text_of(self.draft.shape)} seen as {text_of(self.shape)}")
        return self.draft.image

    def flat(self) -> int:
        """The number of its values; NoSection where it is not (batch, values)."""
        if len(self.whole().shape) != 1:
            raise NoSection(f"its input must be (batch, values). Got {text_of(self.shape)}")
        return self.shape[0]


def text_of(shape: Sequence[int]) -> str:
    return shape_text(tuple(shape)) if len(shape) in (1, 3) else " x ".join(map(str, shape))


class Drafts:
    """All sections, in order."""

    def __init__(self, in_shape: Shape):
        self.input = Draft(INPUT, {}, (), in_shape)
        self.all: list[Draft] = []

    def add(self, section: str, options: Options, *reads: Value, **arrays: np.ndarray) -> Value:
        """A new section -> its output.  NoSection where the layer refuses its options or shapes."""
        shape = shape_of(section, options, [value.draft.shape for value in reads])
        draft = Draft(section, options, tuple(value.draft for value in reads), shape,
                      {name: np.asarray(array, np.float32) for name, array in arrays.items()})
        self.all.append(draft)
        return Value(draft, shape)

    def same(self, section: str, options: Options, value: Value) -> Value:
        """A new section that keeps the shape -> its output, in the shape of the tensor."""
        return Value(self.add(section, options, value.whole()).draft, value.shape)

    def unknown(self, shape: Shape) -> Value:
        """What stands for a node that could not be read, so that those after it are checked too."""
        return Value(Draft(UNKNOWN, {}, (), shape), shape)

    # --- what a section ends with --------------------------------------------------------------------------

    def activate(self, value: Value, function: str) -> Value:
        """The activation in the section before, or in one of its own."""
        draft = value.whole().draft
        if not value.shared and draft.options.get("activation") == "linear" and draft.section != "activation" \
                and (value.shape == draft.shape or "channels" not in function):
            draft.options["activation"] = function
            return value
        return self.same("activation", {"activation": function}, value)

    def scale_and_shift(self, value: Value, factor: np.ndarray | None, offset: np.ndarray | None) -> Value:
        """factor value + offset, channel by channel: in the section before, or a depthwise convolution of 1 x 1."""
        channels = value.as_image()[0]
        factor = np.ones(channels) if factor is None else factor.astype(np.float64)
        offset = np.zeros(channels) if offset is None else offset.astype(np.float64)
        if not has_open_tail(value):
            result = self.add("depthwise_convolutional", {"size": 1, "activation": "linear"}, value,
                              weights=factor.reshape(-1, 1, 1, 1), biases=offset)
            return Value(result.draft, value.shape)
        draft, arrays = value.draft, value.draft.arrays
        axis = 1 if draft.section == "deconvolutional" else 0
        scaled = "scales" if "scales" in arrays else "weights"
        sides = [1] * arrays[scaled].ndim
        sides[axis if scaled == "weights" else 0] = -1
        arrays[scaled] = (arrays[scaled] * factor.reshape(sides)).astype(np.float32)
        arrays["biases"] = (arrays["biases"] * factor + offset).astype(np.float32)
        return value

    def normalize(self, value: Value, scales: np.ndarray, biases: np.ndarray, mean: np.ndarray, variance: np.ndarray,
                  epsilon: float) -> Value:
        """Batch norm in the section before, or in a [batchnorm].  Another epsilon goes into the variance."""
        value.as_image()
        arrays = {"scales": scales, "biases": biases, "rolling_mean": mean,
                  "rolling_variance": variance.astype(np.float64) + (epsilon - EPSILON)}
        if has_open_tail(value) and "scales" not in value.draft.arrays:
            draft = value.draft
            arrays["rolling_mean"] = mean.astype(np.float64) - draft.arrays["biases"]
            draft.arrays |= {name: np.asarray(array, np.float32) for name, array in arrays.items()}
            draft.options["batch_normalize"] = 1
            return value
        return Value(self.add("batchnorm", {}, value, **arrays).draft, value.shape)


def has_open_tail(value: Value) -> bool:
    """Can what follows go into the section, because nothing else reads it and it has no activation yet?"""
    draft = value.draft
    return draft.section in WITH_TAIL and not value.shared and draft.options.get("activation") == "linear"


def shape_of(section: str, options: Options, in_shapes: Sequence[Shape]) -> Shape:
    """The shape of a section's output, by its layer."""
    kind, report = LAYERS[section], Report()
    lines = {key: Line("", str(value)) for key, value in options.items()}
    for key in ("from", "layers", "end"):
        if key not in lines and key in kind.Options.declared():
            lines[key] = Line("", "-1" if key != "layers" else ",".join(["-1"] * len(in_shapes)))
    parsed = kind.Options.parse(Section("", 0, section, 0, lines), report)
    if parsed is None:
        raise NoSection("; ".join(error.partition("] ")[2] or error for error in report.errors))
    try:
        return kind.build(parsed, in_shapes, Env(allocate=False)).out_shape
    except RunnerError as error:
        raise NoSection(f"[{section}] {error}") from None


# --- the text -----------------------------------------------------------------------------------------------


def needed(drafts: Iterable[Draft], outputs: Sequence[Draft]) -> list[Draft]:
    """The drafts that the outputs depend on, in their order."""
    wanted = set(map(id, outputs))
    kept = []
    for draft in reversed(list(drafts)):
        if id(draft) in wanted:
            kept.append(draft)
            wanted |= set(map(id, draft.reads))
    return kept[::-1]


def cfg_text(drafts: list[Draft], header: str, remarks: dict[int, list[str]],
             ending: str) -> tuple[str, dict[int, Draft]]:
    """-> the text of the cfg; the drafts by the index of their layer.

    remarks  further comments of a draft, by its id
    A [route] is put before a section whose input is not the output of the section before.
    """
    parts, placed = [header], {}
    where: dict[int, int] = {}      # id of a draft -> index of the layer
    current: Draft | None = None    # whose values the last section outputs
    index = 0

    def section(name: str, options: Options, comments: Sequence[str] = ()) -> None:
        nonlocal index
        ordered = sorted(options, key=lambda key: ORDER.index(key) if key in ORDER else len(ORDER))
        lines = [f"# {comment(text)}" for text in comments]
        parts.append("\n".join([*lines, f"[{name}]", *(f"{key}={options[key]}" for key in ordered), ""]))
        index += 1

    readers = [draft for draft in drafts if any(each.section == INPUT for each in draft.reads)]
    if readers and (readers != [drafts[0]] or len(drafts[0].reads) > 1):
        source = next(each for each in readers[0].reads if each.section == INPUT)
        section("empty", {}, ["the input, which several sections read"])
        where[id(source)], current = 0, source
    elif readers:
        current = readers[0].reads[0]
    for draft in drafts:
        options, reads = dict(draft.options), list(draft.reads)
        if draft.section not in NAMES_ALL:
            alike = len({each.image for each in reads}) == 1        # the shape is that of the first
            if draft.section in COMMUTATIVE and alike and current in reads:
                at = next(k for k, each in enumerate(reads) if each is current)
                reads.insert(0, reads.pop(at))
            if reads[0] is not current:
                section("route", {"layers": where[id(reads[0])] - index})
        names = reads if draft.section in NAMES_ALL else reads[1:]
        if names:
            key = "layers" if draft.section == "route" else "from"
            links: Options = {key: ",".join(str(where[id(each)] - index) for each in names)}
            options = links | options
        where[id(draft)], placed[index], current = index, draft, draft
        section(draft.section, options, [", ".join(draft.nodes), *remarks.get(id(draft), ())])
    return "\n".join(parts) + ending, placed


def comment(text: str) -> str:
    """A text as one line: names in a model may hold anything."""
    return "".join(char if char.isprintable() else "?" for char in text)


def values(shape: Sequence[int]) -> int:
    return math.prod(shape)
