"""Trees of classes, `tree=` of [softmax] and [region]  (Redmon & Farhadi, YOLO9000, 2017; src/tree.c).

A file has a line for each class, `name parent`: the parent's line number from 0, or -1 for a root.  Siblings are on
consecutive lines, and each run of siblings is one softmax group.
"""
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from runner.errors import ShapeError
from runner.reading.numbers import shown, whole
from runner.reading.text import lines_of, read_text


@dataclass(frozen=True)
class Tree:
    """names and parents (-1: a root) by class; sizes: of the groups of siblings, in order."""
    names: tuple[str, ...]
    parents: np.ndarray
    sizes: tuple[int, ...]

    @cached_property
    def leaves(self) -> np.ndarray:
        """Which classes have no children."""
        leaf = np.ones(len(self.names), bool)
        leaf[self.parents[self.parents >= 0]] = False
        return leaf

    def path(self, node: int) -> list[int]:
        """A class and its ancestors, from the class up to the root."""
        nodes = []
        while node >= 0:
            nodes.append(node)
            node = int(self.parents[node])
        return nodes

    def siblings(self, node: int) -> np.ndarray:
        """The classes of its group, including itself."""
        ends = np.cumsum(self.sizes)
        group = int(np.searchsorted(ends, node, side="right"))
        return np.arange(ends[group] - self.sizes[group], ends[group])

    def absolute(self, p: np.ndarray, only_leaves: bool = False) -> np.ndarray:
        """p (n, classes), conditional on the parent -> unconditional probabilities, multiplied down the tree."""
        out = p.copy()
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                out[:, node] *= out[:, parent]
        if only_leaves:
            out[:, ~self.leaves] = 0
        return out


def read_tree(name: str, folder: str | Path) -> Tree:
    """The tree in a file, relative to the cfg's folder or the current one.  ShapeError says what is wrong."""
    path = next((p for p in (Path(folder) / name, Path(name)) if os.path.isfile(p)), None)
    if path is None:
        raise ShapeError(f"the tree file {shown(name)} is neither in {folder} nor in the current folder")
    names: list[str] = []
    parents: list[int] = []
    for number, line in lines_of(read_text(path, ShapeError, latin1=True)):
        words = line.split()
        try:
            parent = whole(words[1], -1, len(names) - 1) if len(words) > 1 else -1
        except ValueError:
            raise ShapeError(f"{path}:{number}: expected 'name parent', parent being the number of an earlier "
                             f"line, from 0, or -1. Got {shown(line)}") from None
        names.append(words[0])
        parents.append(parent)
    if not names:
        raise ShapeError(f"{path}: the tree file is empty")
    starts = [i for i, parent in enumerate(parents) if i == 0 or parent != parents[i - 1]]
    sizes = np.diff([*starts, len(parents)])
    return Tree(tuple(names), np.array(parents), tuple(int(size) for size in sizes))
