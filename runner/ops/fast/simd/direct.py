"""Sums, products and maxima over windows of blocked images, a tile of results at a time in vector registers.

In a blocked image (blocked.py) LANES channels of a pixel lie side by side, so a register holds the same pixel of LANES
channels.  Everything an inference plan computes on images then is one loop,

    result[pixel, channels] = start + sum over taps t of f(x[pixel + t])

with another f: `convolve` multiplies every single input channel with weights of all LANES output channels, `scale` each
channel with a weight of its own (depthwise), `add` takes the values as they are, `largest` takes maxima.  A tile is
up to PIXELS neighbouring pixels of a row times up to WIDE_TILE registers of channels; no part of it leaves the
registers before it is done.  Each result is the sum of its terms in their order, whatever tile it lies in.
"""
import math
from collections.abc import Callable
from functools import cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from runner.ops.fast.jit import entry
from runner.ops.fast.simd.builder import FLOAT, INDEX, VECTOR, ZERO, Writer
from runner.ops.fast.simd.isa import HAS_AVX512, LANES, TAP_VECTORS

PIXELS = 14 if HAS_AVX512 else 6              # of a tile with one or two registers a pixel
FEWER = 6                               # of a tile with four
STRIDED = 8 if HAS_AVX512 else 6              # of a tile whose pixels do not lie side by side: each needs an address
GROUP = 4 if HAS_AVX512 else 2                # registers of channels a tile has at most
LEAST = ir.Constant(VECTOR, [-math.inf] * LANES)

WHOLE = types.int64
SIGNATURE = types.void(*[WHOLE] * 9, types.float32, *[WHOLE] * 3)

SIDE_BY_SIDE = {(p, f) for p in range(1, PIXELS + 1) for f in (1, 2)} | {
    (p, 4) for p in range(1, FEWER + 1) if GROUP == 4}
APART = {(p, f) for p in range(1, STRIDED + 1) for f in (1, 2)} | {(p, 4) for p in range(1, FEWER + 1) if GROUP == 4}
SINGLE = {(p, 1) for p in range(1, STRIDED + 1)}


class _Case:
    """The loop for one size of tile."""

    def __init__(self, op: str, pixels: int, vectors: int, w: Writer, step: Any):
        self.op, self.pixels, self.vectors, self.w, self.builder = op, pixels, vectors, w, w.builder
        self.steps = [w.builder.mul(step, INDEX(p)) if p else INDEX(0) for p in range(pixels)]

    def write(self, x: Any, taps: Any, count: Any, inner: Any, weights: Any, start: Any) -> list[Any]:
        """-> the results, pixel by pixel; leaves the builder behind the loop."""
        b, many = self.builder, self.pixels * self.vectors
        first = [self.w.load(start, INDEX(f * LANES)) if start else LEAST for f in range(self.vectors)]
        before = b.block
        outer, inside, behind, after = (b.append_basic_block(name) for name in ("tap", "channel", "next", "done"))
        b.branch(outer)
        b.position_at_end(outer)
        i, at, sums = b.phi(INDEX), b.phi(INDEX), [b.phi(VECTOR) for _ in range(many)]
        base = b.gep(x, [b.load(b.gep(taps, [i]))])
        b.branch(inside)
        b.position_at_end(inside)
        c, k, carried = b.phi(INDEX), b.phi(INDEX), [b.phi(VECTOR) for _ in range(many)]
        news = self._step(base, c, weights, k, carried)
        c_next, k_next = b.add(c, INDEX(1)), b.add(k, INDEX(self.vectors * LANES))
        b.cbranch(b.icmp_signed("<", c_next, inner), inside, behind)
        b.position_at_end(behind)
        i_next = b.add(i, INDEX(1))
        b.cbranch(b.icmp_signed("<", i_next, count), outer, after)
        for phi, begin, end in [(i, INDEX(0), i_next), (at, INDEX(0), k_next),
                                *((s, first[m % self.vectors], news[m]) for m, s in enumerate(sums))]:
            phi.add_incoming(begin, before)
            phi.add_incoming(end, behind)
        for phi, begin, end in [(c, INDEX(0), c_next), (k, at, k_next), *zip(carried, sums, news, strict=True)]:
            phi.add_incoming(begin, outer)
            phi.add_incoming(end, inside)
        b.position_at_end(after)
        return news

    def _step(self, base: Any, c: Any, weights: Any, k: Any, sums: list[Any]) -> list[Any]:
        b, w, news = self.builder, self.w, []
        factors = ([w.load(weights, b.add(k, INDEX(f * LANES))) for f in range(self.vectors)]
                   if self.op in ("convolve", "scale") else [])
        for p, step in enumerate(self.steps):
            place = b.add(step, c) if self.op == "convolve" else step
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


