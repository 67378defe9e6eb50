"""CSV: rows with their lines, and tables whose columns are declared."""
import csv
import io
from collections.abc import Callable, Mapping
from typing import Any

from runner.errors import DataError, RunnerError, counted
from runner.reading.numbers import shown, whole
from runner.reading.text import Path_, name_of

Row = tuple[int, list[str]]                         # line, cells
Columns = Mapping[str, Callable[[str], Any]]        # name -> what reads a cell; its ValueError says the rule


def parse_rows(text: str, where: Path_, error: type[RunnerError] = DataError, **form: Any) -> list[Row]:
    """The rows of a text; `form`: delimiter and the other options of csv.reader.  `error` where they cannot be
    separated: a cell of more than 131,072 characters, which is a quotation mark without its end."""
    reader = csv.reader(io.StringIO(text, newline=""), **form)
    try:
        return [(reader.line_num, row) for row in reader if row]
    except csv.Error as problem:
        raise error(f"{name_of(where)}:{reader.line_num}: this is not a table ({problem})") from None


def parse_table(text: str, where: Path_, columns: Columns, other: Callable[[str], Any],
                error: type[RunnerError] = DataError) -> list[dict[str, str]]:
    """The rows of a table with a header, as texts by column; each cell is checked by the declaration of its column,
    `other` for columns that are not declared; empty cells are allowed in all but the first of `columns`.

    A last row that is not complete, as a killed program leaves it, is left out.  `error` names line and column.
    """
    rows = parse_rows(text, where, error)
    if not rows:
        return []
    (line, header), first = rows[0], next(iter(columns))
    if first not in header or len(set(header)) < len(header):
        wrong = f"the column {first!r} is missing" if first not in header else "a column is there twice"
        raise error(f"{name_of(where)}:{line}: {wrong}. The first row is {shown(','.join(header))}")
    if not text.endswith("\n"):
        rows.pop()
    readers = [columns.get(name, other) for name in header]
    found = []
    for line, cells in rows[1:]:
        if len(cells) != len(header):
            if line == rows[-1][0]:
                break
            raise error(f"{name_of(where)}:{line}: {counted(len(header), 'cell')} "
                        f"{'is' if len(header) == 1 else 'are'} needed. Got {len(cells)}")
        for name, cell, read in zip(header, cells, readers, strict=True):
            if cell or name == first:
                try:
                    read(cell)
                except ValueError as problem:
                    raise error(f"{name_of(where)}:{line}: {name} {problem}") from None
        found.append(dict(zip(header, cells, strict=True)))
    return found


def count(text: str) -> int:
    """A cell with a whole number from 0."""
    return whole(text, 0)


def measure(text: str) -> float:
    """A cell with a number, which may be NaN or infinite: metrics can be."""
    try:
        if text.isascii() and "_" not in text:
            return float(text)
    except ValueError:
        pass
    raise ValueError(f"must be a number. Got {shown(text)}")
