"""Very many images as one numbered list, of which any range can be read without the rest."""
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from runner.datasets import expand_images
from runner.datasets.expand import LISTS
from runner.datasets.lists import locate
from runner.errors import DataError, UsageError
from runner.reading.line_file import LineFile
from runner.shipped import find


class ImageList:
    """The images of arguments as `expand_images` takes them, numbered from 0.

    List files stay on disk, so that a list of millions of lines takes no more memory than a short one; folders and
    globs are listed in memory.  Lines are not looked for when the list is opened: where there is no such file, reading
    the image fails.

    count   of the images
    digest  SHA-256 of their names in this order; and of the folder of each list with relative paths, since they are
            looked for there

    DataError as of `expand_images`; UsageError for -, which can be read only once.
    """

    def __init__(self, arguments: Sequence[str]):
        self._parts: list[LineFile | list[str]] = []
        self._folders: list[Path] = []
        digest = hashlib.sha256()
        for argument in arguments:
            self._add(argument, digest)
        self.count = sum(map(_length, self._parts))
        self.digest = digest.hexdigest()
        if not self.count:
            raise DataError(f"{', '.join(arguments)}: there are no images")

    def _add(self, argument: str, digest: "hashlib._Hash") -> None:
        place = find(argument)
        if place == "-":
            raise UsageError("-: shards cannot be read from standard input, which only one process could read, and "
                             "only once. Write the list into a file")
        if not (os.path.isfile(place) and place.lower().endswith(LISTS)):
            paths = expand_images([argument])
            self._parts.append(paths)
            digest.update("\n".join([*paths, ""]).encode("utf-8", "surrogateescape"))
            self._folders.append(Path("."))
            return
        relative = False

        def visit(line: str) -> None:
            nonlocal relative
            relative = relative or not os.path.isabs(line)
            digest.update(line.encode() + b"\n")
        self._parts.append(LineFile(place, visit))
        self._folders.append(Path(place).parent)
        if relative:
            digest.update(os.path.realpath(self._folders[-1]).encode("utf-8", "surrogateescape") + b"\0")

    def images(self, start: int, stop: int) -> Iterator[str]:
        """The paths of the images start..stop - 1; a line of a list that is not found is as it is written."""
        for part, folder in zip(self._parts, self._folders, strict=True):
            length = _length(part)
            if start < length and stop > 0:
                if isinstance(part, LineFile):
                    yield from (locate(line, [folder]) or line for line in part.lines(max(start, 0), stop))
                else:
                    yield from part[max(start, 0):stop]
            start, stop = start - length, stop - length


def _length(part: LineFile | list[str]) -> int:
    return part.count if isinstance(part, LineFile) else len(part)
