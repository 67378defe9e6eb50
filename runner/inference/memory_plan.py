"""The memory planner: from a network to the calls that compute its outputs, and an offset in memory for every array.

All arrays share one block of memory; arrays whose lifetimes do not overlap may have the same offset.  A layer may say
that its output is an input or a part of it (`alias`), that it only concatenates its inputs (`concat_in_place`: they are
then written into the output at once), or that it may write over its first input (`in_place`).

Where operations are operators (ops/inference_op.py), images have the layouts these want, and are converted for calls
that need plain arrays.  Operators that follow each other are fused into one program, a single call.
"""
import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeGuard

import numpy as np

from runner.inference.execution import INPUT, Allocation, Call, ExecutionPlan, Run, TensorLocation
from runner.layers.shared.base import Layer, Shape
from runner.network import Network
from runner.ops import memory
from runner.ops.inference_op import PLAIN, InferenceOp, Layout, Program

Prepare = Callable[[int, int], Run]     # a layer's index, rows -> what Layer.prepare returns


def plan_execution(net: Network, outputs: Iterable[int], rows: int, prepare: Prepare, *, fuse: bool = True,
                   dry: bool = False) -> ExecutionPlan:
    """The calls that compute the outputs of some layers, and the memory for every array.

    fuse  one program for operators that follow each other; False: a call for each layer, so that it can be timed
    dry   only to know the memory it takes: the plan is not going to run
    """
    return MemoryPlanner(net, tuple(outputs), rows, prepare, fuse, dry).plan()


