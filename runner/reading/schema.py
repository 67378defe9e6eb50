"""Declarations of what a document holds, and checking one against them.

    class Image(Record):
        id: int | str = field(doc="number or name that annotations refer to")
        width: int | None = field(None, "width in pixels", low=1)

    Image.problem({"id": 1, "width": "x"}, "images[3]")
        -> "images[3].width must be a whole number, at least 1. Got 'x'"
    Image.read({"id": 1})
        -> Image(id=1, width=None)

The types are int, float (finite), bool, str, None, list[T], dict[str, T], other records, Any, and unions of them.  An
int has 64 bits and is not a bool; a str can be written to a file.  Keys that are not declared are ignored.
"""
import math
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, fields
from dataclasses import field as dataclass_field
from functools import cache
from typing import Any, NamedTuple, Self, get_args, get_origin

from runner.reading.numbers import LARGEST, range_words, shown, whole_words
from runner.reading.text import bad_character


class Misfit(ValueError):
    """A value that is not as declared: place, rule and value."""


def field(default: Any = MISSING, doc: str = "", *, low: float | None = None, high: float | None = None,
          length: int | None = None, choices: Iterable[Any] = (), words: str = "", key: str = "",
          nan: bool = False) -> Any:
    """Declare one key of a record.

    default  of a key that is missing; left out: the key is required
    doc      what it is, one line
    low, high  bounds of numbers, included
    length   of a list
    choices  the values it may have
    words    the rule, where the derived one ("a list of 4 numbers") says too little
    key      its name in the document, where Python forbids that name
    nan      a float may be NaN or infinite: the reader checks that
    """
    return dataclass_field(default=default, metadata=dict(doc=doc, low=low, high=high, length=length,
                                                          choices=tuple(choices), words=words, key=key, nan=nan))


class Check(NamedTuple):
    """words: the rule.  fits: whether a value follows it.  problem: value, place -> what is wrong, where it does not.
    read: a value that fits -> what the record holds."""
    words: str
    fits: Callable[[Any], bool]
    problem: Callable[[Any, str], str]
    read: Callable[[Any], Any] = lambda value: value


class Entry(NamedTuple):
    """One declared key: its name in the document and in Python, whether it is required, its check."""
    key: str
    name: str
    required: bool
    check: Check


class Record:
    """Base of declared records, which are frozen dataclasses; a subclass only declares fields."""

    if typing.TYPE_CHECKING:
        def __init__(self, **values: Any): ...

    def __init_subclass__(cls, **rest: Any):
        super().__init_subclass__(**rest)
        dataclass(frozen=True, kw_only=True)(cls)

    @classmethod
    def problem(cls, value: Any, place: str = "") -> str | None:
        """What is wrong with a value: place, rule and value; None where it is as declared."""
        check = _check_of(cls)
        return None if check.fits(value) else check.problem(value, place)

    @classmethod
    def read(cls, value: Any, place: str = "") -> Self:
        """The record of a value.  Misfit says what is wrong."""
        problem = cls.problem(value, place)
        if problem:
            raise Misfit(problem)
        return typing.cast(Self, _check_of(cls).read(value))


@cache
def entries(cls: Any) -> tuple[Entry, ...]:
    """The declared keys of a record class."""
    hints = typing.get_type_hints(cls)
    return tuple(Entry(f.metadata.get("key") or f.name, f.name, f.default is MISSING,
                       _check(hints[f.name], f.metadata)) for f in fields(cls))


def _check_of(cls: Any) -> Check:
    return _record(cls)


@cache
def _record(cls: Any) -> Check:
    declared = entries(cls)
    needed = [(entry.key, entry.check.fits) for entry in declared if entry.required]
    others = [(entry.key, entry.check.fits) for entry in declared if not entry.required]

    def fits(value: Any) -> bool:
        if type(value) is not dict:
            return False
        for key, test in needed:
            if key not in value or not test(value[key]):
                return False
        return all(key not in value or test(value[key]) for key, test in others)

    def problem(value: Any, place: str) -> str:
        if type(value) is not dict:
            return _sentence(place, f"keys and values ({', '.join(entry.key for entry in declared)})", value)
        for entry in declared:
            where = f"{place}.{entry.key}" if place else entry.key
            if entry.key not in value:
                if entry.required:
                    return f"{where} is missing: it must be {entry.check.words}"
            elif not entry.check.fits(value[entry.key]):
                return entry.check.problem(value[entry.key], where)
        raise AssertionError("problem() of a value that fits")

    def read(value: dict) -> Any:
        return cls(**{entry.name: entry.check.read(value[entry.key]) for entry in declared if entry.key in value})

    return Check("keys and values", fits, problem, read)


def _sentence(place: str, words: str, value: Any) -> str:
    return f"{place + ' ' if place else ''}must be {words}. Got {shown(value)}"


def _plain(words: str, fits: Callable[[Any], bool], read: Callable[[Any], Any] = lambda value: value) -> Check:
    return Check(words, fits, lambda value, place: _sentence(place, words, value), read)


