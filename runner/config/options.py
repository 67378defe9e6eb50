"""One declaration per option, read by the parser, the checks, the defaults, the errors and the docs.

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        size: int = opt(1, "side of the filters, pixels", low=1)
        stride_x: int = opt(_stride, "horizontal stride, where it differs", low=1)
        stream: int = ignored(-1, "which CUDA stream runs the layer", "there is no GPU here")
"""
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import cache
from typing import Any, Self, get_args, get_origin

from runner.config.diagnostics import Report
from runner.config.grammar import LARGEST, Section, TooLarge, number
from runner.errors import UsageError, closest, did_you_mean, misspelled
from runner.reading.numbers import shown

MOST_UNKNOWN = 2000     # options of a file that are compared with the known ones
HOLE = re.compile(r"^\s*,|,\s*,")           # nothing before a comma
COMMENT = re.compile(r"\d\s*(;|//)")
DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")
GAP = re.compile(r"[\d.]\s+[-+.\d]")     # a blank between two numbers


def opt(default: Any = MISSING, doc: str = "", *, key: str | None = None, choices: Iterable[str] | None = None,
        low: float | None = None, high: float | None = None, above: float | None = None,
        below: float | None = None, neutral: float | None = None, says: str | None = None,
        aliases: Mapping[str, str] | None = None, foreign: Mapping[str, str] | None = None) -> Any:
    """Declare one option.

    default  a value; a function of the options above it whose docstring says it in words (`def _stride(o): "stride"`);
             or `by_layer(words)`; left out, the option is required
    doc      one line, with its unit
    key      its name in the .cfg, where Python forbids that name (`from`)
    choices  the words it may be
    aliases  further words -> the choice each one is
    foreign  words of other programs that are not choices -> what the error says about them
    low, high  the range, both included
    above, below  bounds that are not included
    neutral  the value that changes nothing, to be named where another one is out of range
    says     a warning where the option is left out (because the forks' defaults differ)
    """
    return field(default=None, metadata=dict(default=default, doc=doc, key=key, choices=choices, low=low,
                                             high=high, above=above, below=below, neutral=neutral, says=says,
                                             reason=None, aliases=aliases or {}, foreign=foreign or {}))


def by_layer(words: str) -> Callable[[Any], None]:
    """A default that the layer computes, because it depends on more than the options: the option is then None."""
    def unset(options: Any) -> None:
        return None
    unset.__doc__ = words
    return unset


def ignored(default: Any, doc: str, reason: str, *, key: str | None = None) -> Any:
    """Declare an option of darknet that is accepted and has no effect here; `reason` says why."""
    return field(default=None, metadata=dict(default=default, doc=doc, key=key, choices=None, low=None,
                                             high=None, above=None, below=None, neutral=None, says=None,
                                             reason=reason, aliases={}, foreign={}))


def key_of(f: Field) -> str:
    """The name of an option in the .cfg."""
    return f.metadata["key"] or f.name


def describe(f: Field, type_: Any = None) -> str:
    """'an integer, at least 1': what both the errors and the docs say."""
    meta, type_ = f.metadata, type_ or f.type
    words = "one of " + ", ".join(meta["choices"]) if meta["choices"] else _type_name(type_)
    if meta["low"] is not None:
        words += f", at least {meta['low']:g}"
    if meta["above"] is not None:
        words += f", greater than {meta['above']:g}"
    if meta["high"] is not None:
        words += f", at most {meta['high']:g}"
    if meta["below"] is not None:
        words += f", less than {meta['below']:g}"
    return words


def default_text(f: Field) -> str:
    """The default as the reference prints it."""
    default = f.metadata["default"]
    if default is MISSING:
        return "**required**"
    if callable(default):
        return default.__doc__ or "see meaning"
    if isinstance(default, tuple):
        return ",".join(map(str, default)) or "none"
    return f"{default:d}" if isinstance(default, bool) else "none" if default in ("", None) else str(default)


def _type_name(type_: Any) -> str:
    if get_origin(type_) is tuple:
        return {int: "integers", float: "numbers", str: "words"}[get_args(type_)[0]] + " separated by commas"
    return {bool: "0 or 1", int: "an integer", float: "a number", str: "a word"}[type_]


def _convert(type_: Any, text: str) -> Any:
    if get_origin(type_) is tuple:
        if HOLE.search(text):
            raise ValueError(text)      # darknet reads a 0 there
        return tuple(_convert(get_args(type_)[0], part.strip()) for part in text.split(",") if part.strip())
    if type_ is bool:
        return bool(number(int, text))
    if type_ is str:
        return text
    if GAP.search(text):
        raise ValueError(text)      # darknet drops the blank: "10 13" would be 1013
    return number(type_, "".join(text.split()))


def _number_type(type_: Any) -> type:
    """int or float, of an option with one or several of them."""
    return float if float in (type_, *get_args(type_)) else int


