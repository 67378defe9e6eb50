"""List files: one entry per line, for instance the path of an image, as written by darknet or edited by hand."""
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from runner.errors import DataError
from runner.file_kinds import kind_of


def read_utf8(path: str | os.PathLike) -> str:
    """The content of a text file.  DataError where it is missing or not text."""
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (IsADirectoryError, PermissionError) as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    kind = kind_of(content)
    if kind:
        raise DataError(f"{path}: this is {kind}")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        raise DataError(f"{path}: this is not a text file in UTF-8") from None


def read_lines(path: str | os.PathLike) -> Iterator[tuple[int, str]]:
    """Line numbers (from 1) and lines without surrounding whitespace; empty lines are left out.  DataError as above."""
    for number, line in enumerate(read_utf8(path).split("\n"), 1):
        if line.strip():
            yield number, line.strip()


def spellings(path: str) -> list[str]:
    """A path as it may be meant: as written, without a pair of quotes around it, and with / for each backslash, as in
    lists made on Windows."""
    plain = path[1:-1].strip() if len(path) > 2 and path[0] == path[-1] and path[0] in "\"'" else path
    return list(dict.fromkeys([path, plain, plain.replace("\\", "/")]))


def locate(path: str, folders: Iterable[Path]) -> str | None:
    """The first of the `spellings` of a path that exists, each as it is, then in the folders; else None."""
    folders = list(folders)
    for name in spellings(path):
        for place in (name, *(str(folder / name) for folder in folders if not os.path.isabs(name))):
            if os.path.exists(place):
                return place
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
