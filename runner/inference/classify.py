"""A trained classifier on images: a Result for each, in order."""
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from runner.arguments import checked
from runner.detection import detection_heads
from runner.errors import DataError, UsageError
from runner.images import PREPARATIONS, prepare
from runner.inference.plan import Plan, batch_size
from runner.inference.sources import Source, Sources, each, label, of_image, pixels
from runner.layers import Dropout
from runner.network import Network
from runner.program import command

READERS = 4     # threads that decode images
PREFETCH = 2    # batches that are read ahead

Sampler = Callable[[np.ndarray, int], np.ndarray]   # an image (c, h, w) and its number -> outputs (samples, k)


@dataclass(frozen=True)
class Prediction:
    """One class and its probability; of several samples their mean, and their standard deviation as `spread`."""
    name: str
    index: int
    probability: float
    spread: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """{"class", "index", "probability"}, and "spread" of several samples."""
        return {"class": self.name, "index": self.index, "probability": self.probability} \
            | ({} if self.spread is None else {"spread": self.spread})


@dataclass(frozen=True)
class Result:
    """What the network predicts for one image.

    image          its path, or its number in the sequence when it was given as an array
    predictions    most probable first, as many as asked for
    probabilities  the whole output (k,); of several samples their mean
    spread         (k,) standard deviation of the samples; empty without
    error          why the image could not be read; then the rest is empty
    """
    image: str
    predictions: tuple[Prediction, ...] = ()
    probabilities: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32), repr=False)
    error: str = ""
    spread: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32), repr=False)

    @property
    def name(self) -> str:
        """The most probable class; "" where the image could not be read."""
        return self.predictions[0].name if self.predictions else ""

    @property
    def probability(self) -> float:
        """Of the most probable class; NaN where the image could not be read."""
        return self.predictions[0].probability if self.predictions else math.nan

    def to_dict(self) -> dict[str, Any]:
        """{"image", "predictions": [{"class", "index", "probability"}, ...]}, or {"image", "error"}."""
        if self.error:
            return {"image": self.image, "error": self.error}
        return {"image": self.image, "predictions": [one.to_dict() for one in self.predictions]}

    def __str__(self) -> str:
        shown = ", ".join(f"{one.name} {one.probability:.4g}" for one in self.predictions)
        return f"{self.image}: {self.error or shown}"


@checked
def infer(net: Network, images: Sources, *, names: Sequence[str] | None = None, top: int = 5,
          how: str = "crop", on_bad: str = "skip", batch: int | None = None, samples: int = 0,
          seed: int = 0, first: int = 0, plan: Plan | None = None) -> Iterator[Result]:
    """Yield a Result for every image, in order.  The next images are read while the network computes.

    images   paths, arrays and Pillow images (runner/images/in_memory.py), or one of them; prepared as for validation
             (runner.images.prepare)
    names    of the classes; without them a class is called by its number
    how      "crop", "stretch" or "letterbox"
    on_bad   "skip": an image that cannot be read gives a Result with `error`; "error": it raises DataError
    batch    images computed together; the results do not depend on it
    samples  Monte-Carlo dropout: this many stochastic forward passes for each image; the Result has their mean and
             standard deviation, which depend only on `seed` and the image's number in the sequence
    first    number of the first image
    plan     of the network, if there is one already

    UsageError where an argument is wrong, samples would all be the same, or the network is a detector; ShapeError where
    its input is not an image.
    """
    if on_bad not in ("skip", "error") or how not in PREPARATIONS:
        raise UsageError(f"on_bad is 'skip' or 'error', how one of {', '.join(PREPARATIONS)}. Got {on_bad!r}, {how!r}")
    net.require_images()
    heads = detection_heads(net.layers)
    if heads:
        raise UsageError(f"layer {heads[0]} [{net.layers[heads[0]].names[0]}] predicts boxes, not the class of a whole "
                         "image: use runner.detect(net, images), or net.detect(images)")
    if samples and not any(isinstance(layer, Dropout) and layer.probability > 0 for layer in net.layers):
        raise UsageError("the network has no [dropout] (with a probability above 0): all samples would be the same")
    sampler = (lambda x, number: dropout_samples(net, x, samples, (seed, number))) if samples else None
    return _infer(plan or Plan(net), enumerate(each(images), first), names or (), top, how, on_bad,
                  batch or batch_size(net), sampler)


def require_classifier(net: Network, cfg: str) -> None:
    """RunnerError, naming the cfg, unless the network takes images and gives probabilities of classes."""
    net.require_images(cfg)
    heads = detection_heads(net.layers)
    if heads:
        raise UsageError(f"{cfg}: layer {heads[0]} [{net.layers[heads[0]].names[0]}] predicts boxes, not the class of "
                         f"a whole image: {command('detect', cfg, 'IMAGES')} runs it")


def dropout_samples(net: Network, image: np.ndarray, samples: int, seed: int | tuple[int, ...]) -> np.ndarray:
    """(samples, k): the outputs for one prepared image (c, h, w), with [dropout] active as in training."""
    rng, size = np.random.default_rng(seed), batch_size(net)
    parts = [net.sample(np.repeat(image[None], min(size, samples - start), axis=0), rng)
             for start in range(0, samples, size)]
    return np.concatenate(parts).reshape(samples, -1)


def best(probabilities: np.ndarray, names: Sequence[str], top: int,
         spread: np.ndarray | None = None) -> tuple[Prediction, ...]:
    """The `top` most probable classes, most probable first; of equals the one with the lower number."""
    order = np.argsort(-probabilities, kind="stable")[:top]
    return tuple(Prediction(names[i] if i < len(names) else str(i), int(i), float(probabilities[i]),
                            None if spread is None else float(spread[i])) for i in order)


def _infer(plan: Plan, numbered: Iterator[tuple[int, Source]], names: Sequence[str], top: int, how: str, on_bad: str,
           batch: int, sampler: Sampler | None) -> Iterator[Result]:
    pool = ThreadPoolExecutor(READERS, "images")
    ahead: deque[list[tuple[int, str, Future]]] = deque()
    try:
        while True:
            while len(ahead) < PREFETCH and (chunk := list(islice(numbered, batch))):
                ahead.append([(number, label(number, image), pool.submit(_prepared, plan.net, image, how))
                              for number, image in chunk])
            if not ahead:
                return
            yield from _results(plan, ahead.popleft(), names, top, on_bad, sampler)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _results(plan: Plan, chunk: list[tuple[int, str, Future]], names: Sequence[str], top: int, on_bad: str,
             sampler: Sampler | None) -> list[Result]:
    results: list[Result] = []
    arrays, places = [], []
    for _, name, reading in chunk:
        error = reading.exception()
        if error is None:
            arrays.append(reading.result())
            places.append(len(results))
        elif on_bad == "error" or not isinstance(error, DataError):
            raise of_image(error, name) if isinstance(error, DataError) else error
        results.append(Result(name, error="" if error is None else str(error)))
    if sampler:
        for at, array in zip(places, arrays, strict=True):
            sampled = sampler(array, chunk[at][0])
            mean, spread = sampled.mean(axis=0), sampled.std(axis=0)
            results[at] = Result(results[at].image, best(mean, names, top, spread), mean, spread=spread)
    elif arrays:
        outputs = plan.predict(np.stack(arrays)).reshape(len(arrays), -1)
        for at, probabilities in zip(places, outputs, strict=True):
            results[at] = Result(results[at].image, best(probabilities, names, top), probabilities)
    return results


def _prepared(net: Network, image: Source, how: str) -> np.ndarray:
    channels, height, width = net.in_shape
    return prepare(pixels(image, channels), width, height, how)
