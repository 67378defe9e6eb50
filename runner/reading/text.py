"""Bytes and text of a file: what may be opened, how large it may be, which encodings are read."""
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from runner.errors import DataError, RunnerError
from runner.file_kinds import kind_of
from runner.machine import available_memory, bytes_text

BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"),
        (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
NAMES = {"utf-8": "UTF-8", "utf-8-sig": "UTF-8", "utf-16": "UTF-16", "utf-32": "UTF-32"}

Path_ = str | os.PathLike


def open_reason(error: OSError | ValueError) -> str:
    """Why a file cannot be opened, to follow its name."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, IsADirectoryError):
        return "this is a folder, not a file"
    if isinstance(error, PermissionError):
        return "the file may not be read (permission denied)"
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return "the name is too long for a file"
    if isinstance(error, ValueError):       # a NUL or a lone surrogate
        return "this is not the name of a file"
    return f"cannot be read ({error.strerror or error})"


def read_bytes(path: Path_, error: type[RunnerError] = DataError, *, missing: str = "") -> bytes:
    """The content of a file.  `error` where it cannot be opened, is a device, or larger than the free memory.

    missing: the sentence for a file that does not exist, or is a folder.
    """
    try:
        info = os.stat(path)
        if stat.S_ISDIR(info.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        check_regular(path, info, error)
        check_memory(info.st_size, f"{name_of(path)}: the file", error)
        return Path(path).read_bytes()
    except (FileNotFoundError, IsADirectoryError) as problem:
        raise error(f"{name_of(path)}: {missing or open_reason(problem)}") from None
    except (OSError, ValueError) as problem:
        raise error(f"{name_of(path)}: {open_reason(problem)}") from None
    except MemoryError:
        raise error(f"{name_of(path)}: the file does not fit into memory") from None


def check_openable(path: Path_, error: type[RunnerError] = DataError) -> None:
    """`error` where a file that a library will read does not exist, is a folder or a device, or may not be read."""
    try:
        check_regular(path, os.stat(path), error)
        with open(path, "rb"):
            pass
    except (OSError, ValueError) as problem:
        raise error(f"{name_of(path)}: {open_reason(problem)}") from None


def check_regular(path: Path_, info: os.stat_result, error: type[RunnerError]) -> None:
    """`error` for a device such as /dev/zero, which has no end."""
    if stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode) or stat.S_ISSOCK(info.st_mode):
        raise error(f"{name_of(path)}: this is a device, not a file")


def check_memory(size: int, what: str, error: type[RunnerError]) -> None:
    """`error` where `what` needs more bytes than are free."""
    free = available_memory()
    if size > 1 << 20 and free is not None and size > free:
        raise error(f"{what} needs {bytes_text(size)} of memory, and {bytes_text(free)} are free")


def name_of(path: Path_) -> str:
    return os.fspath(path) if isinstance(path, str) else str(path)


def read_text(path: Path_, error: type[RunnerError] = DataError, *, latin1: bool = False, missing: str = "",
              kind: str = "", not_text: str = "this is not a text file") -> str:
    r"""The text of a file in UTF-8, or in UTF-16 or UTF-32 with a byte order mark; \n ends each line.

    latin1    a file that is not UTF-8 is Latin-1: darknet reads bytes
    missing   as in read_bytes
    kind      what the message says before "this is a PNG image"
    not_text  what it says about a byte that is 0
    """
    return decode(read_bytes(path, error, missing=missing), path, error, latin1=latin1, kind=kind, not_text=not_text)


def decode(content: bytes, path: Path_, error: type[RunnerError] = DataError, *, latin1: bool = False,
           kind: str = "", not_text: str = "this is not a text file") -> str:
    """The text in the bytes of a file, as read_text."""
    other = kind_of(content)
    if other:
        raise error(f"{name_of(path)}: {kind}this is {other}")
    encoding = next((name for mark, name in BOMS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as problem:
        if not latin1 or encoding != "utf-8":
            at = problem.start
            line = content.count(b"\n", 0, at) + 1
            raise error(f"{name_of(path)}:{line}: this is not a text file in {NAMES[encoding]}: byte {at} is "
                        f"0x{content[at]:02x}") from None
        text = content.decode("latin-1")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise error(f"{name_of(path)}:{line}: {not_text}: a byte is 0")
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def text_head(path: Path_, size: int) -> str:
    """The text of the first bytes of a file, to recognise it; "" where it cannot be opened."""
    try:
        check_regular(path, os.stat(path), DataError)
        with open(path, "rb") as file:
            return file.read(size).decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, ValueError, DataError):
        return ""


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """Line numbers (from 1) and lines without surrounding whitespace; empty lines are left out."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.strip()


def bad_character(text: str) -> str | None:
    """The first character no name may have, in words: NUL, or half of a character outside of the basic plane (a lone
    surrogate), which cannot be written to a file or a terminal; None where there is none.  U+DC80 to U+DCFF are bytes
    of file names that are not text (PEP 383), and are written as these bytes."""
    if text.isascii():
        return "the character NUL" if "\0" in text else None
    return next((f"the lone surrogate U+{ord(sign):04X}" if sign else "the character NUL" for sign in text
                 if "\ud800" <= sign < "\udc80" or "\udcff" < sign <= "\udfff" or sign == "\0"), None)
