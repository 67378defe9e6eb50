"""Writing LLVM's intermediate language by hand, for the loops a compiler does not keep in registers by itself.

A compiler keeps a tile of sums in registers only when the code names each of them.  The microkernels of this folder are
numba `intrinsic`s that do: each emits its instructions through a `Writer`, one multiply-add per sum and iteration.
Such a loop runs at the processor's peak, and every sum adds its terms in their order, wherever in a matrix it is and
whichever thread computes it.

An intrinsic takes a matrix as a flat array, the index of its first value (`a0`) and the distance between its rows
(`lda`, as in BLAS).  It checks no bounds.
"""
from typing import Any

from llvmlite import ir

from runner.ops.fast.simd.isa import HAS_FMA, LANES

FLOAT, INDEX, INT32 = ir.FloatType(), ir.IntType(64), ir.IntType(32)
VECTOR = ir.VectorType(FLOAT, LANES)
BYTES = ir.VectorType(ir.IntType(8), LANES)
ZERO = ir.Constant(VECTOR, [0.0] * LANES)
UNDEFINED = ir.Constant(VECTOR, ir.Undefined)


class Writer:
    """Emits instructions at the current position of a builder.  Pointers are to float32, offsets count values."""

    def __init__(self, context: Any, builder: Any):
        self.context, self.builder = context, builder

    def pointer(self, array_type: Any, array: Any, start: Any) -> Any:
        """The address of value `start` of a flat array."""
        return self.builder.gep(self.context.make_array(array_type)(self.context, self.builder, array).data, [start])

    def offset(self, base: Any, stride: Any, count: int = 1, extra: int = 0) -> Any:
        """base + stride * count + extra; a base of None is 0."""
        b = self.builder
        value = b.add(b.mul(stride, INDEX(count)), INDEX(extra))
        return value if base is None else b.add(base, value)

    def _vector(self, pointer: Any, offset: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(pointer, [offset]), VECTOR.as_pointer())

    def load(self, pointer: Any, offset: Any) -> Any:
        """LANES consecutive values, at any alignment."""
        value = self.builder.load(self._vector(pointer, offset))
        value.align = 4
        return value

    def store(self, value: Any, pointer: Any, offset: Any) -> None:
        """The reverse of `load`."""
        self.builder.store(value, self._vector(pointer, offset)).align = 4

    def broadcast(self, pointer: Any, offset: Any) -> Any:
        """One float of memory in all lanes."""
        return self.broadcast_value(self.builder.load(self.builder.gep(pointer, [offset])))

    def broadcast_value(self, value: Any) -> Any:
        """A float in all lanes."""
        b = self.builder
        one = b.insert_element(UNDEFINED, value, INT32(0))
        return b.shuffle_vector(one, UNDEFINED, ir.Constant(ir.VectorType(INT32, LANES), [0] * LANES))

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """a b + c, lane by lane; rounded once where the processor can."""
        if not HAS_FMA:
            return self.builder.fadd(self.builder.fmul(a, b), c)
        return self.builder.call(self.function(f"llvm.fma.v{LANES}f32", VECTOR, [VECTOR] * 3), [a, b, c])

    def function(self, name: str, returns: Any, arguments: list[Any]) -> Any:
        """A function of LLVM or of the C library, declared in this module at its first use."""
        module = self.builder.module
        return module.globals.get(name) or ir.Function(module, ir.FunctionType(returns, arguments), name)

    def sum_lanes(self, value: Any) -> Any:
        """The sum of all lanes: halves are added until one lane is left."""
        b, lanes = self.builder, LANES
        while lanes > 1:
            lanes //= 2
            halves = [b.shuffle_vector(value, value, ir.Constant(ir.VectorType(INT32, lanes),
                                                                 list(range(first, first + lanes))))
                      for first in (0, lanes)]
            value = b.fadd(*halves)
        return b.extract_element(value, INT32(0))

    def store_or_add(self, values: list[Any], pointer: Any, offsets: list[Any], add: Any) -> None:
        """Stores vectors, or, where add is not 0, adds them to the memory."""
        with self.builder.if_else(self.builder.icmp_signed("!=", add, INDEX(0))) as (adding, storing):
            with adding:
                for value, place in zip(values, offsets, strict=True):
                    self.store(self.builder.fadd(self.load(pointer, place), value), pointer, place)
            with storing:
                for value, place in zip(values, offsets, strict=True):
                    self.store(value, pointer, place)

    def interleave(self, rows: list[Any]) -> list[Any]:
        """m vectors, m a power of two -> the same values, read column by column."""
        half = len(rows) // 2
        orders = [ir.Constant(ir.VectorType(INT32, LANES), [side * LANES // 2 + lane // 2 + lane % 2 * LANES
                                                            for lane in range(LANES)]) for side in (0, 1)]
        for _ in range(len(rows).bit_length() - 1):     # a perfect shuffle each time
            rows = [self.builder.shuffle_vector(rows[m // 2], rows[m // 2 + half], orders[m % 2])
                    for m in range(len(rows))]
        return rows

    def loop(self, iterations: Any, count: int, body: Any) -> list[Any]:
        """`count` vectors that start at zero and become body(i, vectors) in each iteration (at least one)."""
        b, before = self.builder, self.builder.block
        inside, after = b.append_basic_block("loop"), b.append_basic_block("after")
        b.branch(inside)
        b.position_at_end(inside)
        i, sums = b.phi(INDEX), [b.phi(VECTOR) for _ in range(count)]
        new_sums = body(i, sums)
        i_next = b.add(i, INDEX(1))
        for phi, first, new in [(i, INDEX(0), i_next), *((s, ZERO, n) for s, n in zip(sums, new_sums, strict=True))]:
            phi.add_incoming(first, before)
            phi.add_incoming(new, inside)
        b.cbranch(b.icmp_signed("<", i_next, iterations), inside, after)
        b.position_at_end(after)
        return new_sums
