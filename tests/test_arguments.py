"""Arguments from Python: what is refused, and in which words."""
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest

import runner
from runner.arguments import checked
from runner.errors import UsageError


@checked
def example(x: object, *, top: int = 5, thresh: float | None = None, classes: object = (), batch: int | None = None,
            letterbox: bool | None = None, how: str = "crop", names: object = None) -> str:
    """What it does."""
    return f"{x} {top} {thresh}"


@pytest.mark.parametrize("given, sentence", [
    ({"top": "a"}, "top must be an integer, at least 1. Got 'a' (str)"),
    ({"top": 0}, "top must be an integer, at least 1. Got 0 (int)"),
    ({"top": True}, "top must be an integer, at least 1. Got True (bool)"),
    ({"batch": 2.5}, "batch must be an integer, at least 0, or None. Got 2.5 (float)"),
    ({"thresh": 1.5}, "thresh must be a number from 0 to 1, or None. Got 1.5 (float)"),
    ({"thresh": float("nan")}, "thresh must be a number from 0 to 1, or None. Got nan (float)"),
    ({"classes": 3}, "classes must be a name, or a list of names or numbers, or None. Got 3 (int)"),
    ({"classes": [.5]}, "classes must be a name, or a list of names or numbers, or None. Got [0.5] (list)"),
    ({"letterbox": "yes"}, "letterbox must be True or False, or None. Got 'yes' (str)"),
    ({"how": 3}, "how must be a text. Got 3 (int)"),
    ({"names": 3}, "names must be a list of names, or the path of a file with one per line, or None. Got 3 (int)"),
    ({"names": {"a": 1}}, "names must be a list of names, or the path of a file with one per line, or None. Got "
                          "{'a': 1} (dict)"),
    ({"how": list("long" * 40)}, "how must be a text. Got " + repr(list("long" * 40))[:57] + "... (list)")])
def test_what_is_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as found:
        example(1, **given)
    assert str(found.value) == sentence


@pytest.mark.parametrize("call", [runner.infer, runner.detect, runner.train])
def test_what_is_not_a_network(call: Callable[..., object]) -> None:
    with pytest.raises(UsageError, match=r"net must be a network, which runner.load makes. Got 3 \(int\)"):
        call(3, [])


def test_a_size_that_is_refused_changes_nothing() -> None:
    net = runner.load("cfg/net.cfg")
    for size in ("a", 0, 2.5, None):
        with pytest.raises(UsageError, match="width must be an integer, at least 1"):
            net.resize(cast(int, size), 16)
    assert net.in_shape == (1, 16, 16) and net.predict(np.zeros((1, 1, 16, 16), np.float32)).shape == (1, 10)
    with pytest.raises(UsageError, match=r"truth has the class of each image, in a list: \['7'\]"):
        net.gradients(np.zeros((1, 1, 16, 16), np.float32), truth="7")


def test_what_is_taken() -> None:
    given: dict[str, Any] = {"top": np.int64(3), "thresh": np.float32(0.5), "classes": {"dog", 2},
                             "letterbox": np.bool_(True), "names": ("a", "b"), "batch": None}
    assert example(1, **given) == "1 3 0.5"
    assert example.__doc__ == "What it does." and example.__name__ == "example"
    with pytest.raises(TypeError, match=r"example\(\) got an unexpected keyword argument 'tip'"):
        example(1, tip=3)       # type: ignore[call-arg]
