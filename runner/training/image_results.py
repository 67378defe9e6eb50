"""The results of single images: what `test --wrong` lists, what `test --per-image` adds to the JSON, and what a report
shows."""
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from runner.detection import BoxMatches
from runner.images import pixel_corners

if TYPE_CHECKING:
    from runner.training.detection_metrics import SplitDetections


class ImageResults(NamedTuple):
    """columns: of `errors`; errors: a row of text for each error; images: an object of JSON for each image;
    detections: of a detector, all its boxes."""
    columns: Sequence[str]
    errors: list[Sequence[str]]
    images: list[dict[str, Any]]
    detections: "SplitDetections | None" = None

    def table(self) -> list[Sequence[str]]:
        """A row for each image, under a header."""
        keys = [key for key in ("truth", "predicted", "correct", "wrong", "missed", "f1", "probability")
                if self.images and key in self.images[0]]
        return [("image", *("F1" if key == "f1" else key for key in keys)),
                *((one["image"], *(_cell(one[key]) for key in keys)) for one in self.images)]


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}"
    return "-" if value is None else ", ".join(value) if isinstance(value, list) else str(value)


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


def box_results(matches: Sequence[BoxMatches], paths: Sequence[str], sizes: Sequence[tuple[int, int]],
                names: Sequence[str], overlap: float) -> ImageResults:
    """Of images with boxes; path and size of each in pixels.  A row for each wrong box and each object without any
    box: "wrong class", "duplicate" (close to an object that has another box), "no object", or "missed"."""
    errors: list[Sequence[str]] = []
    images = []
    for one, path, (width, height) in zip(matches, paths, sizes, strict=True):
        near, near_iou = one.duplicates(overlap)
        results = np.select([one.correct, one.ignored, one.objects >= 0, near >= 0],
                            ["correct", "ignored", "wrong class", "duplicate"], "no object").tolist()
        objects = [name_of(names, k) for k in one.truth[:, 4].tolist()]
        boxes, missed = [], []
        for row, result, goal, iou, corners in zip(one.boxes, results, np.maximum(one.objects, near).tolist(),
                                                   np.maximum(one.overlap, near_iou).tolist(),
                                                   pixel_corners(one.boxes[:, 2:], width, height).tolist(),
                                                   strict=True):
            name, truth = name_of(names, row[0]), objects[goal] if goal >= 0 else None
            boxes.append({**_box_json(names, row[0], row[2:]), "confidence": float(row[1]), "result": result,
                          "truth": truth, "iou": iou})
            if result not in ("correct", "ignored"):
                errors.append((path, result, truth or "", name, f"{row[1]:.6f}", f"{iou:.4f}" if truth else "",
                               *(f"{value:.1f}" for value in corners)))
        corners_of = pixel_corners(one.truth[:, :4], width, height).tolist()
        for number in np.flatnonzero(one.missed).tolist():
            missed.append(_box_json(names, one.truth[number, 4], one.truth[number, :4]))
            if one.unseen[number]:
                errors.append((path, "missed", objects[number], "", "", "",
                               *(f"{value:.1f}" for value in corners_of[number])))
        correct, wrong = int(one.correct.sum()), int(one.wrong.sum())
        total = 2 * correct + wrong + len(missed)
        images.append({"image": path, "correct": correct, "wrong": wrong, "missed": len(missed),
                       "f1": 2 * correct / total if total else None, "boxes": boxes, "missed_objects": missed})
    return ImageResults(("image", "error", "truth", "predicted", "confidence", "iou", "left", "top", "right",
                         "bottom"), errors, images)


def name_of(names: Sequence[str], index: float) -> str:
    """The name of a class; its number, where a head has more classes than the data."""
    return names[int(index)] if index < len(names) else str(int(index))


def _box_json(names: Sequence[str], index: float, box: np.ndarray) -> dict[str, Any]:
    """As in the JSON of `detect`."""
    return {"class_id": int(index), "name": name_of(names, index), "relative_coordinates":
            dict(zip(("center_x", "center_y", "width", "height"), box.astype(float).tolist(), strict=True))}
