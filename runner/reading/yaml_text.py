"""YAML with limits on depth and on what aliases repeat, without tags that name types of a program.

The values are built from the parser's events, without recursion: a list of aliases of lists of aliases has the size it
is written out with, and that is limited.
"""
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import yaml

from runner.errors import DataError, RunnerError
from runner.reading.numbers import shown
from runner.reading.text import Path_, name_of, read_text

DEPTH = 50
REPEATED = 10           # with all aliases written out, a document has at most 10 values per character of its text,
ALWAYS = 10_000         # or this many
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
TAG = "tag:yaml.org,2002:"
SCALARS = ("null", "bool", "int", "float", "str", "timestamp")
SURROGATE = re.compile(r"\\u([dD][89a-fA-F][0-9a-fA-F]{2})")
LONGEST = 100           # characters of a number or date
_RESOLVER, _CONSTRUCTOR = yaml.resolver.Resolver(), yaml.constructor.SafeConstructor()


class _Wrong(Exception):
    def __init__(self, line: int, why: str):
        super().__init__(why)
        self.line = line


@dataclass
class _Open:
    """A list or mapping that is being read; `key`: of the value that follows; `size`: values in it, written out.

    text: its scalars stay as they are written."""
    value: list | dict
    line: int
    anchor: str | None
    text: bool
    size: int = 1
    key: Any = None
    has_key: bool = False
    merged: list[dict] = field(default_factory=list)


def parse_yaml(text: str, where: Path_, error: type[RunnerError] = DataError, texts: Collection[str] = ()) -> Any:
    """The value of a YAML document; None where it is empty.  `error` with the line where it is not YAML.

    texts  keys of the outermost mapping whose values stay as they are written: YAML 1.1 takes yes and no for True and
           False, 010 for 8, 1:30 for 90, 2024-01-01 for a date
    """
    try:
        return _Builder(texts, len(text)).build(text)
    except _Wrong as problem:
        raise error(f"{name_of(where)}:{problem.line}: {problem}") from None
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        why = getattr(problem, "problem", None) or getattr(problem, "reason", None) or problem
        hint = ": in double quotes \\ begins an escape; write / in paths, or leave the quotes out" \
            if "escape character" in str(why) else ""
        raise error(f"{name_of(where)}{line}: this is not YAML ({why}){hint}") from None
    except (MemoryError, RecursionError):
        raise error(f"{name_of(where)}: this YAML does not fit into memory") from None


def read_yaml(path: Path_, error: type[RunnerError] = DataError, texts: Collection[str] = ()) -> Any:
    """The value in a YAML file."""
    return parse_yaml(read_text(path, error), path, error, texts)


def _names_with_other_bytes(text: str) -> bool:
    """Whether its escapes of surrogates are all bytes of file names that are not text (PEP 383): run.yaml has such
    names, and libyaml refuses them."""
    found = SURROGATE.findall(text)
    return bool(found) and all(re.fullmatch("(?i)dc[89a-f].", digits) for digits in found)


