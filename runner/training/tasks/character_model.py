"""The task of a character model: a text, its last tenth kept apart to measure on, in bits per character."""
import hashlib
import math
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from runner.datasets import find_data
from runner.datasets.containers.text import read_text, split_text
from runner.inference.generate import bits_per_character, training_batches
from runner.network import Network
from runner.training.loop import Step
from runner.training.metrics import Metrics, Table
from runner.training.tasks.base import Batches, Task, TaskOptions

HELD_OUT = 0.1              # the end of the text, as a part of it
MEASURED_STREAMS = 32       # parts the held-out text is read in, side by side


@dataclass(frozen=True)
class TextMetrics(Metrics):
    """characters: how many were foreseen; bits: -log2 of their likelihood, the mean."""
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


class CharacterModel(Task):
    """text: uint8 (n,) to learn from; tail: what is held out."""
    score_name, loss_name, unit = "held-out text", "bits/character", "characters"

    def __init__(self, net: Network, asked: TaskOptions):
        super().__init__(net, asked)
        source = find_data(asked.cfg, asked.data, net.options.data or None)
        self.source = str(source)
        self.text, self.tail = split_text(read_text(source, net.in_shape[0]), HELD_OUT)

    @property
    def score_axis(self) -> str:
        return "- bits/character, held-out text"

    def data_summary(self) -> str:
        return f"{len(self.text):,} characters to learn, {len(self.tail):,} to measure on"

    def batches(self) -> Batches:
        return nullcontext(training_batches(self.net, self.text, self.options.seed))

    def evaluate(self, split: str = "test") -> TextMetrics:
        part = self.tail if split == "test" else self.text
        return TextMetrics(len(part), bits_per_character(self.net, part, streams=MEASURED_STREAMS))

    def score_text(self, score: float) -> str:
        return f"{-score:.3f} bits/character"

    def fingerprint(self) -> str:
        return hashlib.sha256(self.text.tobytes()).hexdigest()

    def loss(self, step: Step) -> float:
        # nats of the softmax alone: an old cfg may have a [cost] after it, which the step's loss counts too
        nats = self.net.losses[self.net.last] * self.net.options.subdivisions / step.images
        return nats / math.log(2)

    def next_commands(self) -> list[str]:
        cfg = self.options.cfg
        return [f'python run.py generate {cfg} --seed-text "To be" --temperature .7 --length 500',
                *super().next_commands()]
