"""From a formula over vectors to a kernel that applies it: the transforms of Winograd's F(4x4, 3x3).

`transform` compiles a formula of n inputs and m outputs, so the matrices of the convolution (winograd_matrices.py) are
written here as the sums they stand for, with common terms computed once.  Training and inference share these kernels;
each has its own walk over the tiles, because their layouts differ (NCHW, NCHWc).
"""
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from runner.ops.fast.jit import intrinsic
from runner.ops.fast.simd.builder import INDEX, VECTOR, Writer
from runner.ops.fast.simd.isa import LANES

FASTMATH = ("contract", "nsz", "reassoc")       # a product and a sum may become one instruction


class Vector:
    """A register of LANES floats in a formula: + and - with another, * with a number."""

    def __init__(self, builder: Any, value: Any):
        self.builder, self.value = builder, value

    def __add__(self, other: "Vector") -> "Vector":
        return Vector(self.builder, self.builder.fadd(self.value, other.value, flags=FASTMATH))

    def __sub__(self, other: "Vector") -> "Vector":
        return Vector(self.builder, self.builder.fsub(self.value, other.value, flags=FASTMATH))

    def __rmul__(self, factor: float) -> "Vector":
        return Vector(self.builder, self.builder.fmul(ir.Constant(VECTOR, [factor] * LANES), self.value,
                                                      flags=FASTMATH))


def transform(formula: Callable[..., tuple[Vector, ...]], inputs: int) -> Any:
    """-> kernel(a, a0, lda, b, b0, ldb, count): b[b0 + i LANES + j ldb] = output j of the formula over the vectors
    a[a0 + i LANES + j lda], for i below count."""
    @intrinsic
    def kernel(typing: Any, a: Any, a0: Any, lda: Any, b: Any, b0: Any, ldb: Any, count: Any) -> Any:
        i = types.intp
        signature = types.void(a, i, i, b, i, i, i)

        def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            w, kinds = Writer(context, builder), signature.args
            _, a0, lda, _, b0, ldb, count = args
            a, b = w.pointer(kinds[0], args[0], a0), w.pointer(kinds[3], args[3], b0)
            with cgutils.for_range(builder, count) as loop:
                along = builder.mul(loop.index, INDEX(LANES))
                values = [Vector(builder, w.load(a, w.offset(along, lda, j))) for j in range(inputs)]
                for j, result in enumerate(formula(*values)):
                    w.store(result.value, b, w.offset(along, ldb, j))
            return context.get_dummy_value()
        return signature, write
    return kernel


def _input(a0: Vector, a1: Vector, a2: Vector, a3: Vector, a4: Vector, a5: Vector) -> tuple[Vector, ...]:
    """B^T a"""
    even, odd, twin, pair = a4 - 4 * a2, a3 - 4 * a1, a4 - a2, 2 * (a3 - a1)
    return 4 * a0 - 5 * a2 + a4, even + odd, even - odd, twin + pair, twin - pair, 4 * a1 - 5 * a3 + a5


def _output(a0: Vector, a1: Vector, a2: Vector, a3: Vector, a4: Vector, a5: Vector) -> tuple[Vector, ...]:
    """A^T a"""
    p, d, r, s = a1 + a2, a1 - a2, a3 + a4, a3 - a4
    return a0 + p + r, d + 2 * s, p + 4 * r, d + 8 * s + a5


def _output_backward(a0: Vector, a1: Vector, a2: Vector, a3: Vector) -> tuple[Vector, ...]:
    """A a"""
    even, odd, twin, pair = a0 + a2, a1 + a3, a0 + 4 * a2, 2 * a1 + 8 * a3
    return a0, even + odd, even - odd, twin + pair, twin - pair, a3


def _filter(a0: Vector, a1: Vector, a2: Vector) -> tuple[Vector, ...]:
    """G a"""
    outer, even, odd = (-1 / 6) * (a0 + a2), (1 / 24) * a0 + (1 / 6) * a2, (1 / 12) * a1
    return (1 / 4) * a0, outer - (1 / 6) * a1, outer + (1 / 6) * a1, even + odd, even - odd, a2


def _filter_backward(a0: Vector, a1: Vector, a2: Vector, a3: Vector, a4: Vector, a5: Vector) -> tuple[Vector, ...]:
    """G^T a"""
    p, r = (1 / 6) * (a1 + a2), a3 + a4
    return ((1 / 4) * a0 - p + (1 / 24) * r, (1 / 6) * (a2 - a1) + (1 / 12) * (a3 - a4), (1 / 6) * r - p + a5)


input_transform = transform(_input, 6)
output_transform, output_transform_backward = transform(_output, 6), transform(_output_backward, 4)
filter_transform, filter_transform_backward = transform(_filter, 3), transform(_filter_backward, 6)
