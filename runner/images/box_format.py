"""Formats of boxes, and boxes that follow their image when it is resized, cropped or flipped.

    cxcywh   centre x, centre y, width, height; what labels, heads and `ops.iou` use
    xyxy     left, top, right, bottom
    xywh     left, top, width, height; COCO's

In a dataset boxes are (k, 5): cxcywh relative to the image, 0 to 1, and the class.
"""
import numpy as np

from runner.images.resize import letterbox, resize


def convert(boxes: np.ndarray, in_fmt: str, out_fmt: str) -> np.ndarray:
    """boxes (..., 4) of one format -> (..., 4) of another, in the same unit; as torchvision.ops.box_convert.

    ValueError for a format not in the list above.
    """
    first, second = boxes[..., :2], boxes[..., 2:4]
    if in_fmt == "cxcywh":
        half = second / 2
        low, high = first - half, first + half
    elif in_fmt == "xyxy":
        low, high = first, second
    elif in_fmt == "xywh":
        low, high = first, first + second
    else:
        raise ValueError(f"a box format is cxcywh, xyxy or xywh. Got {in_fmt!r}")
    if out_fmt == "xyxy":
        return np.concatenate([low, high], axis=-1)
    size = high - low if in_fmt == "xyxy" else second
    if out_fmt == "xywh":
        return np.concatenate([low, size], axis=-1)
    if out_fmt == "cxcywh":
        centre = first if in_fmt == "cxcywh" else (low + high) / 2
        return np.concatenate([centre, size], axis=-1)
    raise ValueError(f"a box format is cxcywh, xyxy or xywh. Got {out_fmt!r}")


def pixel_corners(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """boxes (..., 4 or more) cxcywh relative to an image -> (..., 4) xyxy in its pixels, float64."""
    return convert(np.asarray(boxes, np.float64), "cxcywh", "xyxy") * (width, height, width, height)


def with_classes(corners: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """(k, 4) xyxy and (k,) classes -> (k, 5) float32 as in a dataset."""
    return np.concatenate([convert(corners, "xyxy", "cxcywh"), classes[:, None]], axis=1).astype(np.float32)


def resize_with_boxes(image: np.ndarray, boxes: np.ndarray, width: int, height: int,
                      keep_ratio: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """An image (c, h, w) and its boxes (k, 5) at the size of a network's input: stretched, or letterboxed."""
    if not keep_ratio:
        return resize(image, width, height), boxes
    canvas, place = letterbox(image, width, height)
    moved = boxes.copy()
    moved[:, 0] = (boxes[:, 0] * place.width + place.x) / width
    moved[:, 1] = (boxes[:, 1] * place.height + place.y) / height
    moved[:, 2] *= place.width / width
    moved[:, 3] *= place.height / height
    return canvas, moved


def crop_boxes(boxes: np.ndarray, scale: tuple[float, float], shift: tuple[float, float], flipped: bool) -> np.ndarray:
    """Boxes (k, 5) relative to a crop: each edge becomes edge * scale - shift; then left and right are exchanged if
    `flipped`, and everything outside 0..1 is cut off.

    darknet's correct_boxes (src/data.c).  Boxes outside the crop have no area left.
    """
    edges = convert(boxes, "cxcywh", "xyxy") * (scale * 2) - shift * 2
    if flipped:
        edges[:, [0, 2]] = 1 - edges[:, [2, 0]]
    return with_classes(np.clip(edges, 0, 1), boxes[:, 4])


def at_least_one_pixel(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """(k,) bool: wide and high enough to be learned in an image of that size, as in darknet."""
    return (boxes[:, 2] >= 1 / width) & (boxes[:, 3] >= 1 / height)
