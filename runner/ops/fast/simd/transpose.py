"""Transposes in registers: squares, panels for GEMM, and even and odd values of a row."""
from typing import Any

from llvmlite import ir
from numba import types

from runner.ops.fast.jit import intrinsic
from runner.ops.fast.simd.builder import INDEX, INT32, Writer
from runner.ops.fast.simd.isa import LANES, MR


@intrinsic
def transpose(typing: Any, a: Any, a0: Any, lda: Any, b: Any, b0: Any, ldb: Any) -> Any:
    """b[b0 + i ldb + j] = a[a0 + j lda + i] for i and j below LANES."""
    i = types.intp
    signature = types.void(a, i, i, b, i, i)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w, kinds = Writer(context, builder), signature.args
        _, a0, lda, _, b0, ldb = args
        a, b = w.pointer(kinds[0], args[0], a0), w.pointer(kinds[3], args[3], b0)
        for m, row in enumerate(w.interleave([w.load(a, w.offset(None, lda, m)) for m in range(LANES)])):
            w.store(row, b, w.offset(None, ldb, m))
        return context.get_dummy_value()
    return signature, write


@intrinsic
def pack_rows(typing: Any, a: Any, a0: Any, lda: Any, b: Any, b0: Any) -> Any:
    """b[b0 + i MR + m] = a[a0 + m lda + i] for m below MR and i below LANES: rows as `gemm_packed` reads them."""
    i = types.intp
    signature = types.void(a, i, i, b, i)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w, kinds = Writer(context, builder), signature.args
        a, b = w.pointer(kinds[0], args[0], args[1]), w.pointer(kinds[3], args[3], args[4])
        for m, row in enumerate(w.interleave([w.load(a, w.offset(None, args[2], m)) for m in range(MR)])):
            w.store(row, b, INDEX(m * LANES))
        return context.get_dummy_value()
    return signature, write


def even_and_odd(w: Writer, pointer: Any) -> list[Any]:
    """2 LANES consecutive values -> the vector of those at even places, and that of those at odd ones."""
    pair = [w.load(pointer, INDEX(at)) for at in (0, LANES)]
    return [w.builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(INT32, LANES), [
        2 * lane + side for lane in range(LANES)])) for side in (0, 1)]


@intrinsic
def deinterleave(typing: Any, a: Any, a0: Any, b: Any, b0: Any, b1: Any) -> Any:
    """b[b0 + i] = a[a0 + 2 i] and b[b1 + i] = a[a0 + 2 i + 1] for i below LANES."""
    i = types.intp
    signature = types.void(a, i, b, i, i)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w, kinds = Writer(context, builder), signature.args
        for start, half in zip(args[3:], even_and_odd(w, w.pointer(kinds[0], args[0], args[1])), strict=True):
            w.store(half, w.pointer(kinds[2], args[2], start), INDEX(0))
        return context.get_dummy_value()
    return signature, write


@intrinsic
def interleave(typing: Any, a: Any, a0: Any, a1: Any, b: Any, b0: Any) -> Any:
    """b[b0 + 2 i] = a[a0 + i] and b[b0 + 2 i + 1] = a[a1 + i] for i below LANES."""
    i = types.intp
    signature = types.void(a, i, i, b, i)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w, kinds = Writer(context, builder), signature.args
        pair = [w.load(w.pointer(kinds[0], args[0], start), INDEX(0)) for start in args[1:3]]
        for side, row in enumerate(w.interleave(pair)):
            w.store(row, w.pointer(kinds[3], args[3], args[4]), INDEX(side * LANES))
        return context.get_dummy_value()
    return signature, write
