"""Text files with more lines than should be in memory: read once to count and index them, then line by line."""
import os
from array import array
from collections.abc import Callable, Iterator
from itertools import islice

from runner.errors import DataError
from runner.file_kinds import document_kind, kind_of
from runner.reading.text import BOMS, Path_, check_regular, lines_of, name_of, open_reason, read_text

HEAD = 1 << 16          # bytes from which the encoding is known
LONGEST = 1 << 20       # bytes of a line
STRIDE = 1024           # lines from one offset that is kept to the next


class LineFile:
    """The lines of a file without surrounding whitespace, and without the empty ones.

    Memory for the offset of every 1024th line, 8 bytes, whatever their number.  Files in UTF-16 or UTF-32, and
    those whose lines end with a carriage return alone, are read into memory.

    DataError where the file is missing, or not lines of text; later, where it has changed meanwhile.
    """

    def __init__(self, path: Path_, visit: Callable[[str], None] = lambda line: None):
        """visit: called with every line."""
        self.path, self.count = path, 0
        self._offsets = array("Q")
        self._lines: list[str] | None = None
        try:
            info = os.stat(path)
            check_regular(path, info, DataError)
            with open(path, "rb") as file:
                head = file.read(HEAD)
        except (OSError, ValueError) as error:
            raise DataError(f"{name_of(path)}: {open_reason(error)}") from None
        self._as_indexed = _version(info)
        if self._needs_memory(head):
            text = read_text(path)
            self._check_document(text)
            self._lines = [line for _, line in lines_of(text)]
            self.count = len(self._lines)
            for line in self._lines:
                visit(line)
            return
        self._check_document(head.decode("utf-8-sig", errors="replace"))
        for offset, line in self._read(0):
            if self.count % STRIDE == 0:
                self._offsets.append(offset)
            self.count += 1
            visit(line)

    def lines(self, start: int, stop: int) -> Iterator[str]:
        """The lines start..stop - 1, numbered from 0, without the empty ones."""
        if self._lines is not None:
            yield from self._lines[start:stop]
            return
        stop = min(stop, self.count)
        if start >= stop:
            return
        if _version(os.stat(self.path)) != self._as_indexed:
            raise DataError(f"{name_of(self.path)}: this file has changed since its lines were counted")
        begin = self._offsets[start // STRIDE]
        yield from (line for _, line in islice(self._read(begin), start % STRIDE, start % STRIDE + stop - start))

    @staticmethod
    def _needs_memory(head: bytes) -> bool:
        marked = any(head.startswith(mark) for mark, name in BOMS if name != "utf-8-sig")
        first = head.partition(b"\n")[0]
        return bool(marked or kind_of(head) or b"\r" in first[:-1])

    def _check_document(self, text: str) -> None:
        if kind := document_kind(text):
            raise DataError(f"{name_of(self.path)}: this is {kind}, not lines of text")

    def _read(self, begin: int) -> Iterator[tuple[int, str]]:
        """Offsets and lines from an offset on."""
        number, offset = 0, begin
        with open(self.path, "rb") as file:
            file.seek(begin)
            while raw := file.readline(LONGEST + 1):
                number += 1
                if len(raw) > LONGEST:
                    raise DataError(f"{self._place(begin, number)}: this line has more than {LONGEST:,} bytes")
                try:
                    line = raw.decode("utf-8").strip("\ufeff" if not offset else "").strip()
                except UnicodeDecodeError as error:
                    raise DataError(f"{self._place(begin, number)}: this is not a text file in UTF-8: byte "
                                    f"{offset + error.start} is 0x{raw[error.start]:02x}") from None
                if "\0" in line:
                    raise DataError(f"{self._place(begin, number)}: this is not a text file: a byte is 0")
                if "\r" in line:
                    raise DataError(f"{self._place(begin, number)}: a carriage return inside of a line; other lines "
                                    "end with a line feed")
                if line:
                    yield offset, line
                offset += len(raw)

    def _place(self, begin: int, number: int) -> str:
        return f"{name_of(self.path)}:{number}" if begin == 0 else name_of(self.path)


def _version(info: os.stat_result) -> tuple[int, int]:
    return info.st_size, info.st_mtime_ns
