"""The learning rate of every update  (src/network.c:get_current_rate)."""
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from runner.net_options import NetOptions

SINGLE = ("learning_rate", "learning_rate_min", "power", "scale", "gamma")


def rate_at(options: NetOptions, update: int, rng: np.random.Generator | None = None, *, single: bool = False) -> float:
    """The learning rate of an update.  The first update of a run is number 1, as in darknet.

    rng     only policy `random` draws from it
    single  the options are rounded to float32, as darknet holds them, and so is the rate
    """
    if not single:
        return _rate(options, update, rng, float)
    rounded: dict[str, Any] = {name: _float32(getattr(options, name)) for name in SINGLE}
    scales = tuple(map(_float32, options.scales))
    return _float32(_rate(replace(options, **rounded, scales=scales), update, rng, _float32))


def _float32(value: float) -> float:
    return float(np.float32(value))


def _rate(options: NetOptions, update: int, rng: np.random.Generator | None, real: Callable[[float], float]) -> float:
    """The rate in double precision, but for quotients of numbers of updates, which are `real`."""
    rate, b = options.learning_rate, update
    if b < options.burn_in:
        return rate * real(b / options.burn_in) ** options.power
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
            return rate * real(1 - real(b / options.max_batches)) ** options.power if options.max_batches else rate
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
