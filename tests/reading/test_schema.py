"""Declarations of records."""
import math
from typing import Any

import pytest

from runner.reading.schema import Misfit, Record, field


class Box(Record):
    corners: list[float] = field(doc="left, top, right, bottom", length=4)


class Image(Record):
    id: int | str = field(doc="number or name")
    width: int | None = field(None, "pixels", low=1, high=1000)
    boxes: list[Box] = field((), "objects")
    scale: float = field(1.0, "factor", low=0)
    kind: str = field("photo", "what it is", choices=("photo", "drawing"))
    flags: dict[str, bool] = field(None, "marks")
    class_: Any = field(None, "class", key="class")


GOOD = {"id": 7, "width": None, "boxes": [{"corners": [0, 1, 2.5, 3]}], "scale": 2, "kind": "drawing",
        "flags": {"a": True}, "class": [1], "further": "ignored"}


def test_reading_a_record() -> None:
    image = Image.read(GOOD)
    assert (image.id, image.width, image.scale, image.kind, image.class_) == (7, None, 2.0, "drawing", [1])
    assert image.boxes == [Box(corners=[0.0, 1.0, 2.5, 3.0])]
    assert Image.read({"id": "a"}) == Image(id="a")


@pytest.mark.parametrize("change, message", [
    ({"id": None}, "images[3].id must be a whole number or a text. Got None"),
    ({"id": True}, "images[3].id must be a whole number or a text. Got True"),
    ({"id": 2**63}, "images[3].id must be a whole number or a text. Got 9223372036854775808"),
    ({"id": "a\0"}, r"images[3].id must be a whole number or a text. Got 'a\x00'"),
    ({"width": 0}, "images[3].width must be a whole number, at least 1, at most 1,000. Got 0"),
    ({"boxes": 5}, "images[3].boxes must be a list of values, each keys and values. Got 5"),
    ({"boxes": [{"corners": [1, 2, 3]}]}, "images[3].boxes[0].corners must be a list of 4 values, each a number. "
                                          "Got [1, 2, 3]"),
    ({"boxes": [{"corners": [1, 2, 3, "x"]}]}, "images[3].boxes[0].corners[3] must be a number. Got 'x'"),
    ({"boxes": [{}]}, "images[3].boxes[0].corners is missing: it must be a list of 4 values, each a number"),
    ({"scale": math.nan}, "images[3].scale must be a number, at least 0. Got nan"),
    ({"scale": 10**400}, "images[3].scale must be a number, at least 0. Got a number of about 401 digits"),
    ({"kind": "x"}, "images[3].kind must be one of photo, drawing. Got 'x'"),
    ({"flags": {"a": 1}}, "images[3].flags.a must be true or false. Got 1"),
    ({"flags": {3: True}}, "images[3].flags: the key 3 must be a text. Got 3")])
def test_what_does_not_fit_has_a_place(change: dict[str, Any], message: str) -> None:
    assert Image.problem(GOOD | change, "images[3]") == message
    with pytest.raises(Misfit) as caught:
        Image.read(GOOD | change, "images[3]")
    assert str(caught.value) == message


def test_no_record_at_all() -> None:
    assert Box.problem([1], "b") == "b must be keys and values (corners). Got [1]"
    assert Image.problem(GOOD) is None
