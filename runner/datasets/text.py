"""Texts for character models: bytes in, the next byte as the ground truth.

A batch is `streams` passages of `steps` characters.  x has each character as a one-hot row, y the character after it;
rows are time major: row t * streams + i is time step t of stream i.  The next batch continues where this one ended, so
a recurrent layer that keeps its state reads every stream as one long text.
"""
from pathlib import Path

import numpy as np

from runner.errors import DataError
from runner.file_kinds import HEAD, kind_of
from runner.reading.text import read_bytes


def read_text(path: str | Path, symbols: int = 256) -> np.ndarray:
    """The bytes of a file, uint8 (n,).  DataError when it is missing or too short, a git-lfs pointer or an archive, or
    has bytes without an input."""
    text = np.frombuffer(read_bytes(path, missing="there is no such text file"), np.uint8)
    kind = kind_of(text[:HEAD].tobytes()) or ""
    if "git-lfs" in kind or "unpack it" in kind:
        raise DataError(f"{path}: this is {kind}")
    if len(text) < 2:
        raise DataError(f"{path}: a text needs at least two characters. It has {len(text)}")
    check_symbols(text, symbols, str(path))
    return text


def check_symbols(text: np.ndarray, symbols: int, source: str) -> None:
    """DataError unless every byte is one of the network's inputs."""
    if text.max(initial=0) >= symbols:
        at = int(np.argmax(text >= symbols))
        raise DataError(f"{source}: byte {at} has the value {text[at]}, and the network has inputs for 0 to "
                        f"{symbols - 1}: set inputs=256 in [net], and output=256 in the last layer")


def split_text(text: np.ndarray, held_out: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """-> the text to train on, and its end, which is held out."""
    at = len(text) - round(len(text) * held_out)
    return text[:at], text[at:]


def one_hot(characters: np.ndarray, symbols: int = 256) -> np.ndarray:
    """(n,) -> (n, symbols) float32, one-hot."""
    rows = np.zeros((characters.size, symbols), np.float32)
    rows[np.arange(characters.size), characters.ravel()] = 1
    return rows


class Streams:
    """Endless batches (x, truth), each (steps * streams, symbols) float32, of passages that continue in the next batch.

    Every stream starts at a random position and wraps around at the end of the text.  With `reposition`, each stream
    jumps to a random position after a batch with that probability (darknet: 1/64 in pjreddie's, 1/10 in AlexeyAB's);
    `jumped` (streams,) bool: the streams of the latest batch that start anew, so that their state can be reset.
    The batches depend only on the arguments; start_batch=k continues where a run stopped after k of them.
    """

    def __init__(self, text: np.ndarray, streams: int, steps: int, *, symbols: int = 256, seed: int = 0,
                 reposition: float = 0.0, start_batch: int = 0):
        self.text, self.streams, self.steps, self.symbols = text, streams, steps, symbols
        self.reposition = reposition
        self._rng = np.random.default_rng(seed)
        self._offsets = self._rng.integers(0, len(text), streams)
        self._fresh = True
        self.jumped = np.ones(streams, bool)
        for _ in range(start_batch):
            self._advance()

    def __iter__(self) -> "Streams":
        return self

    def __next__(self) -> tuple[np.ndarray, np.ndarray]:
        offsets = self._advance()
        at = (offsets + np.arange(self.steps)[:, None]) % len(self.text)        # (steps, streams)
        now, then = self.text[at], self.text[(at + 1) % len(self.text)]
        return one_hot(now, self.symbols), one_hot(then, self.symbols)

    def _advance(self) -> np.ndarray:
        """Advance to the next batch -> the positions where its streams begin."""
        if self._fresh:
            self._fresh = False
            return self._offsets
        self._offsets = (self._offsets + self.steps) % len(self.text)
        self.jumped = np.zeros(self.streams, bool)
        if self.reposition:
            self.jumped = self._rng.random(self.streams) < self.reposition
            self._offsets = np.where(self.jumped, self._rng.integers(0, len(self.text), self.streams), self._offsets)
        return self._offsets
