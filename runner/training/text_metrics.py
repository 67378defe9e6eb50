"""How well a character model predicts a text: bits per character."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner.datasets.text import check_symbols, one_hot
from runner.errors import DataError
from runner.inference import Plan
from runner.inference.generate import first_symbols
from runner.network import Network
from runner.process_group import Group
from runner.training.metrics import Metrics, Table


@dataclass(frozen=True)
class TextMetrics(Metrics):
    """characters: how many were predicted; bits: -log2 of their probability, the mean."""
    characters: int
    bits: float

    @property
    def score(self) -> float:
        return -self.bits

    def headline(self) -> str:
        return f"{self.characters:,} characters, {self.bits:.3f} bits/character (perplexity {2 ** self.bits:.2f})"

    def tables(self) -> list[Table]:
        return []

    def as_json(self) -> dict[str, Any]:
        return {"characters": self.characters, "bits_per_character": self.bits}


def bits_per_character(net: Network, text: np.ndarray, *, streams: int = 1, first: bytes | None = None,
                       group: Group | None = None) -> float:
    """The mean of -log2 p(next character | all before) over a text, uint8 (n,): 8 is a guess, 1 to 2 is good.

    streams  parts the text is read in, in parallel, each from its own beginning (1 is exact, more are faster)
    first    what is read before every part; None: two ends of lines, as in darknet's `rnn valid`
    group    processes that share the parts out
    The network's recurrent state is restored afterwards.  DataError where the text has fewer than two characters.
    """
    check_symbols(text, net.in_shape[0], "the text")
    first = first_symbols(net.in_shape[0]) if first is None else first
    streams = max(1, min(streams, len(text) // 64))
    length = len(text) // streams
    if length < 2:
        raise DataError(f"a text to evaluate needs at least two characters. It has {len(text)}")
    parts = text[:streams * length].reshape(streams, length).T                  # (time, streams)
    if group:
        parts = np.array_split(parts, group.size, axis=1)[group.rank]
        actual = _actual(net, parts, first) if parts.size else np.empty((length, 0))
        every = group.gather(actual)
        return float(-np.log2(np.concatenate(every, axis=1)).mean())
    return float(-np.log2(_actual(net, parts, first)).mean())


def _actual(net: Network, parts: np.ndarray, first: bytes) -> np.ndarray:
    """parts (time, streams) -> the probability of each of their characters, float64 of the same shape."""
    streams = parts.shape[1]
    lead = np.tile(np.frombuffer(first, np.uint8)[:, None], streams)
    inputs = np.concatenate([lead, parts[:-1]])
    before, steps, plan = net.state, net.env.time_steps, Plan(net)
    net.reset_state()
    try:
        predicted = []
        for begin in range(0, len(inputs), steps):
            part = inputs[begin:begin + steps]
            padded = np.zeros((steps, streams), np.uint8)       # what is predicted after the end is dropped
            padded[:len(part)] = part
            p = plan.predict(one_hot(padded, net.in_shape[0])).reshape(steps, streams, -1)
            predicted.append(p[:len(part)])
    finally:
        net.state = before
    p = np.concatenate(predicted)[len(lead):]
    p_actual = np.take_along_axis(p, parts[1:, :, None].astype(np.intp), axis=2)
    return np.maximum(p_actual[:, :, 0].astype(np.float64), 1e-38)
