"""An execution plan: calls in order and where their arrays are in memory; and a context, which runs it.

memory_plan.py makes them.
"""
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from runner.layers.shared.base import Shape
from runner.network import LayerTimer
from runner.ops import memory
from runner.ops.inference_op import PLAIN, InferenceOp, Layout, Program, View

INPUT = -1      # the allocation that is the caller's array

Run = Callable[..., Any]    # run(*xs, out)


@dataclass(frozen=True)
class TensorLocation:
    """Where images (rows, ...) are: an allocation, the bytes before the first one in it, and the layout."""
    allocation: int
    offset: int
    shape: Shape
    dtype: np.dtype
    layout: Layout = PLAIN

    def array(self, buffer: Any, start: int = 0) -> np.ndarray:
        """The plain array, in a buffer where the allocation begins at byte `start`."""
        return np.ndarray(self.shape, self.dtype, buffer, start + self.offset)


@dataclass
class Allocation:
    """Bytes that are in use from one layer to another, perhaps as a part of another allocation.

    size          bytes
    first_use     index of the layer that writes it
    last_use      index of its last consumer; the number of layers where the caller reads it
    image_stride  bytes from one image to the next
    parent        the allocation it is a part of
    offset        in the parent, or in the whole memory; bytes
    """
    size: int
    first_use: int
    last_use: int
    image_stride: int
    parent: int | None = None
    offset: int = 0


class Call(NamedTuple):
    """run(*arrays), the arrays at these locations, the last one for the output.

    layer  whose output it computes; None: a conversion between layouts, or a program of several layers
    """
    run: Run | InferenceOp | Program
    locations: list[TensorLocation]
    layer: int | None = None


@dataclass
class ExecutionPlan:
    """The calls for `rows` rows, and the memory they need.

    outputs  locations of the outputs that are asked for, by layer
    size     bytes of memory
    direct   output asked for -> the call that can write it into the caller's array
    idle     contexts that wait for the next images
    """
    rows: int
    calls: list[Call]
    allocations: list[Allocation]
    outputs: dict[int, TensorLocation]
    size: int = 0
    direct: dict[int, int] = field(default_factory=dict)
    idle: list["ExecutionContext"] = field(default_factory=list)

    @property
    def programs(self) -> list[Program]:
        return [call.run for call in self.calls if isinstance(call.run, Program)]

    def start(self, location: TensorLocation) -> int:
        """The byte of the memory where the allocation of a location begins."""
        allocation, start = self.allocations[location.allocation], 0
        while allocation.parent is not None:
            start, allocation = start + allocation.offset, self.allocations[allocation.parent]
        return start + allocation.offset

    def view(self, location: TensorLocation) -> View:
        """A location as operators see it."""
        itemsize, shape = location.dtype.itemsize, location.shape[1:]
        shape = shape if len(shape) == 3 else (math.prod(shape), 1, 1)
        if location.allocation == INPUT:
            return View(location.offset // itemsize, math.prod(shape), shape, location.layout, self.rows,
                        external_input=True)
        stride = math.prod(shape) if location.layout == PLAIN else self._root(location).image_stride // itemsize
        return View((self.start(location) + location.offset) // itemsize, stride, shape, location.layout,
                    location.shape[0])

    def _root(self, location: TensorLocation) -> Allocation:
        allocation = self.allocations[location.allocation]
        while allocation.parent is not None:
            allocation = self.allocations[allocation.parent]
        return allocation


class ExecutionContext:
    """An execution plan with memory of its own, for one thread at a time.

    timer  called around the calls that compute a layer; None: nothing is timed
    """

    def __init__(self, plan: ExecutionPlan, timer: LayerTimer | None = None):
        self.direct = plan.direct
        self.memory = memory.empty(max(-(-plan.size // memory.ALIGN), 1) * memory.ALIGN, np.uint8)
        self.calls: list[tuple[Run, list[Any]]] = []
        self.from_input: list[tuple[list[Any], int, TensorLocation]] = []
        for run, locations, layer in plan.calls:
            arrays: list[Any] = []
            for location in locations:
                if location.allocation == INPUT:
                    self.from_input.append((arrays, len(arrays), location))
                    arrays.append(None)
                else:
                    arrays.append(location.array(self.memory, plan.start(location)))
            bound = run.bind(self.memory) if isinstance(run, Program) else run
            self.calls.append((bound if timer is None or layer is None else _timed(bound, timer, layer), arrays))
        self.copied = [(index, None if location.allocation == INPUT else
                        location.array(self.memory, plan.start(location)), location)
                       for index, location in plan.outputs.items() if index not in plan.direct]

    def run(self, x: np.ndarray, outs: dict[int, np.ndarray]) -> None:
        """x (rows, *in_shape), C-contiguous; every output asked for is written into outs."""
        calls = self.calls
        for arrays, slot, location in self.from_input:
            arrays[slot] = x if location.shape == x.shape and not location.offset else location.array(x)
        for index, position in self.direct.items():
            calls[position][1][-1] = outs[index]
        for run, arrays in calls:
            run(*arrays)
        for index, array, location in self.copied:
            np.copyto(outs[index], location.array(x) if array is None else array)
        for arrays, slot, _ in self.from_input:     # hold no reference to the caller's arrays
            arrays[slot] = None
        for position in self.direct.values():
            calls[position][1][-1] = None


def _timed(run: Run, timer: LayerTimer, layer: int) -> Run:
    def timed(*arrays: np.ndarray) -> None:
        with timer(layer, "forward"):
            run(*arrays)
    return timed
