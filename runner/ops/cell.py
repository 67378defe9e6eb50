"""The elementwise part of a long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000)."""
import numpy as np

from runner.ops.activation import logistic

Array = np.ndarray


def lstm_cell(z: Array, c: Array) -> tuple[Array, Array, tuple]:
    """z (n, 4, k) gates f, i, g, o before their activations, c (n, k) the last cell -> h, new c, saved.

        c' = logistic(f) c + logistic(i) tanh(g);  h = logistic(o) tanh(c')
    """
    fi, g, o = logistic(z[:, :2]), np.tanh(z[:, 2]), logistic(z[:, 3])
    new = fi[:, 0] * c + fi[:, 1] * g
    a = np.tanh(new)
    return o * a, new, (fi[:, 0], fi[:, 1], g, o, c, a)


def lstm_cell_backward(dh: Array, dc: Array, saved: tuple) -> tuple[Array, Array]:
    """dh, dc (n, k): gradients of h and of the new c -> dz (n, 4, k), gradient of the last c."""
    f, i, g, o, c, a = saved
    dc = dc + dh * o * (1 - a * a)
    dz = np.empty((len(dh), 4, dh.shape[1]), dh.dtype)
    dz[:, 0] = dc * c * f * (1 - f)
    dz[:, 1] = dc * g * i * (1 - i)
    dz[:, 2] = dc * i * (1 - g * g)
    dz[:, 3] = dh * a * o * (1 - o)
    return dz, dc * f
