"""List files: one entry per line, for instance the path of an image, as written by darknet or edited by hand."""
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from runner.errors import DataError


def read_utf8(path: str | os.PathLike) -> str:
    """The content of a text file.  DataError where it is missing or not text."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (IsADirectoryError, PermissionError) as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: this is not a text file in UTF-8") from None


def read_lines(path: str | os.PathLike) -> Iterator[tuple[int, str]]:
    """Line numbers (from 1) and lines without surrounding whitespace; empty lines are left out.  DataError as above."""
    for number, line in enumerate(read_utf8(path).split("\n"), 1):
        if line.strip():
            yield number, line.strip()


def locate(path: str, folders: Iterable[Path]) -> str | None:
    """`path` if it exists as it is, else the first of the folders joined with it that exists, else None."""
    if os.path.exists(path):
        return path
    if not os.path.isabs(path):
        for folder in folders:
            if os.path.exists(folder / path):
                return str(folder / path)
    return None


def read_list(path: str | os.PathLike, folders: Iterable[Path] = ()) -> list[tuple[int, str, str]]:
    """The images of a list file as (line number, path as written, path to open).

    A relative path is looked for in the current folder, in the folder of the list, then in `folders`.  A path that is
    in none of them is kept as written, and opening it fails later; DataError where all are missing.
    """
    places = [Path(path).parent, *folders]
    found, missing = [], 0
    for number, line in read_lines(path):
        where = locate(line, places)
        missing += where is None
        found.append((number, line, where or line))
    if not found:
        raise DataError(f"{path}: the list is empty")
    if missing == len(found):
        searched = ", ".join(dict.fromkeys(str(p) for p in [Path("."), *places]))
        raise DataError(f"{path}:{found[0][0]}: there is no {found[0][1]!r}, nor any other image of the list. Relative "
                        f"paths were looked for in {searched}")
    return found