def _make(op: str, cases: set[tuple[int, int]], step: int | None = None) -> Any:
    """The intrinsic of an operation; step: between pixels of x, where it is known beforehand."""
    @intrinsic
    def tile(typing: Any, pixels: Any, vectors: Any, x: Any, x_step: Any, taps: Any, count: Any, inner: Any,
             weights: Any, start: Any, low: Any, y: Any, y_step: Any, plane: Any) -> Any:
        def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            w = Writer(context, builder)
            pixels, vectors, x, x_step, taps, count, inner, weights, start, low, y, y_step, plane = args
            x, weights, start, y = (builder.inttoptr(at, FLOAT.as_pointer()) for at in (x, weights, start, y))
            taps, lows = builder.inttoptr(taps, INDEX.as_pointer()), w.broadcast_value(low)
            end = builder.append_basic_block("end")
            switch = builder.switch(w.offset(vectors, pixels, 8), end)
            for p, f in sorted(cases):
                block = builder.append_basic_block(f"tile{p}x{f}")
                switch.add_case(INDEX(8 * p + f), block)
                builder.position_at_end(block)
                case = _Case(op, p, f, w, x_step if step is None else INDEX(step))
                results = case.write(x, taps, count, inner, weights, None if op == "largest" else start)
                for m, z in enumerate(results):
                    if op != "largest":
                        z = builder.select(builder.fcmp_ordered(">", z, ZERO), z, builder.fmul(z, lows))
                    w.store(z, y, builder.add(builder.mul(y_step, INDEX(m // f)), builder.mul(plane, INDEX(m % f))))
                builder.branch(end)
            builder.position_at_end(end)
            return context.get_dummy_value()
        return SIGNATURE, write
    return tile


@intrinsic
def run_tile(typing: Any, tile: Any, pixels: Any, vectors: Any, x: Any, x_step: Any, taps: Any, count: Any, inner: Any,
             weights: Any, start: Any, low: Any, y: Any, y_step: Any, plane: Any) -> Any:
    """y[p y_step + f plane + lane] = act(start[f, lane] + sum over i < count, c < inner of
    f(x[taps[i] + p x_step + c], weights[i, c, f, lane])), for p < pixels, f < vectors.

    tile: the address of the operation; x, taps, weights, start, y are addresses too.  act(z) is z where z > 0, else
    low z.
    """
    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = [FLOAT if kind == types.float32 else INDEX for kind in SIGNATURE.args]
        kind = ir.FunctionType(ir.VoidType(), kinds)
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value()
    return types.void(types.int64, *SIGNATURE.args), write


@intrinsic
def value(typing: Any, address: Any, index: Any) -> Any:
    """The float of an array that is known by its address."""
    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(builder.gep(builder.inttoptr(args[0], FLOAT.as_pointer()), [args[1]]))
    return types.float32(types.int64, types.int64), write


_convolve, _convolve_apart = _make("convolve", SIDE_BY_SIDE, LANES), _make("convolve", APART)
_scale, _add, _largest = _make("scale", SINGLE), _make("add", SINGLE), _make("largest", SINGLE)


def convolve(pixels, vectors, x, x_step, taps, count, inner, weights, start, low, y, y_step, plane):
    """Of pixels side by side: x_step is LANES."""
    _convolve(pixels, vectors, x, x_step, taps, count, inner, weights, start, low, y, y_step, plane)


def convolve_apart(pixels, vectors, x, x_step, taps, count, inner, weights, start, low, y, y_step, plane):
    _convolve_apart(pixels, vectors, x, x_step, taps, count, inner, weights, start, low, y, y_step, plane)


def scale(pixels, vectors, x, x_step, taps, count, inner, weights, start, low, y, y_step, plane):
    _scale(pixels, vectors, x, x_step, taps, count, inner, weights, start, low, y, y_step, plane)


def add(pixels, vectors, x, x_step, taps, count, inner, weights, start, low, y, y_step, plane):
    _add(pixels, vectors, x, x_step, taps, count, inner, weights, start, low, y, y_step, plane)


def largest(pixels, vectors, x, x_step, taps, count, inner, weights, start, low, y, y_step, plane):
    _largest(pixels, vectors, x, x_step, taps, count, inner, weights, start, low, y, y_step, plane)


@cache
def address(operation: Callable[..., None]) -> int:
    """Of one of the operations above: compiled at the first use, once for all who call it through `run_tile`."""
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
