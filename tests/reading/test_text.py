"""Files and their text: encodings, places of damage, devices, names that cannot be opened."""
import os
from pathlib import Path

import pytest

from runner.errors import CfgError, DataError
from runner.reading import text
from runner.reading.text import bad_character, lines_of, read_bytes, read_text


@pytest.mark.parametrize("content", [b"a\r\nb\xc3\xa9\rc", b"\xef\xbb\xbfa\nb\xc3\xa9\nc",
                                     "a\nb\xe9\nc".encode("utf-16"),
                                     b"\xfe\xff" + "a\nb\xe9\nc".encode("utf-16-be"), "a\nb\xe9\nc".encode("utf-32")])
def test_encodings(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    assert read_text(tmp_path / "a.txt") == "a\nb\xe9\nc"


def test_latin1_only_where_it_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"ok\nna\xefve")
    assert read_text(tmp_path / "a.txt", latin1=True) == "ok\nna\xefve"
    with pytest.raises(DataError, match=r"a\.txt:2: this is not a text file in UTF-8: byte 5 is 0xef"):
        read_text(tmp_path / "a.txt")


def test_a_zero_byte_has_a_place(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"1\n2\nx\0y")
    with pytest.raises(CfgError, match=r"a\.txt:3: this is not a text file: a byte is 0"):
        read_text(tmp_path / "a.txt", CfgError)


@pytest.mark.parametrize("name, message", [
    ("none", "there is no such file"), (".", "this is a folder"), ("x" * 300, "the name is too long"),
    ("a\0b", "this is not the name of a file"), ("a\ud800", "this is not the name of a file"),
    ("/dev/zero", "this is a device")])
def test_what_cannot_be_opened(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_bytes(os.path.join(tmp_path, name))


def test_a_file_larger_than_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "available_memory", lambda: 1 << 20)
    with open(tmp_path / "big", "wb") as file:
        file.truncate(1 << 21)
    with pytest.raises(DataError, match=r"big: the file needs 2\.0 MB of memory, and 1\.0 MB are free"):
        read_bytes(tmp_path / "big")


def test_lines() -> None:
    assert list(lines_of("a\n\n  b \n")) == [(1, "a"), (3, "b")]


def test_characters_no_name_may_have() -> None:
    assert bad_character("caf\xe9 \U0001f600") is None
    assert bad_character("a\0") == "the character NUL"
    assert bad_character("\xe9\udc80") is None, "a byte of a file name"
    assert bad_character("\xe9\ud880") == "the lone surrogate U+D880"
