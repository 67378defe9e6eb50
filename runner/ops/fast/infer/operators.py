"""The operators of inference programs, but for convolutions (conv.py): each emits the instructions of an operation.

An operator is also a function op(*xs, out) on plain arrays, for callers outside a plan: it then makes a program of its
own.  Weights are packed once, at the first use.
"""
import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from runner.ops import memory, parallel
from runner.ops import planned as reference
from runner.ops.fast.infer import instructions
from runner.ops.fast.infer.executor import CompiledProgram
from runner.ops.fast.simd import direct
from runner.ops.fast.simd.isa import FLOAT_BYTES, LANES, MAX_PIXELS_STRIDED, MAX_VECTORS
from runner.ops.fast.simd.math import COMPILED_ACTIVATIONS, f4
from runner.ops.inference_op import MOST_TAPS, PLAIN, InferenceOp, Layout, Shape, View
from runner.ops.pool import Pair

Run = Callable[..., np.ndarray]


def plan_add(activation: str) -> Run:
    plain = reference.plan_add(activation)
    return AddOp(activation, plain) if activation in COMPILED_ACTIVATIONS else plain


def plan_avgpool() -> Run:
    return MeanOp(reference.plan_avgpool())


def plan_logistic(sigmoid: np.ndarray, factors: np.ndarray, offsets: np.ndarray) -> Run:
    return PartialSigmoidOp(sigmoid, factors, offsets, reference.plan_logistic(sigmoid, factors, offsets))


def plan_maxpool2d(size: int, stride: Pair, padding: int) -> Run:
    return MaxpoolOp(size, stride, padding, reference.plan_maxpool2d(size, stride, padding))


def plan_softmax(groups: int, temperature: float) -> Run:
    return SoftmaxOp(groups, temperature, reference.plan_softmax(groups, temperature))


def plan_upsample(stride: int, scale: float) -> Run:
    plain = reference.plan_upsample(stride, scale)
    return UpsampleOp(stride, plain) if scale == 1 else plain


class Operator(InferenceOp):
    """What the operators share.  plain: the same operation for plain arrays of any type and shape, if there is one."""
    plain: Run | None = None

    def layouts(self, shapes: list[Shape], border: int) -> tuple[list[Layout], Layout]:
        return [Layout(LANES, border)] * len(shapes), Layout(LANES, border)

    def convert(self, source: Layout, target: Layout) -> "ConvertOp":
        return ConvertOp(source, target)

    def new_program(self, rows: int, dry: bool) -> CompiledProgram:
        return CompiledProgram(rows, dry)

    def out_shape(self, shape: Shape) -> Shape:
        """Of an image, for inputs (n, ...)."""
        return shape[1:]

    def __call__(self, *arrays: Any) -> np.ndarray:
        """op(*xs, out) on plain arrays, in a program of its own."""
        *xs, out = arrays if len(arrays) > 1 else (*arrays, None)
        if self.plain and (any(x.dtype != f4 or x.ndim != 4 for x in xs) or not self.fits([x.shape[1:] for x in xs])):
            return self.plain(*arrays)
        takes, gives = self.layouts([x.shape[1:] for x in xs], self.border)
        rows, shape = len(xs[0]), self.out_shape(xs[0].shape) if out is None else out.shape[1:]
        program, size = CompiledProgram(rows), 0

        def view(shape: Shape, layout: Layout) -> View:
            nonlocal size
            shape = shape if len(shape) == 3 else (math.prod(shape), 1, 1)
            place = View(size, layout.size(shape), shape, layout, rows)
            size += rows * place.image_stride
            return place
        inputs, at = [], 0
        for x, layout in zip(xs, takes, strict=True):
            external = View(at, x[0].size, x.shape[1:] if x.ndim == 4 else (x[0].size, 1, 1), PLAIN, rows,
                            external_input=True)
            inputs.append(view(x.shape[1:], layout))
            ConvertOp(PLAIN, layout).emit(program, [external], inputs[-1], 0)
            at += x.size
        y = last = view(shape, gives)
        scratch = size
        size += self.scratch(rows)
        self.emit(program, inputs, y, scratch)
        if gives != PLAIN:
            last = view(shape, PLAIN)
            ConvertOp(gives, PLAIN).emit(program, [y], last, 0)
        m = memory.empty(max(size, 1))
        program.bind(m.view(np.uint8))(np.concatenate([x.reshape(-1) for x in xs], dtype=f4))
        out = memory.empty((rows, *shape)) if out is None else out
        np.copyto(out, m[last.offset:last.offset + out.size].reshape(out.shape))
        return out


def values_in(x: View) -> dict[str, int]:
    """An input taken value by value."""
    return dict(x=x.offset, x_image=x.image_stride)


def values_out(y: View) -> dict[str, int]:
    """An output taken value by value."""
    return dict(y=y.offset, y_image=y.image_stride)


def planes_in(x: View) -> dict[str, int]:
    """An input taken plane by plane."""
    _, h, w = x.shape
    return dict(x=x.offset + x.layout.first(w), x_image=x.image_stride, x_plane=x.layout.plane(h, w),
                x_row=x.layout.row(w))


