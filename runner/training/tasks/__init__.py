"""Kinds of task: what `train` and `test` ask of a classifier, of a character model, of whatever comes.

How to add a kind: a file here with a `Task` (base.py lists what it has to answer) and a `Metrics`, the test that
recognises such a network, and a line in `KINDS`.  The loop, the folder of the run and the verbs need no change.
"""
from collections.abc import Callable

from runner.inference.generate import is_character_model
from runner.network import Network
from runner.training.metrics import Metrics, Table
from runner.training.tasks.base import Task, TaskOptions
from runner.training.tasks.character_model import CharacterModel
from runner.training.tasks.classifier import Classifier
from runner.training.tasks.detector import Detector, is_detector

# which networks are whose; the first that says yes has it
KINDS: list[tuple[Callable[[Network], bool], type[Task]]] = [
    (is_character_model, CharacterModel),
    (is_detector, Detector),
    (lambda net: True, Classifier),
]


def open_task(net: Network, asked: TaskOptions) -> Task:
    """The task of a network, its data opened and checked against the network.  DataError says what does not fit."""
    return next(kind for fits, kind in KINDS if fits(net))(net, asked)


__all__ = ["KINDS", "Metrics", "Table", "Task", "TaskOptions", "open_task"]
