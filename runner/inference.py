"""Running a trained network over images: a Result for each, in order."""
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from os import PathLike

import numpy as np

from runner.errors import DataError
from runner.images import prepare, read_image
from runner.network import Network

BATCH = 32      # images computed together; results do not depend on it


@dataclass(frozen=True)
class Prediction:
    """One class and how probable it is."""
    name: str
    index: int
    probability: float


@dataclass(frozen=True)
class Result:
    """What the network says of one image.

    image          its path, or its number in the sequence when it was given as an array
    predictions    best first, as many as asked for
    probabilities  the whole output (k,)
    error          why the image could not be read; then the rest is empty
    """
    image: str
    predictions: tuple[Prediction, ...] = ()
    probabilities: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    error: str = ""


def infer(net: Network, images: Iterable[str | PathLike | np.ndarray], *, names: Sequence[str] = (), top: int = 5,
          how: str = "crop", on_bad: str = "skip", batch: int = BATCH) -> Iterator[Result]:
    """Yield a Result for every image.

    images  paths, or arrays (c, h, w) with values in 0..1; prepared as for validation (runner.images.prepare)
    names   of the classes; without them a class is called by its number
    on_bad  "skip": a Result with `error`; "error": DataError
    """
    source = iter(images)
    number = 0
    while chunk := list(islice(source, batch)):
        results: list[Result | None] = [None] * len(chunk)
        arrays, places = [], []
        for at, image in enumerate(chunk):
            label = str(number + at) if isinstance(image, np.ndarray) else str(image)
            try:
                arrays.append(_prepared(net, image, how))
                places.append((at, label))
            except DataError as error:
                if on_bad == "error":
                    raise
                results[at] = Result(label, error=str(error))
        if arrays:
            outputs = net.predict(np.stack(arrays)).reshape(len(arrays), -1)
            for (at, label), probabilities in zip(places, outputs, strict=True):
                results[at] = Result(label, best(probabilities, names, top), probabilities)
        number += len(chunk)
        yield from (result for result in results if result is not None)


def best(probabilities: np.ndarray, names: Sequence[str], top: int) -> tuple[Prediction, ...]:
    """The `top` most probable classes, best first; of equals the one with the lower number."""
    order = np.argsort(-probabilities, kind="stable")[:top]
    return tuple(Prediction(names[i] if i < len(names) else str(i), int(i), float(probabilities[i])) for i in order)


def _prepared(net: Network, image: str | PathLike | np.ndarray, how: str) -> np.ndarray:
    channels, height, width = net.in_shape
    pixels = image if isinstance(image, np.ndarray) else read_image(image, channels)
    if pixels.ndim != 3 or pixels.shape[0] != channels:
        raise DataError(f"an image must be an array ({channels}, height, width). Got {pixels.shape}")
    return prepare(pixels.astype(np.float32, copy=False), width, height, how)
