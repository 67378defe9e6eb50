"""CSV with declared columns."""
import pytest

from runner.errors import CheckpointError, DataError
from runner.reading.tables import count, measure, parse_rows, parse_table

COLUMNS = {"update": count, "images": count}


def table(text: str) -> list[dict[str, str]]:
    return parse_table(text, "log.csv", COLUMNS, measure, CheckpointError)


def test_rows_are_texts_by_column() -> None:
    assert table("update,loss\n1,0.5\n2,nan\n3,\n") == [{"update": "1", "loss": "0.5"}, {"update": "2", "loss": "nan"},
                                                        {"update": "3", "loss": ""}]
    assert table("") == table("update,loss\n") == []


@pytest.mark.parametrize("text", ["update,loss\n1,0.5\n2,0.", "update,loss\n1,0.5\n2\n", "update,loss\n1,0.5\n2"])
def test_an_incomplete_last_row_is_left_out(text: str) -> None:
    assert table(text) == [{"update": "1", "loss": "0.5"}]


@pytest.mark.parametrize("text, message", [
    ("u,loss\n1,2\n", r"log\.csv:1: the column 'update' is missing"), ("update,update\n", "a column is there twice"),
    ("update,loss\n1,x.5\n2,1\n", r"log\.csv:2: loss must be a number\. Got 'x\.5'"),
    ("update,loss\n,1\n2,1\n", r"log\.csv:2: update must be a whole number"),
    ("update,loss\n1.5,1\n2,1\n", r"log\.csv:2: update must be a whole number"),
    ("update,loss\n1\n2,1\n", r"log\.csv:2: 2 cells are needed\. Got 1"),
    ('update,loss\n1,"' + "x" * 200_000 + "\n", r"log\.csv:\d: this is not a table")])
def test_damaged_rows_have_a_place(text: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        table(text)


def test_lines_of_rows() -> None:
    assert parse_rows('a;"b\nc"\n\nd;e', "x.csv", delimiter=";") == [(2, ["a", "b\nc"]), (4, ["d", "e"])]
    with pytest.raises(DataError, match=r"x\.csv:1"):
        parse_rows('"' + "x" * 200_000, "x.csv")
