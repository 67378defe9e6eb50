"""Convolutions of an inference program: the plain sum, Winograd's, and depthwise ones, on blocked images."""
import math
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import numpy as np

from runner.ops import memory, parallel
from runner.ops import planned as reference
from runner.ops.conv import Pair, conv_out
from runner.ops.fast.infer import instructions
from runner.ops.fast.infer.executor import Program
from runner.ops.fast.infer.operators import Base
from runner.ops.fast.simd import direct
from runner.ops.fast.simd.isa import LANES
from runner.ops.fast.simd.math import COMPILED_ACTIVATIONS, f4
from runner.ops.fast.train import conv
from runner.ops.inference_op import Layout, Shape, View

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
Run = Callable[..., np.ndarray]
_packing = threading.Lock()     # two threads may begin with a network at once


def plan_conv2d(weights: np.ndarray, biases: np.ndarray | None, activation: str, in_shape: tuple[int, ...], *,
                stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: int = 1, groups: int = 1,
                out_size: Pair | None = None) -> Run:
    f, _, kh, kw = weights.shape
    if weights.dtype != f4 or not weights.size or activation not in COMPILED_ACTIVATIONS:
        return reference.plan_conv2d(weights, biases, activation, in_shape, stride=stride, padding=padding,
                                     dilation=dilation, groups=groups, out_size=out_size)
    oh, ow = out_size or (conv_out(in_shape[2], kh, stride[0], padding[0], dilation),
                          conv_out(in_shape[3], kw, stride[1], padding[1], dilation))
    if groups == 1:
        return Conv(weights, biases, activation, in_shape[1:], (oh, ow), stride, padding, dilation)
    if groups == f == in_shape[1]:
        return Depthwise(weights, biases, activation, in_shape[1:], (oh, ow), stride, padding, dilation)
    every = _group_by_group(weights, groups)
    if every is not None:
        each = f // len(every)
        return Grouped([Conv(part, None if biases is None else biases[k * each:(k + 1) * each], activation,
                             (part.shape[1], *in_shape[2:]), (oh, ow), stride, padding, dilation)
                        for k, part in enumerate(every)])
    weights = weights.copy()

    def run(x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        y = conv.conv2d(x, weights, stride=stride, padding=padding, dilation=dilation, groups=groups,
                        out_size=(oh, ow), alone=True)
        return reference.finish(y, biases, activation, out)
    return run


def _group_by_group(weights: np.ndarray, groups: int) -> list[np.ndarray] | None:
    """The weights of each group, so many groups as one that whole blocks of channels are filled (what one group does
    not see of another's channels has weight 0); None where they cannot be."""
    f, c, kh, kw = weights.shape
    each = f // groups
    together = max(1, LANES // c)
    if each != c or c * together % LANES or groups % together:
        return None
    parts = []
    for first in range(0, groups, together):
        part = np.zeros((together, c, together, c, kh, kw), f4)
        for k in range(together):
            part[k, :, k] = weights[(first + k) * c:(first + k + 1) * c]
        parts.append(part.reshape(together * c, together * c, kh, kw))
    return parts


class Conv(Base):
    """act(conv2d(x) + biases): weights (f, c, kh, kw), biases (f,) or None."""

    def __init__(self, weights: np.ndarray, biases: np.ndarray | None, activation: str, in_shape: Shape, out: Pair,
                 stride: Pair, padding: Pair, dilation: int, winograd: bool | None = None):
        self.given: np.ndarray | None = weights
        self._packed: np.ndarray | None = None
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
        self.group = 4 if self.wide % 4 == 0 and direct.GROUP == 4 and out[1] <= direct.FEWER else 2

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

    def pack_weights(self) -> None:
        assert self.packed.size == self.packed_size

    @property
    def packed_size(self) -> int:
        _, c, kh, kw = self.filters
        return (c if self.planar else self.deep * LANES) * (36 if self.winograd else kh * kw) * self.wide * LANES

    @property
    def packed(self) -> np.ndarray:
        with _packing:
            if self._packed is None:
                assert self.given is not None
                self._packed, self.given = self._pack(self.given), None     # weights should not be there twice
            return self._packed

    def _pack(self, weights: np.ndarray) -> np.ndarray:
        """Flat: of each group of channels (taps, inputs, filters), of Winograd's 36 products (inputs, filters)."""
        f, c, kh, kw = self.filters
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

    def scratch(self, rows: int) -> int:
        if not self.winograd or self._in_strips():
            return 0
        return 36 * math.prod(self._tiles()) * rows * (self.deep + self.wide) * LANES

    def emit(self, program: Program, xs: list[View], y: View, scratch: int) -> None:
        x, (oh, ow) = xs[0], self.out
        _, h, w = self.shape
        act = COMPILED_ACTIVATIONS[self.activation]
        common = dict(images=program.rows, h=oh, w=ow, border=y.layout.border, deep=self.deep, wide=self.wide,
                      group=self.group, code=act.code, low=act.alpha, high=act.beta, x_h=h, x_w=w,
                      weights=program.address(self.packed_size, lambda: self.packed),
                      biases=program.address(self.wide * LANES, lambda: self.padded_biases))
        into = dict(y=y.offset + y.layout.first(ow), y_image=y.image_stride, y_plane=y.layout.plane(oh, ow),
                    y_row=y.layout.row(ow), y_step=LANES)
        row, plane = x.layout.row(w), x.layout.plane(h, w)
        begin = x.offset + x.layout.first(w)
        if self.winograd:
            self._emit_winograd(program, common, into, dict(x=begin, x_image=x.image_stride, x_plane=plane, x_row=row),
            scratch)
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
        shares = min(groups, max(1, -(-PARTS // (-(-oh // strip) * program.rows))))
        if shares * -(-oh // strip) * program.rows < PARTS:
            strip = max(1, oh // -(-PARTS // (shares * program.rows)))
        beside = inner * self.stride[1] == LANES
        program.step(instructions.CONVOLVE, program.rows * -(-oh // strip) * shares, **common, **into, x=begin,
                   x_image=x.image_stride,
                   tile=program.tile(direct.convolve if beside else direct.convolve_apart),
                   x_row=row, x_step=inner * self.stride[1], x_down=row * self.stride[0], strip=strip, shares=shares,
                   taps=program.taps(taps), tap_count=len(taps), inner=inner,
                   panel=self.group * LANES * len(taps) * inner * 4, spare=ow * LANES)

    def _emit_winograd(self, program: Program, common: dict, into: dict, source: dict, scratch: int) -> None:
        down, across = self._tiles()
        nothing = program.zeros(self.wide * LANES)
        size, panel = self.deep * self.wide * LANES * LANES * 4, self.group * LANES * self.deep * LANES * 4
        work = 12 * (4 * across + 2) * LANES + (24 + 4 * across * 5) * LANES
        common |= dict(across=across, panel=panel, weights_image=size, tile=program.tile(direct.convolve),
                       ending=program.tile(direct.add))
        if self._in_strips():
            values = 36 * (self.deep + self.wide) * LANES
            strip = max(1, min(down, STRIP // (values * across), -(-down * program.rows // PARTS)))
            places = strip * across
            program.step(instructions.WINOGRAD, program.rows * -(-down // strip), **common, **into, **source,
                       strip=strip,
                       x_step=places, other=nothing, taps=program.taps([k * places * LANES for k in range(self.deep)]),
                       spare=values * places + work)
            return
        places = program.rows * down * across
        pixel, one = dict(x_step=LANES, y_step=LANES, tile=common["tile"]), places * LANES
        v, m = scratch, scratch + 36 * self.deep * one
        strip, shares = max(1, -(-down * program.rows * self.deep // PARTS)), min(4, -(-self.wide // self.group))
        strips = -(-down // strip)
        program.step(instructions.TILES_IN, program.rows * self.deep * strips, **common, **source, strip=strip,
                   spare=work,
                   y=v, y_plane=one, y_row=self.deep * one)
        program.step(instructions.CONVOLVE, 36 * shares, **pixel, images=36, h=1, w=places, deep=self.deep,
                   wide=self.wide,
                   group=self.group, low=1, strip=1, shares=shares, panel=panel, weights=common["weights"],
                   weights_image=size, biases=nothing, inner=LANES, tap_count=self.deep,
                   taps=program.taps([k * one for k in range(self.deep)]),
                   x=v, x_image=self.deep * one, y=m, y_image=self.wide * one, y_plane=one)
        program.step(instructions.TILES_OUT, program.rows * self.wide * strips, **common, **into, strip=strip,
                   spare=work,
                   x=m, x_plane=one, x_row=self.wide * one, taps=program.taps([0]))


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

    def emit(self, program: Program, xs: list[View], y: View, scratch: int) -> None:
        x, (oh, ow), (kh, kw), (_, h, w) = xs[0], self.out, self.size, self.shape
        act = COMPILED_ACTIVATIONS[self.activation]
        row = x.layout.row(w)
        taps = [(i * self.dilation - self.padding[0]) * row + (j * self.dilation - self.padding[1]) * LANES
                for i in range(kh) for j in range(kw)]
        strip = max(1, min(oh, -(-oh * program.rows * self.wide // PARTS)))
        program.step(instructions.SCALE, program.rows * self.wide * -(-oh // strip), h=oh, w=ow, wide=self.wide,
                   tile=program.tile(direct.scale),
                   border=y.layout.border, code=act.code, low=act.alpha, high=act.beta, strip=strip,
                   x=x.offset + x.layout.first(w), x_image=x.image_stride, x_plane=x.layout.plane(h, w),
                   x_step=LANES * self.stride[1], x_down=row * self.stride[0],
                   y=y.offset + y.layout.first(ow), y_image=y.image_stride, y_plane=y.layout.plane(oh, ow),
                   y_row=y.layout.row(ow), taps=program.taps(taps), tap_count=len(taps),
                   weights=program.address(self.packed.size, lambda: self.packed),
                   biases=program.address(self.biases.size, lambda: self.biases),
                   panel=len(taps) * LANES * 4, spare=ow * LANES)


class Grouped(Base):
    """Several convolutions side by side, each of whole blocks of channels."""

    def __init__(self, parts: list[Conv]):
        self.parts, self.border = parts, parts[0].border

    def out_shape(self, shape: Shape) -> Shape:
        return sum(part.filters[0] for part in self.parts), *self.parts[0].out

    def pack_weights(self) -> None:
        for part in self.parts:
            part.pack_weights()

    def scratch(self, rows: int) -> int:
        return max(part.scratch(rows) for part in self.parts)

    def emit(self, program: Program, xs: list[View], y: View, scratch: int) -> None:
        x = xs[0]
        for k, part in enumerate(self.parts):
            (_, *size), (f, c, *_) = part.shape, part.filters
            mine = replace(x, offset=x.offset + k * x.layout.size((c, *size)), shape=part.shape)
            into = replace(y, offset=y.offset + k * y.layout.size((f, *part.out)), shape=(f, *part.out))
            part.emit(program, [mine], into, scratch)
