"""JSON with a limit on its depth, and with errors that have a line."""
import json
import mmap
import os
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from runner.errors import DataError, RunnerError
from runner.reading.text import Path_, decode, name_of, read_bytes

DEPTH = 100         # of lists and objects in each other
NOT_STRUCTURE = bytes(set(range(256)) - set(b'"[]{}'))
OPENS = np.zeros(256, np.int8)
OPENS[list(b"[{")] = 1
OPENS[list(b"]}")] = -1


def depth_of(content: bytes) -> int:
    """How many lists and objects are in each other in a JSON text, at most; in linear time, without recursion."""
    if b"\\" in content:
        content = re.sub(rb"\\.", b"", content, flags=re.DOTALL)
    marks = re.sub(rb'"[^"]*"', b"", content.translate(None, NOT_STRUCTURE))
    return int(np.cumsum(OPENS[np.frombuffer(marks, np.uint8)], dtype=np.int64).max(initial=0))


def parse_json(content: bytes | str, where: Path_, error: type[RunnerError] = DataError) -> Any:
    """The value of a JSON text.  `error` with the line where it is not JSON."""
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    if depth_of(data) > DEPTH:
        raise error(f"{name_of(where)}: this JSON has more than {DEPTH} lists and objects in each other")
    text = decode(content, where, error) if isinstance(content, bytes) else content
    try:
        return json.loads(text)
    except json.JSONDecodeError as problem:
        raise error(f"{name_of(where)}:{problem.lineno}: this is not JSON ({problem.msg})") from None
    except ValueError:      # Python's limit on the digits of a number
        raise error(f"{name_of(where)}: a number of this JSON has more than 4,300 digits") from None
    except (MemoryError, RecursionError):
        raise error(f"{name_of(where)}: this JSON does not fit into memory") from None


def read_json(path: Path_, error: type[RunnerError] = DataError) -> Any:
    """The value in a JSON file."""
    return parse_json(read_bytes(path, error), path, error)


def has_lists(path: Path_, keys: Iterable[str], parsed: int) -> bool:
    """Whether a JSON file seems to be an object with lists under these keys: a file of at most `parsed` bytes is
    parsed, a larger or damaged one is searched for them.  False where it cannot be read."""
    try:
        size = os.stat(path).st_size
        if size <= parsed:
            try:
                content = read_json(path)
                return isinstance(content, dict) and all(isinstance(content.get(key), list) for key in keys)
            except RunnerError:
                pass        # a damaged file is still one of these: the error comes when it is read
        if not size:
            return False
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            return all(re.search(rb'"%s"\s*:\s*\[' % key.encode(), mapped) for key in keys)
    except (OSError, ValueError):
        return False