class MemoryPlanner:
    """Builds an ExecutionPlan, layer by layer."""

    def __init__(self, net: Network, outputs: tuple[int, ...], rows: int, prepare: Prepare, fuse: bool, dry: bool):
        self.net, self.outputs, self.rows, self.fuse, self.dry = net, outputs, rows, fuse, dry
        self.needed = _needed(net, outputs)
        self.runs: dict[int, Run] = {index: prepare(index, rows) for index in self.needed}
        self.last_consumer = dict.fromkeys((INPUT, *self.needed), -1)
        self.last_consumer |= {link: index for index in self.needed for link in net.links[index]}
        self.last_consumer |= dict.fromkeys(outputs, len(net.layers))
        operators = [run for run in self.runs.values() if self._is_operator(run)]
        self.operator = operators[0] if operators else None
        # one border for all blocked images, so that any of them can be concatenated
        self.border = max((run.border for run in operators), default=0)
        self.allocations: list[Allocation] = []
        self.calls: list[Call] = []
        self.scratch: dict[int, TensorLocation] = {}        # call -> memory it needs while it runs
        self.locations = {INPUT: TensorLocation(INPUT, 0, (rows, *net.in_shape), net.env.dtype)}
        self.converted: dict[tuple[TensorLocation, Layout], TensorLocation] = {}
        # by allocation: the last consumer of anything in it, those that have parts, those that are converted copies
        self.used_until: dict[int, int] = {INPUT: self.last_consumer[INPUT]}
        self.parents: set[int] = set()
        self.conversions: dict[int, list[tuple[TensorLocation, Layout]]] = {}
        self.copies: set[TensorLocation] = set()

    def plan(self) -> ExecutionPlan:
        for index in self.needed:
            location = self.locations[index] = self._add_layer(index)
            self.used_until[location.allocation] = max(self.used_until.get(location.allocation, -1),
                                                       self.last_consumer[index])
            if location.allocation != INPUT:
                allocation = self.allocations[location.allocation]
                allocation.last_use = max(allocation.last_use, self.last_consumer[index])
        end = len(self.net.layers)
        plan = ExecutionPlan(self.rows, self.calls, self.allocations,
                             {index: self._convert(self.locations[index], PLAIN, end) for index in self.outputs})
        plan.size = assign_offsets(self.allocations)
        direct = _direct_outputs(plan)
        moved = self._fuse_programs(plan)
        plan.direct = {index: moved[position] for index, position in direct.items() if position in moved}
        return plan

    def _add_layer(self, index: int) -> TensorLocation:
        """Append the calls that compute a layer -> the location of its output."""
        layer, run = self.net.layers[index], self.runs[index]
        xs = [self.locations[link] for link in self.net.links[index]]
        without_call = self._blocked_alias(layer, xs) or self._blocked_concat(layer, xs, index)
        if without_call is not None:
            return without_call
        if self._is_operator(run) and run.fits([x.shape[1:] for x in xs]):
            takes, gives = run.layouts([x.shape[1:] for x in xs], self.border)
            if all(layout == PLAIN or len(x.shape) == 4 for x, layout in zip(xs, takes, strict=True)):
                return self._add_operator(run, index, xs, takes, gives)
        if self._is_operator(run):
            run = run.__call__      # an input is not an image, or too large: as on any plain array
        return self._add_plain(run, index, xs)

    def _add_plain(self, run: Run, index: int, xs: list[TensorLocation]) -> TensorLocation:
        layer = self.net.layers[index]
        xs = [self._convert(x, PLAIN, index) for x in xs]
        alias = _alias(layer, xs)
        if alias is not None:
            return alias
        if layer.concat_in_place(self.rows):
            return self._concat(xs, self._allocate(layer.out_shape, PLAIN, index))
        y = self._in_place(layer, index, xs, PLAIN) or self._allocate(layer.out_shape, PLAIN, index)
        self.calls.append(Call(run, [*xs, y], index))
        return y

    def _add_operator(self, op: InferenceOp, index: int, xs: list[TensorLocation], takes: list[Layout],
                      gives: Layout) -> TensorLocation:
        layer = self.net.layers[index]
        xs = [self._convert(x, layout, index, inside=True) for x, layout in zip(xs, takes, strict=True)]
        y = self._in_place(layer, index, xs, gives) or self._allocate(layer.out_shape, gives, index)
        if size := op.scratch(self.rows):
            self.scratch[len(self.calls)] = self._allocate((size,), PLAIN, index, rows=1)
        self.calls.append(Call(op, [*xs, y], index))
        return y

    def _is_operator(self, run: Any) -> TypeGuard[InferenceOp]:
        return isinstance(run, InferenceOp) and self.net.env.dtype == np.float32

    def _fuse_programs(self, plan: ExecutionPlan) -> dict[int, int]:
        """Make one program of operators that follow each other -> the new positions of the other calls."""
        calls: list[Call] = []
        moved: dict[int, int] = {}
        program: Program | None = None
        for position, (op, locations, layer) in enumerate(self.calls):
            if not self._is_operator(op):
                moved[position] = len(calls)
                calls.append(Call(op, locations, layer))
                program = None
                continue
            separate = layer is not None and not self.fuse
            if program is None or separate:
                program = op.new_program(self.rows, self.dry)
                # an instruction may read the images the plan is called with
                calls.append(Call(program, [self.locations[INPUT]], layer if separate else None))
            scratch = self.scratch.get(position)
            *xs, y = (plan.view(location) for location in locations)
            op.emit(program, xs, y, 0 if scratch is None else plan.view(scratch).offset)
            program = None if separate else program
        plan.calls = calls
        return moved

    def _allocate(self, shape: Shape, layout: Layout, index: int, rows: int | None = None) -> TensorLocation:
        """A new allocation, for images of this shape."""
        rows, stride = self.rows if rows is None else rows, self._bytes(shape, layout)
        self.allocations.append(Allocation(rows * stride, index, index, stride))
        return TensorLocation(len(self.allocations) - 1, 0, (rows, *shape), self.net.env.dtype, layout)

    def _bytes(self, shape: Shape, layout: Layout) -> int:
        """Of an image."""
        return (math.prod(shape) if layout == PLAIN else layout.size(shape)) * self.net.env.dtype.itemsize

    def _convert(self, x: TensorLocation, layout: Layout, index: int, inside: bool = False) -> TensorLocation:
        """x in a layout: itself, or a copy of it.  inside: in the plan's memory."""
        if x.layout == layout and not (inside and x.allocation == INPUT):
            return x
        if x.layout != PLAIN and layout != PLAIN:
            return self._convert(self._convert(x, PLAIN, index), layout, index)
        copy = self.converted.get((x, layout))
        if copy is None:
            copy = self.converted[x, layout] = self._allocate(x.shape[1:], layout, index)
            self.copies.add(copy)
            self.conversions.setdefault(x.allocation, []).append((x, layout))
            self.calls.append(Call(self._converter(x.layout, layout), [x, copy]))
        allocation = self.allocations[copy.allocation]
        allocation.last_use = max(allocation.last_use, index)
        return copy

    def _converter(self, source: Layout, target: Layout) -> InferenceOp:
        assert self.operator is not None        # only operators have layouts that are not plain
        return self.operator.convert(source, target)

    def _blocked_alias(self, layer: Layer, xs: list[TensorLocation]) -> TensorLocation | None:
        """The output that is a blocked image, or whole blocks of its channels."""
        if len(xs) != 1 or xs[0].layout == PLAIN:
            return None
        x = xs[0]
        trial = np.empty((1, *x.shape[1:]), x.dtype)        # never written to, so it takes no memory
        alias = layer.alias(trial)
        if alias is None or not alias.flags.c_contiguous or len(layer.out_shape) != 3:
            return None
        channel, rest = divmod((alias.ctypes.data - trial.ctypes.data) // x.dtype.itemsize, math.prod(x.shape[2:]))
        if layer.out_shape[1:] != x.shape[2:] or rest or channel % x.layout.block:
            return None
        before = channel // x.layout.block * x.layout.plane(*x.shape[2:]) * x.dtype.itemsize
        return replace(x, offset=x.offset + before, shape=(x.shape[0], *layer.out_shape))

    def _blocked_concat(self, layer: Layer, xs: list[TensorLocation], index: int) -> TensorLocation | None:
        """The output that is a concatenation of blocked images, all but the last of them in whole blocks."""
        layout = xs[0].layout if xs else PLAIN
        if layout == PLAIN or not layer.concat_in_place(1) or any(x.layout != layout for x in xs):
            return None
        if any(x.shape[1] % layout.block for x in xs[:-1]):
            return None
        return self._concat(xs, self._allocate(layer.out_shape, layout, index))

    def _concat(self, xs: list[TensorLocation], y: TensorLocation) -> TensorLocation:
        """Make the inputs parts of the output where that is possible, and copy the others -> y."""
        offset = 0
        for x in xs:
            size = self._bytes(x.shape[1:], x.layout)
            allocation = None if x.allocation == INPUT else self.allocations[x.allocation]
            if (allocation is not None and allocation.parent is None and allocation.image_stride == size
                    and x.allocation != y.allocation):
                allocation.parent, allocation.offset = y.allocation, offset
                self.parents.add(y.allocation)
            else:
                part = TensorLocation(y.allocation, offset, x.shape, x.dtype, x.layout)
                copy = _copy if x.layout == PLAIN else self._converter(x.layout, x.layout)
                self.calls.append(Call(copy, [x, part]))
            offset += size
        return y

    def _in_place(self, layer: Layer, index: int, xs: list[TensorLocation], layout: Layout) -> TensorLocation | None:
        """The location of the first input, where the layer may write over it: it has no later consumer."""
        x = xs[0]
        if not layer.in_place or x.allocation == INPUT or math.prod(x.shape[1:]) != math.prod(layer.out_shape):
            return None
        if x.layout != layout or self.allocations[x.allocation].parent is not None or x.allocation in self.parents:
            return None     # a concatenation, or a part of one: other layers may read the same values
        if self.used_until.get(x.allocation, -1) > index:
            return None
        if x in self.copies or any(other.allocation == x.allocation for other in xs[1:]):
            return None
        for key in self.conversions.pop(x.allocation, []):
            self.copies.remove(self.converted.pop(key))     # copies of the values that are overwritten
        return TensorLocation(x.allocation, x.offset, (x.shape[0], *layer.out_shape), x.dtype, layout)


def assign_offsets(allocations: list[Allocation]) -> int:
    """Give every allocation its offset, large ones first, where no other is in use at the same time -> bytes in all."""
    for allocation in allocations:
        root = allocation
        while root.parent is not None:
            root = allocations[root.parent]
        root.first_use = min(root.first_use, allocation.first_use)
        root.last_use = max(root.last_use, allocation.last_use)
    placed: dict[int, list[Allocation]] = {}        # by the layers during which they are in use
    for one in sorted((a for a in allocations if a.parent is None), key=lambda a: (-a.size, a.first_use)):
        offset = 0
        overlapping = {id(p): p for index in range(one.first_use, one.last_use + 1) for p in placed.get(index, ())}
        for other in sorted(overlapping.values(), key=lambda p: p.offset):
            if other.offset - offset >= one.size:
                break
            offset = max(offset, -(-(other.offset + other.size) // memory.ALIGN) * memory.ALIGN)
        one.offset = offset
        for index in range(one.first_use, one.last_use + 1):
            placed.setdefault(index, []).append(one)
    return max((allocation.offset + allocation.size for allocation in allocations if allocation.parent is None),
               default=0)


def _needed(net: Network, outputs: Iterable[int]) -> list[int]:
    """The layers the outputs depend on, and those that carry a state, in order."""
    needed = set(outputs) | {i for i, layer in enumerate(net.layers) if not layer.batch_independent}
    for index in reversed(range(len(net.layers))):
        if index in needed:
            needed |= {link for link in net.links[index] if link != INPUT}
    return sorted(needed)


def _alias(layer: Layer, xs: list[TensorLocation]) -> TensorLocation | None:
    """The location of an output that is a plain input, or a contiguous part of one."""
    try:
        trials = [np.empty(x.shape, x.dtype) for x in xs]       # never written to, so they take no memory
    except MemoryError:     # the system promises only what it has
        return None
    alias = layer.alias(*trials)
    if alias is None or not alias.flags.c_contiguous:
        return None
    for x, trial in zip(xs, trials, strict=True):
        start = alias.ctypes.data - trial.ctypes.data
        if 0 <= start < trial.nbytes:
            return TensorLocation(x.allocation, x.offset + start, (len(trial), *layer.out_shape), x.dtype)
    return None


def _copy(x: np.ndarray, out: np.ndarray) -> None:
    np.copyto(out, x)


def _direct_outputs(plan: ExecutionPlan) -> dict[int, int]:
    """Outputs asked for that only one call uses: it may write them into the caller's array -> that call, by layer."""
    users: dict[int, list[int]] = {}
    for position, call in enumerate(plan.calls):
        for location in call.locations:
            users.setdefault(location.allocation, []).append(position)
    parents = {allocation.parent for allocation in plan.allocations if allocation.parent is not None}
    asked = Counter(location.allocation for location in plan.outputs.values())
    direct: dict[int, int] = {}
    for index, location in plan.outputs.items():
        at = location.allocation
        if at == INPUT or at in parents or plan.allocations[at].parent is not None:
            continue
        calls = users.get(at, [])
        only = asked[at] == 1
        if len(calls) == 1 and only and plan.calls[calls[0]].locations[-1] == location:
            direct[index] = calls[0]
    return direct
