"""The convolution operators of inference programs: direct, Winograd's, depthwise and grouped, on blocked images."""
import math
import threading
from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from runner.ops import memory, parallel
from runner.ops.conv import Pair
from runner.ops.fast.infer import instructions, winograd
from runner.ops.fast.infer.executor import CompiledProgram
from runner.ops.fast.infer.operators import Operator, act_fields, padded, planes_in, planes_out
from runner.ops.fast.simd import direct
from runner.ops.fast.simd.isa import LANES, MAX_PIXELS_4_VECTORS, MAX_VECTORS, VECTOR_BYTES
from runner.ops.fast.simd.math import RECTIFIER, f4
from runner.ops.fast.tuning import (
    PLAN_PARTS,
    PLAN_PLANAR_CHANNELS,
    PLAN_STRIP_INPUTS,
    PLAN_WINOGRAD_MAX_WEIGHTS,
    PLAN_WINOGRAD_MIN_TILES,
    PLAN_WINOGRAD_SHARES,
    PLAN_WINOGRAD_STRIP,
    PLAN_WINOGRAD_STRIPS_WEIGHTS,
    WINOGRAD_MIN_USEFUL,
)
from runner.ops.inference_op import Layout, Shape, View, is_placeholder
from runner.ops.winograd_matrices import FILTER_TRANSFORM, POINTS, TILE

WINOGRAD_FILTERS = FILTER_TRANSFORM.astype(f4)
MOST_PARTS = 1 << 12        # of a grouped convolution: an instruction each
_packing = threading.Lock()     # two threads may make their first call of a network at once


@dataclass(frozen=True)
class Geometry:
    """Windows and the image they cover: in_shape (c, h, w), size of the filters, out (oh, ow)."""
    in_shape: Shape
    size: Pair
    out: Pair
    stride: Pair
    padding: Pair
    dilation: int

    @property
    def border(self) -> int:
        """Zeros around the image that windows read."""
        beyond = [(out - 1) * stride + (k - 1) * self.dilation - pad - (inside - 1) for out, stride, k, pad, inside in
                  zip(self.out, self.stride, self.size, self.padding, self.in_shape[1:], strict=True)]
        return max(0, *self.padding, *beyond)

    def taps(self, row: int, pixel: int) -> list[int]:
        """Offsets of a window from the pixel it belongs to, where rows and pixels are that far apart."""
        return [(i * self.dilation - self.padding[0]) * row + (j * self.dilation - self.padding[1]) * pixel
                for i in range(self.size[0]) for j in range(self.size[1])]


def convolution(weights: np.ndarray, biases: np.ndarray | None, activation: str, geometry: Geometry) -> "Convolution":
    """The operator for weights (f, c, kh, kw) without groups: which algorithm takes which shape."""
    kind = Winograd if Winograd.is_worth_it(len(weights), geometry) else Direct
    return kind(weights, biases, activation, geometry)


