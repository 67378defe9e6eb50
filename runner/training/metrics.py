"""The result of an evaluation, whatever the network does: a score, a headline, tables, and JSON."""
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple


class Table(NamedTuple):
    """Rows of text, the first of them the header; shown under a title unless it is empty."""
    title: str
    rows: Sequence[Sequence[str]]


def unique_names(names: Sequence[str]) -> list[str]:
    """The class names; duplicates get their number appended."""
    return [name if names.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(names)]


class Metrics(ABC):
    """The metrics of a network on one split of its data."""

    @property
    @abstractmethod
    def score(self) -> float:
        """A single number, higher is better: it selects best.weights and drives early stopping."""

    @abstractmethod
    def headline(self) -> str:
        """The most important metrics in one line, the first that `test` prints."""

    def __str__(self) -> str:
        return self.headline()

    @abstractmethod
    def tables(self) -> list[Table]:
        """The details, in tables that fit a terminal."""

    def notes(self) -> dict[str, Any]:
        """What run.yaml keeps besides the score if it is the best so far."""
        return {}

    @abstractmethod
    def as_json(self) -> dict[str, Any]:
        """All metrics, for a program to read."""

    def scalars(self) -> dict[str, float]:
        """Further values for the log, by the task's `metric_names`."""
        return {}

    def class_scalars(self) -> dict[str, dict[str, float]]:
        """class name -> metrics of that class, for per_class.csv; empty where they are not logged."""
        return {}
