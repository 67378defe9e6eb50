"""Weight updates in one pass over their arrays, all parameters of a network in one call.

A small network has many small arrays, and a call for each would cost more than the update: their addresses are put
into a table once.
"""
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import carray, types
from numba.extending import intrinsic

from runner.ops import optimizer as reference
from runner.ops import parallel
from runner.ops.fast import tuning
from runner.ops.fast.jit import compiled
from runner.ops.fast.simd.math import f4
from runner.ops.fast.train.arrays import is_contiguous_float32
from runner.ops.optimizer import Numbers

Array = np.ndarray


def sgd_update(w: Array, g: Array, v: Array, momentum: float, decay: float, rate: float) -> None:
    bind_sgd([(w, g, v)])(momentum, [decay], [rate])


def adam_update(w: Array, g: Array, m: Array, v: Array, b1: float, b2: float, decay: float, rate: float,
                correction: float, epsilon: float) -> None:
    bind_adam([(w, g, m, v)])(b1, b2, decay, [rate], correction, epsilon)


def bind_sgd(arrays: Sequence[tuple[Array, ...]]) -> Callable[[float, Numbers, Numbers], None]:
    if not (arrays and is_contiguous_float32(*itertools.chain.from_iterable(arrays))):
        return reference.bind_sgd(arrays)
    table = _Table(arrays)

    def run(momentum: float, decays: Numbers, rates: Numbers) -> None:
        numbers = np.array((decays, rates), f4)
        table.share(lambda first, last: _sgd_all(table.addresses, table.pieces, first, last, f4(momentum), numbers))
    return run


def bind_adam(arrays: Sequence[tuple[Array, ...]]) -> Callable[..., None]:
    if not (arrays and is_contiguous_float32(*itertools.chain.from_iterable(arrays))):
        return reference.bind_adam(arrays)
    table = _Table(arrays)

    def run(b1: float, b2: float, decay: float, rates: Numbers, correction: float, epsilon: float) -> None:
        numbers, by_array = np.array((1 - b1, 1 - b2, decay, correction, epsilon), f4), np.array(rates, f4)
        table.share(lambda first, last: _adam_all(table.addresses, table.pieces, first, last, numbers, by_array))
    return run


def bind_finite(arrays: Sequence[tuple[Array, ...]]) -> Callable[[], bool]:
    if not (arrays and is_contiguous_float32(*itertools.chain.from_iterable(arrays))):
        return reference.bind_finite(arrays)
    table = _Table(arrays)

    def run() -> bool:
        found = np.zeros(len(table.pieces), np.uint8)
        table.share(lambda first, last: _find(table.addresses, table.pieces, first, last, found))
        return not found.any()
    return run


class _Table:
    """The addresses of arrays, and the pieces (array, begin, end) that they are updated in."""

    def __init__(self, arrays: Sequence[tuple[Array, ...]]):
        self.arrays = arrays        # they live as long as their addresses are used
        self.addresses = np.array([[array.ctypes.data for array in group] for group in arrays], np.int64)
        sizes, piece = [group[0].size for group in arrays], tuning.UPDATE_PIECE
        self.pieces = np.array([(i, at, min(at + piece, size)) for i, size in enumerate(sizes)
                                for at in range(0, size, piece)], np.int64).reshape(-1, 3)
        ends = np.cumsum(self.pieces[:, 2] - self.pieces[:, 1])
        tasks = ends // parallel.GRAIN if ends.size else ends     # neighbouring pieces are one task
        self.ends = [0, *(np.flatnonzero(np.diff(tasks)) + 1).tolist(), len(self.pieces)]

    def share(self, function: Callable[[int, int], None]) -> None:
        """function(first, last) for all pieces."""
        ends = self.ends
        parallel.for_each(lambda k: function(ends[k], ends[k + 1]), len(ends) - 1)


@intrinsic
def _pointer(typing: Any, address: Any) -> Any:
    """The address as a pointer to float32."""
    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))
    return types.CPointer(types.float32)(types.int64), write


@compiled
def _run(address, begin, end):
    """The values begin ... end of the array at this address, (end - begin,)."""
    return carray(_pointer(address + 4 * begin), (end - begin,))


@compiled
def _sgd_all(addresses, pieces, first, last, momentum, numbers):
    """_sgd of the pieces first ... last (pieces, 3): array, begin, end; addresses (arrays, 3) of w, g, v; numbers (2,
    arrays): decay and rate of each array."""
    for p in range(first, last):
        i, begin, end = pieces[p]
        w, g, v = (_run(addresses[i, 0], begin, end), _run(addresses[i, 1], begin, end),
                   _run(addresses[i, 2], begin, end))
        _sgd(w, g, v, momentum, numbers[0, i], numbers[1, i])


@compiled
def _sgd(w, g, v, momentum, decay, rate):
    """v = momentum v + g + decay w,  w -= rate v,  g = 0; all (k,)."""
    for i in range(w.size):
        new = momentum * v[i] + g[i] + decay * w[i]
        v[i] = new
        w[i] -= rate * new
        g[i] = 0


@compiled
def _adam_all(addresses, pieces, first, last, numbers, rates):
    """_adam of the pieces first ... last (pieces, 3): array, begin, end; addresses (arrays, 4) of w, g, m, v; numbers
    (5,): 1 - b1, 1 - b2, decay, correction, epsilon; rates (arrays,)."""
    one_minus_b1, one_minus_b2, decay, correction, epsilon = numbers
    for p in range(first, last):
        i, begin, end = pieces[p]
        w, g, m, v = (_run(addresses[i, 0], begin, end), _run(addresses[i, 1], begin, end),
                      _run(addresses[i, 2], begin, end), _run(addresses[i, 3], begin, end))
        _adam(w, g, m, v, one_minus_b1, one_minus_b2, decay, rates[i], correction, epsilon)


@compiled
def _adam(w, g, m, v, one_minus_b1, one_minus_b2, decay, rate, correction, epsilon):
    """With d = g + decay w:  m += (1 - b1) (d - m),  v += (1 - b2) (d^2 - v),
    w -= rate m / (sqrt(v / correction) + epsilon),  g = 0; all (k,)."""
    for i in range(w.size):
        d = g[i] + decay * w[i]
        mean = m[i] + one_minus_b1 * (d - m[i])
        square = v[i] + one_minus_b2 * (d * d - v[i])
        m[i], v[i] = mean, square
        w[i] -= rate * mean / (np.sqrt(square / correction) + epsilon)
        g[i] = 0


@compiled
def _find(addresses, pieces, first, last, found):
    """found[p] = 1 where piece p has NaN or infinity, for the pieces first ... last; addresses (arrays, 1)."""
    for p in range(first, last):
        g = _run(addresses[pieces[p, 0], 0], pieces[p, 1], pieces[p, 2])
        total = f4(0)
        for i in range(g.size):
            total += g[i] * f4(0)       # 0 of a finite value, else NaN
        found[p] = total != 0
