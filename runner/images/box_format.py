"""Boxes that follow their picture.  boxes (k, 5): x, y, w, h as parts of the picture, class."""
import numpy as np

from runner.images.resize import letterbox, resize


def fitted(image: np.ndarray, boxes: np.ndarray, width: int, height: int,
           keep_ratio: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A picture (c, h, w) and its boxes as a network of that size takes them: stretched, or with grey borders."""
    if not keep_ratio:
        return resize(image, width, height), boxes
    canvas, place = letterbox(image, width, height)
    moved = boxes.copy()
    moved[:, 0] = (boxes[:, 0] * place.width + place.x) / width
    moved[:, 1] = (boxes[:, 1] * place.height + place.y) / height
    moved[:, 2] *= place.width / width
    moved[:, 3] *= place.height / height
    return canvas, moved


def corners_of(boxes: np.ndarray) -> np.ndarray:
    """(k, 5) -> (k, 4) left, top, right, bottom."""
    half = boxes[:, 2:4] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def from_corners(corners: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """(k, 4) left, top, right, bottom and (k,) classes -> (k, 5)."""
    low, high = corners[:, :2], corners[:, 2:]
    return np.concatenate([(low + high) / 2, high - low, kinds[:, None]], axis=1).astype(np.float32)


def moved(boxes: np.ndarray, scale: tuple[float, float], shift: tuple[float, float], mirrored: bool) -> np.ndarray:
    """Each edge becomes edge * scale - shift; then left and right are exchanged, and what is outside 0..1 is cut off.

    darknet's correct_boxes (src/data.c).  Boxes that are outside altogether have no area left.
    """
    edges = corners_of(boxes) * (scale * 2) - shift * 2
    if mirrored:
        edges[:, [0, 2]] = 1 - edges[:, [2, 0]]
    return from_corners(np.clip(edges, 0, 1), boxes[:, 4])


def large_enough(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """(k,) bool: at least one pixel wide and high in a picture of that size, as darknet wants the things to learn."""
    return (boxes[:, 2] >= 1 / width) & (boxes[:, 3] >= 1 / height)
