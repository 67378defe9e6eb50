"""The results of single images: what `test --wrong` lists, what `test --per-image` adds to the JSON, and what a report
shows."""
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np


class ImageResults(NamedTuple):
    """columns: of `errors`; errors: a row of text for each error; images: an object of JSON for each image."""
    columns: Sequence[str]
    errors: list[Sequence[str]]
    images: list[dict[str, Any]]


class Prediction(NamedTuple):
    """Of an image of one class: its number in the split, true class, predicted class, and their probabilities."""
    number: int
    actual: int
    predicted: int
    actual_probability: float
    predicted_probability: float


def predictions(p: np.ndarray, truth: np.ndarray, indices: np.ndarray) -> Iterator[Prediction]:
    """Of a batch: output (n, classes), truth (n, classes), number of each image (n,)."""
    actual, predicted, rows = truth.argmax(axis=1), p.argmax(axis=1), np.arange(len(p))
    return map(Prediction, indices.tolist(), actual.tolist(), predicted.tolist(), p[rows, actual].tolist(),
               p[rows, predicted].tolist())


def wrong_first(results: Iterable[Prediction]) -> list[Prediction]:
    """The wrong ones, by falling probability of the predicted class."""
    return sorted((one for one in results if one.actual != one.predicted), key=lambda one: -one.predicted_probability)


def class_results(results: Sequence[Prediction], paths: Sequence[str], names: Sequence[str]) -> ImageResults:
    """Of images of one class each.  paths: of the images of the split, by their number."""
    errors = [(paths[one.number], names[one.actual], names[one.predicted], f"{one.predicted_probability:.6f}",
               f"{one.actual_probability:.6f}") for one in wrong_first(results)]
    images = [{"image": paths[one.number], "truth": names[one.actual], "predicted": names[one.predicted],
               "correct": one.actual == one.predicted, "probability": one.predicted_probability,
               "truth_probability": one.actual_probability} for one in results]
    return ImageResults(("image", "truth", "predicted", "probability", "truth_probability"), list(errors), images)


def label_results(p: np.ndarray, truth: np.ndarray, paths: Sequence[str], names: Sequence[str],
                  threshold: float) -> ImageResults:
    """Of images with several labels: p and truth (n, classes), the path of each (n,).  A row for each label that is
    missed or wrong, the worst first: by its distance from the truth."""
    has, gets = truth > .5, p > threshold
    wrong = [(int(image), int(label)) for image, label in zip(*np.nonzero(has != gets), strict=True)]
    wrong.sort(key=lambda at: -abs(float(p[at]) - has[at]))
    errors = [(paths[i], names[k], "missed" if has[i, k] else "wrong", f"{p[i, k]:.6f}") for i, k in wrong]

    def words(chosen: np.ndarray) -> list[str]:
        return [names[k] for k in np.flatnonzero(chosen).tolist()]
    images = [{"image": path, "truth": words(has[i]), "predicted": words(gets[i]),
               "correct": bool((has[i] == gets[i]).all()), "probabilities": p[i].tolist()}
              for i, path in enumerate(paths)]
    return ImageResults(("image", "label", "error", "probability"), list(errors), images)
