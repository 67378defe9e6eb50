"""Text of a .cfg file -> sections.  Knows the grammar, but not the meaning of any option.

The grammar is darknet's (src/parser.c:read_cfg, src/option_list.c:read_option), with messages where darknet guesses:
blanks around names and values are ignored, `#` and `;` start a comment line, `#` also ends a value, the first of
repeated keys wins and the others are reported, a line that is not `key=value` is an error.
"""
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner.config.diagnostics import Report
from runner.errors import CfgError
from runner.file_kinds import document_kind
from runner.reading.numbers import shown
from runner.reading.text import read_text
from runner.shipped import find


@dataclass(frozen=True)
class Line:
    """One `key=value`; `place` is where errors locate it, `file:number` or `--set ...`."""
    place: str
    value: str


@dataclass(frozen=True)
class Section:
    """`[name]` and its lines.  `index` counts layers from 0; the [net] section has -1."""
    file: str
    line: int
    name: str
    index: int = -1
    lines: dict[str, Line] = field(default_factory=dict)

    def where(self, key: str | None = None) -> str:
        """`file:line: [name]`, the line of `key` where the section has it."""
        place = self.lines[key].place if key in self.lines else f"{self.file}:{self.line}"
        return f"{place}: [{self.name}]"


def read(path: str | Path, report: Report) -> list[Section]:
    """Sections of a file (runner.shipped.find).  CfgError when it is missing, a folder, or not text."""
    missing = "the cfg file is a folder" if os.path.isdir(path) else "the cfg file does not exist"
    text = read_text(find(path), CfgError, latin1=True, missing=missing, kind="not a .cfg file: ",
                     not_text="this is not a text file. A .cfg holds lines such as [net] and batch=64")
    return parse(text, str(path), report)


def parse(text: str, file: str, report: Report) -> list[Section]:
    """Sections of `text`, in order; grammar errors are added to `report`."""
    if other := document_kind(text):
        report.error(f"{file}: not a .cfg file: this is {other}")
        return []
    sections: list[Section] = []
    stray: list[str] = []       # options before the first section
    for number, raw in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        line, place = raw.strip(), f"{file}:{number}"
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            if stray and not sections:
                report.error(_before_the_first(stray))
            name, bracket, rest = line[1:].partition("]")
            rest = rest.strip()
            if not bracket:
                name = name.split("#")[0]
                report.error(f"{place}: the section header {shown(line)} has no ']'")
            elif rest and rest[0] not in "#;":
                report.error(f"{place}: [{name}] nothing may follow a section header. Got {shown(rest)}")
            sections.append(Section(file, number, "".join(name.split()), len(sections) - 1))
            continue
        if sections:
            _option(line, place, sections[-1], report)
        else:
            stray.append(f"{place}: {line!r}")
    if not sections:
        first = f"{stray[0]} is not a section, and " if stray else f"{file}:1: "
        report.error(f"{first}the file holds no section; the first must be [net]")
    elif sections[0].name not in ("net", "network"):
        report.error(f"{sections[0].where()} the first section must be [net] or [network]")
    for later in sections[1:]:
        if later.name in ("net", "network"):
            report.error(f"{later.where()} there can be only one [net], and it comes first")
    return sections


def _before_the_first(stray: list[str]) -> str:
    more = f" (and {len(stray) - 1} more)" if len(stray) > 1 else ""
    return f"{stray[0]} comes before the first [section]{more}"


def _option(line: str, place: str, section: Section, report: Report) -> None:
    key, equals, value = line.partition("=")
    key, value = "".join(key.split()), value.split("#")[0].strip()
    if not equals or not key or not value:
        missing = "an '='" if not equals else "a name before the '='" if not key else "a value after the '='"
        report.error(f"{place}: [{section.name}] an option is written key=value; {missing} is missing. "
                     f"Got {shown(line)}")
    elif key in section.lines:
        first = section.lines[key]
        # darknet looks options up from the front: the first of two wins
        report.warn(f"{place}: [{section.name}] {key}={value} is ignored: {first.place} already says "
                    f"{key}={first.value}")
    else:
        section.lines[key] = Line(place, value)


def write(sections: Sequence[Section]) -> str:
    """The text of a file with these sections, as `read` takes it, without comments."""
    return "\n".join(f"[{section.name}]\n" + "".join(f"{key}={line.value}\n" for key, line in section.lines.items())
                     for section in sections)


LARGEST = {int: 2**31 - 1, float: 3.4028235e38}       # darknet's int and float


class TooLarge(ValueError):
    """A number that darknet's int or float cannot hold."""


def number(kind: type, text: str) -> int | float:
    """`text` as int or float; ValueError for anything else, including infinity and NaN, TooLarge for one beyond 32
    bits."""
    if "_" in text or not text.isascii():       # Python reads 1_000 and digits of other scripts
        raise ValueError(text)
    if kind is int and len(text) > 400:         # more digits than Python converts
        raise TooLarge(text) if text.lstrip("+-").isdecimal() else ValueError(text)
    value = kind(text)
    if value != value or (value in (math.inf, -math.inf) and "inf" in text.lower()):
        raise ValueError(text)
    if abs(value) > LARGEST[kind]:
        raise TooLarge(text)
    return value
