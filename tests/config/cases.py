"""What the tests of the cfg language share."""
from pathlib import Path
from typing import Any

import runner

NET = "[net]\nwidth=8\nheight=8\nchannels=3\n"


def problems(tmp_path: Path, text: str, **more: Any) -> list[str]:
    """The errors `check` reports for this text, without the folder."""
    (tmp_path / "a.cfg").write_text(text)
    _, report = runner.check(tmp_path / "a.cfg", **more)
    return [error.replace(str(tmp_path) + "/", "") for error in report.errors]
