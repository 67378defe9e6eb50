"""List files: one entry per line, for instance the path of an image, as written by darknet or edited by hand."""
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from runner.errors import DataError
from runner.file_kinds import document_kind
from runner.images.arrays import SUFFIXES as ARRAY_SUFFIXES
from runner.images.decode import SUFFIXES
from runner.reading.numbers import shown
from runner.reading.text import lines_of, read_text

SPLITS = {name + year for name in ("train", "training", "test", "val", "valid", "validation") for year in ("", "2017")}
MOST_PARTS = 100        # folders of a path, the last ones, that are looked for
IMAGE_ENDING = "|".join(map(re.escape, sorted(SUFFIXES | ARRAY_SUFFIXES, reverse=True)))
BEHIND_PATH = re.compile(rf"""["']?(?P<path>.+?(?:{IMAGE_ENDING}))["']?[\s,;]+(?P<rest>.+)""", re.IGNORECASE)


def read_lines(path: str | os.PathLike) -> Iterator[tuple[int, str]]:
    """Line numbers (from 1) and lines without surrounding whitespace; empty lines are left out.  DataError
    where the file is missing or not text."""
    text = read_text(path)
    if kind := document_kind(text):
        raise DataError(f"{path}: this is {kind}, not lines of text")
    return lines_of(text)


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


def relocate(path: str, folders: Iterable[Path]) -> str | None:
    """As `locate`; else the longest end of the path that exists in one of the folders.

    Exports name the folders of another machine (/content/set/train/images), or of an archive that was packed without
    them (data/obj/1.jpg, ../train/images).  An end that no longer says which split is meant is not taken:
    ../test/images is not images.
    """
    folders = list(folders)
    found = locate(path, folders)
    if found is not None:
        return found
    parts = [part for part in spellings(path)[-1].split("/") if part not in ("", ".", "..")]
    for at in range(max(0, len(parts) - MOST_PARTS), len(parts)):
        if not SPLITS.isdisjoint(parts[max(0, at - 2):at]) and SPLITS.isdisjoint(parts[at:]):
            continue
        places = (os.path.join(folder, *parts[at:]) for folder in folders)
        found = next((place for place in places if os.path.exists(place)), None)
        if found is not None:
            return found
    return None


class ListedImage(NamedTuple):
    """A line of a list: its number, the path as written, the path to open, and what is written behind the path: a
    class, or boxes."""
    line: int
    written: str
    path: str
    rest: str = ""


def read_list(path: str | os.PathLike, folders: Iterable[Path] = ()) -> list[ListedImage]:
    """The images of a list file.

    A path is looked for in the current folder, in the folder of the list, then in `folders`; see `relocate`.  A path
    that is in none of them is kept as written, and opening it fails later; DataError where all are missing.
    """
    places = [Path(path).parent, *folders]
    found, missing = [], 0
    for number, line in read_lines(path):
        written, rest, where = line, "", locate(line, places)
        behind = BEHIND_PATH.match(line) if where is None else None
        if behind:
            written, rest = behind["path"], behind["rest"]
        where = where or relocate(written, places)
        missing += where is None
        found.append(ListedImage(number, written, where or written, rest))
    if not found:
        raise DataError(f"{path}: the list is empty")
    if missing == len(found):
        searched = ", ".join(dict.fromkeys(str(p) for p in [Path("."), *places]))
        raise DataError(f"{path}:{found[0].line}: there is no {shown(found[0].written)}, nor any other image of the "
                        f"list. Relative paths were looked for in {searched}")
    return found