class _Builder:
    """From events to values."""

    def __init__(self, texts: Collection[str], length: int):
        self.texts = texts
        self.limit = max(ALWAYS, REPEATED * length)
        self.stack: list[_Open] = []
        self.anchors: dict[str, tuple[Any, int]] = {}       # name -> value, its size written out
        self.result: Any = None
        self.documents = 0

    def build(self, text: str) -> Any:
        for event in yaml.parse(text, Loader=yaml.SafeLoader if _names_with_other_bytes(text) else LOADER):
            handle: Callable[[_Builder, Any, int], None] | None = self.HANDLERS.get(type(event))
            if handle:
                handle(self, event, event.start_mark.line + 1)     # type: ignore[union-attr]
        return self.result

    def _document(self, event: Any, line: int) -> None:
        self.documents += 1
        if self.documents > 1:
            raise _Wrong(line, "this is not one YAML document: a second one begins here")

    def _start(self, event: Any, line: int) -> None:
        kind = "map" if isinstance(event, yaml.MappingStartEvent) else "seq"
        if event.tag not in (None, "!", TAG + kind):
            raise _Wrong(line, f"the tag {shown(event.tag)} is not used here")
        if len(self.stack) == DEPTH:
            raise _Wrong(line, f"this YAML has more than {DEPTH} lists and mappings in each other")
        self.anchors.pop(event.anchor, None)
        self.stack.append(_Open({} if kind == "map" else [], line, event.anchor, self._as_text()))

    def _as_text(self) -> bool:
        """Whether the value that follows stays as it is written."""
        if not self.stack:
            return False
        top = self.stack[-1]
        return top.text or (len(self.stack) == 1 and top.has_key and isinstance(top.key, str) and top.key in self.texts)

    def _end(self, event: Any, line: int) -> None:
        done = self.stack.pop()
        if isinstance(done.value, dict):
            for other in done.merged:       # `<<: *other`: its own keys come first
                done.value = {**other, **done.value}
        if done.anchor:
            self.anchors[done.anchor] = done.value, done.size
        self._add(done.value, done.size, done.line)

    def _scalar(self, event: Any, line: int) -> None:
        tag = event.tag if event.tag not in (None, "!") else None
        if tag is None:
            tag = _RESOLVER.resolve(yaml.ScalarNode, event.value, event.implicit) if event.tag is None else TAG + "str"
        kind = tag.removeprefix(TAG)
        if self._as_text() and (len(self.stack) > 1 if kind == "null" else event.tag is None):
            kind = "str"
        if kind == "merge" or (kind == "value" and event.tag is None):
            kind = "str"
        if kind not in SCALARS:
            raise _Wrong(line, f"the tag {shown(tag)} is not used here")
        value = event.value if kind == "str" else _converted(kind, event.value, line)
        if event.anchor:
            self.anchors[event.anchor] = value, 1
        self._add(value, 1, line)

    def _alias(self, event: Any, line: int) -> None:
        if event.anchor not in self.anchors:
            raise _Wrong(line, f"*{shown(event.anchor)[1:-1]} names nothing above it")
        self._add(*self.anchors[event.anchor], line)

    def _add(self, value: Any, size: int, line: int) -> None:
        if not self.stack:
            self.result = value
            return
        top = self.stack[-1]
        top.size += size
        if top.size > self.limit:
            raise _Wrong(line, f"aliases (*name) repeat more than {self.limit:,} values")
        if isinstance(top.value, list):
            top.value.append(value)
        elif not top.has_key:
            if isinstance(value, list | dict):
                raise _Wrong(line, f"a key must be a word or a number. Got {shown(value)}")
            top.key, top.has_key = value, True
        elif top.key == "<<" and isinstance(value, dict | list):
            others = value if isinstance(value, list) else [value]
            if not all(isinstance(other, dict) for other in others):
                raise _Wrong(line, f"<< must be followed by a mapping. Got {shown(value)}")
            top.merged += others
            top.has_key = False
        else:
            top.value[top.key] = value
            top.has_key = False

    HANDLERS = {yaml.DocumentStartEvent: _document, yaml.MappingStartEvent: _start, yaml.SequenceStartEvent: _start,
                yaml.MappingEndEvent: _end, yaml.SequenceEndEvent: _end, yaml.ScalarEvent: _scalar,
                yaml.AliasEvent: _alias}


WORDS = {"null": "nothing", "bool": "true or false", "int": "a whole number", "float": "a number",
         "timestamp": "a date"}


def _converted(kind: str, text: str, line: int) -> Any:
    """A scalar as YAML 1.1 reads it."""
    construct = getattr(_CONSTRUCTOR, f"construct_yaml_{kind}")
    try:
        if len(text) > LONGEST:
            raise ValueError(text)
        return construct(yaml.ScalarNode(TAG + kind, text))
    except (ValueError, KeyError, IndexError, AttributeError, TypeError, OverflowError, yaml.YAMLError):
        raise _Wrong(line, f"this is not YAML: {shown(text)} is not {WORDS[kind]}") from None