def _check(hint: Any, meta: typing.Mapping[str, Any]) -> Check:
    """The check of a type with the bounds of a field."""
    check = _by_type(hint, meta)
    if meta.get("choices"):
        allowed, inner = meta["choices"], check
        check = _plain("one of " + ", ".join(map(str, allowed)), lambda value: inner.fits(value) and value in allowed,
                       inner.read)
    if meta.get("words"):
        words, fits = meta["words"], check.fits
        check = Check(words, fits, lambda value, place: _sentence(place, words, value), check.read)
    return check


def _by_type(hint: Any, meta: typing.Mapping[str, Any]) -> Check:
    if hint is Any:
        return _plain("anything", lambda value: True)
    if hint is None or hint is type(None):
        return _plain("nothing", lambda value: value is None)
    if get_origin(hint) in (typing.Union, types.UnionType):
        return _union([_by_type(one, meta) for one in get_args(hint)])
    if get_origin(hint) is list or hint is list:
        return _list(hint, meta)
    if get_origin(hint) is dict or hint is dict:
        return _dict(hint, meta)
    if isinstance(hint, type) and issubclass(hint, Record):
        return _check_of(hint)
    return {bool: _bool, int: _int, float: _float, str: _str}[hint](meta)


def _bool(meta: typing.Mapping[str, Any]) -> Check:
    return _plain("true or false", lambda value: value is True or value is False)


def _int(meta: typing.Mapping[str, Any]) -> Check:
    low, high = (default if meta.get(key) is None else meta[key]
                 for key, default in (("low", -LARGEST - 1), ("high", LARGEST)))
    return _plain(whole_words(low, high), lambda value: type(value) is int and low <= value <= high)


def _float(meta: typing.Mapping[str, Any]) -> Check:
    low, high = (default if meta.get(key) is None else meta[key]
                 for key, default in (("low", -math.inf), ("high", math.inf)))
    nan = bool(meta.get("nan"))

    def fits(value: Any) -> bool:
        if type(value) is int:
            return -LARGEST <= value <= LARGEST and low <= value <= high
        return type(value) is float and (nan or (low <= value <= high and math.isfinite(value)))

    words = "a number" + range_words(meta.get("low"), meta.get("high"))
    return _plain(words, fits, float)


def _str(meta: typing.Mapping[str, Any]) -> Check:
    def problem(value: Any, place: str) -> str:
        bad = bad_character(value) if type(value) is str else None
        return _sentence(place, "a text" + (f" without {bad}" if bad else ""), value)
    return Check("a text", lambda value: type(value) is str and bad_character(value) is None, problem)


def _union(checks: list[Check]) -> Check:
    kinds = [check for check in checks if check.words != "nothing"]
    words = " or ".join(check.words for check in kinds)

    def problem(value: Any, place: str) -> str:
        return kinds[0].problem(value, place) if len(kinds) == 1 else _sentence(place, words, value)

    def read(value: Any) -> Any:
        return next(check.read(value) for check in checks if check.fits(value))
    fits = [check.fits for check in checks]
    return Check(words, lambda value: any(test(value) for test in fits), problem, read)


def _list(hint: Any, meta: typing.Mapping[str, Any]) -> Check:
    item = _by_type((get_args(hint) or (Any,))[0], meta)
    length = meta.get("length")
    what = "values" if item.words == "anything" else f"values, each {item.words}"
    words = f"a list of {length} {what}" if length is not None else f"a list of {what}"
    test = item.fits

    def fits(value: Any) -> bool:
        return type(value) is list and (length is None or len(value) == length) and all(map(test, value))

    def problem(value: Any, place: str) -> str:
        if type(value) is list and (length is None or len(value) == length):
            at = next(at for at, one in enumerate(value) if not test(one))
            return item.problem(value[at], f"{place}[{at}]")
        return _sentence(place, words, value)
    return Check(words, fits, problem, lambda value: [item.read(one) for one in value])


def _dict(hint: Any, meta: typing.Mapping[str, Any]) -> Check:
    key, item = (_by_type(one, {} if at == 0 else meta) for at, one in enumerate(get_args(hint) or (Any, Any)))
    words = "keys and values" + ("" if item.words == "anything" else f", each value {item.words}")

    def fits(value: Any) -> bool:
        return type(value) is dict and all(map(key.fits, value)) and all(map(item.fits, value.values()))

    def problem(value: Any, place: str) -> str:
        if type(value) is not dict:
            return _sentence(place, words, value)
        for name, one in value.items():
            if not key.fits(name):
                return key.problem(name, f"{place}: the key {shown(name)}")
            if not item.fits(one):
                return item.problem(one, f"{place}.{name}" if isinstance(name, str) else f"{place}[{shown(name)}]")
        raise AssertionError("problem() of a value that fits")
    return Check(words, fits, problem, lambda value: {name: item.read(one) for name, one in value.items()})
