"""Lists with the labels behind each path, as those of ImageNet, Caffe and PaddleX.

    img/1.jpg 3             the number of the class, from 0, or its name: img/1.jpg cat
    img/1.jpg cat dog       several labels: names or numbers, separated by blanks, commas, semicolons or |
    img/1.jpg 0 1 1 0       a 0 or 1 for each class
"""
import os
import re
from collections.abc import Mapping, Sequence

from runner.datasets.classification.dataset import Label, as_label
from runner.datasets.lists import ListedImage
from runner.errors import DataError

COMMAS, BLANKS = re.compile(r"[,;|]"), re.compile(r"[\s,;|]+")
NUMBERS = re.compile(r"-?\d+(\.\d*)?(,-?\d+(\.\d*)?){3}(,|\s|$)")     # what begins like a box
BOX = re.compile(r"\d+(\.\d+)?(,\d+(\.\d+)?){4}(\s|$)")     # keras-yolo3: left,top,right,bottom,class


def labels_behind_paths(file: str | os.PathLike, lines: Sequence[ListedImage],
                        names: Sequence[str]) -> list[Label] | None:
    """The label of each line, by name where all are names, else by number from 0; None where nothing follows the paths.

    DataError where only some lines have a label, or a class does not exist.
    """
    if not any(line.rest for line in lines):
        return None
    flags = [BLANKS.split(line.rest) for line in lines]
    if len(names) > 1 and all(len(each) == len(names) and {"0", "1"}.issuperset(each) for each in flags):
        return [as_label([index for index, flag in enumerate(each) if flag == "1"]) for each in flags]
    found: list[set[int] | None] = []
    for number in ({name: index for index, name in enumerate(names)}, {str(i): i for i in range(len(names))}):
        found = [_classes(line.rest, number) for line in lines]
        labels = [as_label(classes) for classes in found if classes]
        if len(labels) == len(lines):
            return labels
    bare = lines[found.index(None)]
    boxes = NUMBERS.match(bare.rest)
    hint = ": a box is left,top,right,bottom,class in pixels, the class a number" if boxes else \
        ": class numbers start at 0" if str(len(names)) in BLANKS.split(bare.rest) else ""
    raise DataError(f"{file}:{bare.line}: behind the path of an image is the name of its class, or its number, 0 to "
                    f"{len(names) - 1}. Got {bare.rest!r}{hint}")


def _classes(text: str, number: Mapping[str, int]) -> set[int] | None:
    """The classes that a text names, one or several; None where a word of it is not a class."""
    for words in ([text], [word.strip() for word in COMMAS.split(text)], BLANKS.split(text)):
        if all(word in number for word in words):
            return None if BOX.match(text) else {number[word] for word in words}
    return None
