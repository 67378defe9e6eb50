"""Cells of a table that hold the labels of an image: `cat`, `cat|dog`, `cat;dog`, `["cat", "dog"]`, `cat dog`."""
import ast
from collections.abc import Sequence

PLURAL = ("labels", "tags", "classes", "categories", "attributes", "genres", "attribute_ids", "label_names")
NAMES_OF = {",": "commas", " ": "blanks"}


def split_cells(cells: Sequence[str], column: str, every_label: bool) -> tuple[list[tuple[str, ...]], str]:
    """The labels in each cell, and a sentence about how they are separated where that is not certain, else "".

    column: its name.  | and ; separate labels, and lists in brackets are read.  Commas and blanks may be a part of a
    name (golden retriever): they separate labels only with every_label, for a network that learns several, and there if
    the name of the column is a plural, or if a word occurs in more than one combination (`cat`, `cat dog`).
    """
    lists = [_in_brackets(cell) for cell in cells]
    if any(each is not None for each in lists):
        return [(cell,) if each is None else each for cell, each in zip(cells, lists, strict=True)], ""
    for sign in "|;":
        if any(sign in cell for cell in cells):
            return [_parts(cell, sign) for cell in cells], ""
    if every_label:
        for sign in ", ":
            if any(sign in cell for cell in cells) and (column in PLURAL or _recur(set(cells), sign)):
                found = [_parts(cell, sign) for cell in cells]
                most = max(found, key=len)
                return found, f"{NAMES_OF[sign]} separate the labels in the column {column}, as in {', '.join(most)}"
    return [(cell,) for cell in cells], ""


def _parts(cell: str, sign: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in cell.split(sign) if part.strip()))


def _recur(cells: set[str], sign: str) -> bool:
    """Whether every word of the cells with several occurs in another cell, too."""
    words = [word for cell in cells for word in _parts(cell, sign)]
    return all(words.count(word) > 1 for cell in cells if sign in cell for word in _parts(cell, sign))


def _in_brackets(cell: str) -> tuple[str, ...] | None:
    """The texts of a list as JSON or Python write it, also in Label Studio's {"choices": [...]}; None for anything
    else."""
    if not (cell.startswith(("[", "{")) and cell.endswith(("]", "}"))):
        return None
    try:
        content = ast.literal_eval(cell)
    except (ValueError, SyntaxError):
        return _parts(cell[1:-1], ",") if cell.startswith("[") else None       # [cat, dog] without quotes
    content = content.get("choices") if isinstance(content, dict) else content
    return tuple(map(str, content)) if isinstance(content, list) else None
