"""Dot-product microkernels: sums along rows that are consecutive in memory, and products with a few rows (GEMV).

`dots` is c += a b^T for a tile of rows of both.  `row_dots` and `row_sums` multiply a few rows by a large matrix, which
is read once and comes from main memory, so it is prefetched.  `correlate` sums products of one row with shifted views
of another.
"""
from typing import Any

from numba import types

from runner.ops.fast.jit import intrinsic
from runner.ops.fast.simd.builder import INDEX, Writer
from runner.ops.fast.simd.copy import prefetch_line
from runner.ops.fast.simd.isa import DOT_COLUMNS, DOT_ROWS, LANES
from runner.ops.fast.tuning import PREFETCH_ROWS, PREFETCH_VECTORS

DOT_OUTPUTS = 3         # rows of the matrix that `row_dots` takes at a time


@intrinsic
def dots(typing: Any, a: Any, a0: Any, lda: Any, b: Any, b0: Any, ldb: Any, k: Any, c: Any, c0: Any, ldc: Any) -> Any:
    """c (DOT_ROWS, DOT_COLUMNS) += a b^T: rows of a and b of k vectors each, lda and ldb apart."""
    i = types.intp
    signature = types.void(a, i, i, b, i, i, i, c, i, i)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w, kinds = Writer(context, builder), signature.args
        _, a0, lda, _, b0, ldb, k, _, c0, ldc = args
        a, b, c = w.pointer(kinds[0], args[0], a0), w.pointer(kinds[3], args[3], b0), w.pointer(kinds[7], args[7], c0)

        def body(i: Any, sums: list[Any]) -> list[Any]:
            along = builder.mul(i, INDEX(LANES))
            left = [w.load(a, w.offset(along, lda, m)) for m in range(DOT_ROWS)]
            news = []
            for v in range(DOT_COLUMNS):
                right = w.load(b, w.offset(along, ldb, v))
                news += [w.multiply_add(left[m], right, sums[v * DOT_ROWS + m]) for m in range(DOT_ROWS)]
            return news
        sums = w.loop(k, DOT_ROWS * DOT_COLUMNS, body)
        for v in range(DOT_COLUMNS):
            for m in range(DOT_ROWS):
                place = builder.gep(c, [w.offset(INDEX(v), ldc, m)])
                builder.store(builder.fadd(builder.load(place), w.sum_lanes(sums[v * DOT_ROWS + m])), place)
        return context.get_dummy_value()
    return signature, write


def row_dots(rows: int) -> Any:
    """-> kernel(w, w0, ldw, x, x0, ldx, k, y, y0, ldy): y[row, j] = the sum over k vectors of w[j] x[row], for `rows`
    rows of x and DOT_OUTPUTS rows of w."""
    @intrinsic
    def kernel(typing: Any, w: Any, w0: Any, ldw: Any, x: Any, x0: Any, ldx: Any, k: Any, y: Any, y0: Any,
               ldy: Any) -> Any:
        i = types.intp
        signature = types.void(w, i, i, x, i, i, i, y, i, i)

        def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            write, kinds = Writer(context, builder), signature.args
            _, w0, ldw, _, x0, ldx, k, _, y0, ldy = args
            w, x, y = (write.pointer(kinds[at], args[at], start) for at, start in ((0, w0), (3, x0), (7, y0)))

            def body(i: Any, sums: list[Any]) -> list[Any]:
                along, news = builder.mul(i, INDEX(LANES)), []
                left = [write.load(w, write.offset(along, ldw, j)) for j in range(DOT_OUTPUTS)]
                for j in range(DOT_OUTPUTS):
                    ahead = builder.add(write.offset(along, ldw, j), INDEX(PREFETCH_VECTORS * LANES))
                    prefetch_line(write, w, ahead)
                for row in range(rows):
                    right = write.load(x, write.offset(along, ldx, row))
                    news += [write.multiply_add(left[j], right, sums[row * DOT_OUTPUTS + j])
                             for j in range(DOT_OUTPUTS)]
                return news
            sums = write.loop(k, rows * DOT_OUTPUTS, body)
            for row in range(rows):
                for j in range(DOT_OUTPUTS):
                    builder.store(write.sum_lanes(sums[row * DOT_OUTPUTS + j]),
                                  builder.gep(y, [write.offset(INDEX(j), ldy, row)]))
            return context.get_dummy_value()
        return signature, write
    return kernel


def row_sums(rows: int, vectors: int) -> Any:
    """-> kernel(x, x0, ldx, w, w0, ldw, k, y, y0, ldy, add): y[row, column] = or, if add, += the sum over k of
    x[row, k] w[k, column], for `rows` rows of x and `vectors` vectors of columns."""
    @intrinsic      # the eleven arguments of a GEMM
    def kernel(typing: Any, x: Any, x0: Any, ldx: Any, w: Any, w0: Any, ldw: Any, k: Any, y: Any, y0: Any, ldy: Any,
               add: Any) -> Any:
        i = types.intp
        signature = types.void(x, i, i, w, i, i, i, y, i, i, i)

        def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            write, kinds = Writer(context, builder), signature.args
            _, x0, ldx, _, w0, ldw, k, _, y0, ldy, add = args
            x, w, y = (write.pointer(kinds[at], args[at], start) for at, start in ((0, x0), (3, w0), (7, y0)))

            def body(i: Any, sums: list[Any]) -> list[Any]:
                line, news = builder.mul(i, ldw), []
                values = [write.load(w, builder.add(line, INDEX(v * LANES))) for v in range(vectors)]
                for v in range(vectors):
                    ahead = builder.add(write.offset(line, ldw, PREFETCH_ROWS), INDEX(v * LANES))
                    prefetch_line(write, w, ahead)
                for row in range(rows):
                    factor = write.broadcast(x, write.offset(i, ldx, row))
                    news += [write.multiply_add(factor, values[v], sums[row * vectors + v]) for v in range(vectors)]
                return news
            sums = write.loop(k, rows * vectors, body)
            places = [write.offset(INDEX(v * LANES), ldy, row) for row in range(rows) for v in range(vectors)]
            write.store_or_add(sums, y, places, add)
            return context.get_dummy_value()
        return signature, write
    return kernel


def _make_correlate(count: int) -> Any:
    @intrinsic
    def correlate(typing: Any, a: Any, a0: Any, starts: Any, first: Any, b: Any, b0: Any, k: Any, c: Any,
                  c0: Any) -> Any:
        """c[t] (a vector) += the sum over k vectors of a[a0:] b[b0 + starts[first + t]:], for t below `count`."""
        i = types.intp
        signature = types.void(a, i, starts, i, b, i, i, c, i)

        def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            w, kinds = Writer(context, builder), signature.args
            a, b, c = (w.pointer(kinds[at], args[at], args[at + 1]) for at in (0, 4, 7))
            offsets = w.pointer(kinds[2], args[2], args[3])
            others = [builder.gep(b, [builder.load(builder.gep(offsets, [INDEX(t)]))]) for t in range(count)]

            def body(i: Any, sums: list[Any]) -> list[Any]:
                at = builder.mul(i, INDEX(LANES))
                one = w.load(a, at)
                return [w.multiply_add(one, w.load(other, at), total)
                        for other, total in zip(others, sums, strict=True)]
            w.store_or_add(w.loop(args[6], count, body), c, [INDEX(t * LANES) for t in range(count)], INDEX(1))
            return context.get_dummy_value()
        return signature, write
    return correlate


correlate1, correlate5, correlate9 = (_make_correlate(count) for count in (1, 5, 9))
