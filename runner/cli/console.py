"""Terminal output: results to stdout, progress and remarks to stderr, colour only on a terminal."""
import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

STYLES = {"bold": "1", "red": "31", "green": "32", "yellow": "33", "dim": "2"}


def paint(text: str, style: str, stream: Any = None) -> str:
    """`text` in a style if the stream is a terminal and NO_COLOR is not set (https://no-color.org)."""
    stream = stream or sys.stdout
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return f"\033[{STYLES[style]}m{text}\033[0m"


def say(text: str = "") -> None:
    """Print a result to stdout."""
    print(text)


def remark(text: str) -> None:
    """Print a remark to stderr."""
    print(text, file=sys.stderr)


def warn(sentences: Iterable[str]) -> None:
    """Print warnings to stderr."""
    for sentence in sentences:
        remark(f"{paint('warning', 'yellow', sys.stderr)}: {sentence}")


def write_json(target: str, value: Any) -> None:
    """Write results as JSON to a file, or to stdout for '-'."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    if target == "-":
        say(text)
        return
    from runner.files import atomic_write
    with atomic_write(target, "w") as file:
        file.write(text + "\n")


def table(rows: Sequence[Sequence[str]], left: Iterable[int] = (0,)) -> str:
    """Rows as aligned columns; the first row is the header.  Columns in `left` are aligned left, the others right."""
    left, widths = set(left), [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) if i in left else cell.rjust(width)
                       for i, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip() for row in rows]
    return "\n".join([paint(lines[0], "bold"), *lines[1:]])


def duration(seconds: float) -> str:
    """Seconds as text: "3 min 20 s"."""
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
