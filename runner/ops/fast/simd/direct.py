"""Sums, products and maxima over the windows of blocked images (NCHWc), a tile of results at a time in registers.

In a blocked image (inference_op.py) the LANES channels of a pixel are consecutive, so a register holds one pixel.
Everything an inference plan computes on images then is one loop,

    result[pixel, channels] = start + sum over taps t of f(x[pixel + t])

with another f: `convolve` multiplies every input channel by weights of all LANES output channels, `scale` multiplies
each channel by its own weight (depthwise), `add` takes the values as they are, `largest` takes maxima.  A tile is up
to MAX_PIXELS neighbouring pixels of a row times up to MAX_VECTORS registers of channels; it stays in registers until
it is done.  Each result is the sum of its terms in their order, whatever tile it is in.

`accumulate_taps` is the same loop for one channel of a plain image (NCHW), for training.
"""
import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types

from runner.ops.fast.jit import compiled, entry, intrinsic
from runner.ops.fast.simd.builder import FLOAT, INDEX, VECTOR, ZERO, Writer
from runner.ops.fast.simd.isa import (
    FLOAT_BYTES,
    LANES,
    MAX_PIXELS,
    MAX_PIXELS_4_VECTORS,
    MAX_PIXELS_STRIDED,
    MAX_VECTORS,
    TAP_VECTORS,
)

MINUS_INFINITY = ir.Constant(VECTOR, [-math.inf] * LANES)

ADDRESS = types.int64       # of arrays; the others are sizes and distances
SIGNATURE = types.void(*[ADDRESS] * 9, types.float32, *[ADDRESS] * 3)

# the sizes of tiles there is code for: pixels, vectors
FOUR_VECTORS = {(p, 4) for p in range(1, MAX_PIXELS_4_VECTORS + 1) if MAX_VECTORS == 4}
CONSECUTIVE = {(p, f) for p in range(1, MAX_PIXELS + 1) for f in (1, 2)} | FOUR_VECTORS
STRIDED = {(p, f) for p in range(1, MAX_PIXELS_STRIDED + 1) for f in (1, 2)} | FOUR_VECTORS
SINGLE = {(p, 1) for p in range(1, MAX_PIXELS_STRIDED + 1)}
CASES = 8       # a tile of p pixels and f vectors is case CASES p + f of a switch: f is less


class _Case:
    """The loop for one size of tile."""

    def __init__(self, op: str, pixels: int, vectors: int, w: Writer, stride: Any):
        self.op, self.pixels, self.vectors, self.w, self.builder = op, pixels, vectors, w, w.builder
        self.offsets = [w.builder.mul(stride, INDEX(p)) if p else INDEX(0) for p in range(pixels)]

    def write(self, x: Any, taps: Any, count: Any, inner: Any, weights: Any, start: Any) -> list[Any]:
        """-> the results, pixel by pixel; the builder is after the loop then."""
        b, count_of_sums = self.builder, self.pixels * self.vectors
        first = [self.w.load(start, INDEX(f * LANES)) if start else MINUS_INFINITY for f in range(self.vectors)]
        before = b.block
        outer, inside, next_tap, after = (b.append_basic_block(name) for name in ("tap", "channel", "next", "done"))
        b.branch(outer)
        b.position_at_end(outer)
        i, at, sums = b.phi(INDEX), b.phi(INDEX), [b.phi(VECTOR) for _ in range(count_of_sums)]
        base = b.gep(x, [b.load(b.gep(taps, [i]))])
        b.branch(inside)
        b.position_at_end(inside)
        c, k, carried = b.phi(INDEX), b.phi(INDEX), [b.phi(VECTOR) for _ in range(count_of_sums)]
        news = self._terms(base, c, weights, k, carried)
        c_next, k_next = b.add(c, INDEX(1)), b.add(k, INDEX(self.vectors * LANES))
        b.cbranch(b.icmp_signed("<", c_next, inner), inside, next_tap)
        b.position_at_end(next_tap)
        i_next = b.add(i, INDEX(1))
        b.cbranch(b.icmp_signed("<", i_next, count), outer, after)
        for phi, begin, end in [(i, INDEX(0), i_next), (at, INDEX(0), k_next),
                                *((s, first[m % self.vectors], news[m]) for m, s in enumerate(sums))]:
            phi.add_incoming(begin, before)
            phi.add_incoming(end, next_tap)
        for phi, begin, end in [(c, INDEX(0), c_next), (k, at, k_next), *zip(carried, sums, news, strict=True)]:
            phi.add_incoming(begin, outer)
            phi.add_incoming(end, inside)
        b.position_at_end(after)
        return news

    def _terms(self, base: Any, c: Any, weights: Any, k: Any, sums: list[Any]) -> list[Any]:
        """The sums with the terms of input channel c of a tap, whose weights begin at k."""
        b, w, news = self.builder, self.w, []
        factors = ([w.load(weights, b.add(k, INDEX(f * LANES))) for f in range(self.vectors)]
                   if self.op in ("convolve", "scale") else [])
        for p, offset in enumerate(self.offsets):
            place = b.add(offset, c) if self.op == "convolve" else offset
            value = w.broadcast(base, place) if self.op == "convolve" else w.load(base, place)
            for f in range(self.vectors):
                last = sums[p * self.vectors + f]
                if self.op == "largest":
                    news.append(b.select(b.fcmp_ordered(">", value, last), value, last))
                elif self.op == "add":
                    news.append(b.fadd(last, value))
                else:
                    news.append(w.multiply_add(value, factors[f], last))
        return news


