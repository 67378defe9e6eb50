"""From the outputs of the heads to the boxes of one image."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from runner.detection.nms import highest, require_kind, suppress
from runner.errors import UsageError, did_you_mean
from runner.images.resize import letterboxed_size
from runner.layers import Detection, Layer
from runner.layers.shared.heads import DetectionHead
from runner.reading.numbers import is_share, is_whole, shown, whole

NO_HEADS = "the network has no [yolo], [Gaussian_yolo], [region] or [detection]: it finds no boxes"


@dataclass(frozen=True)
class PredictedBoxes:
    """Boxes of one image, in darknet's order: head by head.

    boxes        (k, 4) centre x, y, width, height, relative to the image (or in its pixels, if asked for)
    objectness   (k,)
    probability  (k, classes); 0: not this class
    """
    boxes: np.ndarray
    objectness: np.ndarray
    probability: np.ndarray

    def rows(self) -> np.ndarray:
        """(m, 6) class, probability, x, y, w, h wherever the probability is above 0; by class, then by falling
        probability."""
        box, label = np.nonzero(self.probability > 0)
        p = self.probability[box, label]
        order = np.lexsort((-p, label))
        return np.concatenate([label[order, None], p[order, None], self.boxes[box[order]]], axis=1)

    def suppressed(self, thresh: float, kind: str = "sort", beta: float = 0.6, *, agnostic: bool = False,
                   lowest: float = 0.0) -> "PredictedBoxes":
        """The same boxes; those that non-maximum suppression removes (nms.suppress) have probability 0."""
        return PredictedBoxes(self.boxes, *suppress(self.boxes, self.objectness, self.probability, thresh, kind, beta,
                                                    agnostic=agnostic, lowest=lowest))


@dataclass(frozen=True)
class NmsOptions:
    """Which of the boxes that a network predicts in an image are kept.  UsageError for a value that is not allowed.

    nms           largest overlap of two boxes of a class; 0: no suppression
    nms_kind      how overlapping boxes are suppressed, one of nms.KINDS; None: as nms_kind= of the last head says
    agnostic_nms  boxes suppress each other whatever their class
    max_det       at most this many boxes, those with the highest probability; None: all
    classes       only these class numbers; None: all
    """
    nms: float = 0.45
    nms_kind: str | None = None
    agnostic_nms: bool = False
    max_det: int | None = None
    classes: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.nms_kind is not None:
            require_kind(self.nms_kind)
        if not is_share(self.nms):
            raise UsageError(f"nms must be a number from 0 to 1. Got {shown(self.nms)}")
        whole_number = isinstance(self.max_det, int | np.integer) and not isinstance(self.max_det, bool)
        if self.max_det is not None and not (whole_number and self.max_det >= 1):
            raise UsageError(f"max_det must be an integer, at least 1, or None for all boxes. Got {self.max_det!r}")


def chosen_classes(keep: Sequence[str | int], leave_out: Sequence[str | int], names: Sequence[str],
                   count: int) -> tuple[int, ...] | None:
    """The class numbers to keep, of `count` classes: those of `keep` (empty: all) without those of `leave_out`, by
    name or number; a name that several classes have means all of them.  None: all.  UsageError, with a similar name,
    for a class that does not exist."""
    def numbers(word: str | int) -> set[int]:
        if named := {index for index, name in enumerate(names[:count]) if name == word}:
            return named
        index = word if not isinstance(word, str) else whole(word) if is_whole(word) else -1
        if not 0 <= index < count:
            if not isinstance(word, str) or is_whole(word) or not names:
                raise UsageError(f"there is no class {word!r}: the numbers are 0 to {count - 1}")
            raise UsageError(f"there is no class {word!r}{did_you_mean(word, names)}")
        return {index}
    if not keep and not leave_out:
        return None
    dropped = set().union(*map(numbers, leave_out))
    kept = set().union(*map(numbers, keep)) if keep else set(range(count))
    if not kept - dropped:
        raise UsageError("no class is left")
    return tuple(sorted(kept - dropped))


def detection_heads(layers: Sequence[Layer]) -> list[int]:
    """Indices of the layers whose outputs are boxes."""
    return [i for i, layer in enumerate(layers) if isinstance(layer, DetectionHead)]


def require_detection_heads(layers: Sequence[Layer]) -> list[int]:
    """As `detection_heads`, of which there is at least one: else UsageError."""
    heads = detection_heads(layers)
    if not heads:
        raise UsageError(NO_HEADS)
    return heads


def predict_boxes(layers: Sequence[Layer], outputs: Mapping[int, np.ndarray] | Sequence[np.ndarray],
                  size: tuple[int, int], thresh: float = 0.25, *, image: int = 0, letterbox: bool = False,
                  nms: float = 0.45, nms_kind: str | None = None, beta: float | None = None,
                  agnostic_nms: bool = False, max_det: int | None = None, classes: Sequence[int] | None = None,
                  relative: bool = True) -> PredictedBoxes:
    """The boxes of one image.  UsageError where the network has no head that predicts boxes.

    layers     of the network: net.layers
    outputs    by layer, of the heads at least: net.head_outputs(x), or net.outputs(x)
    size       width and height of the image before it was resized to the network's input, pixels
    thresh     lowest probability
    image      row of the batch
    letterbox  the image was resized with its aspect ratio kept: boxes are relative to the image without the borders
    nms, nms_kind, agnostic_nms, max_det, classes   as in NmsOptions
    beta       exponent of nms_kind diounms; None: beta_nms of the last head
    relative   False: boxes in pixels of the image

    A box that is not finite is left out, as one whose probability is NaN.
    """
    heads, parts = require_detection_heads(layers), []
    for index in heads:
        layer = layers[index]
        assert isinstance(layer, DetectionHead)
        found = layer.boxes(outputs[index][image], thresh)
        boxes = found.boxes
        if letterbox and not isinstance(layer, Detection):     # darknet never letterboxes for that one
            boxes = without_borders(boxes, size, layer.network_size)
        parts.append((boxes, found.objectness, found.probability))
    if len({part[2].shape[1] for part in parts}) > 1:
        raise UsageError(f"the heads differ in their number of classes: {[part[2].shape[1] for part in parts]}")
    boxes, objectness, probability = (np.concatenate(each) for each in zip(*parts, strict=True))
    probability[~np.isfinite(boxes).all(axis=1)] = 0        # exp() of w and h can be infinite
    if not relative:
        boxes = boxes * np.array([*size, *size], boxes.dtype)
    result = PredictedBoxes(boxes, objectness, probability)
    options = layers[heads[-1]].options
    if classes is not None:
        result.probability[:, np.setdiff1d(np.arange(probability.shape[1]), classes)] = 0
    if nms > 0:
        result = result.suppressed(nms, nms_kind or str(getattr(options, "nms_kind", "default")),
                                   getattr(options, "beta_nms", 0.6) if beta is None else beta,
                                   agnostic=agnostic_nms, lowest=thresh)
    if max_det is not None:
        result = PredictedBoxes(result.boxes, result.objectness, highest(result.probability, max_det))
    return result


def without_borders(boxes: np.ndarray, size: tuple[int, int], network: tuple[int, int]) -> np.ndarray:
    """boxes (k, 4) relative to a letterboxed input -> relative to the image in it; both sizes (width, height), pixels.

    src/yolo_layer.c:correct_yolo_boxes.
    """
    net_w, net_h = network
    new_w, new_h = letterboxed_size(*size, net_w, net_h)
    shift = np.array([(net_w - new_w) / 2 / net_w, (net_h - new_h) / 2 / net_h, 0, 0], boxes.dtype)
    scale = np.array([net_w / new_w, net_h / new_h] * 2, boxes.dtype)
    return (boxes - shift) * scale
