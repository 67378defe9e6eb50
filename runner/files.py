"""Writing files atomically: a file is complete or not there; and JSON."""
import errno
import json
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

TEXT: Any = {"encoding": "utf-8", "errors": "surrogateescape"}        # a path may hold bytes that are not text
# tools/faults.py sets it: it is called before each step of writing a file, and may raise an error or end the process
on_event: Callable[[str, Path], None] | None = None


def event(step: str, path: Path) -> None:
    """Announce the next step of writing a file, to tests of faults."""
    if on_event is not None:
        on_event(step, path)


NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """The error of a full disk, which has no name, gets that of the file that is written."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in NO_SPACE:
            error.filename = str(path)
        raise


@contextmanager
def atomic_write(path: str | Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary file in the folder of `path`; at the end it is flushed to disk and renamed to `path`.

    If the block raises or the process is killed, the old file at `path` is unchanged.  What is not a file, such as
    /dev/null or a pipe, is written to as it is.
    """
    path = Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        with open(path, mode, **({} if "b" in mode else TEXT)) as file:
            yield file
        return
    event("open", path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    except OSError as error:        # it would name the temporary file
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        with naming(path), os.fdopen(handle, mode, **({} if "b" in mode else TEXT)) as file:
            event("write", path)
            yield file
            event("flush", path)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        event("replace", path)
        os.replace(temporary, path)
        event("end", path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


# version of the JSON that verbs write: docs/schemas; it rises when a field is removed or changes its meaning
SCHEMA_VERSION = 1


def json_text(value: Any, indent: int | None = None, ascii_only: bool = False) -> str:
    """A value as JSON; NaN and infinities, which JSON does not have, as null."""
    try:
        return json.dumps(value, indent=indent, ensure_ascii=ascii_only, allow_nan=False)
    except ValueError:
        return json.dumps(_with_null(value), indent=indent, ensure_ascii=ascii_only, allow_nan=False)


def json_utf8(value: Any, indent: int | None = None) -> str:
    """As `json_text`, so that it can be written in UTF-8: a byte of a file name that is not text is an escape."""
    text = json_text(value, indent)
    return text if text.isascii() or not _SURROGATE.search(text) else json_text(value, indent, ascii_only=True)


_SURROGATE = re.compile("[\ud800-\udfff]")


def _with_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_null(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_with_null(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
