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
