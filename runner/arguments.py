"""Arguments from Python of the wrong type or size: a UsageError names the argument, the rule and the value."""
import functools
import inspect
import numbers
import os
from collections.abc import Callable, Collection
from typing import Any, ParamSpec, TypeVar

from runner.errors import UsageError

P = ParamSpec("P")
R = TypeVar("R")
Rule = tuple[str, Callable[[Any], bool]]        # in words, and whether a value follows it


def whole(low: int | None = None) -> Rule:
    """An integer, at least `low`."""
    return ("an integer" + ("" if low is None else f", at least {low}"),
            lambda value: _is(value, numbers.Integral) and (low is None or value >= low))


def real(low: float | None = None, high: float | None = None, above: float | None = None) -> Rule:
    """A number: from `low` to `high`, or above `above`."""
    where = f" from {low} to {high}" if high is not None else f" above {above}" if above is not None else ""
    return f"a number{where}", lambda value: (_is(value, numbers.Real) and (low is None or value >= low)
                                              and (high is None or value <= high) and (above is None or value > above))


def or_none(rule: Rule) -> Rule:
    """None is allowed too."""
    return f"{rule[0]}, or None", lambda value: value is None or rule[1](value)


def _is(value: object, of: type) -> bool:
    return isinstance(value, of) and not isinstance(value, bool)


def _is_list(value: object) -> bool:
    return isinstance(value, Collection) and not isinstance(value, str | bytes | dict) and \
        all(isinstance(one, str) or _is(one, numbers.Integral) for one in value)


FLAG: Rule = ("True or False", lambda value: type(value).__name__ in ("bool", "bool_") or value in (0, 1))
TEXT: Rule = ("a text", lambda value: isinstance(value, str))
PATH: Rule = ("a path", lambda value: isinstance(value, str | os.PathLike))
NETWORK: Rule = ("a network, which runner.load makes", lambda value: hasattr(value, "layers"))
CALL: Rule = ("a function", callable)
CLASSES: Rule = ("a name, or a list of names or numbers",
                 lambda value: isinstance(value, str) or _is_list(value))
NAMES: Rule = ("a list of names, or the path of a file with one per line",
               lambda value: isinstance(value, str | os.PathLike) or _is_list(value))

# what an argument of this name takes, in every function of the public face
RULES: dict[str, Rule] = {
    "top": whole(1), "samples": whole(0), "seed": whole(0), "first": whole(0), "batch": or_none(whole(0)),
    "thresh": or_none(real(0, 1)), "nms": real(0, 1), "max_det": or_none(whole()), "overlap": real(),
    "classes": or_none(CLASSES), "not_classes": CLASSES, "letterbox": or_none(FLAG), "agnostic_nms": FLAG,
    "whole": FLAG,
    "nms_kind": or_none(TEXT), "merge": TEXT, "how": TEXT, "on_bad": TEXT, "split": TEXT, "name": or_none(TEXT),
    "epochs": or_none(real(above=0)), "updates": or_none(whole(1)), "learning_rate": or_none(real()),
    "restart": FLAG, "by_name": FLAG, "train": FLAG, "strict": FLAG, "allocate": FLAG, "overwrite": FLAG,
    "compat": or_none(TEXT), "folder": or_none(PATH), "names": or_none(NAMES), "path": PATH,
    "width": whole(1), "height": whole(1), "min_side": whole(1), "net": NETWORK,
    "on_update": or_none(CALL),
}


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """The function, with the arguments that RULES names checked when it is called, also where it is a generator."""
    signature = inspect.signature(function)
    names = [name for name in signature.parameters if name in RULES]

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:               # Python's own sentence names the function
            return function(*args, **kwargs)
        for name in names:
            rule, follows = RULES[name]
            if name in given and not follows(given[name]):
                value = repr(given[name])
                shown = value if len(value) <= 60 else f"{value[:57]}..."
                raise UsageError(f"{name} must be {rule}. Got {shown} ({type(given[name]).__name__})")
        return function(*args, **kwargs)

    return call
