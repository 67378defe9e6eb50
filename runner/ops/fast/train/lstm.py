"""The elementwise part of a long short-term memory, compiled: one pass over the four gates, both ways."""
import numpy as np

from runner.ops import lstm as reference
from runner.ops import parallel
from runner.ops.fast.jit import compiled
from runner.ops.fast.simd.math import f4, logistic, tanh

Array = np.ndarray
COST = 32           # simple operations a value of the state stands for


def lstm_cell(u: Array, w: Array, biases: Array, c: Array, h: Array) -> tuple[Array, tuple]:
    if not all(array.dtype == f4 and array.flags.c_contiguous for array in (u, w, biases, c, h)):
        return reference.lstm_cell(u, w, biases, c, h)
    (n, k), gates = c.shape, np.empty_like(u)
    new, a = np.empty((2, n, k), f4)
    parallel.for_blocks(lambda r: _forward(u, w, biases, c, gates, h, new, a, r.start, r.stop), n, COST * k)
    return new, (gates[:, 0], gates[:, 1], gates[:, 2], gates[:, 3], c, a)


def lstm_cell_backward(dh: Array, dc: Array, saved: tuple, dz: Array) -> Array:
    f, i, g, o, c, a = saved
    if not all(array.dtype == f4 for array in (dh, dc, f, i, g, o, c, a, dz)):
        return reference.lstm_cell_backward(dh, dc, saved, dz)
    (n, k), before = dh.shape, np.empty_like(dc)
    parallel.for_blocks(lambda r: _backward(dh, dc, f, i, g, o, c, a, dz, before, r.start, r.stop), n, COST * k)
    return before


@compiled
def _forward(u, w, biases, c, gates, h, new, a, begin, end):
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
        last, cell, bent, out = c[r], new[r], a[r], h[r]
        for k in range(last.size):
            cell[k] = f[k] * last[k] + i[k] * g[k]
            bent[k] = tanh(cell[k])
            out[k] = o[k] * bent[k]


@compiled
def _backward(dh, dc, f, i, g, o, c, a, dz, before, begin, end):
    for r in range(begin, end):
        zf, zi, zg, zo, last = dz[r, 0], dz[r, 1], dz[r, 2], dz[r, 3], before[r]
        for k in range(last.size):
            d = dc[r, k] + dh[r, k] * o[r, k] * (f4(1) - a[r, k] * a[r, k])
            zf[k] = d * c[r, k] * f[r, k] * (f4(1) - f[r, k])
            zi[k] = d * g[r, k] * i[r, k] * (f4(1) - i[r, k])
            zg[k] = d * i[r, k] * (f4(1) - g[r, k] * g[r, k])
            zo[k] = dh[r, k] * a[r, k] * o[r, k] * (f4(1) - o[r, k])
            last[k] = d * f[r, k]
