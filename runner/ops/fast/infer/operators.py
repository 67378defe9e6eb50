"""What the kernels of an inference program share, and those of connected layers and of layouts.

A kernel writes an operation into the table of steps.  It is also a function run(x, out) on plain arrays, for callers
that have use for that: it then makes a program of its own.  Weights are packed once, at the first use.  The others are
in conv_plan.py and planned.py.
"""
import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from runner.ops import memory, parallel
from runner.ops.fast.infer import instructions
from runner.ops.fast.infer.executor import Program
from runner.ops.fast.simd import direct
from runner.ops.fast.simd.isa import LANES
from runner.ops.fast.simd.math import COMPILED_ACTIVATIONS, f4
from runner.ops.inference_op import PLAIN, InferenceOp, Layout, Shape, View

Run = Callable[..., Any]


class Base(InferenceOp):
    """What kernels share.  slow: the same on plain arrays of any type and shape, where there are such."""
    slow: Run | None = None

    def layouts(self, shapes: list[Shape], border: int) -> tuple[list[Layout], Layout]:
        return [Layout(LANES, border)] * len(shapes), Layout(LANES, border)

    def convert(self, source: Layout, target: Layout) -> "Convert":
        return Convert(source, target)

    def new_program(self, rows: int, dry: bool) -> Program:
        return Program(rows, dry)

    def __call__(self, *arrays: Any) -> np.ndarray:
        """run(*xs, out) by itself, on plain arrays."""
        *xs, out = arrays if len(arrays) > 1 else (*arrays, None)
        takes, gives = self.layouts([x.shape[1:] for x in xs], self.border)
        if self.slow and any(x.dtype != f4 or x.ndim != 4 for x in xs):
            return self.slow(*arrays)
        rows, shape = len(xs[0]), self.out_shape(xs[0].shape) if out is None else out.shape[1:]
        program = Program(rows)
        given, at, size, inside = np.concatenate([x.reshape(-1) for x in xs], dtype=f4), 0, 0, []

        def view(shape: Shape, layout: Layout) -> View:
            nonlocal size
            shape = shape if len(shape) == 3 else (math.prod(shape), 1, 1)
            place = View(size, layout.size(shape), shape, layout, rows)
            size += rows * place.image_stride
            return place
        for x, layout in zip(xs, takes, strict=True):
            outside = View(at, x[0].size, x.shape[1:] if x.ndim == 4 else (x[0].size, 1, 1), PLAIN, rows,
            external_input=True)
            inside.append(view(x.shape[1:], layout))
            Convert(PLAIN, layout).emit(program, [outside], inside[-1], 0)
            at += x.size
        y = last = view(shape, gives)
        scratch = size
        size += self.scratch(rows)
        self.emit(program, inside, y, scratch)
        if gives != PLAIN:
            last = view(shape, PLAIN)
            Convert(gives, PLAIN).emit(program, [y], last, 0)
        m = memory.empty(max(size, 64))
        program.bind(m.view(np.uint8))(given)
        out = memory.empty((rows, *shape)) if out is None else out
        np.copyto(out, m[last.offset:last.offset + out.size].reshape(out.shape))
        return out

    def out_shape(self, shape: Shape) -> Shape:
        """Of an image, for inputs (n, ...)."""
        return shape[1:]


def planes(x: View, y: View) -> dict[str, int]:
    """Where two blocked images lie, for steps that take them plane by plane."""
    (c, h, w), (_, oh, ow) = x.shape, y.shape
    return dict(x=x.offset + x.layout.first(w), x_image=x.image_stride, x_plane=x.layout.plane(h, w),
    x_row=x.layout.row(w),
                x_h=h, x_w=w, y=y.offset + y.layout.first(ow), y_image=y.image_stride, y_plane=y.layout.plane(oh, ow),
                y_row=y.layout.row(ow), h=oh, w=ow, border=y.layout.border, wide=y.layout.blocks(c),
                deep=x.layout.blocks(c), channels=c)


