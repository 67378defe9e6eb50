"""Steps over whole vector registers, put together instruction by instruction (see conv_tile.py for why).

`transform` makes a kernel step of a formula over n inputs that gives m outputs: the transforms of a tile are written
with it as they stand in the paper.  `turn` swaps rows and columns of a square of vectors.  `row_dots` and `row_sums`
make the innermost loops of products of a few rows with a large matrix, which is read as it lies.
"""
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from runner.ops.fast.simd.gemm import INDEX, LANES, SHORT, VECTOR, ZERO, Writer

TRIPLE = 3          # rows of the matrix that `row_dots` takes at a time
AHEAD = 6           # vectors of a row of it that are asked for before they are needed
LINES = 4           # rows, where `row_sums` goes from row to row
BYTES = ir.VectorType(ir.IntType(8), LANES)
FREE = ("contract", "nsz", "reassoc")       # products and sums may become one instruction


class Vector:
    """A register of LANES floats in a formula: + and - with another, * with a number."""

    def __init__(self, builder: Any, value: Any):
        self.builder, self.value = builder, value

    def __add__(self, other: "Vector") -> "Vector":
        return Vector(self.builder, self.builder.fadd(self.value, other.value, flags=FREE))

    def __sub__(self, other: "Vector") -> "Vector":
        return Vector(self.builder, self.builder.fsub(self.value, other.value, flags=FREE))

    def __rmul__(self, factor: float) -> "Vector":
        return Vector(self.builder, self.builder.fmul(ir.Constant(VECTOR, [factor] * LANES), self.value, flags=FREE))


def transform(formula: Callable[..., tuple[Vector, ...]], inputs: int, add: bool = False) -> Any:
    """-> step(a, a0, lda, b, b0, ldb, count): b[b0 + i LANES + j ldb] = (or +=) output j of the formula over the
    vectors a[a0 + i LANES + j lda], for i below count."""
    @intrinsic
    def step(typing: Any, a: Any, a0: Any, lda: Any, b: Any, b0: Any, ldb: Any, count: Any) -> Any:
        i = types.intp
        signature = types.void(a, i, i, b, i, i, i)

        def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            w, kinds = Writer(context, builder), signature.args
            _, a0, lda, _, b0, ldb, count = args
            a, b = w.pointer(kinds[0], args[0], a0), w.pointer(kinds[3], args[3], b0)
            with cgutils.for_range(builder, count) as loop:
                along = builder.mul(loop.index, INDEX(LANES))
                values = [Vector(builder, w.load(a, w.at(along, lda, j))) for j in range(inputs)]
                for j, result in enumerate(formula(*values)):
                    place, value = w.at(along, ldb, j), result.value
                    w.store(builder.fadd(w.load(b, place), value) if add else value, b, place)
            return context.get_dummy_value()
        return signature, write
    return step


@intrinsic
def turn(typing: Any, a: Any, a0: Any, lda: Any, b: Any, b0: Any, ldb: Any) -> Any:
    """b[b0 + i ldb + j] = a[a0 + j lda + i] for i and j below LANES."""
    i = types.intp
    signature = types.void(a, i, i, b, i, i)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w, kinds = Writer(context, builder), signature.args
        _, a0, lda, _, b0, ldb = args
        a, b = w.pointer(kinds[0], args[0], a0), w.pointer(kinds[3], args[3], b0)
        lines = w.dealt([w.load(a, w.at(None, lda, m)) for m in range(LANES)])
        for m, line in enumerate(lines):
            w.store(line, b, w.at(None, ldb, m))
        return context.get_dummy_value()
    return signature, write


@intrinsic
def split(typing: Any, a: Any, a0: Any, b: Any, b0: Any, b1: Any) -> Any:
    """b[b0 + i] = a[a0 + 2 i] and b[b1 + i] = a[a0 + 2 i + 1] for i below LANES."""
    i = types.intp
    signature = types.void(a, i, b, i, i)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w, kinds = Writer(context, builder), signature.args
        a = w.pointer(kinds[0], args[0], args[1])
        pair = [w.load(a, INDEX(at)) for at in (0, LANES)]
        for side in (0, 1):
            order = ir.Constant(ir.VectorType(SHORT, LANES), [2 * lane + side for lane in range(LANES)])
            w.store(builder.shuffle_vector(*pair, order), w.pointer(kinds[2], args[2], args[3 + side]), INDEX(0))
        return context.get_dummy_value()
    return signature, write


