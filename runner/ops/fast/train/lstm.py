"""The elementwise part of an LSTM, compiled: one pass over the four gates, forward and backward."""
import numpy as np

from runner.ops import lstm as reference
from runner.ops import parallel
from runner.ops.fast import tuning
from runner.ops.fast.jit import compiled
from runner.ops.fast.simd.math import f4, logistic, tanh
from runner.ops.fast.train.arrays import is_supported

Array = np.ndarray


def lstm_cell(u: Array, w: Array, biases: Array, c: Array, h: Array) -> tuple[Array, tuple]:
    if not is_supported(u, w, biases, c, h):
        return reference.lstm_cell(u, w, biases, c, h)
    (n, k), gates = c.shape, np.empty_like(u)
    new, a = np.empty((2, n, k), f4)
    parallel.for_blocks(lambda r: _forward(u, w, biases, c, gates, h, new, a, r.start, r.stop), n,
                        tuning.LSTM_VALUE_COST * k)
    return new, (gates[:, 0], gates[:, 1], gates[:, 2], gates[:, 3], c, a)


def lstm_cell_backward(dh: Array, dc: Array, saved: tuple, dz: Array) -> Array:
    f, i, g, o, c, a = saved
    if not all(array.dtype == f4 for array in (dh, dc, f, i, g, o, c, a, dz)):
        return reference.lstm_cell_backward(dh, dc, saved, dz)
    (n, k), before = dh.shape, np.empty_like(dc)
    parallel.for_blocks(lambda r: _backward(dh, dc, f, i, g, o, c, a, dz, before, r.start, r.stop), n,
                        tuning.LSTM_VALUE_COST * k)
    return before


@compiled
def _forward(u, w, biases, c, gates, h, new, a, begin, end):
    """The rows begin ... end of: z = u + w + biases, f, i, g, o = s(zf), s(zi), tanh(zg), s(zo), new = f c + i g,
    a = tanh(new), h = o a, where s is the logistic function.

    u, w, gates (n, 4, k), biases (4, k), the others (n, k).
    """
    for r in range(begin, end):
        for gate in range(4):
            first, second, bias, out = u[r, gate], w[r, gate], biases[gate], gates[r, gate]
            if gate == 2:
                for k in range(out.size):
                    out[k] = tanh(first[k] + second[k] + bias[k])
            else:
                for k in range(out.size):
                    out[k] = logistic(first[k] + second[k] + bias[k])
        f, i, g, o = gates[r, 0], gates[r, 1], gates[r, 2], gates[r, 3]
        last, cell, squashed, out = c[r], new[r], a[r], h[r]
        for k in range(last.size):
            cell[k] = f[k] * last[k] + i[k] * g[k]
            squashed[k] = tanh(cell[k])
            out[k] = o[k] * squashed[k]


@compiled       # twelve arguments: what `lstm_cell` saves, and the gradients
def _backward(dh, dc, f, i, g, o, c, a, dz, before, begin, end):
    """The rows begin ... end of: d = dc + dh o (1 - a^2), dz (n, 4, k) of f, i, g, o in this order, and before = d f,
    the gradient of the cell before; the others (n, k)."""
    for r in range(begin, end):
        zf, zi, zg, zo, last = dz[r, 0], dz[r, 1], dz[r, 2], dz[r, 3], before[r]
        for k in range(last.size):
            d = dc[r, k] + dh[r, k] * o[r, k] * (f4(1) - a[r, k] * a[r, k])
            zf[k] = d * c[r, k] * f[r, k] * (f4(1) - f[r, k])
            zi[k] = d * g[r, k] * i[r, k] * (f4(1) - i[r, k])
            zg[k] = d * i[r, k] * (f4(1) - g[r, k] * g[r, k])
            zo[k] = dh[r, k] * a[r, k] * o[r, k] * (f4(1) - o[r, k])
            last[k] = d * f[r, k]
