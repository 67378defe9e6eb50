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
        lines = [w.load(a, w.at(None, lda, m)) for m in range(LANES)]
        half = LANES // 2
        orders = [ir.Constant(ir.VectorType(SHORT, LANES), [side * half + lane // 2 + lane % 2 * LANES
                                                            for lane in range(LANES)]) for side in (0, 1)]
        for _ in range(LANES.bit_length() - 1):     # each time every other line is dealt between its neighbours
            lines = [builder.shuffle_vector(lines[m // 2], lines[m // 2 + half], orders[m % 2]) for m in range(LANES)]
        for m, line in enumerate(lines):
            w.store(line, b, w.at(None, ldb, m))
        return context.get_dummy_value()
    return signature, write
