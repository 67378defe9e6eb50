"""Generate text with a trained character model."""
import math
from collections.abc import Iterator

import numpy as np

from runner.datasets.text import check_symbols, one_hot
from runner.errors import DataError, UsageError
from runner.inference.plan import Plan
from runner.layers.shared.recurrent import Recurrent
from runner.layers.softmax import Softmax
from runner.network import Network

LEAST_PROBABILITY = 1e-4    # symbols below are never drawn, as in darknet (examples/rnn.c)
FIRST = b"\n\n"             # what darknet feeds a model before anything else


def is_character_model(net: Network) -> bool:
    """Does the network read and predict symbols: flat input, a recurrent layer, a softmax with as many outputs?"""
    return (len(net.in_shape) == 1 and net.out_shape == net.in_shape and isinstance(net.layers[net.last], Softmax)
            and any(isinstance(layer, Recurrent) for layer in net.layers))


def first_symbols(symbols: int) -> bytes:
    """What a network with this many symbols reads before the first character: FIRST, or its last symbol."""
    return bytes(min(character, symbols - 1) for character in FIRST)


def generate(net: Network, seed: bytes, length: int, *, temperature: float = 0.7,
             rng: np.random.Generator | None = None) -> Iterator[int]:
    """Continue the text `seed`: yields `length` bytes one by one, each drawn from the predicted distribution.

    temperature  below 1 likely symbols become likelier, above 1 the text more random; replaces that of the softmax
    The recurrent state starts at zero.  The network must have been built with time_steps=1 (--set net.time_steps=1):
    else UsageError.  DataError where the seed has a byte the network has no symbol for, or an output is not finite.
    """
    if net.env.time_steps != 1:
        raise UsageError(f"to generate text, a network takes one character at a time: build it with net.time_steps=1. "
                         f"It has {net.env.time_steps}")
    if not 0 < temperature < math.inf:
        raise UsageError(f"temperature must be above 0 and finite. Got {temperature:g}")
    seed, rng = seed or first_symbols(net.in_shape[0]), rng or np.random.default_rng()
    check_symbols(np.frombuffer(seed, np.uint8), net.in_shape[0], "the seed text")
    # softmax at temperature T is the softmax at temperature S to the power of S / T, normalised again
    last = net.layers[net.last]
    power = (last.options.temperature if isinstance(last, Softmax) else 1.0) / temperature
    net.reset_state()
    p, plan = np.zeros(0), Plan(net)
    for character in seed:
        p = _next(plan, character)
    for _ in range(length):
        weights = _sharpened(p, power)
        character = int(np.searchsorted(np.cumsum(weights), rng.random(), side="right"))
        character = min(character, len(weights) - 1)
        yield character
        p = _next(plan, character)


def _next(plan: Plan, character: int) -> np.ndarray:
    """The distribution (symbols,) of the character after this one."""
    return plan.predict(one_hot(np.array([character]), plan.in_shape[0])).reshape(-1).astype(np.float64)


def _sharpened(p: np.ndarray, power: float) -> np.ndarray:
    """p^power without those below LEAST_PROBABILITY; they sum to 1."""
    if not np.isfinite(p).all():
        raise DataError("the network's output has NaN or infinity: so do its weights")
    logs = power * np.log(np.maximum(p, 1e-300))
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    weights[weights < LEAST_PROBABILITY] = 0
    return weights / math.fsum(weights)
