"""What a dataset contains, by looking at every image: sizes, modes, unreadable files, duplicates."""
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from PIL import UnidentifiedImageError

from runner.datasets.classification.dataset import Label, Split
from runner.datasets.detection.dataset import DetectionSplit
from runner.errors import DataError, MissingExtra, counted, plural
from runner.images.many_channels import stored_image
from runner.images.pil_bands import channels_of
from runner.reading.image_files import open_image

READERS = 4     # threads that decode


@dataclass
class SplitSurvey:
    """One split of a dataset.

    images   how many
    counts   (classes,) images of each class, or boxes
    labels   [k]: images with k labels; None where each has one, and for data with boxes
    sizes    (width, height) -> images of that size
    kinds    "grey", "colour", "palette" ... -> images
    decoded  bytes of all images, decoded
    bad      the errors of those that cannot be read
    digests  hash of the pixels of an image -> the numbers of the images that have it
    boxes    (k, 2) width and height of each box, relative to the image; None for classification
    empty    images without a box
    """

    images: int
    counts: np.ndarray
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    decoded: int = 0
    bad: list[str] = field(default_factory=list)
    digests: dict[bytes, list[int]] = field(default_factory=dict)
    boxes: np.ndarray | None = None
    empty: int = 0
    labels: np.ndarray | None = None


def survey(split: Split | DetectionSplit, progress: Callable[[int], None] = lambda done: None,
           channels: int | None = None) -> SplitSurvey:
    """Read every image of a split; `progress` is called now and then with the number of images done.

    channels: of the network that the images are for; those that do not have them are among the bad ones.
    """
    found = SplitSurvey(len(split), split.counts())
    if isinstance(split, DetectionSplit):
        found.boxes = split.boxes()[:, 2:4]
        found.empty = sum(not len(image.boxes) for image in split)
    elif split.several_labels:
        found.labels = split.labels_per_image()

    def examine(index: int) -> tuple[int, tuple[int, int], str, int, bytes] | DataError:
        try:
            kind, own = kind_and_channels(split, index)
            pixels = split.read(index, own if channels is None or (channels in (1, 3) and own in (1, 3)) else channels)
        except MissingExtra as error:
            return DataError(f"{split[index][0]}: {error}")
        except DataError as error:
            return error
        shown = np.repeat(pixels, 3, axis=0) if len(pixels) == 1 else pixels    # grey in three channels is equal
        content = hashlib.blake2b(repr((pixels.shape[1:], str(pixels.dtype))).encode(), digest_size=16)
        content.update(np.ascontiguousarray(shown).tobytes())
        return index, (pixels.shape[2], pixels.shape[1]), kind, pixels.nbytes, content.digest()

    with ThreadPoolExecutor(READERS, "survey") as pool:
        for done, seen in enumerate(pool.map(examine, range(len(split))), 1):
            if isinstance(seen, DataError):
                found.bad.append(str(seen))
            else:
                index, size, kind, nbytes, content = seen
                found.sizes[size] += 1
                found.kinds[kind] += 1
                found.decoded += nbytes
                found.digests.setdefault(content, []).append(index)
            if done % 64 == 0 or done == len(split):
                progress(done)
    return found


KINDS = {"1": ("black and white", 1), "L": ("grey", 1), "LA": ("grey, transparent", 1), "P": ("palette", 3),
         "RGB": ("colour", 3), "RGBA": ("colour, transparent", 3), "CMYK": ("CMYK", 3), "F": ("floats", 1),
         "I": ("16 bits", 1), "I;16": ("16 bits", 1), "I;16B": ("16 bits", 1)}
NAMES = {1: "grey", 3: "colour"}                            # of images in memory
MANY_CHANNELS = (".tif", ".tiff", ".npy", ".npz")           # files that may have any number


def kind_and_channels(split: Split | DetectionSplit, index: int) -> tuple[str, int]:
    """The mode of an image in its file, in words, and its channels; transparency is not counted as one."""
    if isinstance(split, Split) and split.pixels is not None:
        channels = split.pixels.shape[1]
        return NAMES.get(channels, counted(channels, "channel")), channels
    path, stored = split[index][0], None
    try:
        stored = stored_image(path) if path.lower().endswith(MANY_CHANNELS) else None
        if stored and stored.what == "array":
            return f"array, {stored.channels} {plural(stored.channels, 'channel')}", stored.channels
        with open_image(path) as image:
            if stored and stored.channels not in (1, 3, channels_of(image)):
                return f"TIFF, {counted(stored.channels, 'channel')}", stored.channels
            return KINDS.get(image.mode, (image.mode, 3))
    except UnidentifiedImageError:
        return ("", 3) if stored is None else (f"TIFF, {counted(stored.channels, 'channel')}", stored.channels)
    except Exception:       # read() reports what is wrong
        return "", 3


@dataclass(frozen=True)
class Duplicate:
    """One image that occurs more than once.  places: (split, number, label) of each copy; with boxes, -1."""

    places: list[tuple[str, int, Label]]

    @property
    def leaks(self) -> bool:
        """Whether it is in more than one split: then the network is tested on an image it was trained on."""
        return len({part for part, *_ in self.places}) > 1

    @property
    def label_conflict(self) -> bool:
        """Whether its copies have different labels."""
        return len({kind for *_, kind in self.places}) > 1


def duplicates(parts: Mapping[str, tuple[Split | DetectionSplit, SplitSurvey]]) -> list[Duplicate]:
    """The images with equal pixels, those that leak between splits first."""
    places: dict[bytes, list[tuple[str, int, Label]]] = {}
    for name, (split, found) in parts.items():
        for content, numbers in found.digests.items():
            places.setdefault(content, []).extend(
                (name, number, split[number][1] if isinstance(split, Split) else -1) for number in numbers)
    repeated = [Duplicate(sorted(place, key=lambda one: (one[0] != "train", one[1]))) for place in places.values()
                if len(place) > 1]
    return sorted(repeated, key=lambda duplicate: (not duplicate.leaks, not duplicate.label_conflict))
