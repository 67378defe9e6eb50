"""The kernels of an inference program: what each operation writes into the table of steps.

A kernel is also a function run(x, out) on plain arrays, for plans and callers that have use for that: it then makes a
program of its own.  Weights are packed once, at the first use.
"""
import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from runner.ops import memory, parallel
from runner.ops.blocked import PLAIN, Layout, Shape, View
from runner.ops.conv import Pair
from runner.ops.fast import steps, window
from runner.ops.fast.activation import coded
from runner.ops.fast.conv_tile import LANES
from runner.ops.fast.program import Program
from runner.ops.fast.scalar import f4

CACHE = 1 << 16         # values of the input a part of a convolution looks at, about: they stay in the cache
STRIP = 1 << 18         # values of a strip of Winograd's convolution, transformed
PARTS = 16              # pieces of work a step has at least, where it is large enough
FEW_INPUTS = 4          # channels up to which an image is taken as it is: one register would be mostly empty
FEW = 100 * 100         # channels times filters up to which Winograd's transforms cost more than its products
LEAST, MANY = 9, 512 * 512      # with fewer tiles than that, and more weights, reading these is what takes the time
# G g G^T of a kernel, row by row, as a product with the nine values of g (tiles.py)
G = np.array([[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6], [1 / 24, 1 / 12, 1 / 6],
              [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]])
WINOGRAD = np.kron(G, G).astype(f4)
Run = Callable[..., Any]


class Base:
    """What kernels share.  slow: the same on plain arrays of any type and shape, where there are such."""
    border = 0
    slow: Run | None = None

    def layouts(self, shapes: list[Shape], border: int) -> tuple[list[Layout], Layout]:
        return [Layout(LANES, border)] * len(shapes), Layout(LANES, border)

    def room(self, rows: int) -> int:
        return 0

    def convert(self, shape: Shape, source: Layout, target: Layout) -> "Convert":
        return Convert(source, target)

    def program(self, rows: int, dry: bool) -> Program:
        return Program(rows, dry)

    def write(self, table: Program, xs: list[View], y: View, room: int) -> None:
        raise NotImplementedError

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
            size += rows * place.image
            return place
        for x, layout in zip(xs, takes, strict=True):
            outside = View(at, x[0].size, x.shape[1:] if x.ndim == 4 else (x[0].size, 1, 1), PLAIN, rows, outside=True)
            inside.append(view(x.shape[1:], layout))
            Convert(PLAIN, layout).write(program, [outside], inside[-1], 0)
            at += x.size
        y = last = view(shape, gives)
        room = size
        size += self.room(rows)
        self.write(program, inside, y, room)
        if gives != PLAIN:
            last = view(shape, PLAIN)
            Convert(gives, PLAIN).write(program, [y], last, 0)
        m = memory.empty(max(size, 64))
        program.bind(m.view(np.uint8))(given)
        out = memory.empty((rows, *shape)) if out is None else out
        np.copyto(out, m[last.at:last.at + out.size].reshape(out.shape))
        return out

    def out_shape(self, shape: Shape) -> Shape:
        """Of an image, for inputs (n, ...)."""
        return shape[1:]