def row_dots(rows: int) -> Any:
    """-> step(w, w0, ldw, x, x0, ldx, k, y, y0, ldy): y[row, j] = the sum over k vectors of w[j] x[row], for `rows`
    rows of x and TRIPLE of w.  What is read of w comes from far away, so it is asked for in time."""
    @intrinsic
    def step(typing: Any, w: Any, w0: Any, ldw: Any, x: Any, x0: Any, ldx: Any, k: Any, y: Any, y0: Any,
             ldy: Any) -> Any:
        i = types.intp
        signature = types.void(w, i, i, x, i, i, i, y, i, i)

        def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            write, kinds = Writer(context, builder), signature.args
            _, w0, ldw, _, x0, ldx, k, _, y0, ldy = args
            w, x, y = (write.pointer(kinds[at], args[at], start) for at, start in ((0, w0), (3, x0), (7, y0)))

            def along(i: Any, sums: list[Any]) -> list[Any]:
                here, news = builder.mul(i, INDEX(LANES)), []
                left = [write.load(w, write.at(here, ldw, j)) for j in range(TRIPLE)]
                for j in range(TRIPLE):
                    _ask(write, w, builder.add(write.at(here, ldw, j), INDEX(AHEAD * LANES)))
                for row in range(rows):
                    right = write.load(x, write.at(here, ldx, row))
                    news += [write.multiply_add(left[j], right, sums[row * TRIPLE + j]) for j in range(TRIPLE)]
                return news
            sums = write.loop(k, rows * TRIPLE, along)
            for row in range(rows):
                for j in range(TRIPLE):
                    builder.store(write.total(sums[row * TRIPLE + j]), builder.gep(y, [write.at(INDEX(j), ldy, row)]))
            return context.get_dummy_value()
        return signature, write
    return step


def row_sums(rows: int, vectors: int) -> Any:
    """-> step(x, x0, ldx, w, w0, ldw, k, y, y0, ldy, add): y[row, column] = or, if add, += the sum over k of
    x[row, k] w[k, column], for `rows` rows of x and `vectors` vectors of columns."""
    @intrinsic
    def step(typing: Any, x: Any, x0: Any, ldx: Any, w: Any, w0: Any, ldw: Any, k: Any, y: Any, y0: Any, ldy: Any,
             add: Any) -> Any:
        i = types.intp
        signature = types.void(x, i, i, w, i, i, i, y, i, i, i)

        def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            write, kinds = Writer(context, builder), signature.args
            _, x0, ldx, _, w0, ldw, k, _, y0, ldy, add = args
            x, w, y = (write.pointer(kinds[at], args[at], start) for at, start in ((0, x0), (3, w0), (7, y0)))

            def along(i: Any, sums: list[Any]) -> list[Any]:
                line, news = builder.mul(i, ldw), []
                values = [write.load(w, builder.add(line, INDEX(v * LANES))) for v in range(vectors)]
                for v in range(vectors):
                    _ask(write, w, builder.add(write.at(line, ldw, LINES), INDEX(v * LANES)))
                for row in range(rows):
                    factor = write.spread(x, write.at(i, ldx, row))
                    news += [write.multiply_add(factor, values[v], sums[row * vectors + v]) for v in range(vectors)]
                return news
            sums = write.loop(k, rows * vectors, along)
            places = [write.at(INDEX(v * LANES), ldy, row) for row in range(rows) for v in range(vectors)]
            write.put(sums, y, places, add)
            return context.get_dummy_value()
        return signature, write
    return step


@intrinsic
def ask(typing: Any, a: Any, a0: Any, count: Any) -> Any:
    """Let `count` vectors from a[a0] on be fetched into the cache (at least one)."""
    i = types.intp

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        write = Writer(context, builder)
        a = write.pointer(signature.args[0], args[0], args[1])

        def along(i: Any, sums: list[Any]) -> list[Any]:
            _ask(write, a, builder.mul(i, INDEX(LANES)))
            return []
        write.loop(args[2], 0, along)
        return context.get_dummy_value()
    return types.void(a, i, i), write


