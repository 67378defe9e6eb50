"""Terminal output: results to stdout, progress and remarks to stderr, colour only on a terminal."""
import codecs
import io
import os
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

from runner.files import SCHEMA_VERSION, json_text
from runner.text_table import aligned

STYLES = {"bold": "1", "red": "31", "green": "32", "yellow": "33", "dim": "2"}
# characters that no text needs stand for the styles, so that an escape sequence in a name is not one of ours
MARKS = {style: chr(0xfdd0 + k) for k, style in enumerate(STYLES)}
CELL = 300          # characters of a cell of a table
END = "\ufddf"
COLOURS = {ord(MARKS[style]): f"\033[{code}m" for style, code in STYLES.items()} | {ord(END): "\033[0m"}
# control characters except the end of a line and the tab, and those that change the direction of a text
CONTROLS = (*range(9), *range(11, 32), *range(127, 160), 0x200e, 0x200f, 0x2028, 0x2029, *range(0x202a, 0x202f),
            *range(0x2066, 0x206a), *COLOURS)
ESCAPES = {code: f"\\u{code:04x}" for code in CONTROLS}
NAME_ESCAPES = ESCAPES | {code: f"\\u{code:04x}" for code in map(ord, "\t\n")}


def paint(text: str, style: str, stream: Any = None) -> str:
    """`text` in a style if the stream is a terminal and NO_COLOR is not set (https://no-color.org)."""
    stream = stream or sys.stdout
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return f"{MARKS[style]}{escaped(text)}{END}"


def escaped(text: str) -> str:
    r"""A text with its control characters as escapes, \u001b, as in JSON: a name in a file cannot command the terminal.
    Ends of lines stay."""
    return text if text.isascii() and text.isprintable() else text.translate(ESCAPES)


def one_line(name: str) -> str:
    r"""A name on one line: as `escaped`, and ends of lines and tabs are \u000a and \u0009, so that the name of a file
    or a class cannot look like other output."""
    return name if name.isascii() and name.isprintable() else name.translate(NAME_ESCAPES)


def _printable(text: str) -> str:
    """`escaped`, with the styles of `paint` as sequences of the terminal."""
    return text if text.isascii() and text.isprintable() else text.translate(ESCAPES | COLOURS)


def say(text: str = "") -> None:
    """Print a result to stdout."""
    print(_printable(text))


def remark(text: str) -> None:
    """Print a remark to stderr."""
    print(_printable(text), file=sys.stderr)


_began: float | None = None     # when the call began, with --verbose


def be_verbose(on: bool) -> None:
    """From now on `detail` prints, or does not: --verbose."""
    global _began
    _began = time.perf_counter() if on else None


def verbose() -> bool:
    """Does `detail` print?"""
    return _began is not None


def detail(text: str) -> None:
    """With --verbose: print to stderr what was chosen and why, behind the seconds since the start."""
    if _began is not None:
        remark(f"{paint(f'{time.perf_counter() - _began:8.2f} s', 'dim', sys.stderr)}  {text}")


def warn(sentences: Iterable[str]) -> None:
    """Print warnings to stderr."""
    for sentence in sentences:
        remark(f"{paint('warning', 'yellow', sys.stderr)}: {sentence}")


def escape_unencodable() -> None:
    """From now on stdout takes every path: a byte that is not text is written as it is, a character that the terminal
    cannot show as an escape, \\xe9, instead of ending the program."""
    codecs.register_error("path", _escape)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="path")


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.backslashreplace_errors(error)


def _encodable(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def write_json(target: str, value: Any) -> None:
    """Write results as JSON to a file, or to stdout for '-'; only with escapes where its encoding lacks a character.
    docs/schemas has a schema of each; an object begins with the version of its format."""
    if isinstance(value, dict):
        value = {"schema_version": SCHEMA_VERSION, **value}
    text = json_text(value, 1)
    if not _encodable(text, getattr(sys.stdout, "encoding", None) or "utf-8" if target == "-" else "utf-8"):
        text = json_text(value, 1, ascii_only=True)
    if target == "-":
        say(text)
        return
    from runner.files import atomic_write
    with atomic_write(target, "w") as file:
        file.write(text + "\n")


def table(rows: Sequence[Sequence[str]], left: Iterable[int] = (0,)) -> str:
    """Rows as aligned columns; the first row is the header.  Columns in `left` are aligned left, the others right.
    Of a cell of more than CELL characters only the beginning is shown."""
    rows = [[one_line(cell if len(cell) <= CELL else f"{cell[:CELL]}...") for cell in row] for row in rows]
    lines = aligned(rows, left)
    return "\n".join([paint(lines[0], "bold"), *lines[1:]])


def duration(seconds: float) -> str:
    """Seconds as text: "3 min 20 s"."""
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
