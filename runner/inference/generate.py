"""Character models: batches for training them, how well they foresee a text, and letting them write."""
import math
from collections.abc import Iterator

import numpy as np

from runner.datasets.containers.text import Streams, check_symbols, one_hot
from runner.errors import DataError, UsageError
from runner.inference.plan import Plan
from runner.layers.shared.recurrent import Recurrent
from runner.layers.softmax import Softmax
from runner.network import Network

SMALLEST = 1e-4     # likelihoods below are never written, as in darknet (examples/rnn.c)
FIRST = b"\n\n"     # what darknet lets a model read before anything else


def is_character_model(net: Network) -> bool:
    """Does the network read and foresee symbols: flat input, a recurrent layer, a softmax with as many outputs?"""
    return (len(net.in_shape) == 1 and net.out_shape == net.in_shape and isinstance(net.layers[net.last], Softmax)
            and any(isinstance(layer, Recurrent) for layer in net.layers))


def training_batches(net: Network, text: np.ndarray, seed: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Endless (x, truth) for `runner.train`: batch // subdivisions streams of time_steps characters.

    The recurrent layers carry their state from batch to batch; where [net] reposition lets a stream jump, its state
    is forgotten.  Goes on after `net.progress.iteration` updates.
    """
    o = net.options
    check_symbols(text, net.in_shape[0], "the text")
    batches = Streams(text, max(o.batch // o.subdivisions, 1), o.time_steps, symbols=net.in_shape[0], seed=seed,
                      reposition=o.reposition, start_batch=net.progress.iteration * o.subdivisions)
    for x, truth in batches:
        if batches.jumped.any():
            net.reset_state(batches.jumped)
        yield x, truth


def bits_per_character(net: Network, text: np.ndarray, *, streams: int = 1, first: bytes = FIRST) -> float:
    """The mean of -log2 p(next character | all before) over a text, uint8 (n,): 8 knows nothing, 1 to 2 is good.

    streams  parts the text is read in side by side, each from its own beginning (1 is exact, more are faster);
             every part begins after `first` has been read, as in darknet's `rnn valid`
    The network's own state is left as it was.
    """
    check_symbols(text, net.in_shape[0], "the text")
    streams = max(1, min(streams, len(text) // 64))
    length = len(text) // streams
    if length < 2:
        raise DataError(f"a text to measure needs at least two characters. It has {len(text)}")
    parts = text[:streams * length].reshape(streams, length).T                  # (time, streams)
    lead = np.tile(np.frombuffer(first, np.uint8)[:, None], streams)
    inputs = np.concatenate([lead, parts[:-1]])
    kept, steps, plan = net.state, net.env.time_steps, net.optimized()
    net.reset_state()
    try:
        likely = []
        for begin in range(0, len(inputs), steps):
            part = inputs[begin:begin + steps]
            whole = np.zeros((steps, streams), np.uint8)     # what is missing at the end is read as zeros, for nothing
            whole[:len(part)] = part
            p = plan.predict(one_hot(whole, net.in_shape[0])).reshape(steps, streams, -1)
            likely.append(p[:len(part)])
    finally:
        net.state = kept
    p = np.concatenate(likely)[len(lead):]
    right = np.take_along_axis(p, parts[1:, :, None].astype(np.intp), axis=2)
    return float(-np.log2(np.maximum(right.astype(np.float64), 1e-38)).mean())


def write(net: Network, seed: bytes, length: int, *, temperature: float = 0.7,
          rng: np.random.Generator | None = None) -> Iterator[int]:
    """Let the network write on after `seed`: yields `length` bytes one by one.

    temperature  below 1 the likely becomes likelier, above 1 the text wilder; it takes the place of the softmax's own
    The state starts from nothing.  The network must have been built with time_steps=1 (--set net.time_steps=1).
    """
    if net.env.time_steps != 1:
        raise UsageError(f"to write, a network takes one step at a time: build it with net.time_steps=1. "
                         f"It has {net.env.time_steps}")
    if temperature <= 0:
        raise UsageError(f"temperature must be above 0. Got {temperature:g}")
    seed, rng = seed or FIRST, rng or np.random.default_rng()
    check_symbols(np.frombuffer(seed, np.uint8), net.in_shape[0], "the seed text")
    # softmax at temperature T is the softmax at temperature S to the power of S / T, normalised again
    power = getattr(net.layers[net.last].options, "temperature", 1.0) / temperature
    net.reset_state()
    p, plan = np.zeros(0), net.optimized()
    for character in seed:
        p = _next(plan, character)
    for _ in range(length):
        weights = _sharpened(p, power)
        character = int(np.searchsorted(np.cumsum(weights), rng.random(), side="right"))
        character = min(character, len(weights) - 1)
        yield character
        p = _next(plan, character)


def _next(plan: Plan, character: int) -> np.ndarray:
    return plan.predict(one_hot(np.array([character]), plan.in_shape[0])).reshape(-1).astype(np.float64)


def _sharpened(p: np.ndarray, power: float) -> np.ndarray:
    """Likelihoods at a temperature, without those below SMALLEST; they sum to 1."""
    if not np.isfinite(p).all():
        raise DataError("the network's output is not a number: its weights are spoilt")
    logs = power * np.log(np.maximum(p, 1e-300))
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    weights[weights < SMALLEST] = 0
    return weights / math.fsum(weights)