def _ask(write: Writer, pointer: Any, offset: Any) -> None:
    """Let the cache line be fetched; nothing happens where there is none."""
    b, byte, name = write.builder, ir.IntType(8).as_pointer(), "llvm.prefetch.p0i8"
    kind = ir.FunctionType(ir.VoidType(), [byte, SHORT, SHORT, SHORT])
    function = b.module.globals.get(name) or ir.Function(b.module, kind, name)
    b.call(function, [b.bitcast(b.gep(pointer, [offset]), byte), SHORT(0), SHORT(3), SHORT(1)])


@intrinsic
def join(typing: Any, a: Any, a0: Any, a1: Any, b: Any, b0: Any) -> Any:
    """b[b0 + 2 i] = a[a0 + i] and b[b0 + 2 i + 1] = a[a1 + i] for i below LANES."""
    i = types.intp
    signature = types.void(a, i, i, b, i)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w, kinds = Writer(context, builder), signature.args
        pair = [w.load(w.pointer(kinds[0], args[0], start), INDEX(0)) for start in args[1:3]]
        for side, line in enumerate(w.dealt(pair)):
            w.store(line, w.pointer(kinds[3], args[3], args[4]), INDEX(side * LANES))
        return context.get_dummy_value()
    return signature, write


def _make_pool(indexed: bool) -> Any:
    @intrinsic
    def pool(typing: Any, x: Any, upper: Any, lower: Any, y: Any, index: Any, y0: Any) -> Any:
        """y[y0 + i] = the maximum of the window of 2 x 2 at x[upper + 2 i] and x[lower + 2 i], for i below LANES, and
        which one of the four it is in index, if that is wanted.  Of equal values the first stays, and nan wins."""
        i = types.intp
        signature = types.void(x, i, i, y, index, i)

        def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            w, kinds = Writer(context, builder), signature.args
            parts = []
            for start in args[1:3]:
                x = w.pointer(kinds[0], args[0], start)
                pair = [w.load(x, INDEX(at)) for at in (0, LANES)]
                parts += [builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(SHORT, LANES), [
                    2 * lane + side for lane in range(LANES)])) for side in (0, 1)]
            best, where = parts[0], ir.Constant(BYTES, [0] * LANES)
            for k, part in enumerate(parts[1:], 1):
                stays = builder.fcmp_ordered("<=", part, best)
                best = builder.select(stays, best, part)
                where = builder.select(stays, where, ir.Constant(BYTES, [k] * LANES))
            w.store(best, w.pointer(kinds[3], args[3], args[5]), INDEX(0))
            if indexed:
                place = builder.bitcast(w.pointer(kinds[4], args[4], args[5]), BYTES.as_pointer())
                builder.store(where, place).align = 1
            return context.get_dummy_value()
        return signature, write
    return pool


@intrinsic
def unpool(typing: Any, dy: Any, index: Any, y0: Any, dx: Any, upper: Any, lower: Any) -> Any:
    """The four values at dx[upper + 2 i] and dx[lower + 2 i] = 0, but dy[y0 + i] where index says; i below LANES."""
    i = types.intp
    signature = types.void(dy, index, i, dx, i, i)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w, kinds = Writer(context, builder), signature.args
        grad = w.load(w.pointer(kinds[0], args[0], args[2]), INDEX(0))
        won = builder.load(builder.bitcast(w.pointer(kinds[1], args[1], args[2]), BYTES.as_pointer()))
        won.align = 1
        for row in (0, 1):
            into = w.pointer(kinds[3], args[3], args[4 + row])
            pair = [builder.select(builder.icmp_unsigned("==", won, ir.Constant(BYTES, [2 * row + side] * LANES)),
                                   grad, ZERO) for side in (0, 1)]
            for side, line in enumerate(w.dealt(pair)):
                w.store(line, into, INDEX(side * LANES))
        return context.get_dummy_value()
    return signature, write


pool, pool_indexed = _make_pool(indexed=False), _make_pool(indexed=True)
