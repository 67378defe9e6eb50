"""What an inference plan may ask of its operations: layouts of images, and operators that form programs.

Plain is (c, h, w), as everywhere else.  Blocked is (c / block, h, w, block), which is called NCHWc: channels that are
computed together are consecutive, so that a vector register holds one pixel.  Around every plane are `border` pixels
of zeros, which a convolution reads where its window leaves the image.  The border to the right of a row is the one to
the left of the next.  Channels are rounded up to whole blocks; the values of the extra channels are finite and unused.

A plan calls its operations with plain arrays.  An operation that is an `InferenceOp` can do more: it works on layouts
of its own, and operators that follow each other become one `Program`, a single call.  The operations of
runner/ops/planned.py are plain functions, those of runner/ops/fast are operators wherever they can be.
"""
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Shape = tuple[int, ...]
MOST_TAPS = 1 << 18         # offsets of a window: a program lists them one by one


@dataclass(frozen=True)
class Layout:
    """How an image is laid out: channels of a block, pixels of zeros around each plane.  Sizes are in values."""
    block: int = 1
    border: int = 0

    def blocks(self, channels: int) -> int:
        """Blocks of channels, the last one perhaps with extra ones."""
        return -(-channels // self.block)

    def row(self, w: int) -> int:
        """From one row to the next."""
        return (w + self.border) * self.block

    def first(self, w: int) -> int:
        """From the beginning of a plane to its first pixel."""
        return self.border * (self.row(w) + self.block)

    def plane(self, h: int, w: int) -> int:
        """From one block of channels to the next."""
        return (h + 2 * self.border) * self.row(w) + self.border * self.block

    def size(self, shape: Shape) -> int:
        """Of an image (c, h, w)."""
        return self.blocks(shape[0]) * self.plane(*shape[1:])


PLAIN = Layout()


@dataclass(frozen=True)
class View:
    """Images in a plan's memory.  offset: of the first one, image_stride: from one to the next, both in values of the
    memory or, for an external input, of the array the plan is called with."""
    offset: int
    image_stride: int
    shape: Shape
    layout: Layout
    rows: int
    external_input: bool = False


def is_placeholder(weights: np.ndarray) -> bool:
    """One value, seen as an array of any shape: what a plan is made with that is not going to run."""
    return not any(weights.strides)


class Program(ABC):
    """Operators compiled into one call."""
    scratch: int        # values of temporary memory each thread needs
    held: int           # bytes of arrays, weights above all, that it keeps

    @abstractmethod
    def __len__(self) -> int:
        """Its instructions."""

    @abstractmethod
    def bind(self, buffer: np.ndarray) -> Callable[[np.ndarray], None]:
        """-> run(x): computes everything for the images x (rows, c, h, w) in this memory (uint8)."""


class InferenceOp(ABC):
    """An operation that can be a part of a program.  Its weights do not change."""
    border = 0              # zeros it reads around its inputs

    @abstractmethod
    def __call__(self, *arrays: np.ndarray) -> np.ndarray:
        """op(*xs, out) on plain arrays, by itself; -> out."""

    @abstractmethod
    def emit(self, program: Any, xs: list[View], y: View, scratch: int) -> None:
        """Append its instructions to a program from `new_program`; scratch: where its memory begins, in values."""

    @abstractmethod
    def convert(self, source: Layout, target: Layout) -> "InferenceOp":
        """The operator that copies images from one layout to another, one of which is plain, or to the same."""

    @abstractmethod
    def new_program(self, rows: int, dry: bool) -> Program:
        """An empty program for this number of images; dry: only to know the memory it takes."""

    @abstractmethod
    def layouts(self, shapes: list[Shape], border: int) -> tuple[list[Layout], Layout]:
        """Of its inputs (c, h, w) and its output, where all blocked images of the plan have this border."""

    def scratch(self, rows: int) -> int:
        """Values of memory it needs while it runs, in addition to inputs and output."""
        return 0

    def fits(self, shapes: list[Shape]) -> bool:
        """Whether it can be a part of a program for inputs of these shapes; else it is called on plain arrays."""
        return True

    def pack_weights(self) -> None:     # noqa: B027 - most have no weights
        """Bring the weights into the order the instructions read; the array it was given is not kept then."""