class Dense(Base):
    """act(x W^T + biases): weights (o, i)."""

    def __init__(self, weights: np.ndarray, biases: np.ndarray | None, activation: str, slow: Run):
        self.weights, self.given_biases, self.activation, self.slow = weights, biases, activation, slow
        self.groups = -(-len(weights) // (direct.GROUP * LANES))
        left = len(weights) - (self.groups - 1) * direct.GROUP * LANES
        self.last = 1 if left <= LANES else 2 if left <= 2 * LANES else direct.GROUP      # registers of the last group
        self.packed_size = ((self.groups - 1) * direct.GROUP + self.last) * LANES * weights.shape[1]

    def out_shape(self, shape: Shape) -> Shape:
        return (len(self.weights),)

    def layouts(self, shapes: list[Shape], border: int) -> tuple[list[Layout], Layout]:
        return [PLAIN], PLAIN

    @cached_property
    def packed(self) -> np.ndarray:
        i, size, vectors = self.weights.shape[1], direct.GROUP * LANES, self.last
        flat = memory.zeros(self.packed_size)

        def pack(j: slice) -> None:
            for g in range(j.start, j.stop):
                part = self.weights[g * size:(g + 1) * size]
                width = size if g < self.groups - 1 else vectors * LANES
                flat[g * size * i:g * size * i + width * i].reshape(i, width)[:, :len(part)] = part.T
        parallel.for_blocks(pack, self.groups, size * i)
        return flat

    @cached_property
    def biases(self) -> np.ndarray:
        biases = np.zeros(self.groups * direct.GROUP * LANES, f4)
        if self.given_biases is not None:
            biases[:len(self.given_biases)] = self.given_biases
        return biases

    def emit(self, program: Program, xs: list[View], y: View, scratch: int) -> None:
        act = COMPILED_ACTIVATIONS[self.activation]
        o, i = self.weights.shape
        size = direct.GROUP * LANES
        program.step(instructions.DENSE, self.groups, tile=program.tile(direct.convolve_apart), images=program.rows,
                   code=act.code, low=act.alpha, high=act.beta, group=direct.GROUP,
                   channels=o, x=xs[0].offset, x_image=xs[0].image_stride, y=y.offset, y_image=y.image_stride, inner=i,
                   panel=size * i * 4, weights=program.address(self.packed_size, lambda: self.packed),
                   biases=program.address(self.groups * size, lambda: self.biases),
                   taps=program.taps([0]), spare=(direct.STRIDED + 1) * size)

    def __call__(self, *arrays: Any) -> np.ndarray:
        assert self.slow is not None
        return self.slow(*arrays)


class Convert(Base):
    """From one layout to another, one of them plain, or a copy."""

    def __init__(self, source: Layout, target: Layout):
        self.source, self.target = source, target

    def emit(self, program: Program, xs: list[View], y: View, scratch: int) -> None:
        x, where = xs[0], planes(xs[0], y)
        if x.layout == y.layout != PLAIN:
            program.step(instructions.COPY, program.rows * where["wide"], wide=where["wide"], x=x.offset,
                       x_image=x.image_stride, y=y.offset,
                       y_image=y.image_stride, x_plane=where["x_plane"], y_plane=where["y_plane"],
                       size=where["x_plane"])
        elif x.layout == y.layout:
            program.step(instructions.PACK, program.rows, wide=1, h=1, w=x.image_stride, channels=1, size=1,
                       outside=x.external_input, x=x.offset,
                       x_image=x.image_stride, y=y.offset, y_image=y.image_stride)
        elif x.layout == PLAIN:
            program.step(instructions.PACK, program.rows * where["wide"], **where, size=y.layout.block,
                       outside=x.external_input)
        else:
            program.step(instructions.UNPACK, program.rows * where["deep"], **where | dict(wide=where["deep"],
                       h=x.shape[1],
                                                                                w=x.shape[2]), size=x.layout.block)


