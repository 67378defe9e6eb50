"""Lists with the class behind each path, as those of ImageNet, Caffe and PaddleX: `img/1.jpg 3` or `img/1.jpg cat`."""
import os
from collections.abc import Sequence

from runner.datasets.lists import ListedImage
from runner.errors import DataError


def classes_behind_paths(file: str | os.PathLike, lines: Sequence[ListedImage],
                         names: Sequence[str]) -> list[int] | None:
    """The class of each line, by name where all are names, else by number from 0; None where nothing follows the paths.

    DataError where only some lines have a class, or one does not exist.
    """
    if not any(line.rest for line in lines):
        return None
    number = {name: index for index, name in enumerate(names)}
    if not all(line.rest in number for line in lines):
        number = {str(index): index for index in range(len(names))}
    bare = next((line for line in lines if line.rest not in number), None)
    if bare is None:
        return [number[line.rest] for line in lines]
    hint = ": class numbers start at 0" if bare.rest == str(len(names)) else ""
    raise DataError(f"{file}:{bare.line}: behind the path of an image is the name of its class, or its number, 0 to "
                    f"{len(names) - 1}. Got {bare.rest!r}{hint}")
