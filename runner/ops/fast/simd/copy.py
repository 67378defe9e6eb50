"""Copies of short runs of memory, inlined where memcpy's call would cost more than the copy, and prefetches."""
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from runner.ops.fast.jit import intrinsic
from runner.ops.fast.simd.builder import FLOAT, INDEX, INT32, Writer
from runner.ops.fast.simd.isa import LANES

READ, KEEP_IN_ALL_CACHES, DATA = 0, 3, 1    # arguments of llvm.prefetch


@intrinsic
def copy(typing: Any, a: Any, a0: Any, b: Any, b0: Any, count: Any) -> Any:
    """b[b0:] = a[a0:], `count` vectors (at least one)."""
    i = types.intp
    signature = types.void(a, i, b, i, i)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w, kinds = Writer(context, builder), signature.args
        a, b = w.pointer(kinds[0], args[0], args[1]), w.pointer(kinds[2], args[2], args[3])

        def body(i: Any, sums: list[Any]) -> list[Any]:
            at = builder.mul(i, INDEX(LANES))
            w.store(w.load(a, at), b, at)
            return []
        w.loop(args[4], 0, body)
        return context.get_dummy_value()
    return signature, write


def _write_copy(w: Writer, a: Any, b: Any, length: Any) -> None:
    """b[:] = a[:], exactly `length` values: whole vectors, of which the last may overlap the one before."""
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
    """b[b0 + r ldb:] = a[a0 + r lda:], exactly `length` values, for r below rows."""
    i = types.intp
    signature = types.void(a, i, i, b, i, i, i, i)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w, kinds = Writer(context, builder), signature.args
        a, b = w.pointer(kinds[0], args[0], args[1]), w.pointer(kinds[3], args[3], args[4])
        with cgutils.for_range(builder, args[6]) as loop:
            _write_copy(w, builder.gep(a, [builder.mul(loop.index, args[2])]),
                        builder.gep(b, [builder.mul(loop.index, args[5])]), args[7])
        return context.get_dummy_value()
    return signature, write


@intrinsic
def copy_run(typing: Any, a: Any, a0: Any, b: Any, b0: Any, length: Any) -> Any:
    """b[b0:] = a[a0:], exactly `length` values."""
    i = types.intp
    signature = types.void(a, i, b, i, i)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w, kinds = Writer(context, builder), signature.args
        _write_copy(w, w.pointer(kinds[0], args[0], args[1]), w.pointer(kinds[2], args[2], args[3]), args[4])
        return context.get_dummy_value()
    return signature, write


def prefetch_line(w: Writer, pointer: Any, offset: Any) -> None:
    """Emits the prefetch of one cache line; an address out of range is ignored."""
    byte = ir.IntType(8).as_pointer()
    function = w.function("llvm.prefetch.p0i8", ir.VoidType(), [byte, INT32, INT32, INT32])
    w.builder.call(function, [w.builder.bitcast(w.builder.gep(pointer, [offset]), byte), INT32(READ),
                              INT32(KEEP_IN_ALL_CACHES), INT32(DATA)])


@intrinsic
def prefetch(typing: Any, a: Any, a0: Any, count: Any) -> Any:
    """Prefetch `count` vectors from a[a0] on (at least one)."""
    i = types.intp

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w = Writer(context, builder)
        a = w.pointer(signature.args[0], args[0], args[1])

        def body(i: Any, sums: list[Any]) -> list[Any]:
            prefetch_line(w, a, builder.mul(i, INDEX(LANES)))
            return []
        w.loop(args[2], 0, body)
        return context.get_dummy_value()
    return types.void(a, i, i), write