def planes_out(y: View) -> dict[str, int]:
    """An output taken plane by plane."""
    c, h, w = y.shape
    return dict(y=y.offset + y.layout.first(w), y_image=y.image_stride, y_plane=y.layout.plane(h, w),
                y_row=y.layout.row(w), h=h, w=w, border=y.layout.border, oc_blocks=y.layout.blocks(c))


def act_fields(name: str) -> dict[str, Any]:
    """An activation as the fields of an instruction."""
    act = COMPILED_ACTIVATIONS[name]
    return dict(act_code=act.code, act_alpha=act.alpha, act_beta=act.beta)


class DenseOp(Operator):
    """act(x W^T + biases): weights (o, i).  On plain arrays it is `plain`."""

    def __init__(self, weights: np.ndarray, biases: np.ndarray | None, activation: str, plain: Run):
        self.weights, self.given_biases, self.activation, self.plain = weights, biases, activation, plain
        self.groups = -(-len(weights) // (MAX_VECTORS * LANES))
        left = len(weights) - (self.groups - 1) * MAX_VECTORS * LANES
        self.last = 1 if left <= LANES else 2 if left <= 2 * LANES else MAX_VECTORS     # vectors of the last group
        self.packed_size = ((self.groups - 1) * MAX_VECTORS + self.last) * LANES * weights.shape[1]

    def __call__(self, *arrays: Any) -> np.ndarray:
        assert self.plain is not None
        return self.plain(*arrays)

    def out_shape(self, shape: Shape) -> Shape:
        return (len(self.weights),)

    def layouts(self, shapes: list[Shape], border: int) -> tuple[list[Layout], Layout]:
        return [PLAIN], PLAIN

    @cached_property
    def packed(self) -> np.ndarray:
        """Flat: of each group of outputs (inputs, outputs)."""
        i, size, last = self.weights.shape[1], MAX_VECTORS * LANES, self.last
        flat = memory.zeros(self.packed_size)

        def pack(j: slice) -> None:
            for g in range(j.start, j.stop):
                part = self.weights[g * size:(g + 1) * size]
                width = size if g < self.groups - 1 else last * LANES
                flat[g * size * i:g * size * i + width * i].reshape(i, width)[:, :len(part)] = part.T
        parallel.for_blocks(pack, self.groups, size * i)
        return flat

    @cached_property
    def biases(self) -> np.ndarray:
        return padded(self.given_biases, self.groups * MAX_VECTORS * LANES)

    def emit(self, program: CompiledProgram, xs: list[View], y: View, scratch: int) -> None:
        o, i = self.weights.shape
        size = MAX_VECTORS * LANES
        program.append(instructions.dense, self.groups, **values_in(xs[0]), **values_out(y),
                       **act_fields(self.activation), tile=program.tile(direct.convolve_strided), images=program.rows,
                       channels=o, inner=i, group=MAX_VECTORS, last=self.last, panel_bytes=size * i * FLOAT_BYTES,
                       weights=program.array(self.packed_size, lambda: self.packed),
                       biases=program.array(self.groups * size, lambda: self.biases), taps=program.taps([0]),
                       scratch=(MAX_PIXELS_STRIDED + 1) * size)


class ConvertOp(Operator):
    """From one layout to another, one of them plain, or a copy."""

    def __init__(self, source: Layout, target: Layout):
        self.source, self.target = source, target

    def emit(self, program: CompiledProgram, xs: list[View], y: View, scratch: int) -> None:
        x, (c, h, w) = xs[0], y.shape
        if x.layout == y.layout != PLAIN:
            blocks, size = x.layout.blocks(c), x.layout.plane(h, w)
            program.append(instructions.copy_planes, program.rows * blocks, **values_in(x), **values_out(y),
                           x_plane=size, y_plane=size, oc_blocks=blocks, size=size)
        elif x.layout == y.layout:      # a plain image is one row of one channel
            program.append(instructions.pack, program.rows, **values_in(x), **values_out(y), x_plane=0, x_row=0,
                           y_plane=0, y_row=0, h=1, w=x.image_stride, border=0, oc_blocks=1, channels=1, block=1,
                           external_input=x.external_input)
        elif x.layout == PLAIN:
            program.append(instructions.pack, program.rows * y.layout.blocks(c), **planes_in(x), **planes_out(y),
                           channels=c, block=y.layout.block, external_input=x.external_input)
        else:
            out = planes_out(y)
            del out["border"], out["oc_blocks"]
            blocks = x.layout.blocks(c)
            program.append(instructions.unpack, program.rows * blocks, **planes_in(x), **out, channels=c,
                           ic_blocks=blocks, block=x.layout.block)


class MaxpoolOp(Operator):
    """The maxima of windows (size, size)."""

    def __init__(self, size: int, stride: Pair, padding: int, plain: Run):
        self.size, self.stride, self.padding, self.plain = size, stride, padding, plain

    def emit(self, program: CompiledProgram, xs: list[View], y: View, scratch: int) -> None:
        (_, h, w), out = xs[0].shape, planes_out(y)
        program.append(instructions.maxpool, program.rows * out["oc_blocks"], **planes_in(xs[0]), **out, x_h=h, x_w=w,
                       size=self.size, stride_y=self.stride[0], stride_x=self.stride[1], pad=self.padding // 2,
                       zeros=program.zeros(LANES), tile=program.tile(direct.largest))


class AddOp(Operator):
    """act(the sum of two or more images)."""

    def __init__(self, activation: str, plain: Run):
        self.activation, self.plain = activation, plain

    def emit(self, program: CompiledProgram, xs: list[View], y: View, scratch: int) -> None:
        x, zeros, out = xs[0], program.zeros(LANES), planes_out(y)
        for other in xs[1:]:        # the first two into y, then y and the next
            taps = [place for image in range(program.rows)
                    for place in (0, other.offset - x.offset + image * (other.image_stride - x.image_stride))]
            program.append(instructions.add, program.rows * out["oc_blocks"], **planes_in(x), **out,
                           **act_fields(self.activation if other is xs[-1] else "linear"), biases=zeros,
                           tile=program.tile(direct.add), taps=program.taps(taps), scratch=y.shape[2] * LANES)
            x = y


class PartialSigmoidOp(Operator):
    """factors f(x) + offsets, channel by channel, from blocked images to plain ones; f: logistic, or the identity."""

    def __init__(self, sigmoid: np.ndarray, factors: np.ndarray, offsets: np.ndarray, plain: Run):
        self.plain, self.settings = plain, np.stack([sigmoid, factors, offsets], axis=1).astype(f4)

    def layouts(self, shapes: list[Shape], border: int) -> tuple[list[Layout], Layout]:
        return [Layout(LANES, border)], PLAIN

    def emit(self, program: CompiledProgram, xs: list[View], y: View, scratch: int) -> None:
        c, h, w = xs[0].shape
        blocks = xs[0].layout.blocks(c)
        program.append(instructions.partial_sigmoid, program.rows * blocks, **planes_in(xs[0]), **values_out(y),
                       x_h=h, x_w=w, channels=c, ic_blocks=blocks, scratch=h * w,
                       settings=program.array(self.settings.size, lambda: self.settings))


class UpsampleOp(Operator):
    """Each pixel `stride` times each way."""

    def __init__(self, stride: int, plain: Run):
        self.stride, self.plain = stride, plain

    def out_shape(self, shape: Shape) -> Shape:
        return shape[1], shape[2] * self.stride, shape[3] * self.stride

    def emit(self, program: CompiledProgram, xs: list[View], y: View, scratch: int) -> None:
        out = planes_out(y)
        program.append(instructions.upsample, program.rows * out["oc_blocks"], **planes_in(xs[0]), **out,
                       x_w=xs[0].shape[2], stride=self.stride, biases=program.zeros(LANES), taps=program.taps([0]),
                       tile=program.tile(direct.add))


class MeanOp(Operator):
    """The mean of each channel, from blocked images to plain values."""

    def __init__(self, plain: Run):
        self.plain = plain

    def layouts(self, shapes: list[Shape], border: int) -> tuple[list[Layout], Layout]:
        return [Layout(LANES, border)], PLAIN

    def fits(self, shapes: list[Shape]) -> bool:
        return math.prod(shapes[0][1:]) <= MOST_TAPS

    def emit(self, program: CompiledProgram, xs: list[View], y: View, scratch: int) -> None:
        source, (c, h, w) = planes_in(xs[0]), xs[0].shape
        row, blocks = source.pop("x_row"), xs[0].layout.blocks(c)
        program.append(instructions.mean, program.rows * blocks, **source, **values_out(y), channels=c,
                       ic_blocks=blocks, biases=program.zeros(LANES), tile=program.tile(direct.add), tap_count=h * w,
                       taps=program.taps([i * row + j * LANES for i in range(h) for j in range(w)]), scratch=LANES)


class SoftmaxOp(Operator):
    """Softmax of each of `groups` equal groups of values, divided by the temperature first."""

    def __init__(self, groups: int, temperature: float, plain: Run):
        self.groups, self.temperature, self.plain = groups, temperature, plain

    def layouts(self, shapes: list[Shape], border: int) -> tuple[list[Layout], Layout]:
        return [PLAIN], PLAIN

    def emit(self, program: CompiledProgram, xs: list[View], y: View, scratch: int) -> None:
        program.append(instructions.softmax, program.rows * self.groups, **values_in(xs[0]), **values_out(y),
                       groups=self.groups, size=math.prod(y.shape) // self.groups,
                       inverse_temperature=1 / self.temperature)


def padded(biases: np.ndarray | None, size: int) -> np.ndarray:
    """Biases (f,), or none, followed by zeros (size,)."""
    full = np.zeros(size, f4)
    if biases is not None:
        full[:len(biases)] = biases
    return full
