"""The innermost loops of matrix products, written for the vector registers.

A compiler keeps a tile of results in registers only when it is told so: here the instructions are put together one by
one (LLVM's intermediate language, by way of numba's `intrinsic`), ROWS x 3 vectors of results at once, one
multiplication-addition each per step.  That runs at the processor's peak, and every result is the sum of its terms in
their order, wherever in a matrix it lies and whoever computes it.
"""
import platform
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

FEATURES = binding.get_host_cpu_features()
WIDE = bool(FEATURES.get("avx512f"))
LANES = 16 if WIDE else 8               # floats in a vector
ROWS = 8 if WIDE or platform.machine() in ("arm64", "aarch64") else 4     # of a tile: ROWS x 3 vectors have registers
DOT_ROWS, DOT_COLUMNS = (4, 6) if WIDE else (3, 3)
WINDOW = 4      # vectors of results `window` has in registers
FUSED = WIDE or bool(FEATURES.get("fma")) or platform.machine() in ("arm64", "aarch64")

FLOAT, INDEX, SHORT = ir.FloatType(), ir.IntType(64), ir.IntType(32)
VECTOR = ir.VectorType(FLOAT, LANES)
ZERO = ir.Constant(VECTOR, [0.0] * LANES)
UNDEFINED = ir.Constant(VECTOR, ir.Undefined)


