"""What a plan does beside its convolutions and connected layers: kernels of its program."""
import math

import numpy as np

from runner.ops import planned as reference
from runner.ops.fast.infer import instructions
from runner.ops.fast.infer.executor import Program
from runner.ops.fast.infer.operators import Base, planes
from runner.ops.fast.simd import direct
from runner.ops.fast.simd.isa import LANES
from runner.ops.fast.simd.math import COMPILED_ACTIVATIONS, f4
from runner.ops.inference_op import PLAIN, Layout, Shape, View
from runner.ops.planned import Run
from runner.ops.pool import Pair


def plan_add(activation: str) -> Run:
    slow = reference.plan_add(activation)
    return Add(activation, slow) if activation in COMPILED_ACTIVATIONS else slow


def plan_avgpool() -> Run:
    return Mean(reference.plan_avgpool())


def plan_logistic(curved: np.ndarray, factors: np.ndarray, offsets: np.ndarray) -> Run:
    return Logistic(curved, factors, offsets, reference.plan_logistic(curved, factors, offsets))


def plan_maxpool2d(size: int, stride: Pair, padding: int) -> Run:
    return Maxpool(size, stride, padding, reference.plan_maxpool2d(size, stride, padding))


def plan_softmax(groups: int, temperature: float) -> Run:
    return Softmax(groups, temperature, reference.plan_softmax(groups, temperature))


def plan_upsample(stride: int, scale: float) -> Run:
    slow = reference.plan_upsample(stride, scale)
    return Upsample(stride, slow) if scale == 1 else slow


class Maxpool(Base):
    def __init__(self, size: int, stride: Pair, padding: int, slow: Run):
        self.size, self.stride, self.padding, self.slow = size, stride, padding, slow

    def emit(self, program: Program, xs: list[View], y: View, scratch: int) -> None:
        where = planes(xs[0], y)
        program.step(instructions.POOL, program.rows * where["wide"], **where, size=self.size, stride=self.stride[1],
                   x_down=self.stride[0], pad=self.padding // 2, biases=program.zeros(LANES),
                   tile=program.tile(direct.largest))


class Add(Base):
    def __init__(self, activation: str, slow: Run):
        self.activation, self.slow = activation, slow

    def emit(self, program: Program, xs: list[View], y: View, scratch: int) -> None:
        x, zero = xs[0], program.zeros(LANES)
        for other in xs[1:]:        # the first two into y, then what is there and the next
            act = COMPILED_ACTIVATIONS[self.activation if other is xs[-1] else "linear"]
            where = planes(x, y)
            program.step(instructions.ADD, program.rows * where["wide"], **where, code=act.code, low=act.alpha,
                       high=act.beta, biases=zero, spare=y.shape[2] * LANES, tile=program.tile(direct.add),
                       taps=program.taps([place for image in range(program.rows)
                                        for place in (0,
                                        other.offset - x.offset + image * (other.image_stride - x.image_stride))]))
            x = y


class Logistic(Base):
    """factors f(x) + offsets, channel by channel, from blocked images to plain ones; f: logistic, or nothing."""

    def __init__(self, curved: np.ndarray, factors: np.ndarray, offsets: np.ndarray, slow: Run):
        self.slow, self.channels = slow, np.stack([curved, factors, offsets], axis=1).astype(f4)

    def layouts(self, shapes: list[Shape], border: int) -> tuple[list[Layout], Layout]:
        return [Layout(LANES, border)], PLAIN

    def emit(self, program: Program, xs: list[View], y: View, scratch: int) -> None:
        where, (_, h, w) = planes(xs[0], y), xs[0].shape
        program.step(instructions.CURVED, program.rows * where["deep"], **where | dict(y=y.offset), spare=h * w,
                   weights=program.address(self.channels.size, lambda: self.channels))


class Upsample(Base):
    def __init__(self, stride: int, slow: Run):
        self.stride, self.slow = stride, slow

    def out_shape(self, shape: Shape) -> Shape:
        return shape[1], shape[2] * self.stride, shape[3] * self.stride

    def emit(self, program: Program, xs: list[View], y: View, scratch: int) -> None:
        where = planes(xs[0], y)
        program.step(instructions.UPSAMPLE, program.rows * where["wide"], **where, stride=self.stride,
                   biases=program.zeros(LANES), taps=program.taps([0]), tile=program.tile(direct.add))


class Mean(Base):
    def __init__(self, slow: Run):
        self.slow = slow

    def layouts(self, shapes: list[Shape], border: int) -> tuple[list[Layout], Layout]:
        return [Layout(LANES, border)], PLAIN

    def emit(self, program: Program, xs: list[View], y: View, scratch: int) -> None:
        where, (_, h, w) = planes(xs[0], y), xs[0].shape
        program.step(instructions.MEAN, program.rows * where["deep"], **where | dict(y=y.offset),
                   biases=program.zeros(LANES), spare=LANES, tile=program.tile(direct.add), tap_count=h * w,
                   taps=program.taps([i * where["x_row"] + j * LANES for i in range(h) for j in range(w)]))


class Softmax(Base):
    def __init__(self, groups: int, temperature: float, slow: Run):
        self.groups, self.temperature, self.slow = groups, temperature, slow

    def layouts(self, shapes: list[Shape], border: int) -> tuple[list[Layout], Layout]:
        return [PLAIN], PLAIN

    def emit(self, program: Program, xs: list[View], y: View, scratch: int) -> None:
        program.step(instructions.SOFTMAX, program.rows * self.groups, wide=self.groups, x=xs[0].offset,
                   x_image=xs[0].image_stride,
                   y=y.offset, y_image=y.image_stride, size=math.prod(y.shape) // self.groups, low=1 / self.temperature)
