"""JSON, YAML and XML: values, and the limits on what a document may be."""
import time
from typing import Any

import pytest
import yaml

from runner.errors import CheckpointError, DataError
from runner.reading import yaml_text
from runner.reading.json_text import depth_of, parse_json
from runner.reading.xml_text import parse_xml
from runner.reading.yaml_text import parse_yaml


def test_json() -> None:
    assert parse_json(b'{"a": [1, 2.5, null, "\\u00e9]"]}', "x.json") == {"a": [1, 2.5, None, "\xe9]"]}


@pytest.mark.parametrize("content, message", [
    (b'{"a": 1,\n]', r"x\.json:2: this is not JSON"), (b"[" * 100_000, "more than 100 lists"),
    (b"[" * 101 + b"]" * 101, "more than 100 lists"), (b"1" * 5000, "more than 4,300 digits"),
    (b'["\xff"]', "not a text file in UTF-8"), (b"", r"x\.json:1: this is not JSON"), (b"[1]\0", "a byte is 0")])
def test_json_that_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        parse_json(content, "x.json", CheckpointError)


@pytest.mark.parametrize("content, depth", [(b"1", 0), (b'[{"a": "[[["}]', 2), (b'["\\"[[", [[1]]]', 3), (b"[]][[", 1),
                                            (b'["\\\\", [1]]', 2)])
def test_depth(content: bytes, depth: int) -> None:
    assert depth_of(content) == depth


@pytest.mark.parametrize("loader", [yaml.SafeLoader, yaml_text.LOADER])
@pytest.mark.parametrize("content, value", [
    ("", None), ("a: 1\nb: [x, 2.5, true, ~]", {"a": 1, "b": ["x", 2.5, True, None]}), ("0x1F", 31), ("1_000", 1000),
    ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}), ("a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3",
                                                 {"a": {"p": 1, "q": 2}, "b": {"p": 1, "q": 3}}),
    ("names: [yes, 010, 1:30, null]\nother: [yes, 010]",
     {"names": ["yes", "010", "1:30", "null"], "other": [True, 8]}), ("names:", {"names": None})])
def test_yaml(content: str, value: Any, loader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_text, "LOADER", loader)
    assert parse_yaml(content, "x.yaml", texts=("names",)) == value


@pytest.mark.parametrize("loader", [yaml.SafeLoader, yaml_text.LOADER])
@pytest.mark.parametrize("content, message", [
    ("a: 1\nb: [", r"x\.yaml:\d: this is not YAML"),
    ("a: 1\nb: !!int abc", r"x\.yaml:2: .*'abc' is not a whole number"),
    ("!!python/object/apply:os.system [ls]", "the tag .* is not used here"), ("a: !!float x", "'x' is not a number"),
    ("a: !!bool maybe", "is not true or false"), ("a: 2024-02-30", "is not a date"),
    ("a: 0x_", "not a whole number"),
    ("a: " + "9" * 5000, "is not a whole number"), ("[" * 51, "more than 50 lists"), ("&a [*a]", "names nothing"),
    ("{" * 20_000, "YAML"), ("- " * 20_000, "more than 50 lists"), ("? [1]\n: 2", "a key must be a word or a number"),
    ("a: 1\n---\nb: 2", r"x\.yaml:2: this is not one YAML document"), ("<<: 3\nx: {<<: [1]}", "<< must be followed")])
def test_yaml_that_is_refused(content: str, message: str, loader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_text, "LOADER", loader)
    began = time.monotonic()
    with pytest.raises(DataError, match=message):
        parse_yaml(content, "x.yaml")
    assert time.monotonic() - began < 5


def test_yaml_aliases_cannot_multiply() -> None:
    bomb = "a0: &a0 [x]\n" + "".join(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 9))
    with pytest.raises(DataError, match=r"x\.yaml:\d: aliases \(\*name\) repeat more than 10,000 values"):
        parse_yaml(bomb, "x.yaml")


@pytest.mark.parametrize("content", [
    b"<a><b>\xc3\xa9</b></a>", b"<?xml version='1.0' encoding='iso-8859-1'?><a><b>\xe9</b></a>",
    "<?xml version='1.0' encoding='UTF-16'?><a><b>\xe9</b></a>".encode("utf-16"), "\ufeff<a><b>\xe9</b></a>".encode()])
def test_xml(content: bytes) -> None:
    assert parse_xml(content, "x.xml").findtext("b") == "\xe9"


def test_xml_in_other_encodings() -> None:
    assert parse_xml('<?xml version="1.0" encoding="GB2312"?><a>\u732b</a>'.encode("gb2312"), "x.xml").text == "\u732b"
    assert parse_xml('<?xml version="1.0" encoding="shift_jis"?><a>\u732b</a>'.encode("shift_jis"), "").text == "\u732b"


@pytest.mark.parametrize("content, message", [
    (b"<a>\n<b></a>", r"x\.xml:2: this is not XML"), (b"", "this is not XML"),
    (b"<a>" * 101 + b"</a>" * 101, "more than"),
    (b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', r"x\.xml:1: this XML declares entities"), (b"<a>\xff</a>", "UTF-8"),
    (b'<?xml version="1.0" encoding="base64"?><a/>', "the encoding 'base64' of this XML is not known"),
    (b'<?xml version="1.0" encoding="' + b"x" * 5000 + b'"?><a/>', r"\(5,000 characters\) of this XML is not known"),
    (b'<?xml version="1.0" encoding="\xff"?><a/>', "of this XML is not known"),
    (b'<?xml version="1.0" encoding="punycode"?><a/>', "'punycode' of this XML is not known"),
    (b'<?xml version="1.0" encoding="foo"?><a/>', "the encoding 'foo'"), (b"<a>\0</a>", "a byte is 0"),
    (b'<?xml version="1.0" encoding="ascii"?><a>\n\xe9</a>', r"x\.xml:2: .* byte \d+ is 0xe9")])
def test_xml_that_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_xml(content, "x.xml")
