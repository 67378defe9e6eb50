"""The elementwise part of a long short-term memory, compiled: one pass over the four gates, both ways."""
import numpy as np

from runner.ops import cell as reference
from runner.ops import parallel
from runner.ops.fast.compiling import compiled
from runner.ops.fast.scalar import f4, logistic, tanh

Array = np.ndarray
COST = 32           # simple operations a value of the state stands for


def lstm_cell(z: Array, c: Array) -> tuple[Array, Array, tuple]:
    if not (z.dtype == c.dtype == f4 and z.flags.c_contiguous and c.flags.c_contiguous):
        return reference.lstm_cell(z, c)
    (n, k), gates = c.shape, np.empty_like(z)
    h, new, a = np.empty((3, n, k), f4)
    parallel.for_blocks(lambda i: _forward(z, c, gates, h, new, a, i.start, i.stop), n, COST * k)
    return h, new, (gates[:, 0], gates[:, 1], gates[:, 2], gates[:, 3], c, a)


def lstm_cell_backward(dh: Array, dc: Array, saved: tuple) -> tuple[Array, Array]:
    f, i, g, o, c, a = saved
    if not all(array.dtype == f4 for array in (dh, dc, f, i, g, o, c, a)):
        return reference.lstm_cell_backward(dh, dc, saved)
    n, k = dh.shape
    dz, before = np.empty((n, 4, k), f4), np.empty((n, k), f4)
    parallel.for_blocks(lambda r: _backward(dh, dc, f, i, g, o, c, a, dz, before, r.start, r.stop), n, COST * k)
    return dz, before


@compiled
def _forward(z, c, gates, h, new, a, begin, end):
    for r in range(begin, end):
        zf, zi, zg, zo, last = z[r, 0], z[r, 1], z[r, 2], z[r, 3], c[r]
        f, i, g, o = gates[r, 0], gates[r, 1], gates[r, 2], gates[r, 3]
        for k in range(last.size):
            f[k] = logistic(zf[k])
            i[k] = logistic(zi[k])
            g[k] = tanh(zg[k])
            o[k] = logistic(zo[k])
        cell, bent, out = new[r], a[r], h[r]
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