def _fits(value: Any, meta: Mapping[str, Any]) -> bool:
    for one in value if isinstance(value, tuple) else (value,):
        if meta["choices"] and one not in meta["choices"]:
            return False
        if meta["low"] is not None and one < meta["low"]:
            return False
        if meta["high"] is not None and one > meta["high"]:
            return False
        if meta["above"] is not None and one <= meta["above"]:
            return False
        if meta["below"] is not None and one >= meta["below"]:
            return False
    return True


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of every section's options; a subclass only declares fields."""

    @classmethod
    @cache
    def declared(cls) -> dict[str, Field]:
        """cfg name -> declaration, types resolved."""
        hints = typing.get_type_hints(cls)
        for f in fields(cls):
            f.type = hints[f.name]
        return {key_of(f): f for f in fields(cls)}

    @classmethod
    def parse(cls, section: Section, report: Report) -> Self | None:
        """Options of a section, or None when it holds errors; they are added to `report`."""
        known, before = cls.declared(), report.count
        for key in section.lines:
            if key not in known:
                cls._unknown(section, key, known, report)
        values: dict[str, Any] = {}
        for key in [key for key in known if key in section.lines or key in cls._noticed()]:
            f, meta = known[key], known[key].metadata
            if key in section.lines:
                values[f.name] = _read(section, key, f, report)
                if meta["reason"] and section.lines[key].value not in ("0", "-1", str(meta["default"])):
                    report.warn(f"{section.where(key)} {key} has no effect here: {meta['reason']}")
            elif meta["default"] is MISSING:
                report.error(f"{section.where()} needs the option {key!r} ({describe(f)})")
            elif meta["says"]:
                report.warn(f"{section.where()} {meta['says']}")
        return cls._complete(values) if report.count == before else None

    @classmethod
    def make(cls, owner: str, **values: Any) -> Self:
        """Options given from Python; UsageError says what is wrong."""
        known = {f.name: f for f in cls.declared().values()}
        for name, value in values.items():
            if name not in known:
                raise UsageError(f"{owner} has no option {name!r}{did_you_mean(name, known)}")
            if isinstance(value, str):
                values[name] = value = known[name].metadata["aliases"].get(value, value)
            type_ = known[name].type
            if type_ is bool and type(value) is int and value in (0, 1):     # as a cfg says it
                values[name] = value = bool(value)
            right: Any = (int, float) if type_ is float else tuple if get_origin(type_) is tuple else type_
            if not isinstance(value, right) or not _fits(value, known[name].metadata):
                raise UsageError(f"{owner}: {name} must be {describe(known[name])}. Got {value!r}")
        for name, f in known.items():
            if f.metadata["default"] is MISSING and name not in values:
                raise UsageError(f"{owner} needs the option {name!r} ({describe(f)})")
        return cls._complete(values)

    @classmethod
    @cache
    def _noticed(cls) -> frozenset[str]:
        """The options to speak of where they are left out."""
        return frozenset(key for key, f in cls.declared().items()
                         if f.metadata["default"] is MISSING or f.metadata["says"])

    @classmethod
    @cache
    def _defaults(cls) -> tuple[dict[str, Any], dict[str, Callable[[Any], Any]]]:
        """name -> default, in the order of declaration; and those that are computed from the options above them."""
        values = {f.name: f.metadata["default"] for f in fields(cls)}
        return values, {name: value for name, value in values.items() if callable(value)}

    @classmethod
    def _complete(cls, values: Mapping[str, Any]) -> Self:
        self = object.__new__(cls)
        defaults, computed = cls._defaults()
        everything = {**defaults, **values}
        self.__dict__.update(everything)
        for name, default in computed.items():
            if name not in values:
                self.__dict__[name] = default(self)
        return self

    @staticmethod
    def _unknown(section: Section, key: str, known: Mapping[str, Field], report: Report) -> None:
        sentence = f"{section.where(key)} unknown option {key!r}"
        if report.warning_count >= MOST_UNKNOWN:
            report.error(f"{sentence}: there are too many to look for words that resemble them")
            return
        near = None if report.is_full else closest(key, known, 0.75)
        if near:
            report.error(f"{sentence} (did you mean {near!r}?)")
        elif report.strict:
            report.error(f"{sentence}. `explain {section.name}` lists its options")
        else:
            report.warn(f"{sentence} is ignored: it resembles no option of [{section.name}]")


def _read(section: Section, key: str, f: Field, report: Report) -> Any:
    text, meta = section.lines[key].value, f.metadata
    if f.type is float and DECIMAL_COMMA.fullmatch(text):
        report.error(f"{section.where(key)} {key} must be {describe(f)}. Got {shown(text)} (a decimal point, not a "
                     "comma)")
        return None
    if f.type in (int, float, bool) and "," in text:
        # a list where one number is expected: darknet takes the first, and such cfgs have been trained
        first = text.partition(",")[0].strip()
        report.warn(f"{section.where(key)} {key} takes one number: the first of {text!r} is used, as in darknet")
        text = first
    try:
        value = _convert(f.type, meta["aliases"].get(text.lower(), text))
        if _fits(value, meta):
            if f.type is bool and text not in ("0", "1"):
                report.warn(f"{section.where(key)} {key} is 0 or 1; {text} counts as 1, as in darknet")
            return value
        hint = "" if meta["neutral"] is None else f" ({meta['neutral']:g} changes nothing)"
    except TooLarge:
        hint = f" (darknet's numbers have 32 bits: up to {LARGEST[_number_type(f.type)]:,})"
    except ValueError:
        hint = ""
    if meta["choices"]:
        known = meta["foreign"].get(text.lower())
        near = None if report.is_full else misspelled(text, meta["choices"])
        hint = f" ({known})" if known else f" (did you mean {near!r}?)" if near else ""
    elif get_origin(f.type) is tuple and HOLE.search(text):
        hint = " (a number is missing before a comma)"
    elif get_origin(f.type) is None and f.type is not str and COMMENT.search(text):
        hint = " (a comment behind a value begins with #)"
    elif GAP.search(text):
        hint = " (a comma is missing)" if get_origin(f.type) is tuple else " (a blank inside a number)"
    report.error(f"{section.where(key)} {key} must be {describe(f)}. Got {shown(text)}{hint}")
    return None