class Writer:
    """Writes instructions at the place a builder stands."""

    def __init__(self, context: Any, builder: Any):
        self.context, self.builder = context, builder

    def pointer(self, array_type: Any, array: Any, start: Any) -> Any:
        return self.builder.gep(self.context.make_array(array_type)(self.context, self.builder, array).data, [start])

    def at(self, base: Any, index: Any, factor: int = 1, extra: int = 0) -> Any:
        """index * factor + extra, added to base if there is one."""
        b = self.builder
        value = b.add(b.mul(index, INDEX(factor)), INDEX(extra))
        return value if base is None else b.add(base, value)

    def _vector(self, pointer: Any, offset: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(pointer, [offset]), VECTOR.as_pointer())

    def load(self, pointer: Any, offset: Any) -> Any:
        value = self.builder.load(self._vector(pointer, offset))
        value.align = 4
        return value

    def store(self, value: Any, pointer: Any, offset: Any) -> None:
        self.builder.store(value, self._vector(pointer, offset)).align = 4

    def spread(self, pointer: Any, offset: Any) -> Any:
        """One float of memory in all lanes."""
        return self.spread_value(self.builder.load(self.builder.gep(pointer, [offset])))

    def spread_value(self, value: Any) -> Any:
        b = self.builder
        one = b.insert_element(UNDEFINED, value, SHORT(0))
        return b.shuffle_vector(one, UNDEFINED, ir.Constant(ir.VectorType(SHORT, LANES), [0] * LANES))

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """a b + c"""
        if not FUSED:
            return self.builder.fadd(self.builder.fmul(a, b), c)
        module, name = self.builder.module, f"llvm.fma.v{LANES}f32"
        function = module.globals.get(name) or ir.Function(module, ir.FunctionType(VECTOR, [VECTOR] * 3), name)
        return self.builder.call(function, [a, b, c])

    def total(self, value: Any) -> Any:
        """The sum of all lanes: halves are added until one is left."""
        b, lanes = self.builder, LANES
        while lanes > 1:
            lanes //= 2
            halves = [b.shuffle_vector(value, value, ir.Constant(ir.VectorType(SHORT, lanes),
                                                                 list(range(first, first + lanes))))
                      for first in (0, lanes)]
            value = b.fadd(*halves)
        return b.extract_element(value, SHORT(0))

    def put(self, values: list[Any], pointer: Any, places: list[Any], add: Any) -> None:
        """Stores vectors, or adds them to what is there if add is not 0."""
        with self.builder.if_else(self.builder.icmp_signed("!=", add, INDEX(0))) as (more, first):
            with more:
                for value, place in zip(values, places, strict=True):
                    self.store(self.builder.fadd(self.load(pointer, place), value), pointer, place)
            with first:
                for value, place in zip(values, places, strict=True):
                    self.store(value, pointer, place)

    def dealt(self, lines: list[Any]) -> list[Any]:
        """Vectors -> first their first values, then their second ones, and so on."""
        half = len(lines) // 2
        orders = [ir.Constant(ir.VectorType(SHORT, LANES), [side * LANES // 2 + lane // 2 + lane % 2 * LANES
                                                            for lane in range(LANES)]) for side in (0, 1)]
        for _ in range(len(lines).bit_length() - 1):    # each time every other line is dealt between its neighbours
            lines = [self.builder.shuffle_vector(lines[m // 2], lines[m // 2 + half], orders[m % 2])
                     for m in range(len(lines))]
        return lines

    def loop(self, steps: Any, count: int, step: Any) -> list[Any]:
        """`count` vectors from zero, given a new value `steps` times (at least once) by step(i, vectors)."""
        b, before = self.builder, self.builder.block
        body, after = b.append_basic_block("steps"), b.append_basic_block("after")
        b.branch(body)
        b.position_at_end(body)
        i, sums = b.phi(INDEX), [b.phi(VECTOR) for _ in range(count)]
        news = step(i, sums)
        following = b.add(i, INDEX(1))
        for phi, first, new in [(i, INDEX(0), following), *((s, ZERO, n) for s, n in zip(sums, news, strict=True))]:
            phi.add_incoming(first, before)
            phi.add_incoming(new, body)
        b.cbranch(b.icmp_signed("<", following, steps), body, after)
        b.position_at_end(after)
        return news


def _make_tile(vectors: int, packed: bool) -> Any:
    def write_tile(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w, kinds = Writer(context, builder), signature.args
        _, a0, lda, _, b0, ldb, k, _, c0, ldc, add = args
        a, b, c = (w.pointer(kinds[at], args[at], start) for at, start in ((0, a0), (3, b0), (7, c0)))

        def step(i: Any, sums: list[Any]) -> list[Any]:
            row = builder.mul(i, ldb)
            values = [w.load(b, builder.add(row, INDEX(v * LANES))) for v in range(vectors)]
            news = []
            for m in range(ROWS):
                factor = w.spread(a, w.at(None, i, ROWS, m) if packed else w.at(i, lda, m))
                news += [w.multiply_add(factor, values[v], sums[m * vectors + v]) for v in range(vectors)]
            return news
        sums = w.loop(k, ROWS * vectors, step)
        places = [w.at(INDEX(v * LANES), ldc, m) for m in range(ROWS) for v in range(vectors)]
        w.put(sums, c, places, add)
        return context.get_dummy_value()

    @intrinsic
    def tile(typing: Any, a: Any, a0: Any, b: Any, b0: Any, ldb: Any, k: Any, c: Any, c0: Any, ldc: Any,
             add: Any) -> Any:
        """c (ROWS, vectors LANES) = or, if add, += sum over k of a[k, row] b[k, column].

        a (k, ROWS), b and c are flat arrays from a0, b0, c0 on; ldb, ldc: from one row to the next.
        """
        i = types.intp
        signature = types.void(a, i, b, i, i, i, c, i, i, i)

        def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            wide = types.void(*signature.args[:2], i, *signature.args[2:])
            return write_tile(context, builder, wide, [*args[:2], None, *args[2:]])
        return signature, write

    @intrinsic
    def tile_of_rows(typing: Any, a: Any, a0: Any, lda: Any, b: Any, b0: Any, ldb: Any, k: Any, c: Any, c0: Any,
                     ldc: Any, add: Any) -> Any:
        """The same of a (ROWS, k), whose rows lie lda apart."""
        i = types.intp
        return types.void(a, i, i, b, i, i, i, c, i, i, i), write_tile
    return tile if packed else tile_of_rows


@intrinsic
def dots(typing: Any, a: Any, a0: Any, lda: Any, b: Any, b0: Any, ldb: Any, k: Any, c: Any, c0: Any, ldc: Any) -> Any:
    """c (DOT_ROWS, DOT_COLUMNS) += a b^T over k vectors: a's rows times b's rows, each pair summed up."""
    i = types.intp
    signature = types.void(a, i, i, b, i, i, i, c, i, i)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w, kinds = Writer(context, builder), signature.args
        _, a0, lda, _, b0, ldb, k, _, c0, ldc = args
        a, b, c = w.pointer(kinds[0], args[0], a0), w.pointer(kinds[3], args[3], b0), w.pointer(kinds[7], args[7], c0)

        def step(i: Any, sums: list[Any]) -> list[Any]:
            along = builder.mul(i, INDEX(LANES))
            left = [w.load(a, w.at(along, lda, m)) for m in range(DOT_ROWS)]
            news = []
            for v in range(DOT_COLUMNS):
                right = w.load(b, w.at(along, ldb, v))
                news += [w.multiply_add(left[m], right, sums[v * DOT_ROWS + m]) for m in range(DOT_ROWS)]
            return news
        sums = w.loop(k, DOT_ROWS * DOT_COLUMNS, step)
        for v in range(DOT_COLUMNS):
            for m in range(DOT_ROWS):
                place = builder.gep(c, [w.at(INDEX(v), ldc, m)])
                builder.store(builder.fadd(builder.load(place), w.total(sums[v * DOT_ROWS + m])), place)
        return context.get_dummy_value()
    return signature, write


tile1, tile2, tile3 = (_make_tile(vectors, packed=True) for vectors in (1, 2, 3))
rows1, rows2, rows3 = (_make_tile(vectors, packed=False) for vectors in (1, 2, 3))


@intrinsic
def move(typing: Any, a: Any, a0: Any, b: Any, b0: Any, count: Any) -> Any:
    """b[b0:] = a[a0:], `count` vectors (at least one)."""
    i = types.intp
    signature = types.void(a, i, b, i, i)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w, kinds = Writer(context, builder), signature.args
        a, b = w.pointer(kinds[0], args[0], args[1]), w.pointer(kinds[2], args[2], args[3])

        def step(i: Any, sums: list[Any]) -> list[Any]:
            at = builder.mul(i, INDEX(LANES))
            w.store(w.load(a, at), b, at)
            return []
        w.loop(args[4], 0, step)
        return context.get_dummy_value()
    return signature, write


def _copy(w: Writer, a: Any, b: Any, length: Any) -> None:
    """b[:] = a[:], so many values and no more: whole vectors, the last of which covers a part of the one before it."""
    builder = w.builder

    def ends(size: int) -> None:
        """The first `size` values and the last, which may overlap."""
        kind, places = ir.VectorType(FLOAT, size).as_pointer(), (INDEX(0), builder.sub(length, INDEX(size)))
        values = [builder.load(builder.bitcast(builder.gep(a, [at]), kind)) for at in places]
        for at, value in zip(places, values, strict=True):
            value.align = 4
            builder.store(value, builder.bitcast(builder.gep(b, [at]), kind)).align = 4

    def smaller(size: int) -> None:
        with builder.if_else(builder.icmp_signed(">=", length, INDEX(size))) as (yes, no):
            with yes:
                ends(size)
            with no:
                if size > 1:
                    smaller(size // 2)

    with builder.if_else(builder.icmp_signed(">=", length, INDEX(2 * LANES))) as (long, short):
        with long:
            with cgutils.for_range(builder, builder.sdiv(length, INDEX(LANES))) as loop:
                at = builder.mul(loop.index, INDEX(LANES))
                w.store(w.load(a, at), b, at)
            last = builder.sub(length, INDEX(LANES))
            w.store(w.load(a, last), b, last)
        with short:
            smaller(LANES)


@intrinsic
def copy_rows(typing: Any, a: Any, a0: Any, lda: Any, b: Any, b0: Any, ldb: Any, rows: Any, length: Any) -> Any:
    """b[b0 + r ldb:] = a[a0 + r lda:], `length` values and no more, for r below rows."""
    i = types.intp
    signature = types.void(a, i, i, b, i, i, i, i)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w, kinds = Writer(context, builder), signature.args
        a, b = w.pointer(kinds[0], args[0], args[1]), w.pointer(kinds[3], args[3], args[4])
        with cgutils.for_range(builder, args[6]) as loop:
            _copy(w, builder.gep(a, [builder.mul(loop.index, args[2])]),
                  builder.gep(b, [builder.mul(loop.index, args[5])]), args[7])
        return context.get_dummy_value()
    return signature, write


@intrinsic
def copy_run(typing: Any, a: Any, a0: Any, b: Any, b0: Any, length: Any) -> Any:
    """b[b0:] = a[a0:], `length` values and no more."""
    i = types.intp
    signature = types.void(a, i, b, i, i)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w, kinds = Writer(context, builder), signature.args
        _copy(w, w.pointer(kinds[0], args[0], args[1]), w.pointer(kinds[2], args[2], args[3]), args[4])
        return context.get_dummy_value()
    return signature, write


@intrinsic
def window(typing: Any, a: Any, a0: Any, starts: Any, k: Any, b: Any, b0: Any, c: Any, c0: Any) -> Any:
    """c (WINDOW vectors) = sum over k of a[a0 + k] b[b0 + starts[k]:]."""
    i = types.intp
    signature = types.void(a, i, starts, i, b, i, c, i)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w, kinds = Writer(context, builder), signature.args
        a, starts = w.pointer(kinds[0], args[0], args[1]), w.pointer(kinds[2], args[2], INDEX(0))
        b, c = w.pointer(kinds[4], args[4], args[5]), w.pointer(kinds[6], args[6], args[7])

        def step(i: Any, sums: list[Any]) -> list[Any]:
            factor, start = w.spread(a, i), builder.load(builder.gep(starts, [i]))
            return [w.multiply_add(factor, w.load(b, builder.add(start, INDEX(v * LANES))), sums[v])
                    for v in range(WINDOW)]
        for v, value in enumerate(w.loop(args[3], WINDOW, step)):
            w.store(value, c, INDEX(v * LANES))
        return context.get_dummy_value()
    return signature, write


@intrinsic
def interleave(typing: Any, a: Any, a0: Any, lda: Any, b: Any, b0: Any) -> Any:
    """b[b0 + i ROWS + m] = a[a0 + m lda + i] for m below ROWS and i below LANES: rows side by side, for a tile."""
    i = types.intp
    signature = types.void(a, i, i, b, i)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w, kinds = Writer(context, builder), signature.args
        a, b = w.pointer(kinds[0], args[0], args[1]), w.pointer(kinds[3], args[3], args[4])
        for m, line in enumerate(w.dealt([w.load(a, w.at(None, args[2], m)) for m in range(ROWS)])):
            w.store(line, b, INDEX(m * LANES))
        return context.get_dummy_value()
    return signature, write


def _make_shifted(count: int) -> Any:
    @intrinsic
    def shifted(typing: Any, a: Any, a0: Any, starts: Any, first: Any, b: Any, b0: Any, k: Any, c: Any, c0: Any) -> Any:
        """c (count vectors) += over k vectors a[a0:] times b[b0 + start:], for `count` starts from starts[first] on."""
        i = types.intp
        signature = types.void(a, i, starts, i, b, i, i, c, i)

        def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            w, kinds = Writer(context, builder), signature.args
            a, b, c = (w.pointer(kinds[at], args[at], args[at + 1]) for at in (0, 4, 7))
            offsets = w.pointer(kinds[2], args[2], args[3])
            others = [builder.gep(b, [builder.load(builder.gep(offsets, [INDEX(t)]))]) for t in range(count)]

            def step(i: Any, sums: list[Any]) -> list[Any]:
                at = builder.mul(i, INDEX(LANES))
                one = w.load(a, at)
                return [w.multiply_add(one, w.load(other, at), total)
                        for other, total in zip(others, sums, strict=True)]
            w.put(w.loop(args[6], count, step), c, [INDEX(t * LANES) for t in range(count)], INDEX(1))
            return context.get_dummy_value()
        return signature, write
    return shifted


shifted1, shifted5, shifted9 = (_make_shifted(count) for count in (1, 5, 9))
