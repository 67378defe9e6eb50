"""Character models: trained on a text, evaluated in bits per character on its held-out last tenth."""
import hashlib
import math
from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np

from runner.datasets import find_data
from runner.datasets.text import Streams, check_symbols, read_text, split_text
from runner.layers.shared.base import BatchShare
from runner.network import Network
from runner.process_group import Group
from runner.program import command
from runner.training.loop import Step
from runner.training.tasks.base import Batches, Task, TaskOptions
from runner.training.text_metrics import TextMetrics, bits_per_character

HELD_OUT = 0.1              # share of the text, at its end, that is held out
EVALUATION_STREAMS = 32     # parts of the held-out text that are read in parallel


class CharacterModel(Task):
    """text: uint8 (n,) to train on; held_out: uint8 (k,) to evaluate on."""
    score_name, loss_name, unit = "held-out text", "bits/character", "characters"

    def __init__(self, net: Network, options: TaskOptions):
        super().__init__(net, options)
        source = find_data(options.cfg, options.data, net.options.data or None)
        self.source = str(source)
        self.text, self.held_out = split_text(read_text(source, net.in_shape[0]), HELD_OUT)

    @property
    def score_axis(self) -> str:
        return "- bits/character, held-out text"

    def data_summary(self) -> str:
        return f"{len(self.text):,} characters to train on, {len(self.held_out):,} to evaluate on"

    @property
    def updates_per_epoch(self) -> float:
        return self._updates_for(len(self.text) / self.net.options.time_steps)

    def batches(self) -> Batches:
        return nullcontext(training_batches(self.net, self.text, self.options.seed, self.group))

    def evaluate(self, split: str = "test") -> TextMetrics:
        part = self.held_out if split == "test" else self.text
        return TextMetrics(len(part), bits_per_character(self.net, part, streams=EVALUATION_STREAMS,
                                                         group=self.group))

    def score_text(self, score: float) -> str:
        return f"{-score:.3f} bits/character"

    def fingerprint(self, split: str = "train") -> str:
        return hashlib.sha256((self.held_out if split == "test" else self.text).tobytes()).hexdigest()

    def loss(self, step: Step) -> float:
        # nats of the softmax only: the step's loss includes a [cost] after it, which old cfgs have
        nats = self.net.losses[self.net.last] * self.net.options.subdivisions / step.images
        return nats / math.log(2)

    def next_commands(self, run: str | None = None) -> list[str]:
        return [command("generate", run or self.options.cfg, "--seed-text", "To be", "--temperature", ".7", "--length",
                        "500"), *super().next_commands(run)]


def training_batches(net: Network, text: np.ndarray, seed: int = 0,
                     group: Group | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Endless (x, truth) for `runner.train`: batch // subdivisions streams of time_steps characters.

    The recurrent layers carry their state from batch to batch; where [net] reposition lets a stream jump, its state
    is reset.  The batches continue after `net.progress.iteration` updates.  group: only this process's streams.
    """
    o = net.options
    check_symbols(text, net.in_shape[0], "the text")
    batches = Streams(text, max(o.batch // o.subdivisions, 1), o.time_steps, symbols=net.in_shape[0], seed=seed,
                      reposition=o.reposition, start_batch=net.progress.iteration * o.subdivisions)
    share = BatchShare(group.rank, group.size, group.stack) if group else None
    for x, truth in batches:
        jumped = share.own(batches.jumped) if share else batches.jumped
        if jumped.any():
            net.reset_state(jumped)
        yield (share.own(x, o.time_steps), share.own(truth, o.time_steps)) if share else (x, truth)
