"""What a data set holds, by looking at every image: sizes, kinds, what cannot be read, what is there twice."""
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from runner.datasets.classification.dataset import Split
from runner.datasets.detection.dataset import DetectionSplit
from runner.errors import DataError

READERS = 4     # threads that decode


@dataclass
class SplitSurvey:
    """One part of a data set.

    images  how many
    counts  (classes,) images of each class, or boxes
    sizes   (width, height) -> images of that size
    kinds   "grey", "RGB", "palette" ... -> images
    decoded bytes of all of them, decoded
    bad     what is wrong with those that cannot be read
    prints  the content of an image -> the numbers of the images that have it
    boxes   (k, 2) width and height of each box, as parts of the picture; None where there are no boxes
    empty   images without a box
    """

    images: int
    counts: np.ndarray
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    decoded: int = 0
    bad: list[str] = field(default_factory=list)
    prints: dict[bytes, list[int]] = field(default_factory=dict)
    boxes: np.ndarray | None = None
    empty: int = 0


def survey(split: Split | DetectionSplit, progress: Callable[[int], None] = lambda done: None) -> SplitSurvey:
    """Read every image of a part; `progress` is called now and then with how many are done."""
    found = SplitSurvey(len(split), split.counts())
    if isinstance(split, DetectionSplit):
        found.boxes = split.boxes()[:, 2:4]
        found.empty = sum(not len(picture.boxes) for picture in split)

    def look(index: int) -> tuple[int, tuple[int, int], str, int, bytes] | DataError:
        try:
            kind, channels = _kind(split, index)
            pixels = split.read(index, channels)
        except DataError as error:
            return error
        shown = np.repeat(pixels, 3, axis=0) if len(pixels) == 1 else pixels    # grey in three channels is the same
        content = hashlib.blake2b(repr((pixels.shape[1:], str(pixels.dtype))).encode(), digest_size=16)
        content.update(np.ascontiguousarray(shown).tobytes())
        return index, (pixels.shape[2], pixels.shape[1]), kind, pixels.nbytes, content.digest()

    with ThreadPoolExecutor(READERS, "survey") as pool:
        for done, seen in enumerate(pool.map(look, range(len(split))), 1):
            if isinstance(seen, DataError):
                found.bad.append(str(seen))
            else:
                index, size, kind, nbytes, content = seen
                found.sizes[size] += 1
                found.kinds[kind] += 1
                found.decoded += nbytes
                found.prints.setdefault(content, []).append(index)
            if done % 64 == 0 or done == len(split):
                progress(done)
    return found


KINDS = {"1": ("black and white", 1), "L": ("grey", 1), "LA": ("grey, transparent", 1), "P": ("palette", 3),
         "RGB": ("colour", 3), "RGBA": ("colour, transparent", 3), "CMYK": ("CMYK", 3), "F": ("floats", 1),
         "I": ("16 bits", 1), "I;16": ("16 bits", 1), "I;16B": ("16 bits", 1)}


def _kind(split: Split | DetectionSplit, index: int) -> tuple[str, int]:
    """What an image is in its file, and the channels it has."""
    if isinstance(split, Split) and split.pixels is not None:
        channels = split.pixels.shape[1]
        return "grey" if channels == 1 else "colour", channels
    try:
        with Image.open(split[index][0]) as image:
            return KINDS.get(image.mode, (image.mode, 3))
    except Exception:       # read() says what is wrong
        return "", 3


@dataclass(frozen=True)
class Duplicate:
    """One image that occurs more than once.  places: (split, number, class or -1) of each copy."""

    places: list[tuple[str, int, int]]

    @property
    def leaks(self) -> bool:
        """Whether it is in more than one split: then the network is tested on an image it was trained on."""
        return len({part for part, *_ in self.places}) > 1

    @property
    def label_conflict(self) -> bool:
        """Whether its copies have different classes."""
        return len({kind for *_, kind in self.places}) > 1


def duplicates(parts: Mapping[str, tuple[Split | DetectionSplit, SplitSurvey]]) -> list[Duplicate]:
    """The images with equal pixels, those that leak between splits first."""
    places: dict[bytes, list[tuple[str, int, int]]] = {}
    for name, (split, found) in parts.items():
        for content, numbers in found.prints.items():
            places.setdefault(content, []).extend(
                (name, number, split[number][1] if isinstance(split, Split) else -1) for number in numbers)
    repeated = [Duplicate(sorted(place, key=lambda one: (one[0] != "train", one[1]))) for place in places.values()
                if len(place) > 1]
    return sorted(repeated, key=lambda duplicate: (not duplicate.leaks, not duplicate.label_conflict))
