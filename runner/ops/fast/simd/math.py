"""Functions of one number, and activations over a run of numbers, for kernels to call.

exp, and what is built on it, are polynomials: loops over them run in vector registers, while the C library is called
for one number at a time.  They are within 5 units in the last place of float32.
"""
from typing import NamedTuple

import numpy as np

from runner.ops.activation import ACTIVATIONS, GELU_A, GELU_B, SELU, SELU_LOW, Activation
from runner.ops.fast.jit import compiled

f4, i4 = np.float32, np.int32
LOG2E, LN2_HIGH, LN2_LOW = f4(1.44269504), f4(0.693359375), f4(-2.12194440e-4)     # LN2_HIGH has few bits: n times it
                                                                                   # is exact (Cody & Waite 1980)
# the expressions of activate_run and slope_run; their order means nothing
EXPRESSIONS = ("rectifier", "clip", "logistic", "tanh", "elu", "selu", "swish", "mish", "hard_mish", "gelu")
RECTIFIER, CLIP, LOGISTIC, TANH, ELU, SELU_CODE, SWISH, MISH, HARD_MISH, GELU = range(len(EXPRESSIONS))


class CompiledActivation(NamedTuple):
    """An activation as kernels take it."""
    code: int               # its expression
    alpha: np.float32       # parameters of the expression
    beta: np.float32
    from_input: bool        # its derivative is a function of the input, not of the output


COMPILED_ACTIVATIONS = {a.name: CompiledActivation(EXPRESSIONS.index(a.expression), f4(a.alpha), f4(a.beta),
                                                   a.saves_input)
                        for a in ACTIVATIONS.values() if isinstance(a, Activation) and a.expression}


@compiled
def expm1_parts(x):
    """-> p, s with e^x = s (p + 1): s a power of two, p = e^r - 1 of a remainder r within half of ln 2."""
    x = min(max(x, f4(-87)), f4(88))
    n = np.floor(x * LOG2E + f4(.5))
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    p = f4(1 / 5040) * r + f4(1 / 720)
    p = p * r + f4(1 / 120)
    p = p * r + f4(1 / 24)
    p = p * r + f4(1 / 6)
    p = p * r + f4(.5)
    p = p * r * r + r
    s = i4((i4(n) + i4(127)) << i4(23))
    return p, s.view(f4)


@compiled
def exp(x):
    """e^x, between e^-87 and e^88."""
    p, s = expm1_parts(x)
    return s * p + s


@compiled
def expm1(x):
    """e^x - 1, exact for small x too."""
    p, s = expm1_parts(x)
    return s * p + (s - f4(1))


@compiled
def logistic(x):
    """1 / (1 + e^-x)."""
    return f4(1) / (f4(1) + exp(-x))


@compiled
def tanh(x):
    """(e^2x - 1) / (e^2x + 1)."""
    q = expm1(f4(2) * min(max(x, f4(-10)), f4(10)))
    return q / (q + f4(2))


@compiled
def tanh_softplus(x):
    """-> tanh(log(1 + e^x)), e^x."""
    e = exp(min(x, f4(20)))
    q = e * (e + f4(2))
    return q / (q + f4(2)), e


@compiled
def activate_run(code, alpha, beta, x, y):
    """y = f(x) of two runs (k,); they may be the same."""
    if code == RECTIFIER:
        for i in range(x.size):
            v = x[i]
            y[i] = v if v > 0 else v * alpha
    elif code == CLIP:
        for i in range(x.size):
            v = x[i]
            y[i] = alpha if v < alpha else beta if v > beta else v
    elif code == LOGISTIC:
        for i in range(x.size):
            y[i] = logistic(x[i])
    elif code == TANH:
        for i in range(x.size):
            y[i] = tanh(x[i])
    elif code == ELU:
        for i in range(x.size):
            y[i] = max(x[i], f4(0)) + expm1(min(x[i], f4(0)))
    elif code == SELU_CODE:
        for i in range(x.size):
            y[i] = f4(SELU) * max(x[i], f4(0)) + f4(SELU_LOW) * expm1(min(x[i], f4(0)))
    elif code == SWISH:
        for i in range(x.size):
            y[i] = x[i] * logistic(x[i])
    elif code == MISH:
        for i in range(x.size):
            v = x[i]
            y[i] = v if v > 20 else v * tanh_softplus(v)[0]
    elif code == HARD_MISH:
        for i in range(x.size):
            v = min(max(x[i], f4(-2)), f4(0))
            y[i] = max(x[i], f4(0)) + v * (v * f4(.5) + f4(1))
    elif code == GELU:
        for i in range(x.size):
            v = x[i]
            y[i] = f4(.5) * v * (f4(1) + tanh(v * (f4(GELU_A) + f4(GELU_B) * v * v)))


@compiled
def slope_run(code, alpha, beta, at, dy, dx):
    """dx = dy f'(at) of runs (k,); at is the input where the activation says `from_input`, else the output."""
    if code == RECTIFIER:
        for i in range(at.size):
            dx[i] = dy[i] if at[i] > 0 else dy[i] * alpha
    elif code == CLIP:
        for i in range(at.size):
            dx[i] = dy[i] if alpha < at[i] < beta else f4(0)
    elif code == LOGISTIC:
        for i in range(at.size):
            dx[i] = dy[i] * (at[i] * (f4(1) - at[i]))
    elif code == TANH:
        for i in range(at.size):
            dx[i] = dy[i] * (f4(1) - at[i] * at[i])
    elif code == ELU:
        for i in range(at.size):
            dx[i] = dy[i] * (min(at[i], f4(0)) + f4(1))
    elif code == SELU_CODE:
        for i in range(at.size):
            dx[i] = dy[i] * (f4(SELU) if at[i] >= 0 else at[i] + f4(SELU_LOW))
    elif code == SWISH:
        for i in range(at.size):
            s = logistic(at[i])
            dx[i] = dy[i] * (s * (f4(1) + at[i] * (f4(1) - s)))
    elif code == MISH:
        for i in range(at.size):
            t, e = tanh_softplus(at[i])
            dx[i] = dy[i] * (at[i] * (f4(1) - t * t) * (e / (f4(1) + e)) + t)
    elif code == HARD_MISH:
        for i in range(at.size):
            dx[i] = dy[i] * (min(max(at[i], f4(-2)), f4(0)) + f4(1)) if at[i] > -2 else f4(0)
    elif code == GELU:
        for i in range(at.size):
            v = at[i]
            square = v * v
            t = tanh(v * (f4(GELU_A) + f4(GELU_B) * square))
            dx[i] = dy[i] * (f4(.5) * (f4(1) + t)
                             + f4(.5) * v * (f4(1) - t * t) * (f4(GELU_A) + f4(3 * GELU_B) * square))


@compiled
def softmax_rows(x, y, factor):
    """y = exp(factor x) / sum, of each row; the largest is subtracted first, so that nothing overflows."""
    for row in range(len(x)):
        values, out = x[row], y[row]
        most, total = values[0] * factor, f4(0)
        for i in range(values.size):
            most = max(most, values[i] * factor)
        for i in range(values.size):
            d = values[i] * factor - most
            out[i] = exp(d) if d > -87 else f4(0)       # below, exp gives what it gives at -87
        for i in range(values.size):
            total += out[i]
        for i in range(values.size):
            out[i] /= total
