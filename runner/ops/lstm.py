"""The elementwise part of a long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000)."""
import numpy as np

from runner.ops.activation import logistic

Array = np.ndarray


def lstm_cell(u: Array, w: Array, biases: Array, c: Array, h: Array) -> tuple[Array, tuple]:
    """u, w (n, 4, k): products of input and state for the gates f, i, g, o; biases (4, k): the sum of both;
    c (n, k): the previous cell state -> new c, saved; h (n, k) is written.

        z = u + w + biases;  c' = logistic(f) c + logistic(i) tanh(g);  h = logistic(o) tanh(c')
    """
    z = u + w
    z += biases
    fi, g, o = logistic(z[:, :2]), np.tanh(z[:, 2]), logistic(z[:, 3])
    new = fi[:, 0] * c + fi[:, 1] * g
    a = np.tanh(new)
    np.multiply(o, a, out=h)
    return new, (fi[:, 0], fi[:, 1], g, o, c, a)


def lstm_cell_backward(dh: Array, dc: Array, saved: tuple, dz: Array) -> Array:
    """dh, dc (n, k): gradients of h and of the new c -> gradient of the previous c; dz (n, 4, k) is written."""
    f, i, g, o, c, a = saved
    dc = dc + dh * o * (1 - a * a)
    dz[:, 0] = dc * c * f * (1 - f)
    dz[:, 1] = dc * g * i * (1 - i)
    dz[:, 2] = dc * i * (1 - g * g)
    dz[:, 3] = dh * a * o * (1 - o)
    return dc * f
