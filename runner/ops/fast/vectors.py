"""Steps over whole vector registers, put together instruction by instruction (see conv_tile.py for why).

`transform` makes a kernel step of a formula over n inputs that gives m outputs: the transforms of a tile are written
with it as they stand in the paper.  `turn` swaps rows and columns of a square of vectors.
"""
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from runner.ops.fast.conv_tile import INDEX, LANES, SHORT, VECTOR, Writer

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
