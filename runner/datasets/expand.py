"""From arguments of the command line to images: folders, globs, lists, files of many images."""
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from runner import shipped
from runner.datasets.containers.stored_images import is_container, is_stored, names_in
from runner.datasets.folders import image_names, images_in
from runner.datasets.lists import locate, read_lines
from runner.errors import DataError

LISTS = (".txt", ".list")


def expand_images(arguments: Iterable[str | os.PathLike]) -> list[str]:
    """Images, folders (with all below), globs, list files (.txt, .list) and - (stdin), as one list of paths.  A file of
    many images (idx, CIFAR, npz) becomes the names of all of them, `file#number`; such a name stands for one image.

    In the order of the arguments; folders and globs are sorted.  DataError for what does not exist.
    """
    found: list[str] = []
    for given in arguments:
        argument = shipped.find(given)
        if argument == "-":
            found += _listed(enumerate((line.strip() for line in sys.stdin), 1), "standard input", Path("."))
        elif os.path.isdir(argument):
            inside = images_in(argument)
            if not inside:
                raise DataError(f"{argument}: there are no images in this folder")
            found += inside
        elif os.path.exists(argument):
            if is_container(argument):
                found += names_in(argument)
            elif argument.lower().endswith(LISTS):
                found += _listed(read_lines(argument), argument, Path(argument).parent)
            else:
                found.append(argument)
        elif is_stored(argument):
            found.append(argument)
        elif any(sign in argument for sign in "*?["):
            matches = shipped.matches(argument)
            if not matches:
                raise DataError(f"{argument}: no file matches")
            folders = {os.path.dirname(name): [os.path.basename(other) for other in matches
                                               if os.path.dirname(other) == os.path.dirname(name)] for name in matches}
            images = {os.path.join(folder, name) for folder, names in folders.items()
                      for name in image_names(folder, names)}
            found += [name for name in matches if name in images] or matches
        else:
            raise DataError(f"{argument}: there is no such file or folder")
    return found


def _listed(lines: Iterable[tuple[int, str]], name: str, folder: Path) -> list[str]:
    found = []
    for number, line in lines:
        if line:
            where = locate(line, [folder])
            if where is None:
                raise DataError(f"{name}:{number}: there is no {line!r}, neither in the current folder nor in {folder}")
            found.append(where)
    return found
