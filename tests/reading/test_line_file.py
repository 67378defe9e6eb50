"""Lines of a file that is not read into memory: the same as those of `read_text`, and the same errors."""
import os
import random
import tracemalloc
from pathlib import Path

import pytest

from runner.errors import DataError
from runner.reading.line_file import LONGEST, STRIDE, LineFile
from runner.reading.text import lines_of, read_text


@pytest.mark.parametrize("content", [
    b"a\n\n  b c \r\n\tc", b"\xef\xbb\xbfa\nb\n", b"", b"\n\n", "\ufeffa\nb".encode("utf-16"), b"a\rb\rc",
    b"a\r\nb\r\n", "\u00fc\n\u3000x\u3000\n".encode()])
def test_the_lines_of_read_text(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    expected = [line for _, line in lines_of(read_text(path))]
    seen: list[str] = []
    file = LineFile(path, seen.append)
    assert seen == expected == list(file.lines(0, 99)) and file.count == len(expected)


def test_any_range(tmp_path: Path) -> None:
    rng = random.Random(1)
    lines = [f"{'x' * rng.randrange(20)}{k}" for k in range(3 * STRIDE + 7)]
    path = tmp_path / "a.txt"
    path.write_text("\n".join(line + "\n" * rng.randrange(3) for line in lines))
    file = LineFile(path)
    for start in (0, 1, STRIDE - 1, STRIDE, STRIDE + 1, 3 * STRIDE, len(lines) - 1, len(lines), len(lines) + 5):
        for length in (0, 1, 5, STRIDE + 1):
            assert list(file.lines(start, start + length)) == lines[start:start + length]


@pytest.mark.parametrize("content, text", [
    (b"a\nb\xff\n", r"a.txt:2: this is not a text file in UTF-8: byte 3 is 0xff"),
    (b"a\nb\0c\n", "a.txt:2: this is not a text file: a byte is 0"),
    (b"a\nb\rc\n", "a.txt:2: a carriage return inside of a line"),
    (b"a\n" + b"x" * (LONGEST + 1), "a.txt:2: this line has more than 1,048,576 bytes"),
    (b'{"images": []}', "this is a JSON file, not lines of text"), (b"\x89PNG\r\n\x1a\n" + b"0" * 99, "this is a PNG")])
def test_what_is_not_lines_of_text(content: bytes, text: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=text):
        LineFile(tmp_path / "a.txt")
    with pytest.raises(DataError, match=r"b.txt: there is no such file"):
        LineFile(tmp_path / "b.txt")


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a\nb\n")
    file = LineFile(path)
    path.write_text("a\nb\nc\n")
    with pytest.raises(DataError, match="has changed since its lines were counted"):
        list(file.lines(0, 2))


@pytest.mark.slow
def test_memory_does_not_depend_on_the_number_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("".join(f"photos/{k:012d}.jpg\n" for k in range(200_000)))
    tracemalloc.start()
    try:
        file = LineFile(path)
        assert list(file.lines(199_999, 300_000)) == ["photos/000000199999.jpg"]
        assert tracemalloc.get_traced_memory()[1] < 1 << 20 < os.path.getsize(path)
    finally:
        tracemalloc.stop()