class Conv(Base):
    """act(conv2d(x) + biases): weights (f, c, kh, kw), biases (f,) or None."""

    def __init__(self, weights: np.ndarray, biases: np.ndarray | None, activation: str, in_shape: Shape, out: Pair,
                 stride: Pair, padding: Pair, dilation: int, winograd: bool | None = None):
        self.given: np.ndarray | None = weights
        self.biases, self.activation, self.filters = biases, activation, weights.shape
        self.shape, self.out, self.stride, self.padding, self.dilation = in_shape, out, stride, padding, dilation
        (f, c, kh, kw), (_, h, w) = weights.shape, in_shape
        self.deep, self.wide = -(-c // LANES), -(-f // LANES)
        self.planar = c <= FEW_INPUTS
        beyond = [(size - 1) * stride_ + (k - 1) * dilation - pad - (inside - 1) for size, stride_, k, pad, inside in
                  zip(out, stride, (kh, kw), padding, (h, w), strict=True)]
        self.frame = max(0, *padding, *beyond)
        self.border = 0 if self.planar else self.frame
        self.winograd = self._for_winograd() if winograd is None else winograd
        self.group = 4 if self.wide % 4 == 0 and window.GROUP == 4 and out[1] <= window.FEWER else 2

    def _for_winograd(self) -> bool:
        f, c, kh, kw = self.filters
        if (kh, kw, self.stride, self.dilation, self.padding) != (3, 3, (1, 1), 1, (1, 1)):
            return False
        tiles = math.prod(self._tiles())
        if tiles < LEAST and c * f > MANY:
            return False
        return min(c, f) >= LANES and math.prod(self.out) / (16 * tiles) > 0.5

    def layouts(self, shapes: list[Shape], border: int) -> tuple[list[Layout], Layout]:
        return [Layout(1, self.frame) if self.planar else Layout(LANES, border)], Layout(LANES, border)

    @cached_property
    def padded_biases(self) -> np.ndarray:
        biases = np.zeros(self.wide * LANES, f4)
        if self.biases is not None:
            biases[:len(self.biases)] = self.biases
        return biases

    @property
    def packed_size(self) -> int:
        _, c, kh, kw = self.filters
        return (c if self.planar else self.deep * LANES) * (36 if self.winograd else kh * kw) * self.wide * LANES

    @cached_property
    def packed(self) -> np.ndarray:
        """Flat: of each group of channels (taps, inputs, filters), of Winograd's 36 products (inputs, filters)."""
        assert self.given is not None
        (f, c, kh, kw), weights = self.filters, self.given
        self.given = None       # a network's weights should not be there twice
        size, inputs = self.group * LANES, self.packed_size // (self.wide * LANES * (36 if self.winograd else 1))
        flat = memory.zeros((36 if self.winograd else 1, inputs * self.wide * LANES))

        def pack(i: slice) -> None:
            for first in range(i.start * size, i.stop * size, size):
                part = weights[first:first + size].reshape(-1, c, kh * kw)
                width = min(size, self.wide * LANES - first)
                into = flat[:, inputs * first:inputs * (first + width)]
                if self.winograd:
                    into.reshape(36, -1, width)[:, :c, :len(part)] = (part @ WINOGRAD.T).T
                elif self.planar:
                    into.reshape(c, kh * kw, width)[..., :len(part)] = part.transpose(1, 2, 0)
                else:       # the last block of channels may be filled by zeros
                    blocks = into.reshape(self.deep, kh * kw, LANES, width)
                    for k in range(self.deep):
                        block = part[:, k * LANES:(k + 1) * LANES].transpose(2, 1, 0)
                        blocks[k, :, :block.shape[1], :len(part)] = block
        parallel.for_blocks(pack, -(-f // size), size * inputs * len(flat))
        return flat.reshape(-1)

    def out_shape(self, shape: Shape) -> Shape:
        return self.filters[0], *self.out

    def _tiles(self) -> Pair:
        return -(-self.out[0] // 4), -(-self.out[1] // 4)

    def _in_strips(self) -> bool:
        return self.filters[0] * self.filters[1] <= FEW

    def room(self, rows: int) -> int:
        if not self.winograd or self._in_strips():
            return 0
        return 36 * math.prod(self._tiles()) * rows * (self.deep + self.wide) * LANES

    def write(self, table: Program, xs: list[View], y: View, room: int) -> None:
        x, (oh, ow) = xs[0], self.out
        _, h, w = self.shape
        code, low, high = coded(self.activation)
        common = dict(images=table.rows, h=oh, w=ow, border=y.layout.border, deep=self.deep, wide=self.wide,
                      group=self.group, code=code, low=low, high=high, x_h=h, x_w=w,
                      weights=table.address(self.packed_size, lambda: self.packed),
                      biases=table.address(self.wide * LANES, lambda: self.padded_biases))
        into = dict(y=y.at + y.layout.first(ow), y_image=y.image, y_plane=y.layout.plane(oh, ow),
                    y_row=y.layout.row(ow), y_step=LANES)
        row, plane = x.layout.row(w), x.layout.plane(h, w)
        begin = x.at + x.layout.first(w)
        if self.winograd:
            self._write_winograd(table, common, into, dict(x=begin, x_image=x.image, x_plane=plane, x_row=row), room)
            return
        _, c, kh, kw = self.filters
        inner = 1 if self.planar else LANES
        planes = c if self.planar else self.deep
        taps = [k * plane + (i * self.dilation - self.padding[0]) * row
                + (j * self.dilation - self.padding[1]) * inner
                for k in range(planes) for i in range(kh) for j in range(kw)]
        groups = -(-self.wide // self.group)
        each = planes * inner * w * self.stride[0]
        strip = max(1, min(oh, CACHE // each))
        shares = min(groups, max(1, -(-PARTS // (-(-oh // strip) * table.rows))))
        if shares * -(-oh // strip) * table.rows < PARTS:
            strip = max(1, oh // -(-PARTS // (shares * table.rows)))
        beside = inner * self.stride[1] == LANES
        table.step(steps.CONVOLVE, table.rows * -(-oh // strip) * shares, **common, **into, x=begin, x_image=x.image,
                   tile=table.tile(window.convolve if beside else window.convolve_apart),
                   x_row=row, x_step=inner * self.stride[1], x_down=row * self.stride[0], strip=strip, shares=shares,
                   taps=table.taps(taps), tap_count=len(taps), inner=inner,
                   panel=self.group * LANES * len(taps) * inner * 4, spare=ow * LANES)

    def _write_winograd(self, table: Program, common: dict, into: dict, source: dict, room: int) -> None:
        down, across = self._tiles()
        nothing = table.zeros(self.wide * LANES)
        size, panel = self.deep * self.wide * LANES * LANES * 4, self.group * LANES * self.deep * LANES * 4
        work = 12 * (4 * across + 2) * LANES + (24 + 4 * across * 5) * LANES
        common |= dict(across=across, panel=panel, weights_image=size, tile=table.tile(window.convolve),
                       ending=table.tile(window.add))
        if self._in_strips():
            values = 36 * (self.deep + self.wide) * LANES
            strip = max(1, min(down, STRIP // (values * across), -(-down * table.rows // PARTS)))
            places = strip * across
            table.step(steps.WINOGRAD, table.rows * -(-down // strip), **common, **into, **source, strip=strip,
                       x_step=places, other=nothing, taps=table.taps([k * places * LANES for k in range(self.deep)]),
                       spare=values * places + work)
            return
        places = table.rows * down * across
        pixel, one = dict(x_step=LANES, y_step=LANES, tile=common["tile"]), places * LANES
        v, m = room, room + 36 * self.deep * one
        strip, shares = max(1, -(-down * table.rows * self.deep // PARTS)), min(4, -(-self.wide // self.group))
        strips = -(-down // strip)
        table.step(steps.TILES_IN, table.rows * self.deep * strips, **common, **source, strip=strip, spare=work,
                   y=v, y_plane=one, y_row=self.deep * one)
        table.step(steps.CONVOLVE, 36 * shares, **pixel, images=36, h=1, w=places, deep=self.deep, wide=self.wide,
                   group=self.group, low=1, strip=1, shares=shares, panel=panel, weights=common["weights"],
                   weights_image=size, biases=nothing, inner=LANES, tap_count=self.deep,
                   taps=table.taps([k * one for k in range(self.deep)]),
                   x=v, x_image=self.deep * one, y=m, y_image=self.wide * one, y_plane=one)
        table.step(steps.TILES_OUT, table.rows * self.wide * strips, **common, **into, strip=strip, spare=work,
                   x=m, x_plane=one, x_row=self.wide * one, taps=table.taps([0]))


class Depthwise(Base):
    """act(conv2d(x) + biases) where every channel is convolved by itself: weights (c, 1, kh, kw)."""

    def __init__(self, weights: np.ndarray, biases: np.ndarray | None, activation: str, in_shape: Shape, out: Pair,
                 stride: Pair, padding: Pair, dilation: int):
        self.activation, self.shape, self.out = activation, in_shape, out
        self.stride, self.padding, self.dilation, self.size = stride, padding, dilation, weights.shape[2:]
        (c, _, kh, kw), (_, h, w) = weights.shape, in_shape
        self.wide = -(-c // LANES)
        self.border = max(0, *padding, *((size - 1) * step + (k - 1) * dilation - pad - (inside - 1)
                                         for size, step, k, pad, inside in
                                         zip(out, stride, (kh, kw), padding, (h, w), strict=True)))
        whole = np.zeros((self.wide * LANES, kh * kw + 1), f4)
        whole[:c, :-1] = weights.reshape(c, -1)
        if biases is not None:
            whole[:c, -1] = biases
        blocks = whole.reshape(self.wide, LANES, -1).swapaxes(1, 2)
        self.packed, self.biases = blocks[:, :-1].copy(), blocks[:, -1].copy()

    def out_shape(self, shape: Shape) -> Shape:
        return shape[1], *self.out

    def write(self, table: Program, xs: list[View], y: View, room: int) -> None:
        x, (oh, ow), (kh, kw), (_, h, w) = xs[0], self.out, self.size, self.shape
        code, low, high = coded(self.activation)
        row = x.layout.row(w)
        taps = [(i * self.dilation - self.padding[0]) * row + (j * self.dilation - self.padding[1]) * LANES
                for i in range(kh) for j in range(kw)]
        strip = max(1, min(oh, -(-oh * table.rows * self.wide // PARTS)))
        table.step(steps.SCALE, table.rows * self.wide * -(-oh // strip), h=oh, w=ow, wide=self.wide,
                   tile=table.tile(window.scale),
                   border=y.layout.border, code=code, low=low, high=high, strip=strip,
                   x=x.at + x.layout.first(w), x_image=x.image, x_plane=x.layout.plane(h, w),
                   x_step=LANES * self.stride[1], x_down=row * self.stride[0],
                   y=y.at + y.layout.first(ow), y_image=y.image, y_plane=y.layout.plane(oh, ow),
                   y_row=y.layout.row(ow), taps=table.taps(taps), tap_count=len(taps),
                   weights=table.address(self.packed.size, lambda: self.packed),
                   biases=table.address(self.biases.size, lambda: self.biases),
                   panel=len(taps) * LANES * 4, spare=ow * LANES)


def planes(x: View, y: View) -> dict[str, int]:
    """Where two blocked images lie, for steps that take them plane by plane."""
    (c, h, w), (_, oh, ow) = x.shape, y.shape
    return dict(x=x.at + x.layout.first(w), x_image=x.image, x_plane=x.layout.plane(h, w), x_row=x.layout.row(w),
                x_h=h, x_w=w, y=y.at + y.layout.first(ow), y_image=y.image, y_plane=y.layout.plane(oh, ow),
                y_row=y.layout.row(ow), h=oh, w=ow, border=y.layout.border, wide=y.layout.blocks(c),
                deep=x.layout.blocks(c), channels=c)


class Maxpool(Base):
    def __init__(self, size: int, stride: Pair, padding: int, slow: Run):
        self.size, self.stride, self.padding, self.slow = size, stride, padding, slow

    def write(self, table: Program, xs: list[View], y: View, room: int) -> None:
        where = planes(xs[0], y)
        table.step(steps.POOL, table.rows * where["wide"], **where, size=self.size, stride=self.stride[1],
                   x_down=self.stride[0], pad=self.padding // 2, biases=table.zeros(LANES),
                   tile=table.tile(window.largest))


class Add(Base):
    def __init__(self, activation: str, slow: Run):
        self.activation, self.slow = activation, slow

    def write(self, table: Program, xs: list[View], y: View, room: int) -> None:
        x, zero = xs[0], table.zeros(LANES)
        for other in xs[1:]:        # the first two into y, then what is there and the next
            code, low, high = coded(self.activation if other is xs[-1] else "linear")
            where = planes(x, y)
            table.step(steps.ADD, table.rows * where["wide"], **where, code=code, low=low, high=high,
                       biases=zero, spare=y.shape[2] * LANES, tile=table.tile(window.add),
                       taps=table.taps([place for image in range(table.rows)
                                        for place in (0, other.at - x.at + image * (other.image - x.image))]))
            x = y


class Logistic(Base):
    """factors f(x) + offsets, channel by channel, from blocked images to plain ones; f: logistic, or nothing."""

    def __init__(self, curved: np.ndarray, factors: np.ndarray, offsets: np.ndarray, slow: Run):
        self.slow, self.channels = slow, np.stack([curved, factors, offsets], axis=1).astype(f4)

    def layouts(self, shapes: list[Shape], border: int) -> tuple[list[Layout], Layout]:
        return [Layout(LANES, border)], PLAIN

    def write(self, table: Program, xs: list[View], y: View, room: int) -> None:
        where, (_, h, w) = planes(xs[0], y), xs[0].shape
        table.step(steps.LOGISTIC_STEP, table.rows * where["deep"], **where | dict(y=y.at), spare=h * w,
                   weights=table.address(self.channels.size, lambda: self.channels))


class Upsample(Base):
    def __init__(self, stride: int, slow: Run):
        self.stride, self.slow = stride, slow

    def out_shape(self, shape: Shape) -> Shape:
        return shape[1], shape[2] * self.stride, shape[3] * self.stride

    def write(self, table: Program, xs: list[View], y: View, room: int) -> None:
        where = planes(xs[0], y)
        table.step(steps.UPSAMPLE, table.rows * where["wide"], **where, stride=self.stride,
                   biases=table.zeros(LANES), taps=table.taps([0]), tile=table.tile(window.add))


class Mean(Base):
    def __init__(self, slow: Run):
        self.slow = slow

    def layouts(self, shapes: list[Shape], border: int) -> tuple[list[Layout], Layout]:
        return [Layout(LANES, border)], PLAIN

    def write(self, table: Program, xs: list[View], y: View, room: int) -> None:
        where, (_, h, w) = planes(xs[0], y), xs[0].shape
        table.step(steps.MEAN, table.rows * where["deep"], **where | dict(y=y.at),
                   biases=table.zeros(LANES), spare=LANES, tile=table.tile(window.add), tap_count=h * w,
                   taps=table.taps([i * where["x_row"] + j * LANES for i in range(h) for j in range(w)]))


class Dense(Base):
    """act(x W^T + biases): weights (o, i)."""

    def __init__(self, weights: np.ndarray, biases: np.ndarray | None, activation: str, slow: Run):
        self.weights, self.given_biases, self.activation, self.slow = weights, biases, activation, slow
        self.groups = -(-len(weights) // (window.GROUP * LANES))

    def out_shape(self, shape: Shape) -> Shape:
        return (len(self.weights),)

    def layouts(self, shapes: list[Shape], border: int) -> tuple[list[Layout], Layout]:
        return [PLAIN], PLAIN

    @cached_property
    def packed(self) -> np.ndarray:
        o, i = self.weights.shape
        size = window.GROUP * LANES
        last = o - (self.groups - 1) * size
        vectors = 1 if last <= LANES else 2 if last <= 2 * LANES else window.GROUP
        flat = memory.zeros((((self.groups - 1) * window.GROUP + vectors) * LANES * i,), f4)

        def pack(j: slice) -> None:
            for g in range(j.start, j.stop):
                part = self.weights[g * size:(g + 1) * size]
                width = size if g < self.groups - 1 else vectors * LANES
                flat[g * size * i:g * size * i + width * i].reshape(i, width)[:, :len(part)] = part.T
        parallel.for_blocks(pack, self.groups, size * i)
        return flat

    @cached_property
    def biases(self) -> np.ndarray:
        biases = np.zeros(self.groups * window.GROUP * LANES, f4)
        if self.given_biases is not None:
            biases[:len(self.given_biases)] = self.given_biases
        return biases

    def write(self, table: Program, xs: list[View], y: View, room: int) -> None:
        code, low, high = coded(self.activation)
        o, i = self.weights.shape
        size = window.GROUP * LANES
        table.step(steps.DENSE, self.groups, tile=table.tile(window.convolve_apart), images=table.rows,
                   code=code, low=low, high=high, group=window.GROUP,
                   channels=o, x=xs[0].at, x_image=xs[0].image, y=y.at, y_image=y.image, inner=i,
                   panel=size * i * 4, weights=table.address(self.groups * size * i, lambda: self.packed),
                   biases=table.address(self.groups * size, lambda: self.biases),
                   taps=table.taps([0]), spare=(window.STRIDED + 1) * size)

    def __call__(self, *arrays: Any) -> np.ndarray:
        assert self.slow is not None
        return self.slow(*arrays)


class Softmax(Base):
    def __init__(self, groups: int, temperature: float, slow: Run):
        self.groups, self.temperature, self.slow = groups, temperature, slow

    def layouts(self, shapes: list[Shape], border: int) -> tuple[list[Layout], Layout]:
        return [PLAIN], PLAIN

    def write(self, table: Program, xs: list[View], y: View, room: int) -> None:
        table.step(steps.SOFTMAX, table.rows * self.groups, wide=self.groups, x=xs[0].at, x_image=xs[0].image,
                   y=y.at, y_image=y.image, size=math.prod(y.shape) // self.groups, low=1 / self.temperature)


class Convert(Base):
    """From one layout to another, one of them plain, or a copy."""

    def __init__(self, source: Layout, target: Layout):
        self.source, self.target = source, target

    def write(self, table: Program, xs: list[View], y: View, room: int) -> None:
        x, where = xs[0], planes(xs[0], y)
        if x.layout == y.layout != PLAIN:
            table.step(steps.COPY, table.rows * where["wide"], wide=where["wide"], x=x.at, x_image=x.image, y=y.at,
                       y_image=y.image, x_plane=where["x_plane"], y_plane=where["y_plane"], size=where["x_plane"])
        elif x.layout == y.layout:
            table.step(steps.PACK, table.rows, wide=1, h=1, w=x.image, channels=1, size=1, outside=x.outside, x=x.at,
                       x_image=x.image, y=y.at, y_image=y.image)
        elif x.layout == PLAIN:
            table.step(steps.PACK, table.rows * where["wide"], **where, size=y.layout.block, outside=x.outside)
        else:
            table.step(steps.UNPACK, table.rows * where["deep"], **where | dict(wide=where["deep"], h=x.shape[1],
                                                                                w=x.shape[2]), size=x.layout.block)


