"""The losses of [cost], value by value.

Each has the error that darknet sums up for its printed cost, the gradient, and the number whose gradient that is
("objective"): darknet drops the factor 2 of a square.  d = truth - x.

    kind        error                       gradient                    source
    sse         d^2                         -d                          src/blas.c:l2_cpu
    masked      d^2, 0 where truth = -1234  -d, 0 there                 src/cost_layer.c
    seg         d^2, times noobj where the truth is 0; -d likewise      src/cost_layer.c (GPU)
    smooth      d^2 or 2 |d| - 1 past 1     -d or -sign d               src/blas.c:smooth_l1_cpu, sign corrected
    L1          |d|                         -sign d                     src/blas.c:l1_cpu
    wgan        -x where truth, else x      -1 where truth > 0, else 1  src/blas_kernels.cu:wgan_kernel
    mse         d^2 / k                     -2 d / k                    k values per image
    mae         |d| / k                     -sign d / k
    logcosh     log cosh d / k              -tanh d / k
    hinge       max(0, 1 - t x) / k         -t / k where 1 - t x > 0    truth -1 or 1
    hellinger   (sqrt t - sqrt x)^2 / 2k    its derivative              x and truth non-negative
"""
import numpy as np

MASKED = -1234      # darknet's SECRET_NUM: the truth of this value is unknown
LOSSES = ("sse", "masked", "smooth", "L1", "seg", "wgan", "mse", "mae", "logcosh", "hinge", "hellinger")
HALVED = ("sse", "masked", "seg")


def loss(x: np.ndarray, truth: np.ndarray, kind: str, *, noobj: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """x and truth of one shape (n, ...) -> error, gradient with respect to x, both of that shape."""
    d, k = truth - x, x.dtype.type(x[0].size)
    near = np.abs(d) < 1
    match kind:
        case "masked":
            d = np.where(truth == MASKED, 0, d)
        case "seg":
            factor = np.where(truth == 0, x.dtype.type(noobj), 1)
            return d * d * factor, -d * factor
        case "smooth":
            return np.where(near, d * d, 2 * np.abs(d) - 1), np.where(near, -d, -np.sign(d))
        case "L1":
            return np.abs(d), np.where(d > 0, x.dtype.type(-1), x.dtype.type(1))
        case "wgan":
            return np.where(truth != 0, -x, x), np.where(truth > 0, x.dtype.type(-1), x.dtype.type(1))
        case "mse":
            return d * d / k, -2 * d / k
        case "mae":
            return np.abs(d) / k, -np.sign(d) / k
        case "logcosh":
            return (np.logaddexp(d, -d) - x.dtype.type(np.log(2))) / k, -np.tanh(d) / k
        case "hinge":
            margin = 1 - truth * x
            return np.maximum(margin, 0) / k, np.where(margin > 0, -truth, 0) / k
        case "hellinger":
            root = np.sqrt(np.maximum(x, np.finfo(x.dtype).tiny))
            gap = np.sqrt(np.maximum(truth, 0)) - root
            return gap * gap / (2 * k), -gap / (2 * k * root)
    return d * d, -d


def objective(x: np.ndarray, truth: np.ndarray, kind: str, *, noobj: float = 1.0) -> float:
    """The number whose gradient `loss` returns."""
    error, _ = loss(x, truth, kind, noobj=noobj)
    if kind == "smooth":
        d = np.abs(truth - x)
        return float(np.where(d < 1, d * d / 2, d - 0.5).sum())
    return float(error.sum()) / (2 if kind in HALVED else 1)
