"""What measuring a network gives, whatever the network does: one score, a line, tables, everything for a program."""
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple


class Table(NamedTuple):
    """Rows of text, the first of them the heading; shown under a title, if there is one."""
    title: str
    rows: Sequence[Sequence[str]]


class Metrics(ABC):
    """How well a network did on a part of the data."""

    @property
    @abstractmethod
    def score(self) -> float:
        """One number, the bigger the better: what best.weights and early stopping go by."""

    @abstractmethod
    def headline(self) -> str:
        """One line with the numbers that matter: what `test` says first."""

    @abstractmethod
    def tables(self) -> list[Table]:
        """The details, as far as a terminal can show them."""

    def notes(self) -> dict[str, Any]:
        """What run.yaml keeps of it beside the score, when it is the best so far."""
        return {}

    @abstractmethod
    def as_json(self) -> dict[str, Any]:
        """Everything, for a program to read."""

    def scalars(self) -> dict[str, float]:
        """Further numbers for the log, by the names in the task's `numbers`."""
        return {}
