"""GEMM microkernels: a tile of MR rows x 1, 2 or 3 vectors of c = a b, summed up in registers.

`gemm_packed` takes a packed: the MR values of a column of a are consecutive.  `gemm_strided` takes rows of a as they
are, lda apart.
"""
from typing import Any

from numba import types

from runner.ops.fast.jit import intrinsic
from runner.ops.fast.simd.builder import INDEX, Writer
from runner.ops.fast.simd.isa import LANES, MR


def _make_gemm(vectors: int, packed: bool) -> Any:
    def write_tile(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w, kinds = Writer(context, builder), signature.args
        _, a0, lda, _, b0, ldb, k, _, c0, ldc, add = args
        a, b, c = (w.pointer(kinds[at], args[at], start) for at, start in ((0, a0), (3, b0), (7, c0)))

        def body(i: Any, sums: list[Any]) -> list[Any]:
            row = builder.mul(i, ldb)
            values = [w.load(b, builder.add(row, INDEX(v * LANES))) for v in range(vectors)]
            news = []
            for m in range(MR):
                factor = w.broadcast(a, w.offset(None, i, MR, m) if packed else w.offset(i, lda, m))
                news += [w.multiply_add(factor, values[v], sums[m * vectors + v]) for v in range(vectors)]
            return news
        sums = w.loop(k, MR * vectors, body)
        places = [w.offset(INDEX(v * LANES), ldc, m) for m in range(MR) for v in range(vectors)]
        w.store_or_add(sums, c, places, add)
        return context.get_dummy_value()

    # ten and eleven arguments: the BLAS ones, which callers vary one by one in their loops
    @intrinsic
    def gemm_packed(typing: Any, a: Any, a0: Any, b: Any, b0: Any, ldb: Any, k: Any, c: Any, c0: Any, ldc: Any,
                    add: Any) -> Any:
        """c (MR, vectors LANES) = or, if add, += sum over k of a[k, row] b[k, column].

        a (k, MR), b and c start at a0, b0, c0 of flat arrays; ldb, ldc: from one row to the next.
        """
        i = types.intp
        signature = types.void(a, i, b, i, i, i, c, i, i, i)

        def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            strided = types.void(*signature.args[:2], i, *signature.args[2:])
            return write_tile(context, builder, strided, [*args[:2], None, *args[2:]])
        return signature, write

    @intrinsic
    def gemm_strided(typing: Any, a: Any, a0: Any, lda: Any, b: Any, b0: Any, ldb: Any, k: Any, c: Any, c0: Any,
                     ldc: Any, add: Any) -> Any:
        """The same for a (MR, k), from one row to the next lda."""
        i = types.intp
        return types.void(a, i, i, b, i, i, i, c, i, i, i), write_tile
    return gemm_packed if packed else gemm_strided


gemm_packed1, gemm_packed2, gemm_packed3 = (_make_gemm(vectors, packed=True) for vectors in (1, 2, 3))
gemm_strided1, gemm_strided2, gemm_strided3 = (_make_gemm(vectors, packed=False) for vectors in (1, 2, 3))
