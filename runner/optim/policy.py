"""The learning rate of every update  (src/network.c:get_current_rate)."""
import math

import numpy as np

from runner.net_options import NetOptions


def rate_at(options: NetOptions, update: int, rng: np.random.Generator | None = None) -> float:
    """The learning rate of an update.  The first update of a run is number 1, as in darknet.

    rng  only policy `random` draws from it
    """
    rate, b = options.learning_rate, update
    if b < options.burn_in:
        return rate * (b / options.burn_in) ** options.power
    match options.policy:
        case "step":
            return rate * options.scale ** (b // options.step)
        case "steps":
            for step, scale in zip(options.steps, options.scales, strict=True):
                if step > b:
                    break
                rate *= scale
            return rate
        case "exp":
            return rate * options.gamma ** b
        case "poly":
            return rate * (1 - b / options.max_batches) ** options.power if options.max_batches else rate
        case "random":
            return rate * float((rng or np.random.default_rng(b)).random()) ** options.power
        case "sigmoid":
            return rate * _logistic(-options.gamma * (b - options.step))
        case "sgdr":
            return _sgdr(options, b)
    return rate


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def _sgdr(options: NetOptions, b: int) -> float:
    """Cosine annealing to learning_rate_min, restarted with ever longer cycles (Loshchilov & Hutter 2017)."""
    start, cycle = 0, options.sgdr_cycle or options.max_batches or 1000
    while start + cycle < b:
        start += cycle
        cycle *= options.sgdr_mult
    low = options.learning_rate_min
    return low + 0.5 * (options.learning_rate - low) * (1 + math.cos((b - start) * math.pi / cycle))
