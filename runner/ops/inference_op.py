"""How an image may lie in memory while an inference plan works on it.

Plain is (c, h, w), as everywhere else.  Blocked is (c / block, h, w, block): channels that are computed together lie
side by side, so that a vector register is filled by one pixel.  Around every plane are `border` pixels of zeros, which
a convolution reads where its window leaves the image.  The border to the right of a row is the one to the left of the
next.  Channels are rounded up to whole blocks; what the ones too many hold is finite and not used.

A plan asks its operations for a `Kernel`; those that have one work on layouts of their own, and kernels one after the
other become one program.  The operations of runner/ops have none: they work on plain arrays.
"""
from dataclasses import dataclass
from typing import Any, Protocol

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    block: int = 1
    border: int = 0

    def blocks(self, channels: int) -> int:
        return -(-channels // self.block)

    def row(self, w: int) -> int:
        """Values from one row to the next."""
        return (w + self.border) * self.block

    def first(self, w: int) -> int:
        """Values before the first pixel of a plane."""
        return self.border * (self.row(w) + self.block)

    def plane(self, h: int, w: int) -> int:
        """Values from one block of channels to the next."""
        return (h + 2 * self.border) * self.row(w) + self.border * self.block

    def size(self, shape: Shape) -> int:
        """Values of an image (c, h, w)."""
        return self.blocks(shape[0]) * self.plane(*shape[1:])


PLAIN = Layout()


@dataclass(frozen=True)
class View:
    """Images in a plan's memory, in values: where the first begins, and from one to the next.  outside: of the array
    the plan is given."""
    at: int
    image: int
    shape: Shape
    layout: Layout
    rows: int
    outside: bool = False


class Kernel(Protocol):
    """An operation of a program."""
    border: int         # zeros around its inputs it counts on

    def ready(self) -> None:
        """Work out what does not depend on the images; afterwards the weights it was given are not kept."""

    def layouts(self, shapes: list[Shape], border: int) -> tuple[list[Layout], Layout]:
        """Of its inputs and its output, where all blocked images of the plan have this border."""

    def room(self, rows: int) -> int:
        """Values of memory it needs while it runs, beside inputs and output."""

    def write(self, table: Any, xs: list[View], y: View, room: int) -> None:
        """Add its steps to the table of a program; room: where its memory begins."""

    def convert(self, shape: Shape, source: Layout, target: Layout) -> "Kernel":
        """The kernel that copies an image from one layout to another."""

    def program(self, rows: int, dry: bool) -> Any:
        """An empty program for so many images; dry: only to know the memory it takes."""