def _make(op: str, cases: set[tuple[int, int]], stride: int | None = None) -> Any:
    """The intrinsic of an operation; stride: between pixels of x, where it is a constant."""
    # thirteen arguments: an operation on a tile is called by address, with the registers' values one by one
    @intrinsic
    def tile(typing: Any, pixels: Any, vectors: Any, x: Any, x_stride: Any, taps: Any, count: Any, inner: Any,
             weights: Any, start: Any, slope: Any, y: Any, y_stride: Any, y_plane: Any) -> Any:
        def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            w = Writer(context, builder)
            pixels, vectors, x, x_stride, taps, count, inner, weights, start, slope, y, y_stride, y_plane = args
            x, weights, start, y = (builder.inttoptr(at, FLOAT.as_pointer()) for at in (x, weights, start, y))
            taps, slopes = builder.inttoptr(taps, INDEX.as_pointer()), w.broadcast_value(slope)
            end = builder.append_basic_block("end")
            switch = builder.switch(w.offset(vectors, pixels, CASES), end)
            for p, f in sorted(cases):
                block = builder.append_basic_block(f"tile{p}x{f}")
                switch.add_case(INDEX(CASES * p + f), block)
                builder.position_at_end(block)
                case = _Case(op, p, f, w, x_stride if stride is None else INDEX(stride))
                results = case.write(x, taps, count, inner, weights, None if op == "largest" else start)
                for m, z in enumerate(results):
                    if op != "largest":
                        z = builder.select(builder.fcmp_ordered(">", z, ZERO), z, builder.fmul(z, slopes))
                    w.store(z, y, builder.add(builder.mul(y_stride, INDEX(m // f)), builder.mul(y_plane, INDEX(m % f))))
                builder.branch(end)
            builder.position_at_end(end)
            return context.get_dummy_value()
        return SIGNATURE, write
    return tile


@intrinsic      # fourteen arguments, because they are passed in registers: a record would be stored and read back
def run_tile(typing: Any, operation: Any, pixels: Any, vectors: Any, x: Any, x_stride: Any, taps: Any, count: Any,
             inner: Any, weights: Any, start: Any, slope: Any, y: Any, y_stride: Any, y_plane: Any) -> Any:
    """y[p y_stride + f y_plane + lane] = act(start[f, lane] + sum over i < count, c < inner of
    f(x[taps[i] + p x_stride + c], weights[i, c, f, lane])), for p < pixels, f < vectors.

    operation: its address (`address`); x, taps, weights, start and y are addresses too.  act(z) is z where z > 0, else
    slope z.
    """
    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = [FLOAT if kind == types.float32 else INDEX for kind in SIGNATURE.args]
        kind = ir.FunctionType(ir.VoidType(), kinds)
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value()
    return types.void(types.int64, *SIGNATURE.args), write


class Row(NamedTuple):
    """What the tiles of a row have in common: see run_tile."""
    operation: int
    vectors: int
    x_stride: int
    taps: int
    tap_count: int
    inner: int
    weights: int
    start: int
    slope: Any      # float32
    y_stride: int
    y_plane: int


@compiled
def run_row(row, pixels, limit, x, y):
    """`run_tile` for `pixels` pixels of a row, whose first is at the addresses x and y, in tiles of at most `limit`
    pixels that differ by one at most."""
    tiles, at = -(-pixels // limit), 0
    while tiles:
        p = (pixels - at) // tiles
        run_tile(row.operation, p, row.vectors, x + FLOAT_BYTES * at * row.x_stride, row.x_stride, row.taps,
                 row.tap_count, row.inner, row.weights, row.start, row.slope, y + FLOAT_BYTES * at * row.y_stride,
                 row.y_stride, row.y_plane)
        at += p
        tiles -= 1


@intrinsic
def value(typing: Any, address: Any, index: Any) -> Any:
    """Value `index` of the float32 array at an address."""
    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(builder.gep(builder.inttoptr(args[0], FLOAT.as_pointer()), [args[1]]))
    return types.float32(types.int64, types.int64), write


_convolve, _convolve_strided = _make("convolve", CONSECUTIVE, LANES), _make("convolve", STRIDED)
_scale, _add, _largest = _make("scale", SINGLE), _make("add", SINGLE), _make("largest", SINGLE)


# The operations, with the arguments of run_tile.  Each is a function so that it can be compiled and called by address.
def convolve(pixels, vectors, x, x_stride, taps, count, inner, weights, start, slope, y, y_stride, y_plane):
    """f is x[c] weights[c, lane], for pixels that are consecutive: x_stride is LANES."""
    _convolve(pixels, vectors, x, x_stride, taps, count, inner, weights, start, slope, y, y_stride, y_plane)


def convolve_strided(pixels, vectors, x, x_stride, taps, count, inner, weights, start, slope, y, y_stride, y_plane):
    """f is x[c] weights[c, lane], for pixels at any distance."""
    _convolve_strided(pixels, vectors, x, x_stride, taps, count, inner, weights, start, slope, y, y_stride, y_plane)


def scale(pixels, vectors, x, x_stride, taps, count, inner, weights, start, slope, y, y_stride, y_plane):
    """f is x[lane] weights[lane]: depthwise."""
    _scale(pixels, vectors, x, x_stride, taps, count, inner, weights, start, slope, y, y_stride, y_plane)


def add(pixels, vectors, x, x_stride, taps, count, inner, weights, start, slope, y, y_stride, y_plane):
    """f is x[lane]; weights are not read."""
    _add(pixels, vectors, x, x_stride, taps, count, inner, weights, start, slope, y, y_stride, y_plane)


def largest(pixels, vectors, x, x_stride, taps, count, inner, weights, start, slope, y, y_stride, y_plane):
    """The maximum of x[lane] in place of the sum; weights, start and slope are not read."""
    _largest(pixels, vectors, x, x_stride, taps, count, inner, weights, start, slope, y, y_stride, y_plane)


@cache
def address(operation: Callable[..., None]) -> int:
    """Of one of the operations above, compiled at its first use, for `run_tile`."""
    return entry(operation, SIGNATURE)


@intrinsic
def accumulate_taps(typing: Any, a: Any, a0: Any, starts: Any, k: Any, b: Any, b0: Any, c: Any, c0: Any) -> Any:
    """c (TAP_VECTORS vectors) = sum over k of a[a0 + k] b[b0 + starts[k]:]: a row of a plane (NCHW) under a filter."""
    i = types.intp
    signature = types.void(a, i, starts, i, b, i, c, i)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w, kinds = Writer(context, builder), signature.args
        a, starts = w.pointer(kinds[0], args[0], args[1]), w.pointer(kinds[2], args[2], INDEX(0))
        b, c = w.pointer(kinds[4], args[4], args[5]), w.pointer(kinds[6], args[6], args[7])

        def body(i: Any, sums: list[Any]) -> list[Any]:
            factor, start = w.broadcast(a, i), builder.load(builder.gep(starts, [i]))
            return [w.multiply_add(factor, w.load(b, builder.add(start, INDEX(v * LANES))), sums[v])
                    for v in range(TAP_VECTORS)]
        for v, value in enumerate(w.loop(args[3], TAP_VECTORS, body)):
            w.store(value, c, INDEX(v * LANES))
        return context.get_dummy_value()
    return signature, write
