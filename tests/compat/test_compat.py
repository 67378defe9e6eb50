"""The table of the forks' differences: every field is used, and no code asks a column for its name."""
import re
from dataclasses import fields
from pathlib import Path

import pytest

import runner
from runner.compat import COMPAT, EXACT, Compat, find
from runner.errors import UsageError

SOURCES = {path: path.read_text(encoding="utf-8") for path in Path(runner.__file__).parent.rglob("*.py")}


@pytest.mark.parametrize("name", [f.name for f in fields(Compat) if f.name != "name"])
def test_every_field_differs_somewhere_and_is_read(name: str) -> None:
    assert len({getattr(column, name) for column in COMPAT.values()}) > 1
    assert any(re.search(rf"compat\.{name}\b", text) for text in SOURCES.values())


def test_no_code_branches_on_the_name_of_a_fork() -> None:
    """But the rooms that compare what is asked for with what a run was trained with: these are not formulas."""
    asking = [path.name for path, text in SOURCES.items() if path.parent.name not in ("api", "cli")
              and re.search(r"compat\.name (==|!=|in)|compat (is|==) [A-Z]", text)]
    assert not asking


def test_columns_are_found_by_name() -> None:
    assert find(None) is find("exact") is EXACT
    assert all(find(name).name == name for name in COMPAT)
    with pytest.raises(UsageError, match=r"compat must be one of exact, .*Got 'alexeyb' \(did you mean 'alexeyab'\?\)"):
        find("alexeyb")
