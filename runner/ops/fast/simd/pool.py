"""Maximum pooling with windows of 2 x 2 at a stride of 2, LANES windows at a time, and its gradient."""
from typing import Any

from llvmlite import ir
from numba import types

from runner.ops.fast.jit import intrinsic
from runner.ops.fast.simd.builder import BYTES, INDEX, ZERO, Writer
from runner.ops.fast.simd.isa import LANES
from runner.ops.fast.simd.transpose import even_and_odd


def _make_maxpool(indexed: bool) -> Any:
    @intrinsic
    def maxpool(typing: Any, x: Any, upper: Any, lower: Any, y: Any, index: Any, y0: Any) -> Any:
        """y[y0 + i] = the maximum of the window at x[upper + 2 i] and x[lower + 2 i], for i below LANES; the indexed
        one also stores in index (uint8) which of the four it is.  Of equal values the first wins, and NaN wins."""
        i = types.intp
        signature = types.void(x, i, i, y, index, i)

        def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            w, kinds = Writer(context, builder), signature.args
            corners = [corner for start in args[1:3]
                       for corner in even_and_odd(w, w.pointer(kinds[0], args[0], start))]
            best, where = corners[0], ir.Constant(BYTES, [0] * LANES)
            for k, corner in enumerate(corners[1:], 1):
                stays = builder.fcmp_ordered("<=", corner, best)
                best = builder.select(stays, best, corner)
                where = builder.select(stays, where, ir.Constant(BYTES, [k] * LANES))
            w.store(best, w.pointer(kinds[3], args[3], args[5]), INDEX(0))
            if indexed:
                place = builder.bitcast(w.pointer(kinds[4], args[4], args[5]), BYTES.as_pointer())
                builder.store(where, place).align = 1
            return context.get_dummy_value()
        return signature, write
    return maxpool


maxpool_2x2, maxpool_2x2_indexed = _make_maxpool(indexed=False), _make_maxpool(indexed=True)


@intrinsic
def maxpool_2x2_backward(typing: Any, dy: Any, index: Any, y0: Any, dx: Any, upper: Any, lower: Any) -> Any:
    """The four values at dx[upper + 2 i] and dx[lower + 2 i] = dy[y0 + i] where index points, else 0; i below LANES."""
    i = types.intp
    signature = types.void(dy, index, i, dx, i, i)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w, kinds = Writer(context, builder), signature.args
        grad = w.load(w.pointer(kinds[0], args[0], args[2]), INDEX(0))
        winner = builder.load(builder.bitcast(w.pointer(kinds[1], args[1], args[2]), BYTES.as_pointer()))
        winner.align = 1
        for row in (0, 1):
            into = w.pointer(kinds[3], args[3], args[4 + row])
            pair = [builder.select(builder.icmp_unsigned("==", winner, ir.Constant(BYTES, [2 * row + side] * LANES)),
                                   grad, ZERO) for side in (0, 1)]
            for side, line in enumerate(w.interleave(pair)):
                w.store(line, into, INDEX(side * LANES))
        return context.get_dummy_value()
    return signature, write
