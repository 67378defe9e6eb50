"""The images that a network is run on: paths, arrays and Pillow images."""
import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from runner.datasets import read_named
from runner.errors import DataError, UsageError
from runner.images import to_float
from runner.images.in_memory import array_of, pixels_of

# a path, the name of an image in a container, an array (runner/images/in_memory.py) or a Pillow image
Source = str | os.PathLike[str] | np.ndarray[Any, Any] | Image.Image
Sources = Source | Iterable[Source]
TAKES = "an image is a path, an array or a Pillow image"


def each(images: Sources) -> Iterator[Source]:
    """The images one by one; a single one is that image.  An array of four axes is several.  UsageError for anything
    else."""
    if isinstance(images, str | os.PathLike | Image.Image):
        return iter([images])
    array = array_of(images)
    if array is not None:
        return iter(array if array.ndim == 4 else [array])
    if isinstance(images, bytes | dict) or not isinstance(images, Iterable):
        raise UsageError(f"{TAKES}, and several are a list of them. Got {_shown(images)}")
    return iter(images)


def label(number: int, image: Source) -> str:
    """What a result calls an image: its path, else its number.  UsageError where it is not an image."""
    if isinstance(image, str | os.PathLike):
        return os.fspath(image)
    if isinstance(image, Image.Image):
        return str(getattr(image, "filename", "") or number)
    if array_of(image) is None:
        raise UsageError(f"{TAKES}. Got {_shown(image)}")
    return str(number)


def pixels(image: Source, channels: int) -> np.ndarray:
    """float32 (channels, height, width) in 0..1.  DataError where it cannot be read."""
    if isinstance(image, str | os.PathLike):
        return to_float(read_named(image, channels))
    array = array_of(image)
    if array is None and not isinstance(image, Image.Image):
        raise UsageError(f"{TAKES}. Got {_shown(image)}")
    return pixels_of(image if isinstance(image, Image.Image) else np.asarray(array), channels)


def of_image(error: DataError, name: str) -> DataError:
    """The error, with the number of an image that has no path."""
    return DataError(f"image {name}: {error}") if name.isdecimal() else error


def _shown(value: object) -> str:
    """A value and its type, in a few words."""
    text = repr(value)
    return f"{text if len(text) <= 40 else f'{text[:40]}...'} ({type(value).__name__})"