class Convolution(Operator):
    """act(conv2d(x) + biases) with weights (f, c, kh, kw), biases (f,) or None: what both algorithms share.

    Output channels are computed in groups of `group` blocks, each with a panel of packed weights.
    """

    def __init__(self, weights: np.ndarray, biases: np.ndarray | None, activation: str, geometry: Geometry):
        self.geometry, self.biases, self.activation, self.filters = geometry, biases, activation, len(weights)
        self.ic_blocks, self.oc_blocks = -(-geometry.in_shape[0] // LANES), -(-len(weights) // LANES)
        self.group = (4 if self.oc_blocks % 4 == 0 and MAX_VECTORS == 4 and geometry.out[1] <= MAX_PIXELS_4_VECTORS
                      else 2)
        self._given: np.ndarray | None = weights
        self._packed: np.ndarray | None = None

    def out_shape(self, shape: Shape) -> Shape:
        return self.filters, *self.geometry.out

    def pack_weights(self) -> None:
        assert self.packed.size == self.packed_size

    @property
    @abstractmethod
    def packed_size(self) -> int:
        """Values of the packed weights."""

    @property
    def packed(self) -> np.ndarray:
        """Flat; the weights as given are dropped, so that they are not in memory twice."""
        with _packing:
            if self._packed is None:
                assert self._given is not None
                self._packed, self._given = self._pack(self._given), None
            return self._packed

    def _pack(self, weights: np.ndarray) -> np.ndarray:
        size, inputs = self.group * LANES, self.packed_size // (self.oc_blocks * LANES)
        flat = memory.zeros(self.packed_size)

        def pack(i: slice) -> None:
            for first in range(i.start * size, i.stop * size, size):
                part = weights[first:first + size].reshape(-1, weights.shape[1], math.prod(weights.shape[2:]))
                self._pack_group(part, first, min(size, self.oc_blocks * LANES - first), flat)
        parallel.for_blocks(pack, -(-self.filters // size), size * inputs)
        return flat

    @abstractmethod
    def _pack_group(self, part: np.ndarray, first: int, width: int, flat: np.ndarray) -> None:
        """Pack weights (f, c, taps) of the group whose first output channel is `first`, and that is `width` wide."""

    def _constants(self, program: CompiledProgram) -> dict[str, int]:
        """The arrays its instructions read."""
        return dict(weights=program.array(self.packed_size, lambda: self.packed),
                    biases=program.array(self.oc_blocks * LANES, lambda: padded(self.biases, self.oc_blocks * LANES)))


class Direct(Convolution):
    """The sum as it is defined, over the taps of each window.  With few channels the input is plain, not blocked."""

    def __init__(self, weights: np.ndarray, biases: np.ndarray | None, activation: str, geometry: Geometry):
        super().__init__(weights, biases, activation, geometry)
        self.planar = geometry.in_shape[0] <= PLAN_PLANAR_CHANNELS
        self.border = 0 if self.planar else geometry.border
        # planes of the input, and consecutive values of a pixel in each
        self.planes, self.inner = (geometry.in_shape[0], 1) if self.planar else (self.ic_blocks, LANES)

    def layouts(self, shapes: list[Shape], border: int) -> tuple[list[Layout], Layout]:
        own = Layout(1, self.geometry.border) if self.planar else Layout(LANES, border)
        return [own], Layout(LANES, border)

    @property
    def packed_size(self) -> int:
        return self.planes * self.inner * math.prod(self.geometry.size) * self.oc_blocks * LANES

    def _pack_group(self, part: np.ndarray, first: int, width: int, flat: np.ndarray) -> None:
        """(planes, taps, inner, width); the last block of channels may be filled up with zeros."""
        taps = part.shape[2]
        inputs = self.planes * taps * self.inner
        into = flat[inputs * first:inputs * (first + width)].reshape(self.planes, taps, self.inner, width)
        for k in range(self.planes):
            block = part[:, k * self.inner:(k + 1) * self.inner].transpose(2, 1, 0)
            into[k, :, :block.shape[1], :len(part)] = block

    def emit(self, program: CompiledProgram, xs: list[View], y: View, scratch: int) -> None:
        g, source = self.geometry, planes_in(xs[0])
        plane, row = source.pop("x_plane"), source.pop("x_row")
        taps = [k * plane + tap for k in range(self.planes) for tap in g.taps(row, self.inner)]
        strip, shares = self._parts(program.rows)
        x_stride = self.inner * g.stride[1]
        program.append(instructions.convolve, program.rows * -(-g.out[0] // strip) * shares, **source, **planes_out(y),
                       **act_fields(self.activation), **self._constants(program), x_stride=x_stride, y_stride=LANES,
                       x_window_row=row * g.stride[0], strip=strip, shares=shares, group=self.group,
                       taps=program.taps(taps), tap_count=len(taps), inner=self.inner,
                       panel_bytes=self.group * VECTOR_BYTES * len(taps) * self.inner, weights_image_bytes=0,
                       tile=program.tile(direct.convolve if x_stride == LANES else direct.convolve_strided),
                       scratch=g.out[1] * LANES)

    def _parts(self, rows: int) -> tuple[int, int]:
        """-> rows of a strip, and the parts its output channels are split into."""
        g, groups = self.geometry, -(-self.oc_blocks // self.group)
        inputs_of_row = self.planes * self.inner * g.in_shape[2] * g.stride[0]
        strip = max(1, min(g.out[0], PLAN_STRIP_INPUTS // inputs_of_row))
        shares = min(groups, max(1, -(-PLAN_PARTS // (-(-g.out[0] // strip) * rows))))
        if shares * -(-g.out[0] // strip) * rows < PLAN_PARTS:
            strip = max(1, g.out[0] // -(-PLAN_PARTS // (shares * rows)))
        return strip, shares


class Winograd(Convolution):
    """3 x 3 at stride 1 with a quarter of the multiplications (infer/winograd.py)."""

    def __init__(self, weights: np.ndarray, biases: np.ndarray | None, activation: str, geometry: Geometry):
        super().__init__(weights, biases, activation, geometry)
        self.border = geometry.border
        self.tile_rows, self.tile_cols = self._tiles(geometry)
        self.in_strips = len(weights) * geometry.in_shape[0] <= PLAN_WINOGRAD_STRIPS_WEIGHTS

    @staticmethod
    def _tiles(geometry: Geometry) -> Pair:
        return -(-geometry.out[0] // TILE), -(-geometry.out[1] // TILE)

    @classmethod
    def is_worth_it(cls, filters: int, geometry: Geometry) -> bool:
        g = geometry
        if (g.size, g.stride, g.dilation, g.padding) != ((3, 3), (1, 1), 1, (1, 1)):
            return False
        tiles, channels = math.prod(cls._tiles(g)), g.in_shape[0]
        if tiles < PLAN_WINOGRAD_MIN_TILES and channels * filters > PLAN_WINOGRAD_MAX_WEIGHTS:
            return False
        useful = math.prod(g.out) / (TILE ** 2 * tiles)
        return min(channels, filters) >= LANES and useful > WINOGRAD_MIN_USEFUL

    @property
    def packed_size(self) -> int:
        return POINTS * self.ic_blocks * LANES * self.oc_blocks * LANES

    def _pack_group(self, part: np.ndarray, first: int, width: int, flat: np.ndarray) -> None:
        """Of each point (inputs, width)."""
        inputs = self.ic_blocks * LANES
        into = flat.reshape(POINTS, -1)[:, inputs * first:inputs * (first + width)].reshape(POINTS, -1, width)
        into[:, :part.shape[1], :len(part)] = (part @ WINOGRAD_FILTERS.T).T

    def scratch(self, rows: int) -> int:
        tiles = self.tile_rows * self.tile_cols * rows
        return 0 if self.in_strips else POINTS * tiles * (self.ic_blocks + self.oc_blocks) * LANES

    def emit(self, program: CompiledProgram, xs: list[View], y: View, scratch: int) -> None:
        g, zeros = self.geometry, program.zeros(self.oc_blocks * LANES)
        gemm = dict(**self._constants(program), group=self.group, tile=program.tile(direct.convolve),
                    panel_bytes=self.group * VECTOR_BYTES * self.ic_blocks * LANES)
        point_bytes = self.ic_blocks * self.oc_blocks * LANES * VECTOR_BYTES
        source = planes_in(xs[0]) | dict(x_h=g.in_shape[1], x_w=g.in_shape[2], tile_cols=self.tile_cols,
                                         ic_blocks=self.ic_blocks)
        target = planes_out(y) | act_fields(self.activation) | dict(epilogue=program.tile(direct.add))
        transforms = winograd.input_scratch(self.tile_cols) + winograd.output_scratch(self.tile_cols)
        if self.in_strips:
            values = POINTS * (self.ic_blocks + self.oc_blocks) * LANES     # of a tile
            strip = max(1, min(self.tile_rows, PLAN_WINOGRAD_STRIP // (values * self.tile_cols),
                               -(-self.tile_rows * program.rows // PLAN_PARTS)))
            tiles = strip * self.tile_cols
            program.append(winograd.winograd, program.rows * -(-self.tile_rows // strip), **source, **target, **gemm,
                           strip=strip, strip_tiles=tiles, point_bytes=point_bytes, zeros=zeros,
                           taps=program.taps([k * tiles * LANES for k in range(self.ic_blocks)]),
                           scratch=values * tiles + transforms)
            return
        tiles = program.rows * self.tile_rows * self.tile_cols
        plane, v_point, m_point = tiles * LANES, self.ic_blocks * tiles * LANES, self.oc_blocks * tiles * LANES
        v, m = scratch, scratch + POINTS * v_point
        strip = max(1, -(-self.tile_rows * program.rows * self.ic_blocks // PLAN_PARTS))
        strips = -(-self.tile_rows // strip)
        program.append(winograd.winograd_input, program.rows * self.ic_blocks * strips, **source, strip=strip, v=v,
                       v_plane=plane, v_point=v_point, scratch=transforms)
        shares = min(PLAN_WINOGRAD_SHARES, -(-self.oc_blocks // self.group))
        identity = dict(act_code=RECTIFIER, act_alpha=1, act_beta=0)
        # the points are its images, each one row of all tiles
        program.append(instructions.convolve, POINTS * shares, **gemm | dict(biases=zeros), **identity, x=v,
                       x_image=v_point, x_window_row=0, x_stride=LANES, y=m, y_image=m_point, y_plane=plane, y_row=0,
                       y_stride=LANES, h=1, w=tiles, border=0, oc_blocks=self.oc_blocks, strip=1, shares=shares,
                       weights_image_bytes=point_bytes, inner=LANES, tap_count=self.ic_blocks,
                       taps=program.taps([k * plane for k in range(self.ic_blocks)]))
        program.append(winograd.winograd_output, program.rows * self.oc_blocks * strips, **target, strip=strip,
                       tile_cols=self.tile_cols, biases=gemm["biases"], m=m, m_plane=plane, m_point=m_point,
                       taps=program.taps([0]), scratch=transforms)


class Depthwise(Operator):
    """act(conv2d(x) + biases) where every channel has a filter of its own: weights (c, 1, kh, kw)."""

    def __init__(self, weights: np.ndarray, biases: np.ndarray | None, activation: str, geometry: Geometry):
        self.activation, self.geometry, self.border = activation, geometry, geometry.border
        self.blocks = -(-len(weights) // LANES)
        self.given_biases = biases
        self._given: np.ndarray | None = weights
        self._packed: np.ndarray | None = None

    def pack_weights(self) -> None:
        assert self.packed.size

    @property
    def packed(self) -> np.ndarray:
        """(blocks, taps, LANES); the weights as given are dropped."""
        with _packing:
            if self._packed is None:
                assert self._given is not None
                c, taps = len(self._given), math.prod(self.geometry.size)
                full = np.zeros((self.blocks * LANES, taps), f4)
                full[:c] = self._given.reshape(c, -1)
                self._packed, self._given = full.reshape(self.blocks, LANES, -1).swapaxes(1, 2).copy(), None
            return self._packed

    @cached_property
    def biases(self) -> np.ndarray:
        return padded(self.given_biases, self.blocks * LANES)

    def out_shape(self, shape: Shape) -> Shape:
        return shape[1], *self.geometry.out

    def emit(self, program: CompiledProgram, xs: list[View], y: View, scratch: int) -> None:
        g, source = self.geometry, planes_in(xs[0])
        row = source.pop("x_row")
        taps = g.taps(row, LANES)
        strip = max(1, min(g.out[0], -(-g.out[0] * program.rows * self.blocks // PLAN_PARTS)))
        program.append(instructions.depthwise, program.rows * self.blocks * -(-g.out[0] // strip), **source,
                       **planes_out(y), **act_fields(self.activation), tile=program.tile(direct.scale), strip=strip,
                       x_stride=LANES * g.stride[1], x_window_row=row * g.stride[0], taps=program.taps(taps),
                       tap_count=len(taps), weights=program.array(self.blocks * LANES * len(taps), lambda: self.packed),
                       biases=program.array(self.blocks * LANES, lambda: self.biases),
                       panel_bytes=len(taps) * VECTOR_BYTES, scratch=g.out[1] * LANES)


class Grouped(Operator):
    """Several convolutions next to each other, each of whole blocks of channels."""

    def __init__(self, parts: list[Convolution]):
        self.parts, self.border = parts, parts[0].border

    def out_shape(self, shape: Shape) -> Shape:
        return sum(part.filters for part in self.parts), *self.parts[0].geometry.out

    def pack_weights(self) -> None:
        for part in self.parts:
            part.pack_weights()

    def scratch(self, rows: int) -> int:
        return max(part.scratch(rows) for part in self.parts)

    def emit(self, program: CompiledProgram, xs: list[View], y: View, scratch: int) -> None:
        x = xs[0]
        for k, part in enumerate(self.parts):
            in_shape, out_shape = part.geometry.in_shape, (part.filters, *part.geometry.out)
            source = replace(x, offset=x.offset + k * x.layout.size(in_shape), shape=in_shape)
            target = replace(y, offset=y.offset + k * y.layout.size(out_shape), shape=out_shape)
            part.emit(program, [source], target, scratch)


def merge_groups(weights: np.ndarray, groups: int) -> list[np.ndarray] | None:
    """Weights (f, c, kh, kw) of `groups` groups -> those of fewer, larger groups that fill whole blocks of channels,
    with zeros between channels of different groups; None where that is not possible."""
    f, c, kh, kw = weights.shape
    each = f // groups
    together = max(1, LANES // c)
    if each != c or c * together % LANES or groups % together or groups > MOST_PARTS * together:
        return None
    if is_placeholder(weights):
        return [np.broadcast_to(weights[:1, :1, :1, :1], (together * c, together * c, kh, kw))] * (groups // together)
    parts = []
    for first in range(0, groups, together):
        part = np.zeros((together, c, together, c, kh, kw), f4)
        for k in range(together):
            part[k, :, k] = weights[(first + k) * c:(first + k + 1) * c]
        parts.append(part.reshape(together * c, together * c, kh, kw))
    return parts
