"""Tasks: what a run trains, a classifier, a detector or a character model.

To add a task: a file here with a `Task` (base.py lists its methods) and a `Metrics`, a function that recognises such a
network, and a line in `TASKS`.  The training loop, the run folder and the command line need no change.
"""
from collections.abc import Callable

from runner.inference.generate import is_character_model
from runner.network import Network
from runner.training.metrics import Metrics, Table
from runner.training.tasks.base import Task, TaskOptions
from runner.training.tasks.character_model import CharacterModel
from runner.training.tasks.classifier import Classifier
from runner.training.tasks.detector import Detector, is_detector

# (recognises, task): the first task that recognises a network trains it
TASKS: list[tuple[Callable[[Network], bool], type[Task]]] = [
    (is_character_model, CharacterModel),
    (is_detector, Detector),
    (lambda net: True, Classifier),
]


def open_task(net: Network, options: TaskOptions) -> Task:
    """The task of a network, with its data opened.  DataError if the data is missing or does not fit the network."""
    return next(task for recognises, task in TASKS if recognises(net))(net, options)


__all__ = ["TASKS", "Metrics", "Table", "Task", "TaskOptions", "open_task"]
