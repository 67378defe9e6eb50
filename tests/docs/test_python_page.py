"""The examples of docs/python.md, in the order of the page, print what it shows."""
import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

from tests.paths import ROOT

BLOCKS = re.compile(r"(?ms)^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?")


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("cfg", "data", "weights/shipped"):
        Path(folder).parent.mkdir(exist_ok=True)
        Path(folder).symlink_to(ROOT / folder, target_is_directory=True)
    blocks = BLOCKS.findall((ROOT / "docs" / "python.md").read_text(encoding="utf-8"))
    assert len(blocks) > 5
    names: dict[str, Any] = {}
    for code, expected in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "docs/python.md", "exec"), names)
        assert printed.getvalue() == expected, code
